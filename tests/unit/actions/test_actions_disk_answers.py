"""Every question about the disk has an answer, whatever goes wrong."""

from __future__ import annotations

from tests.support.fake_engine import FakeEngine
from watchtower_agent.actions.disk import Answer, Disk
from watchtower_agent.model.removal import DiskListed, Fate, Kind, Look, Removal, Removed, Space


async def test_space_that_can_not_be_measured_is_not_known() -> None:
    answers: list[Answer] = []

    async def measure() -> Space | None:
        raise RuntimeError("can't start new thread")

    disk = Disk(FakeEngine(), measure=measure, sink=answers.append)
    for look in Look:
        disk.look(look)
        await disk.finish(5)
    disk.remove(Removal(kind=Kind.NETWORK, id="x", name="x"))
    await disk.finish(5)

    listed, with_sizes, removed = answers
    assert isinstance(listed, DiskListed)
    assert isinstance(with_sizes, DiskListed)
    assert isinstance(removed, Removed)
    assert (listed.space, with_sizes.space, removed.space, removed.fate) == (None, None, None, Fate.GONE)
