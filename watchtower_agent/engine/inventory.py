"""Inspections in the background: a few at a time, each container at most once, and none waits behind one that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.parking import Parking
from watchtower_agent.engine.sink import Sink
from watchtower_agent.engine.translation import EngineTimeoutError
from watchtower_agent.engine.workers import Workers
from watchtower_agent.errors import AbsentError, WatchtowerError
from watchtower_agent.model.container import Container
from watchtower_agent.model.observation import ContainerObserved, InspectionHung
from watchtower_agent.ports.clock import Clock

AT_ONCE = 2
"""Inspections at once that are answered. They are paid in Python, not in waiting: more would only take turns."""

PATIENCE = 0.3
"""Seconds after which an inspection counts as one that waits: the next may begin beside it. One takes 3 ms."""

HELD_UP = 64
"""Inspections that may wait beside those that are answered."""

PARKED_AT_ONCE = 8
"""Of those: containers of which it is known that their inspection hangs."""

RETRY_FIRST = 0.2
RETRY_CAP = 5.0
"""Seconds between tries while the engine does not answer."""


class Inventory:
    """Asks the engine about containers, behind the `Inspections` port.

    The engine keeps a lock for each container: while a runtime does not answer, an inspection of its container hangs,
    and no other. One that got no answer in time is parked: asked about again after a while, beside all others.

    Args:
        calls: The blocking API.
        clock: The host's clocks.
        sink: Takes the answers, on the event loop.
        position: Ordinal of the last event handed over.
        patience: Seconds after which an inspection makes room for the next one.
    """

    def __init__(
        self,
        *,
        calls: EngineCalls,
        clock: Clock,
        sink: Sink,
        position: Callable[[], int],
        patience: float = PATIENCE,
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._sink = sink
        self._position = position
        self._patience = patience
        self._workers = Workers("engine-inspect", AT_ONCE + HELD_UP)
        self._urgent: dict[str, None] = {}
        self._waiting: dict[str, None] = {}
        self._parking = Parking()
        self._asked: set[str] = set()
        self._room = AT_ONCE
        self._beside = 0
        """Inspections that wait beside those that have a place in the room."""
        self._parked_asked = 0
        self._wake = asyncio.Event()
        self._delay = 0.0

    def request(self, container_ids: Sequence[str], *, urgent: Collection[str] = ()) -> None:
        """Inspect these soon, the urgent ones first. Asking twice for one that waits already is one inspection."""
        now = self._clock.now().monotonic
        for container_id in container_ids:
            if container_id in self._parking:
                self._parking.wanted(container_id, now)
            elif container_id in urgent:
                self._waiting.pop(container_id, None)
                self._urgent[container_id] = None
            elif container_id not in self._urgent:
                self._waiting[container_id] = None
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Inspections that were not begun yet."""
        return len(self._urgent) + len(self._waiting)

    async def run(self) -> None:
        """Inspect what is asked for, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._wake.clear()
                    self._begin(group)
                    await self._woken()
        finally:
            self._workers.close()

    async def _woken(self) -> None:
        """Until there may be something to begin: it was asked for, there is room, or a parked one is due."""
        due = self._parking.next_due()
        wait = None if due is None or not self._has_room_for_parked() else max(0.0, due - self._clock.now().monotonic)
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            return

    def _has_room_for_parked(self) -> bool:
        return self._parked_asked < PARKED_AT_ONCE and self._beside < HELD_UP

    def _begin(self, group: asyncio.TaskGroup) -> None:
        while self._room > 0 and (container_id := self._next()) is not None:
            self._room -= 1
            self._asked.add(container_id)
            group.create_task(self._in_the_room(container_id), name=f"inspect {container_id[:12]}")
        while self._has_room_for_parked() and (found := self._parking.take(self._clock.now().monotonic)) is not None:
            self._beside += 1
            self._parked_asked += 1
            self._asked.add(found)
            group.create_task(self._beside_the_others(found), name=f"inspect parked {found[:12]}")

    def _next(self) -> str | None:
        for queue in (self._urgent, self._waiting):
            # One that is being asked about waits until its answer is here, or an older answer could come last.
            found = next((each for each in queue if each not in self._asked), None)
            if found is not None:
                del queue[found]
                return found
        return None

    async def _in_the_room(self, container_id: str) -> None:
        loop = asyncio.get_running_loop()
        inside = True

        def step_aside() -> None:
            nonlocal inside
            if self._beside < HELD_UP:
                inside = False
                self._beside += 1
                self._room += 1
                self._wake.set()

        aside = loop.call_later(self._patience, step_aside)
        try:
            answered = await self._inspect(container_id)
            aside.cancel()
            if not answered and inside:
                self._delay = min(RETRY_CAP, max(RETRY_FIRST, 2 * self._delay))
                await asyncio.sleep(self._delay)
        finally:
            aside.cancel()
            if inside:
                self._room += 1
            else:
                self._beside -= 1
            self._asked.discard(container_id)
            self._wake.set()

    async def _beside_the_others(self, container_id: str) -> None:
        try:
            await self._inspect(container_id)
        finally:
            self._parked_asked -= 1
            self._beside -= 1
            self._asked.discard(container_id)
            self._wake.set()

    async def _inspect(self, container_id: str) -> bool:
        """Ask once, and tell what came of it. False when the engine is to be left alone for a moment."""
        after_position, begun = self._position(), self._clock.now()
        container: Container | None = None
        try:
            container = await self._workers.call(self._calls.inspect, container_id)
        except AbsentError:
            pass  # an answer like any other
        except EngineTimeoutError as error:
            self._hung(container_id, begun.monotonic, str(error))
            return True
        except WatchtowerError:
            if container_id in self._parking:
                self._parking.park(container_id, self._clock.now().monotonic, hangs=False)
                return True
            self._waiting[container_id] = None
            return False
        self._delay = 0.0
        self._parking.free(container_id)
        self._sink(
            ContainerObserved(
                container_id=container_id, container=container, after_position=after_position, at=begun.wall
            )
        )
        return True

    def _hung(self, container_id: str, begun: float, error: str) -> None:
        now = self._clock.now()
        self._waiting.pop(container_id, None)
        self._urgent.pop(container_id, None)
        tries = self._parking.park(container_id, now.monotonic, hangs=True)
        self._sink(
            InspectionHung(
                container_id=container_id, waited=now.monotonic - begun, tries=tries, reason=error, at=now.wall
            )
        )
