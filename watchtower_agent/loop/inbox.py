"""The one way into the loop: bounded, in order, never blocking whoever brings something.

A store that fails for hours holds up the loop, and what keeps coming must not fill the memory: of engine events so
many may wait, of everything else the newest of its kind.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace

from watchtower_agent.loop.observations import Observation
from watchtower_agent.loop.settings_news import SettingsTaken
from watchtower_agent.model.approval import ApprovalAnswered
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import (
    SEQUENCES_NAMED,
    ContainerObserved,
    EngineFound,
    EventsObserved,
    GapObserved,
    InspectionHung,
    ReadingObserved,
    ScheduleDue,
    SiblingObserved,
)
from watchtower_agent.model.outcome import Outcome, Unsettled
from watchtower_agent.model.pause import PauseAsked, ResumeAsked
from watchtower_agent.model.removal import PlanAsked, PruneAsked, Removed, Retagged
from watchtower_agent.model.revert import RevertAsked
from watchtower_agent.model.trigger import TriggerAsked

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
        self._waiting: OrderedDict[Hashable, Observation] = OrderedDict()
        self._ordinal = 0
        self._events = 0
        self._dropped: GapObserved | None = None
        self._bell = asyncio.Event()

    def __len__(self) -> int:
        """Observations that wait."""
        return len(self._waiting) + (self._dropped is not None)

    @property
    def events(self) -> int:
        """Engine events that wait."""
        return self._events

    def put(self, observation: Observation) -> None:
        """Bring something.

        It takes the place of what it makes out of date: an older tick, ping, listing, an older inspection of the same
        container, an older time of the same schedule, an older reading of the same metric, an older batch of the same
        host, an older notice of the same words. Gaps of one cause become one, which stands where the first stood:
        before the events that followed it.
        """
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
        kind = self._kind(observation)
        older = self._waiting.get(kind)
        if isinstance(observation, GapObserved):
            self._waiting[kind] = _both(older, observation) if isinstance(older, GapObserved) else observation
        else:
            if isinstance(observation, EngineFound) and isinstance(older, EngineFound):
                observation = replace(observation, restarted=observation.restarted or older.restarted)
            self._waiting[kind] = observation
            self._waiting.move_to_end(kind)
        self._bell.set()

    def wake(self) -> None:
        """Let who waits go on, though nothing came."""
        self._bell.set()

    def _kind(self, observation: Observation) -> Hashable:  # noqa: PLR0911 - one return per kind
        """Of two observations of one kind the newer tells all that the older did."""
        match observation:
            case (
                EventsObserved()
                | Outcome()
                | Unsettled()
                | PauseAsked()
                | ResumeAsked()
                | TriggerAsked()
                | RevertAsked()
                | PlanAsked()
                | PruneAsked()
                | ApprovalAnswered()
                | Removed()
                | Retagged()
                | SettingsTaken()
            ):
                # every single one counts; what is under way is little, and so is what people ask for
                self._ordinal += 1
                return self._ordinal
            case ContainerObserved():
                return ContainerObserved, observation.container_id
            case InspectionHung():
                return InspectionHung, observation.container_id
            case ScheduleDue():
                return ScheduleDue, observation.policy
            case ReadingObserved():
                return ReadingObserved, observation.name, observation.silent
            case SiblingObserved():
                return SiblingObserved, observation.host
            case GapObserved():
                return GapObserved, observation.reason
            case Notice():
                return Notice, observation.kind, observation.action, observation.subject
            case _:
                return type(observation).__name__

    async def take(self, within: float) -> list[Observation]:
        """What waits, in order; empty when nothing came.

        Args:
            within: Seconds to wait for something.
        """
        if not self._waiting and self._dropped is None:
            self._bell.clear()
            # A bell and a timer that rings it, too: `asyncio.wait_for` would make a task of each wait.
            late = asyncio.get_running_loop().call_later(within, self._bell.set)
            try:
                await self._bell.wait()
            finally:
                late.cancel()
        taken: list[Observation] = []
        events = 0
        while self._waiting and events < _AT_ONCE:
            _, observation = self._waiting.popitem(last=False)
            if isinstance(observation, EventsObserved):
                events += len(observation.events)
            taken.append(observation)
        self._events -= events
        if self._dropped is not None:
            taken.append(self._dropped)
            self._dropped = None
        return taken


def _both(one: GapObserved, other: GapObserved) -> GapObserved:
    """Two gaps of one cause as one."""
    count = None if one.count is None or other.count is None else one.count + other.count
    return replace(
        one,
        since=min(one.since, other.since),
        until=max(one.until, other.until),
        count=count,
        sequences=(*one.sequences, *other.sequences)[:SEQUENCES_NAMED],
    )


def _with(gap: GapObserved | None, dropped: EventsObserved) -> GapObserved:
    """The gap, with what was dropped now: counted, not kept."""
    times = [event.time for event in dropped.events]
    if gap is not None:
        times += [gap.since, gap.until]
    count = len(dropped.events) + ((gap.count or 0) if gap is not None else 0)
    return GapObserved(reason="inbox_overflow", since=min(times), until=max(times), count=count)
