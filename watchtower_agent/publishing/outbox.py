"""Delivers what the store holds: every event at least once and in order within its topic, states newest only."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from watchtower_agent.errors import WatchtowerError
from watchtower_agent.model.distribution import Distribution
from watchtower_agent.model.message import EventMessage, MetricsMessage, ReplyMessage, StateMessage
from watchtower_agent.model.values import dataclass
from watchtower_agent.ports.clock import Clock
from watchtower_agent.ports.delivery import CommandReceiver, Listener
from watchtower_agent.ports.store import Outbox
from watchtower_agent.publishing.connection import Connection
from watchtower_agent.publishing.delivery import Delivery
from watchtower_agent.publishing.refusals import Refusals
from watchtower_agent.publishing.subscriptions import Subscriptions
from watchtower_agent.publishing.suspect import Learned, Suspect

_ONLINE = b"online"
_TELL_AGAIN_WITHIN = 5.0
_MOST_REPLIES = 100
"""Replies to commands that wait for the broker; the newest are kept, in memory only."""
_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: by these acknowledgements are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishingFacts:
    """How the way to the broker is doing.

    Attributes:
        url: The broker's address; empty without a broker.
        connected: Whether the broker is there.
        since: When that last changed, seconds since the epoch; None before the first connection.
        last_error: Why it is not there, or was not the last time; empty when all is well.
        delivered: Events that it acknowledged since the agent started.
        in_flight: Messages that wait for its acknowledgement.
        parked_topics: Topics that it refuses for now.
    """

    url: str = ""
    connected: bool = False
    since: float | None = None
    last_error: str = ""
    delivered: int = 0
    in_flight: int = 0
    parked_topics: tuple[str, ...] = ()


class Link(Protocol):
    """What keeps the connection (`MqttLink`)."""

    @property
    def url(self) -> str:
        """The broker's address."""
        ...

    @property
    def connected(self) -> bool:
        """Whether a connection is being served."""
        ...

    @property
    def last_error(self) -> str:
        """Why it is not there, or was not the last time."""
        ...

    @property
    def subscriptions(self) -> Subscriptions:
        """What is listened to."""
        ...

    def alarm(self, name: str, sentence: str) -> None:
        """Tell a person."""
        ...

    def stop(self) -> None:
        """Let `run` end as soon as `serve` has returned."""
        ...

    def run(self, serve: Callable[[Any], Coroutine[Any, Any, None]]) -> Coroutine[Any, Any, None]:
        """Connect, serve, and connect again, until `stop`."""
        ...


class OutboxPublisher:
    """Implements the ports `Publisher`, over the outbox and a link to the broker, `Subscriber` and `CommandChannel`.

    Args:
        outbox: What is still to be delivered.
        link: Keeps the connection.
        clock: Tells since when the broker is there, and when the delivery last went on.
        retry: Seconds (first, longest) between tries of a message that the broker can't take now.
        park: Seconds between tries on a topic that this user may not publish on.

    Attributes:
        acknowledged: How long the broker took to acknowledge events.
    """

    def __init__(
        self,
        outbox: Outbox,
        link: Link,
        *,
        clock: Clock,
        retry: tuple[float, float] = (1.0, 30.0),
        park: float = 60.0,
    ) -> None:
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._retry = retry
        self._park = park
        self._delivery: Delivery | None = None
        self._since: float | None = None
        self._delivered = 0
        self.acknowledged = Distribution.by(*_EDGES)
        self._replies: deque[ReplyMessage] = deque(maxlen=_MOST_REPLIES)
        self._suspect = Suspect()
        self._learned = Learned()
        self._draining = asyncio.Event()
        self._ended = asyncio.Event()
        self._again: asyncio.TimerHandle | None = None
        """Then retained topics are sent once more."""

    # --- port Publisher --------------------------------------------------------------------------------------------

    def committed(self, events: Sequence[EventMessage], states: Sequence[StateMessage]) -> None:
        """These are durable now: send them when the broker is there. Call it in the order of the commits."""
        if self._delivery is not None:
            self._delivery.committed(events, states)

    def metrics(self, message: MetricsMessage) -> None:
        """Send it if the broker is there now, else forget it."""
        if self._delivery is not None:
            self._delivery.metrics(message)

    # --- port Subscriber -------------------------------------------------------------------------------------------

    def follow(self, filters: frozenset[str], listener: Listener) -> None:
        """From now on hear what is published there, and nothing else."""
        self._link.subscriptions.follow(filters, listener)

    # --- port CommandChannel ---------------------------------------------------------------------------------------

    def obey(self, topic_filter: str, receiver: CommandReceiver) -> None:
        """From now on take commands there."""
        self._link.subscriptions.obey(topic_filter, receiver)

    def reply(self, message: ReplyMessage) -> None:
        """Send it, or let it wait for the broker, with few others. Commands come before the agent has said `online`."""
        if self._delivery is not None:
            self._delivery.reply(message)
        else:
            self._replies.append(message)

    # --- who has to be told again ----------------------------------------------------------------------------------

    def tell_again(self, begin: str, *, when_online: frozenset[str], within: float = _TELL_AGAIN_WITHIN) -> None:
        """Send the retained topics once more whenever somebody says `online`, who may have missed them.

        Args:
            begin: Of the topics to send.
            when_online: Where that is said.
            within: Seconds in which that is done, at a moment of chance: all agents hear it at once.
        """

        def said(payload: bytes) -> None:
            if payload.strip().lower() == _ONLINE and self._again is None:
                delay = random.uniform(0.0, within)  # noqa: S311 - spreads agents over time, keeps no secret
                self._again = asyncio.get_running_loop().call_later(delay, send)

        def send() -> None:
            self._again = None
            if self._delivery is not None:  # else the next connection begins with all of them
                self._delivery.states_again(begin)

        self._link.subscriptions.hear(when_online, said)

    # --- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Deliver, over as many connections as it takes, until `drain`."""
        try:
            await self._link.run(self._serve)
        finally:
            if self._again is not None:
                self._again.cancel()
            self._ended.set()

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109 - what is not sent by then stays in the outbox
        """Send what waits, say `offline` and disconnect; `run` returns.

        Args:
            timeout: Seconds for sending; what is left stays in the outbox for the next start. The farewell takes
                a few seconds more at most.
        """
        loop = asyncio.get_running_loop()
        self._draining.set()
        self._link.stop()
        timer = loop.call_later(timeout, self._abandon)
        try:
            await self._ended.wait()
        finally:
            timer.cancel()

    def _abandon(self) -> None:
        if self._delivery is not None:
            self._delivery.abandon()

    def facts(self) -> PublishingFacts:
        """How the way to the broker is doing."""
        delivery = self._delivery
        return PublishingFacts(
            url=self._link.url,
            connected=self._link.connected,
            since=self._since,
            last_error=self._link.last_error,
            delivered=self._delivered + (delivery.delivered if delivery else 0),
            in_flight=delivery.in_flight if delivery else 0,
            parked_topics=delivery.parked_topics if delivery else (),
        )

    def stir(self) -> float | None:
        """Have the delivery prove that it goes on; when it last did, on the monotonic clock. None without a broker."""
        if self._delivery is None:
            return None  # the link tries, each time for so long at most
        self._delivery.stir()
        return self._delivery.moved_at

    async def _serve(self, connection: Connection) -> None:
        delivery = Delivery(
            self._outbox,
            connection,
            refusals=Refusals(self._link.alarm, retry=self._retry, park=self._park),
            suspect=self._suspect,
            learned=self._learned,
            acknowledged=self.acknowledged,
            clock=self._clock,
        )
        self._delivery, self._since = delivery, self._clock.now().wall
        while self._replies:
            delivery.reply(self._replies.popleft())
        try:
            await delivery.run(self._draining)
        finally:
            self._delivery, self._since = None, self._clock.now().wall
            self._delivered += delivery.delivered
            self._suspect = delivery.suspect
            with contextlib.suppress(WatchtowerError):  # the disk is full: these are sent once more
                await delivery.tell_acknowledged()


class NoBroker:
    """Where the settings name no broker: events stay in the outbox, metrics are forgotten, nothing is ever heard."""

    def committed(self, events: Sequence[EventMessage], states: Sequence[StateMessage]) -> None:
        """They stay where they are."""

    def metrics(self, message: MetricsMessage) -> None:
        """Nobody is there to take it."""

    def follow(self, filters: frozenset[str], listener: Listener) -> None:
        """Nobody is there to say anything: what is wanted stays unknown, for that reason."""
        for topic_filter in sorted(filters):
            listener.refused(topic_filter, "the settings name no broker (mqtt.url)")

    def obey(self, topic_filter: str, receiver: CommandReceiver) -> None:
        """Nobody is there to command anything."""

    def reply(self, message: ReplyMessage) -> None:
        """Nobody is there to take it."""

    async def run(self) -> None:
        """Nothing to do until cancelled."""
        await asyncio.Event().wait()

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109 - as OutboxPublisher.drain
        """Nothing to send."""

    def stir(self) -> float | None:
        """There is nothing to prove."""
        return None

    def facts(self) -> PublishingFacts:
        """No broker."""
        return PublishingFacts()
