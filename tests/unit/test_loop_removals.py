"""A removal is let out soon after its look, or not at all: a full disk may keep what has to be durable waiting."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from tests.support.core import INSTALL_ID, FakeClock
from tests.support.pruned_host import PrunedHost, full
from tests.support.store import FakeStore
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.loop import Loop
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.removal import Look, Removal, Retagging


class LateStore(FakeStore):
    """Takes a while for each commit."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__(install_id=INSTALL_ID)
        self.clock, self.seconds = clock, seconds

    async def commit(self, commit: Commit) -> None:
        await super().commit(commit)
        self.clock.advance(self.seconds)


class Asked:
    """What the engine is asked; all else that the loop speaks to is silent."""

    def __init__(self) -> None:
        self.questions: asyncio.Queue[Look | Removal] = asyncio.Queue()

    def remove(self, removal: Removal) -> None:
        self.questions.put_nowait(removal)

    def retag(self, retagging: Retagging) -> None:
        raise AssertionError(f"nothing was taken: {retagging}")

    def look(self, look: Look) -> None:
        self.questions.put_nowait(look)


class Silent:
    """Whatever it is told."""

    def __getattr__(self, name: str) -> object:
        return (lambda: "") if name == "look_after" else (lambda *_told: None)


@pytest.mark.parametrize(("seconds", "question"), [(1.0, Removal), (60.0, Look)])
async def test_a_removal_that_was_durable_too_late_is_not_let_out(seconds: float, question: type) -> None:
    host = await asyncio.to_thread(_about_to_remove)  # it runs its own short loops
    answer = await asyncio.to_thread(host.answer)
    asked, inbox, silent = Asked(), Inbox(), cast("Any", Silent())
    loop = Loop(
        pipeline=host.pipeline,
        inbox=inbox,
        store=LateStore(host.clock, seconds),
        publisher=silent,
        executor=silent,
        inspections=silent,
        sampling=silent,
        schedules=silent,
        services=silent,
        sources=silent,
        disk=asked,
        clock=host.clock,
        interval=1.0,
        metrics_interval=10.0,
        committed=lambda _: None,
        told=lambda _: None,
    )
    inbox.put(answer)
    running = asyncio.create_task(loop.run())
    try:
        async with asyncio.timeout(5):
            assert isinstance(await asked.questions.get(), question)
    finally:
        loop.stop()
        await running


def _about_to_remove() -> PrunedHost:
    host = full()
    host.short()
    host.until_asked(Look.NAMES)
    return host
