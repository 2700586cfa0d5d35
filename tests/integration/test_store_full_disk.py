"""The store on a file system that is full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.filling import fill_up
from tests.support.store_values import event
from watchtower_agent.clock import SystemClock
from watchtower_agent.model.commit import Commit
from watchtower_agent.storage import SqliteStore


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_is_said_and_survived(small_disk: Path) -> None:
    store = SqliteStore(small_disk / "state", clock=SystemClock())
    await store.open()
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(400_000))
    failed, error = await fill_up(store)
    assert "full" in str(error)
    assert str(small_disk) in str(error)
    resume = await store.load()
    assert resume.last_sequence == failed - 1
    assert resume.recent_event_ids[-1] == f"e{failed - 1}"
    ballast.unlink()
    await store.commit(Commit(events=(event(failed),)))
    assert (await store.load()).last_sequence == failed
    await store.close()
