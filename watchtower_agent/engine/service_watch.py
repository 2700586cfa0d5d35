"""Asks a Swarm about the services that policies scale, again and again, as long as this engine is a manager of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.service_calls import read_services
from watchtower_agent.engine.workers import Workers
from watchtower_agent.errors import WatchtowerError
from watchtower_agent.model.observation import ServicesObserved
from watchtower_agent.ports.clock import Clock

EVERY: Final = 2.0
"""Seconds between two questions. Who runs where is told by no event, so that it has to be asked for."""
GATHER: Final = 0.15
"""Seconds from the first reason to ask at once until it is done: one change of a service makes several events."""


class ServiceWatch:
    """Looks at services. Where the engine does not answer nothing is told: what was known gets old, and shows it.

    Args:
        calls: The blocking API.
        clock: The host's clocks.
        sink: Takes the answers, on the event loop; never blocks.
        manager: The id of this engine's node while it is a manager of its Swarm, as far as is known; else empty.
        every: Seconds between two questions.
    """

    def __init__(
        self,
        *,
        calls: EngineCalls,
        clock: Clock,
        sink: Callable[[ServicesObserved], None],
        manager: Callable[[], str],
        every: float = EVERY,
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._sink = sink
        self._manager = manager
        self._every = every
        self._names: frozenset[str] = frozenset()
        self._wake = asyncio.Event()
        self._workers = Workers("engine-services", 1)

    def follow(self, names: frozenset[str]) -> None:
        """From now on these are of interest, by their whole names, and no others; without any nothing is asked."""
        if names != self._names:
            self._names = names
            self._wake.set()

    def look(self) -> None:
        """Ask soon: something was heard of a service."""
        self._wake.set()

    async def run(self) -> None:
        """Ask, until cancelled."""
        try:
            while True:
                if self._names and (node := self._manager()):
                    await self._ask(self._names, node)
                await self._rest()
        finally:
            self._workers.close()

    async def _ask(self, names: frozenset[str], node: str) -> None:
        begun = self._clock.now()
        # That an engine is down, its session tells; a Swarm without a quorum answers nobody.
        with contextlib.suppress(WatchtowerError):
            services = await self._workers.call(read_services, self._calls, names)
            leads = await self._workers.call(self._calls.leads_swarm, node)
            self._sink(
                ServicesObserved(leads=leads, services=services, asked=names, at=begun.wall, moment=begun.monotonic)
            )

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._every if self._names else None):
                await self._wake.wait()
            await asyncio.sleep(GATHER)
        self._wake.clear()
