"""An EngineSession under test, with everything it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Self, TypeVar

from tests.support.patience import patient
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.event_stream import CAPACITY
from watchtower_agent.engine.inventory import Inventory
from watchtower_agent.engine.session import EngineSession, SessionTiming
from watchtower_agent.model.engine_event import Cursor, EngineEvent
from watchtower_agent.model.observation import EnginePinged, EventsObserved, ImagesCounted, InventoryObserved
from watchtower_agent.ports.clock import Clock

T = TypeVar("T")

FAST = SessionTiming(ping_every=0.2, audit_every=60.0, in_flight=1.0, lost_after=0.3, retry_cap=0.5)
"""Timing for tests: a frozen engine is noticed in about 1.5 s, no audit unless a test asks for it."""


def engine_calls(at: str | EngineAddress, timeout: float = 1.0) -> EngineCalls:
    """The blocking API of a private engine."""
    address = at if isinstance(at, EngineAddress) else EngineAddress(url=at, source="settings")
    return EngineCalls(address, clock=SystemClock(), timeout=timeout)


class EngineWatch:
    """Runs a session, and inspections beside it, and keeps what they tell."""

    def __init__(
        self,
        at: str | EngineAddress | EngineCalls,
        *,
        cursor: Cursor | None = None,
        recent: Sequence[str] = (),
        timing: SessionTiming = FAST,
        timeout: float = 1.0,
        capacity: int = CAPACITY,
        clock: Clock | None = None,
    ) -> None:
        self.calls = at if isinstance(at, EngineCalls) else engine_calls(at, timeout)
        clock = clock or SystemClock()
        self.observations: list[object] = []
        self.session = EngineSession(
            calls=self.calls,
            clock=clock,
            sink=self.sink,
            cursor=cursor,
            recent_event_ids=recent,
            timing=timing,
            capacity=capacity,
        )
        self.inventory = Inventory(
            calls=self.calls, clock=clock, sink=self.sink, position=lambda: self.session.position
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self.session.run()), asyncio.create_task(self.inventory.run())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result
        self.calls.close()

    def sink(self, observation: object) -> None:
        self.observations.append(observation)
        self._news.set()

    @property
    def events(self) -> list[EngineEvent]:
        return [event for told in self.of(EventsObserved) for event in told.events]

    def actions(self, actor: str = "") -> list[str]:
        return [event.action for event in self.events if not actor or actor in {event.name, event.actor_id}]

    def of(self, kind: type[T]) -> list[T]:
        return [told for told in self.observations if isinstance(told, kind)]

    def told_but_signs_of_life(self) -> list[object]:
        return [told for told in self.observations if not isinstance(told, EnginePinged | ImagesCounted)]

    async def until(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:  # noqa: ASYNC109 - a test's
        try:
            async with asyncio.timeout(patient(timeout)):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not within {timeout} s; told: {self.observations[-20:]}") from None

    async def until_told(self, kind: type[T], count: int = 1, timeout: float = 30.0) -> list[T]:  # noqa: ASYNC109 - a test's
        await self.until(lambda: len(self.of(kind)) >= count, timeout)
        return self.of(kind)

    async def until_listed(self, count: int = 1, timeout: float = 30.0) -> list[InventoryObserved]:  # noqa: ASYNC109 - a test's
        return await self.until_told(InventoryObserved, count, timeout)


async def in_thread(function: Callable[[], T]) -> T:
    """A blocking step of a test, beside the session."""
    return await asyncio.to_thread(function)
