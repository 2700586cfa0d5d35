"""Those who follow the events over the control socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from watchtower_agent.model.message import EventMessage

_HOLDS: Final = 10_000
"""Events that wait for a follower who reads too slowly; beyond that they are counted as missed."""


class Followers:
    """Those who want to see every event as it is published."""

    def __init__(self) -> None:
        self._queues: dict[asyncio.Queue[EventMessage], int] = {}

    def committed(self, events: Sequence[EventMessage]) -> None:
        """Show these to everyone who follows. Never waits: who is too slow misses some, and is told."""
        for queue in self._queues:
            for event in events:
                if queue.full():
                    self._queues[queue] += 1
                else:
                    queue.put_nowait(event)

    async def follow(self) -> AsyncIterator[Mapping[str, object]]:
        """Every event from now on."""
        queue: asyncio.Queue[EventMessage] = asyncio.Queue(_HOLDS)
        self._queues[queue] = 0
        try:
            while True:
                event = await queue.get()
                yield {"topic": event.topic, "event": json.loads(event.payload)}
                if self._queues[queue] and queue.empty():
                    missed, self._queues[queue] = self._queues[queue], 0
                    yield {"missed": missed}
        finally:
            del self._queues[queue]
