"""Inspections in the background: a few at a time, each container at most once in the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.sink import Sink
from watchtower_agent.engine.workers import Workers
from watchtower_agent.errors import AbsentError, WatchtowerError
from watchtower_agent.model.container import Container
from watchtower_agent.model.observation import ContainerObserved
from watchtower_agent.ports.clock import Clock

THREADS = 2
"""Inspections at once. They are paid in Python, not in waiting: more threads would only take turns."""

RETRY_FIRST = 0.2
RETRY_CAP = 5.0
"""Seconds between tries while the engine does not answer."""


class Inventory:
    """Asks the engine about containers, behind the `Inspections` port.

    Args:
        calls: The blocking API.
        clock: The host's clocks.
        sink: Takes the answers, on the event loop.
        position: Ordinal of the last event handed over.
    """

    def __init__(
        self,
        *,
        calls: EngineCalls,
        clock: Clock,
        sink: Sink,
        position: Callable[[], int],
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._sink = sink
        self._position = position
        self._workers = Workers("engine-inspect", THREADS)
        self._waiting: dict[str, None] = {}
        self._asked: set[str] = set()
        self._wake = asyncio.Event()
        self._delay = 0.0

    def request(self, container_ids: Sequence[str]) -> None:
        """Inspect these soon. Asking twice for one that waits already is one inspection."""
        self._waiting.update(dict.fromkeys(container_ids))
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Inspections that were not begun yet."""
        return len(self._waiting)

    async def run(self) -> None:
        """Inspect what is asked for, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(THREADS):
                    group.create_task(self._work(), name=f"engine-inspect-{number}")
        finally:
            self._workers.close()

    async def _work(self) -> None:
        while True:
            # One that is being asked about waits until its answer is here, or an older answer could come last.
            container_id = next((waiting for waiting in self._waiting if waiting not in self._asked), None)
            if container_id is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            del self._waiting[container_id]
            self._asked.add(container_id)
            try:
                await self._inspect(container_id)
            finally:
                self._asked.discard(container_id)
                self._wake.set()

    async def _inspect(self, container_id: str) -> None:
        after_position, at = self._position(), self._clock.now().wall
        container: Container | None = None
        try:
            container = await self._workers.call(self._calls.inspect, container_id)
        except AbsentError:
            pass  # an answer like any other
        except WatchtowerError:
            self._waiting[container_id] = None
            self._delay = min(RETRY_CAP, max(RETRY_FIRST, 2 * self._delay))
            await asyncio.sleep(self._delay)
            return
        self._delay = 0.0
        self._sink(
            ContainerObserved(container_id=container_id, container=container, after_position=after_position, at=at)
        )
