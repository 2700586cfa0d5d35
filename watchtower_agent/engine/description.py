"""What the engine says of itself, asked for anew whenever that may have changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Never

from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.workers import Workers
from watchtower_agent.errors import WatchtowerError
from watchtower_agent.model.engine_event import SWARM_KINDS, EngineEvent, EventKind
from watchtower_agent.model.observation import EngineInfo

REST = 1.0
"""Seconds between two questions, at least, however many events give reason for one."""


class Description:
    """Notices that the engine joined or left a Swarm, or leads it by now: that decides whose agent tells its events.

    Args:
        calls: The blocking API.
        workers: Where its calls run.
    """

    def __init__(self, calls: EngineCalls, workers: Workers) -> None:
        self._calls = calls
        self._workers = workers
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """It may have changed though nothing was heard: who leads a Swarm is told to nobody."""
        self._doubted.set()

    def look_at(self, events: Iterable[EngineEvent]) -> None:
        """These happened: some are reason to ask."""
        if any(_may_change_it(event) for event in events):
            self._doubted.set()

    async def follow(self, known: Callable[[], EngineInfo | None], changed: Callable[[EngineInfo], None]) -> Never:
        """Ask for ever, and tell each change.

        Args:
            known: What the engine said last.
            changed: Told what it says by now, on the event loop.
        """
        self._doubted.clear()
        while True:
            await self._doubted.wait()
            self._doubted.clear()
            before = known()
            with contextlib.suppress(WatchtowerError):  # whether it is there at all is the pings' business
                if before is not None and (info := await self._workers.call(self._calls.describe, before)) != before:
                    changed(info)
            await asyncio.sleep(REST)


def _may_change_it(event: EngineEvent) -> bool:
    reloaded = event.kind is EventKind.DAEMON and event.action == "reload"
    return reloaded or event.swarm or event.kind in SWARM_KINDS
