"""The one way into the loop: bounded, in order, never blocking whoever brings something."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from watchtower_agent.loop.pipeline import Observation
from watchtower_agent.model.observation import EventsObserved, GapObserved
from watchtower_agent.model.sample import SampleBatch

_MOST_EVENTS = 100_000
"""Engine events that may wait. Beyond that they are dropped, and counted as a gap."""
_AT_ONCE = 500
"""Engine events that one step takes: bounds how long a decision waits behind a storm."""


class Inbox:
    """Observations on their way to the loop. Used on the event loop only.

    Attributes:
        on_overflow: Called when events begin to be dropped, so that whoever brings them lists everything anew.
    """

    def __init__(self) -> None:
        self.on_overflow: Callable[[], None] = lambda: None
        self._waiting: deque[Observation] = deque()
        self._events = 0
        self._dropped: GapObserved | None = None
        self._bell = asyncio.Event()

    @property
    def events(self) -> int:
        """Engine events that wait."""
        return self._events

    def put(self, observation: Observation) -> None:
        """Bring something. Of two ticks that wait only the newer counts."""
        if isinstance(observation, EventsObserved):
            if not observation.events:
                return
            if self._events + len(observation.events) > _MOST_EVENTS:
                if self._dropped is None:
                    self.on_overflow()
                self._dropped = _with(self._dropped, observation)
                self._bell.set()
                return
            self._events += len(observation.events)
        elif isinstance(observation, SampleBatch):
            self._waiting = deque(seen for seen in self._waiting if not isinstance(seen, SampleBatch))
        self._waiting.append(observation)
        self._bell.set()

    async def take(self, within: float) -> list[Observation]:
        """What waits, in order; empty when nothing came.

        Args:
            within: Seconds to wait for something.
        """
        if not self._waiting and self._dropped is None:
            self._bell.clear()
            try:
                await asyncio.wait_for(self._bell.wait(), within)
            except TimeoutError:
                return []
        taken: list[Observation] = []
        events = 0
        while self._waiting and events < _AT_ONCE:
            observation = self._waiting.popleft()
            if isinstance(observation, EventsObserved):
                events += len(observation.events)
            taken.append(observation)
        self._events -= events
        if self._dropped is not None:
            taken.append(self._dropped)
            self._dropped = None
        return taken


def _with(gap: GapObserved | None, dropped: EventsObserved) -> GapObserved:
    """The gap, with what was dropped now: counted, not kept."""
    times = [event.time for event in dropped.events]
    if gap is not None:
        times += [gap.since, gap.until]
    count = len(dropped.events) + ((gap.count or 0) if gap is not None else 0)
    return GapObserved(reason="inbox_overflow", since=min(times), until=max(times), count=count)
