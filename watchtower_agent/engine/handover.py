"""From lines of the stream to events in the inbox: normalised, each once, numbered, with their origin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence

from watchtower_agent.engine.event import Unreadable, parse_event
from watchtower_agent.model.engine_event import Cursor, EngineEvent, Origin
from watchtower_agent.model.observation import EventsObserved, GapObserved
from watchtower_agent.model.values import dataclass
from watchtower_agent.ports.clock import Clock

REMEMBERED = 8192
"""Ids kept to drop duplicates: far more than the 256 events that an engine can replay."""


HandoverSink = Callable[[EventsObserved | GapObserved], None]
"""Takes an observation, on the event loop; never blocks."""


@dataclass(slots=True)
class EventCounts:
    """What passed since the agent started.

    Attributes:
        read: Lines of the stream.
        handed_over: Events that reached the inbox.
        duplicates: Dropped, because a replay repeated them.
        unknown: Lines that are no event of a known kind, or can't be read.
        gaps: Times at which events may have been lost.
        reconnects: Times the stream was opened again.
    """

    read: int = 0
    handed_over: int = 0
    duplicates: int = 0
    unknown: int = 0
    gaps: int = 0
    reconnects: int = 0


class Handover:
    """Hands events to the loop, over all subscriptions of this process.

    Args:
        sink: Takes observations, on the event loop; never blocks.
        clock: The host's clocks.
        cursor: The last event an earlier run handled.
        recent_ids: Ids that an earlier run handled, oldest first.

    Attributes:
        position: Ordinal of the last event handed over.
        cursor: The last event handed over, by this or an earlier run; or since when there was none.
        counts: For the status.
    """

    def __init__(self, *, sink: HandoverSink, clock: Clock, cursor: Cursor | None, recent_ids: Sequence[str]) -> None:
        self.position = 0
        self.cursor = cursor
        self.counts = EventCounts()
        self._sink = sink
        self._clock = clock
        self._engine_id = ""
        self._podman = False
        self._clock_offset = 0.0
        self._replayed: frozenset[str] = frozenset()
        self._seen: dict[str, None] = dict.fromkeys(recent_ids[-REMEMBERED:])
        if cursor is not None:
            self._seen[cursor.event_id] = None
        self._progress = asyncio.Condition()

    def begin(self, *, engine_id: str, clock_offset: float, podman: bool = False) -> None:
        """A connection was made to this engine, whose clock is ahead of ours by so many seconds."""
        self._engine_id = engine_id
        self._podman = podman
        self._clock_offset = clock_offset
        self._replayed = frozenset()

    def expect_replay(self, ids: Iterable[str]) -> None:
        """Events with these ids come from the ring: they happened before the subscription."""
        self._replayed = frozenset(ids)

    def remember(self, events: Iterable[EngineEvent]) -> None:
        """These are no news, though they were never handed over."""
        for event in events:
            self._seen[event.id] = None

    def handled(self, event: EngineEvent) -> bool:
        """Whether it was handed over before, or is no news."""
        return event.id in self._seen

    def parse(self, lines: Iterable[bytes]) -> list[EngineEvent]:
        """The events in these lines, whether handed over already or not."""
        return [read for read in map(self._read, lines) if isinstance(read, EngineEvent)]

    def _read(self, line: bytes) -> EngineEvent | Unreadable | None:
        return parse_event(line, engine_id=self._engine_id, podman=self._podman)

    async def lines(self, lines: Sequence[bytes]) -> None:
        """Hand over lines of the stream. Where one can't be read, a gap stands in its place, once."""
        events: list[EngineEvent] = []
        for line in lines:
            read = self._read(line)
            if isinstance(read, EngineEvent):
                events.append(read)
                continue
            self.counts.unknown += 1
            if isinstance(read, Unreadable) and read.id not in self._seen:
                await self.events(events)
                events = []
                self._lost(read)
        self.counts.read += len(lines)
        await self.events(events)

    def tell_unreadable(self, lines: Iterable[bytes]) -> None:
        """Lines of the ring: a gap for each that can't be read, unless that was told."""
        for read in map(self._read, lines):
            if isinstance(read, Unreadable) and read.id not in self._seen:
                self._lost(read)

    def _lost(self, line: Unreadable) -> None:
        """What a line tells, nobody can know: but that it came.

        The engine shows it again, at each audit as long as its ring holds it.
        """
        self._seen[line.id] = None
        now = self._clock.now().wall + self._clock_offset
        since = min(now, self.cursor.time_ns / 1e9) if self.cursor is not None else now
        self.counts.gaps += 1
        self._sink(GapObserved(reason=line.cause, since=since, until=now, count=1))

    async def events(self, events: Iterable[EngineEvent], *, origin: Origin | None = None) -> None:
        """Hand over events in this order, without those that were handed over before.

        Args:
            events: Of one engine.
            origin: How the agent came to know of them; None: by the stream, or from the ring (`expect_replay`).
        """
        fresh: list[EngineEvent] = []
        for event in events:
            if event.id in self._seen:
                self.counts.duplicates += 1
                continue
            self._seen[event.id] = None
            self.position += 1
            known = origin or (Origin.REPLAY if event.id in self._replayed else Origin.STREAM)
            fresh.append(event.handed_over(origin=known, position=self.position))
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        if fresh:
            last = fresh[-1]
            self.cursor = Cursor(time_ns=last.time_ns, event_id=last.id)
            self.counts.handed_over += len(fresh)
            lag = self._clock.now().wall + self._clock_offset - last.time
            self._sink(EventsObserved(events=tuple(fresh), lag=max(0.0, lag)))
        async with self._progress:
            self._progress.notify_all()

    async def missing(self, events: Collection[EngineEvent], *, within: float) -> list[EngineEvent]:
        """Wait until these were handed over; they may be in flight.

        Args:
            events: What the engine says has happened.
            within: Seconds to wait.

        Returns:
            Those that did not come.
        """

        def absent() -> list[EngineEvent]:
            return [event for event in events if event.id not in self._seen]

        try:
            async with asyncio.timeout(within), self._progress:
                await self._progress.wait_for(lambda: not absent())
        except TimeoutError:
            return absent()
        return []
