"""The store on a file system that is full."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.filling import fill_up
from tests.support.store_values import event
from watchtower_agent.clock import SystemClock
from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.observation import StoreReset
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


async def test_a_store_that_is_found_damaged_on_a_full_disk_is_told_once_a_new_one_can_be_made(
    small_disk: Path,
) -> None:
    told: list[StoreReset] = []
    store = SqliteStore(small_disk / "state", clock=SystemClock(), on_reset=told.append)
    await store.open()
    for number in range(1, 60):
        await store.commit(Commit(events=(event(number, payload=bytes(500)),)))
    file = small_disk / "state" / "store.db"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with file.open("r+b") as opened:
        for page in range(1, file.stat().st_size // 4096):
            opened.seek(page * 4096)
            opened.write(b"\xff" * 200)
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as opened:
        while True:
            opened.write(bytes(4096))
    for _ in range(3):
        with pytest.raises(TemporaryError, match="full"):
            await store.commit(Commit(events=(event(60),)))
    assert told == []
    ballast.unlink()
    await store.commit(Commit(events=(event(60),)))
    assert "was damaged (" in told[0].why
    assert (await store.load()).store_was_reset == told[0]
    await store.commit(Commit(events=(event(61),)))
    assert len(told) == 1
    await store.close()
