"""One connection's worth of delivery: which message goes next, and what its answer means."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import field

from watchtower_agent.errors import WatchtowerError
from watchtower_agent.model.distribution import Distribution
from watchtower_agent.model.message import EventMessage, MetricsMessage, ReplyMessage, StateMessage
from watchtower_agent.model.values import dataclass
from watchtower_agent.ports.clock import Clock
from watchtower_agent.ports.store import Outbox
from watchtower_agent.publishing.connection import Connection, PublishResult, Verdict
from watchtower_agent.publishing.metrics_delivery import MetricsDelivery
from watchtower_agent.publishing.refusals import Refusals
from watchtower_agent.publishing.state_delivery import StateDelivery
from watchtower_agent.publishing.suspect import Evidence, Kind, Learned, Parcel, Suspect

EVENT_CONTENT = "application/cloudevents+json; charset=utf-8"
REPLY_CONTENT = "application/json"
_PAGE = 256
"""Events read from the disk at once."""
_LOW = _PAGE // 2
"""The next page is read when fewer than this wait in memory."""
_FRESH = 2000
"""Events kept in memory between their commit and their sending; past that they are read back from the disk."""
_STORE_RETRY = 1.0
_CAREFUL_FOR = 10.0
"""Seconds of a connection in which one message at a time is sent, where earlier connections ended on one."""


@dataclass(slots=True, kw_only=True)
class _Lane:
    """One topic's events, which must not overtake each other."""

    waiting: deque[EventMessage] = field(default_factory=deque)
    in_flight: int = 0
    queued: bool = False
    blocked: bool = False
    """The broker does not take its first event now: that one is tried again, the others stay on the disk."""
    left_behind: bool = False
    tries: int = 0


class Delivery:
    """Sends over one connection what the outbox holds and what is committed meanwhile.

    Every change happens in the event loop between two awaits; `run` does what needs the disk.

    Args:
        outbox: What is still to be delivered.
        connection: Open.
        refusals: What follows when the broker does not take a message.
        suspect: What earlier connections found.
        learned: What brokers were found not to take.
        acknowledged: Counts how long acknowledgements take.
        clock: Tells when it last looked after everything.
    """

    def __init__(
        self,
        outbox: Outbox,
        connection: Connection,
        *,
        refusals: Refusals,
        suspect: Suspect,
        learned: Learned,
        acknowledged: Distribution,
        clock: Clock,
    ) -> None:
        self._outbox = outbox
        self._connection = connection
        self._refusals = refusals
        self._acknowledged = acknowledged
        self._clock = clock
        self._careful = suspect.careful
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._timers: set[asyncio.TimerHandle] = set()
        self._abandoned = False

        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[str] = deque()
        self._known: set[int] = set()
        self._waiting = 0
        self._fresh: deque[EventMessage] = deque()
        self._behind = True
        """The disk may hold events that were not seen yet; else `_fresh` is all there is."""
        self._fresh_overflowed = False
        self._read_to = 0
        self._read_again_from: int | None = None
        self._highest = 0
        self._acked: list[int] = []
        self._dead: list[tuple[EventMessage, str]] = []

        self._earlier = suspect
        self._convicted = suspect.convicted
        if self._convicted is not None:
            learned.learn(self._convicted)
        self._evidence = Evidence(suspect, self._loop.time)
        self._states = StateDelivery(
            outbox, connection, refusals, evidence=self._evidence, learned=learned, moved=self._moved
        )
        self._state_turn = False
        self._metrics = MetricsDelivery(
            connection, refusals, evidence=self._evidence, learned=learned, careful=suspect.careful
        )
        self._events_in_flight = 0
        self.delivered = 0
        self.moved_at = clock.now().monotonic
        """When it last looked after everything, on the monotonic clock."""

    @property
    def _window(self) -> int:
        return 1 if self._careful else self._connection.window

    @property
    def _per_topic(self) -> int:
        # Where refusals are reported, a second event of a topic waits for the first one's verdict.
        return 1 if self._connection.reports_refusals else self._window

    @property
    def in_flight(self) -> int:
        """Messages that wait for the broker's acknowledgement."""
        return self._events_in_flight + self._states.in_flight

    @property
    def parked_topics(self) -> tuple[str, ...]:
        """Topics that the broker refuses for now."""
        return (*(topic for topic, lane in self._lanes.items() if lane.blocked), *self._states.blocked_topics)

    @property
    def suspect(self) -> Suspect:
        """What this connection's end says of the message that was on its way."""
        if self._connection.silent or self._connection.excuses_packet:
            return self._earlier
        return self._evidence.suspect(blamed=self._connection.blames_packet)

    def _trust(self) -> None:
        """This connection has lasted: what made earlier ones end is given up, or is not there."""
        self._careful = self._metrics.careful = False
        for topic, lane in list(self._lanes.items()):
            self._line_up(topic, lane)
        self._pump()

    # --- told from outside -----------------------------------------------------------------------------------------

    def committed(self, events: Sequence[EventMessage], states: Sequence[StateMessage]) -> None:
        """These are durable now."""
        self._fresh.extend(events)
        if states:
            self._states.stale = True
            self._wake.set()
        if len(self._fresh) + self._waiting > _FRESH:
            self._fresh.clear()
            self._behind = self._fresh_overflowed = True
            self._wake.set()
        elif not self._behind:
            self._take_fresh()
            self._pump()

    def states_again(self, begin: str) -> None:
        """Send the retained topics that begin so once more, though the broker has them."""
        self._states.again(begin)
        self._wake.set()

    def metrics(self, message: MetricsMessage) -> None:
        """Send it if the network takes it now."""
        self._metrics.send(message)

    def reply(self, message: ReplyMessage) -> None:
        """Send it at QoS 0: whoever asked and hears nothing asks again, and is told the same."""
        future = self._connection.publish(
            message.topic, message.payload, qos=0, content_type=REPLY_CONTENT, expiry=message.expiry
        )
        future.add_done_callback(functools.partial(self._replied, message.topic))

    def _replied(self, topic: str, future: asyncio.Future[PublishResult]) -> None:
        if future.result().verdict is Verdict.NEVER:
            self._refusals.reply_refused(topic, future.result())

    def stir(self) -> None:
        """Look after everything soon, though nothing happened: `moved_at` then tells that it does."""
        self._wake.set()

    def abandon(self) -> None:
        """Stop waiting for what is left: it stays in the outbox."""
        self._abandoned = True
        self._wake.set()

    # --- the part that needs the disk ------------------------------------------------------------------------------

    async def run(self, draining: asyncio.Event) -> None:
        """Deliver until cancelled; once `draining` is set, until nothing is left that the broker takes."""
        waker = asyncio.create_task(self._wake_when(draining), name="mqtt draining")
        self._wake.set()
        if self._careful:
            self._later(_CAREFUL_FOR, self._trust)
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                try:
                    await self._keep_house()
                    self.moved_at = self._clock.now().monotonic
                except WatchtowerError:
                    self._later(_STORE_RETRY, self._wake.set)  # the disk is full: nothing is forgotten, only late
                if draining.is_set() and (self._abandoned or self._nothing_left()):
                    return
        finally:
            waker.cancel()
            self._states.close()
            for timer in self._timers:
                timer.cancel()

    async def tell_acknowledged(self) -> None:
        """Let the outbox forget what the broker has."""
        acked, self._acked = self._acked, []
        try:
            if acked:
                await self._outbox.events_delivered(acked)
            await self._states.tell_acknowledged()
        except WatchtowerError:
            self._acked = acked + self._acked
            raise

    async def _keep_house(self) -> None:
        await self.tell_acknowledged()
        while self._dead:
            event, reason = self._dead[0]
            await self._outbox.bury(event, reason=reason)
            self._dead.pop(0)
            self._known.discard(event.sequence)
        await self._states.read()
        if self._behind and self._waiting < _LOW:
            await self._read_page()
        self._pump()

    def _step_back(self) -> bool:
        """Read again from where a topic that is let through left events behind; False: there is no such topic."""
        if self._read_again_from is None:
            return False
        self._read_to, self._read_again_from = min(self._read_to, self._read_again_from), None
        return True

    async def _read_page(self) -> None:
        self._step_back()
        self._fresh.clear()  # they are on the disk: this page or a later one has them
        self._fresh_overflowed = False
        page = await self._outbox.pending_events(after=self._read_to, limit=_PAGE)
        if self._step_back():
            self._wake.set()  # a topic is let through since: what waits behind its first event comes before this page
            return
        done = set(self._acked)  # the outbox has not been told yet
        for event in page:
            self._read_to = event.sequence
            if event.sequence not in self._known and event.sequence not in done:
                self._take(event)
        if len(page) < _PAGE and not self._fresh_overflowed:
            self._behind = False
            self._take_fresh()
        else:
            self._wake.set()

    async def _wake_when(self, draining: asyncio.Event) -> None:
        await draining.wait()
        self._wake.set()

    def _later(self, delay: float, what: Callable[[], None]) -> None:
        def due() -> None:
            self._timers.discard(timer)
            what()

        timer = self._loop.call_later(delay, due)
        self._timers.add(timer)

    def _nothing_left(self) -> bool:
        return not (
            self._behind or self._waiting or self._fresh or self.in_flight or self._dead or self._states.waiting
        )

    # --- events ----------------------------------------------------------------------------------------------------

    def _take_fresh(self) -> None:
        while self._fresh:
            event = self._fresh.popleft()
            if event.sequence > self._highest:  # else a page from the disk had it
                self._take(event)

    def _take(self, event: EventMessage) -> None:
        self._highest = max(self._highest, event.sequence)
        self._read_to = max(self._read_to, event.sequence)
        lane = self._lanes.setdefault(event.topic, _Lane())
        if lane.blocked:
            lane.left_behind = True
        elif self._convicted is not None and (self._convicted.kind, self._convicted.key) == (
            Kind.EVENT,
            str(event.sequence),
        ):
            self._known.add(event.sequence)
            self._give_up(event, "the broker ended the connection each time it was sent")
        else:
            self._known.add(event.sequence)
            lane.waiting.append(event)
            self._waiting += 1
            self._line_up(event.topic, lane)

    def _line_up(self, topic: str, lane: _Lane) -> None:
        if lane.waiting and not lane.blocked and not lane.queued and lane.in_flight < self._per_topic:
            lane.queued = True
            self._ready.append(topic)
        elif not lane.waiting and not lane.in_flight and not lane.blocked:
            self._lanes.pop(topic, None)

    def _pump(self) -> None:
        """Send as much as the window lets through; events and states take turns."""
        while self.in_flight < self._window:
            self._state_turn = not self._state_turn
            first, second = (
                (self._states.send_next, self._send_event)
                if self._state_turn
                else (self._send_event, self._states.send_next)
            )
            if not first() and not second():
                break
        if self._behind and self._waiting < _LOW:
            self._wake.set()

    def _send_event(self) -> bool:
        if not self._ready:
            return False
        topic = self._ready.popleft()
        lane = self._lanes[topic]
        lane.queued = False
        event = lane.waiting.popleft()
        if not lane.blocked:
            self._waiting -= 1
        lane.in_flight += 1
        self._events_in_flight += 1
        number = self._evidence.sent()
        future = self._connection.publish(
            topic, event.payload, qos=1, content_type=EVENT_CONTENT, user_properties=event.properties
        )
        future.add_done_callback(functools.partial(self._answered, number, event, lane, self._loop.time()))
        self._line_up(topic, lane)
        return True

    def _answered(
        self, number: int, event: EventMessage, lane: _Lane, sent: float, future: asyncio.Future[PublishResult]
    ) -> None:
        result = future.result()
        lane.in_flight -= 1
        self._events_in_flight -= 1
        match result.verdict:
            case Verdict.LOST:
                parcel = Parcel(kind=Kind.EVENT, key=str(event.sequence), size=len(event.payload))
                self._evidence.lost(number, parcel)
                return
            case Verdict.DELIVERED:
                self.delivered += 1
                self._acknowledged.add(self._loop.time() - sent)
                self._known.discard(event.sequence)
                self._acked.append(event.sequence)
                self._unblock(event, lane)
            case Verdict.NEVER:
                self._give_up(event, result.reason)
                self._unblock(event, lane)
            case Verdict.LATER | Verdict.NOT_AUTHORISED:
                self._block(event, lane, result)
        self._evidence.answered(number)
        self._line_up(event.topic, lane)
        self._moved()

    def _moved(self) -> None:
        self._wake.set()
        self._pump()

    def _block(self, event: EventMessage, lane: _Lane, result: PublishResult) -> None:
        if not lane.blocked:
            self._waiting -= len(lane.waiting)
        self._known.difference_update(other.sequence for other in lane.waiting)
        lane.left_behind = lane.left_behind or bool(lane.waiting)
        lane.waiting = deque([event])
        lane.blocked = True
        delay = self._refusals.refused(event.topic, result, lane.tries)
        lane.tries += 1
        self._later(delay, functools.partial(self._try_again, event.topic, lane))

    def _try_again(self, topic: str, lane: _Lane) -> None:
        lane.queued = True
        self._ready.append(topic)
        self._pump()

    def _unblock(self, event: EventMessage, lane: _Lane) -> None:
        if not lane.blocked:
            return
        lane.blocked, lane.tries = False, 0
        if lane.left_behind:
            lane.left_behind = False
            again = self._read_again_from
            self._read_again_from = event.sequence if again is None else min(again, event.sequence)
            self._behind = True

    def _give_up(self, event: EventMessage, reason: str) -> None:
        self._dead.append((event, reason))
        self._wake.set()
        self._refusals.buried(event, reason)
