"""The agent's connection to its engine, kept up for ever: subscribe, then list, then watch that nothing is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from watchtower_agent.engine.calls import EngineCalls, EngineGreeting
from watchtower_agent.engine.continuity import OVERLAP_NS, RING, Continuity, Ring, judge, peer
from watchtower_agent.engine.description import Description
from watchtower_agent.engine.event_stream import CAPACITY, EventStream, StreamEnd
from watchtower_agent.engine.handover import EventCounts, Handover
from watchtower_agent.engine.outage import Cause, Outage
from watchtower_agent.engine.sink import Sink
from watchtower_agent.engine.storm import Storm
from watchtower_agent.engine.workers import Workers
from watchtower_agent.errors import TemporaryError, WatchtowerError
from watchtower_agent.model.engine_event import Cursor, Origin
from watchtower_agent.model.observation import (
    EngineDescribed,
    EngineFound,
    EngineInfo,
    EnginePinged,
    EventsObserved,
    GapObserved,
    ImagesCounted,
    InventoryObserved,
)
from watchtower_agent.model.values import dataclass
from watchtower_agent.ports.clock import Clock

LOCAL_RETRY_CAP = 2.0
"""Seconds: a try on a socket of this host costs a millisecond, and an engine that is back is wanted back soon."""

BATCH = 500
"""Events handed over at once, so that a storm does not hold up the loop."""

GATHER = 0.04
"""Seconds for which events are gathered in a storm: one wake-up, one step and one write to the disk serve them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTiming:
    """All in seconds.

    Attributes:
        ping_every: Between signs of life. How long the engine may take for one is the calls' timeout.
        audit_every: Between audits for lost events.
        in_flight: How long an event that the ring shows may be under way before it counts as lost.
        settle: The engine changes a container's state before it stamps the event: so long after a listing,
            events are waited for that the listing may have been ahead of.
        lost_after: A shorter interruption is not reported as an outage.
        retry_first: Before the second try to reconnect; doubled with every further one.
        retry_cap: The longest wait between tries.
        stable_after: A session that lasted so long starts the retries anew.
    """

    ping_every: float = 5.0
    audit_every: float = 30.0
    in_flight: float = 2.0
    settle: float = 0.1
    lost_after: float = 1.0
    retry_first: float = 0.2
    retry_cap: float = 30.0
    stable_after: float = 5.0


class EngineSession:
    """Tells the loop everything that the engine does, for ever.

    Args:
        calls: The blocking API, renewed here after every interruption.
        clock: The host's clocks.
        sink: Takes observations, on the event loop; never blocks.
        cursor: From `Resume`: the last event that an earlier run handled, or since when there was none; None on the
            first start ever.
        recent_event_ids: From `Resume`: dropped when a replay repeats them.
        timing: Of pings, audits and retries.
        capacity: Events that may wait in the reader's buffer.
    """

    def __init__(
        self,
        *,
        calls: EngineCalls,
        clock: Clock,
        sink: Sink,
        cursor: Cursor | None,
        recent_event_ids: Sequence[str] = (),
        timing: SessionTiming | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._sink = sink
        self._timing = timing or SessionTiming()
        self._capacity = capacity
        self._handover = Handover(sink=self._hand_on, clock=clock, cursor=cursor, recent_ids=recent_event_ids)
        self._workers = Workers("engine-watch", 2)
        self._description = Description(calls, self._workers)
        self._pings = Workers("engine-ping", 1)  # a listing that hangs must not delay the sign of life
        self._outage = Outage(sink=sink, clock=clock, after=self._timing.lost_after)
        self._resync = asyncio.Event()
        self._relist = asyncio.Event()
        self._greeting: EngineGreeting | None = None
        self._since_ns = 0  # from where the next audit looks
        # No event is older than that: what was before the first start ever is the baseline.
        self._begin_ns = cursor.time_ns if cursor is not None and not cursor.event_id else 0
        self._first = cursor is None
        self._gap_reason = ""
        self._forgets_by_time = False
        """Whether the engine's memory of events ends with a moment, Podman's log for us, and not with a number."""
        self.moved_at = clock.now().monotonic
        """When the engine last answered, or was last tried, on the monotonic clock."""

    @property
    def position(self) -> int:
        """Ordinal of the last event handed over."""
        return self._handover.position

    @property
    def counts(self) -> EventCounts:
        """Events, duplicates, gaps and reconnects so far."""
        return self._handover.counts

    @property
    def info(self) -> EngineInfo | None:
        """The engine that was last connected to."""
        return self._greeting.info if self._greeting else None

    @property
    def connected(self) -> bool:
        """Whether the event stream is open."""
        return not self._outage.pending

    def resync(self) -> None:
        """Subscribe and list anew, soon: something was or may have been missed."""
        self._resync.set()

    async def run(self) -> None:
        """Connect, watch, and connect again, until cancelled."""
        delay = 0.0
        cap = (
            min(self._timing.retry_cap, LOCAL_RETRY_CAP) if self._calls.address.socket_path else self._timing.retry_cap
        )
        self._outage.begin(Cause("the agent has just started", ours=True))
        try:
            while True:
                begun = self.moved_at = self._clock.now().monotonic
                try:
                    stream = await self._open()
                except WatchtowerError as error:
                    self._outage.failed(str(error))
                else:
                    self._outage.end()
                    self._outage.begin(await self._follow(stream))
                    if self._clock.now().monotonic - begun >= self._timing.stable_after:
                        delay = 0.0
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                delay = min(cap, max(self._timing.retry_first, 2 * delay))
        finally:
            self._outage.end()
            self._workers.close()
            self._pings.close()

    async def _open(self) -> EventStream:
        """Subscribe, learn what the replay holds, and tell the loop whether it is complete.

        Raises:
            WatchtowerError: The engine does not answer, or not as it should.
        """
        greeting = await self._workers.call(self._calls.connect)
        info, offset = greeting.info, self._calls.clock_offset
        self._handover.begin(engine_id=info.id, clock_offset=offset, podman=info.podman)
        self._forgets_by_time = info.podman
        now_ns = self._engine_ns()
        cursor = self._handover.cursor
        if cursor is None:
            self._begin_ns = now_ns
        cursor = cursor or Cursor(time_ns=now_ns, event_id="")
        # What is stamped later than now would be waited for: since nothing is, all is asked for and put in its order.
        stepped_back = max(cursor.time_ns, self._since_ns) > now_ns + OVERLAP_NS
        # What the last stream lost since the last audit is asked for, too.
        since_ns = min(cursor.time_ns - OVERLAP_NS, self._since_ns or cursor.time_ns)
        since_ns = now_ns if stepped_back else max(self._begin_ns, since_ns)
        self._resync.clear()
        self._relist.clear()
        stream = EventStream(self._calls, since_ns=since_ns, capacity=self._capacity)
        try:
            await stream.open()
            until_ns = self._engine_ns()
            ring = await self._ring(since_ns, until_ns)
            if stepped_back or (self._handover.cursor is not None and ring.place(cursor) is None):
                ring = await self._whole_ring(until_ns)
            told = Continuity(complete=True)
            if self._handover.cursor is not None:
                who = peer(self._greeting, greeting, None if stepped_back else cursor.time_ns / 1e9)
                handled = self._handover.handled
                told = judge(cursor, ring, who, handled=handled, stepped_back=stepped_back, now_ns=until_ns)
            if stepped_back:
                self._begin_ns = 0 if told.complete else until_ns
            if self._handover.cursor is None or (stepped_back and not told.complete):
                self._handover.cursor = Cursor(time_ns=self._begin_ns, event_id="")
            self._since_ns = since_ns
            self._handover.expect_replay(event.id for event in ring.events)
            if ring.whole or self._greeting is None:  # else what was asked for is all of this run's own time
                self._handover.remember(told.known)
            self._report(greeting, told)
            if not told.complete:
                self._tell_gap(told, ring, cursor, stepped_back=stepped_back)
            self._gap_reason = ""
            await self._handover.events(told.missed, origin=Origin.REPLAY)
        except BaseException:
            await stream.close()
            raise
        return stream

    async def _ring(self, since_ns: int, until_ns: int) -> Ring:
        lines = await self._workers.call(self._calls.past_events, since_ns, until_ns)
        return Ring(events=self._handover.parse(lines), full=self._full(lines), whole=False)

    def _full(self, lines: Sequence[bytes]) -> bool:
        """Whether the engine may have forgotten what was before them."""
        return len(lines) >= RING or self._forgets_by_time

    async def _whole_ring(self, until_ns: int) -> Ring:
        lines = await self._workers.call(self._calls.whole_ring)
        if not lines:  # an engine that understands it otherwise
            lines = await self._workers.call(self._calls.past_events, 0, until_ns)
        return Ring(events=self._handover.parse(lines), full=self._full(lines), whole=True)

    def _report(self, now: EngineGreeting, told: Continuity) -> None:
        """Say that the engine is found, where that is worth it."""
        before, self._greeting = self._greeting, now
        at = self._clock.now().wall
        if before is not None:
            self.counts.reconnects += 1
        if before is None or told.restarted or self._outage.reported or before.info != now.info:
            offset = self._calls.clock_offset
            self._sink(EngineFound(info=now.info, restarted=told.restarted, at=at, clock_offset=offset))

    def _tell_gap(self, told: Continuity, ring: Ring, cursor: Cursor, *, stepped_back: bool) -> None:
        """Say that events may be lost: from the cursor to the first that the ring still has."""
        now = self._engine_ns() / 1e9
        since = now if stepped_back else cursor.time_ns / 1e9  # of a clock that was stepped back the stamp says nothing
        first = min((event.time for event in ring.events if since < event.time < now), default=now)
        self._gap(told.cause or self._gap_reason or "replay_incomplete", since, max(since, first))

    async def _follow(self, stream: EventStream) -> Cause:
        """Hand events over until the stream must be opened anew; why."""
        tasks: set[asyncio.Task[Cause]] = {
            asyncio.create_task(self._pump(stream), name="engine-handover"),
            asyncio.create_task(self._live(), name="engine-pings"),
            asyncio.create_task(self._keep_up(stream), name="engine-audits"),
            asyncio.create_task(self._asked_to_resync(), name="engine-resync"),
            asyncio.create_task(self._description.follow(lambda: self.info, self._described), name="engine-info"),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            causes = [task.result() for task in done]
            return Cause("; ".join(cause.why for cause in causes), ours=all(cause.ours for cause in causes))
        finally:
            for task in tasks:
                task.cancel()
            await stream.close()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, stream: EventStream) -> Cause:
        storm = Storm()
        while lines := await stream.take(BATCH):
            raging = storm.rages(lines, self._clock.now().monotonic)
            await self._handover.lines(lines)
            if raging and len(lines) < BATCH:
                await stream.gather(GATHER)
            else:
                await asyncio.sleep(0)
        overflow = stream.end is StreamEnd.OVERFLOW
        if overflow:
            self._gap_reason = "reader_overflow"
        return Cause(f"{stream.end or StreamEnd.CLOSED}", ours=overflow)

    async def _live(self) -> Cause:
        """Ask for signs of life: a stream over a half-open connection, or of a frozen engine, stays silent for ever."""
        while True:
            await asyncio.sleep(self._timing.ping_every)
            try:
                latency = await self._pings.call(self._calls.ping)
            except WatchtowerError as error:
                return Cause(str(error))
            now = self._clock.now()
            self.moved_at = now.monotonic
            self._sink(EnginePinged(latency=latency, at=now.wall))

    async def _asked_to_resync(self) -> Cause:
        await self._resync.wait()
        return Cause("a resync was asked for", ours=True)

    async def _keep_up(self, stream: EventStream) -> Cause:
        """List, then audit every now and then."""
        try:
            lost = await self._list(stream)
            while not lost:
                await self._count_images()
                lost = await (self._list(stream) if await self._wants_listing() else self._audit_now(stream))
        except WatchtowerError as error:
            return Cause(str(error))
        return Cause(f"{lost} events had been lost on their way", ours=True)

    async def _wants_listing(self) -> bool:
        """Wait until something is to be done: listing, or after some time an audit."""
        try:
            async with asyncio.timeout(self._timing.audit_every):
                await self._relist.wait()
        except TimeoutError:
            return False
        return True

    async def _audit_now(self, stream: EventStream) -> int:
        self._description.doubt()
        return await self._audit(stream, self._engine_ns())

    def _described(self, info: EngineInfo) -> None:
        if self._greeting is not None:
            self._greeting = replace(self._greeting, info=info)
        self._sink(EngineDescribed(info=info))

    def _hand_on(self, observation: EventsObserved | GapObserved) -> None:
        """What the handover tells goes on to the loop; some of it gives the session something to do."""
        if isinstance(observation, GapObserved):
            self._relist.set()
        else:
            self._description.look_at(observation.events)
        self._sink(observation)

    async def _list(self, stream: EventStream) -> int:
        """List the containers, and post the listing after every event that preceded it.

        Returns:
            How many events turned out to be lost.
        """
        self._relist.clear()
        # What the ring held at the subscription goes first, so that the listing is not out of date for it.
        lost = await self._audit(stream, self._engine_ns())
        after_position, at = self.position, self._clock.now().wall
        containers = await self._workers.call(self._calls.containers)
        # On the first start ever the listing is a baseline, and no difference is made of it: no need to settle.
        settle = 0.0 if self._first else self._timing.settle
        lost += await self._audit(stream, self._engine_ns() + int(settle * 1e9))
        cursor = self._handover.cursor
        position = cursor if cursor is not None and not cursor.event_id else None
        self._sink(
            InventoryObserved(containers=containers, after_position=after_position, at=at, listening_since=position)
        )
        self._first = False
        return lost

    async def _audit(self, stream: EventStream, until_ns: int) -> int:
        """Compare with the engine's ring what was handed over, and hand over what was lost on the way.

        Returns:
            How many were lost.

        Raises:
            TemporaryError: The engine's clock was stepped back: the ring must be read anew, in its order.
        """
        since_ns = self._since_ns
        if until_ns < since_ns:
            by = (since_ns - until_ns) / 1e9
            raise TemporaryError(f"the engine's clock was stepped back by {by:.0f} s or more")
        lines = await self._workers.call(self._calls.past_events, since_ns, until_ns)
        ring = self._handover.parse(lines)
        lost = await self._handover.missing(ring, within=self._timing.in_flight)
        while lost and stream.waiting:  # read, and not taken yet: the loop is busy
            lost = await self._handover.missing(lost, within=self._timing.in_flight)
        self._handover.tell_unreadable(lines)
        self._since_ns = max(since_ns, until_ns - OVERLAP_NS)
        if lost:
            self._gap("audit", lost[0].time, lost[-1].time, len(lost))
            await self._handover.events(lost, origin=Origin.REPLAY)
        return len(lost)

    async def _count_images(self) -> None:
        """Not knowing how many there are is no reason to open the stream anew."""
        count = None
        with suppress(WatchtowerError):
            count = await self._workers.call(self._calls.images)
        self._sink(ImagesCounted(count=count, at=self._clock.now().wall))

    def _gap(self, reason: str, since: float, until: float, count: int | None = None) -> None:
        self.counts.gaps += 1
        self._sink(GapObserved(reason=reason, since=since, until=until, count=count))

    def _engine_ns(self) -> int:
        """The engine's clock now, nanoseconds since the epoch."""
        return int((self._clock.now().wall + self._calls.clock_offset) * 1e9)
