"""What the broker brings, on its way to the loop: read a little later, one at a time, the newest of each topic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from watchtower_agent.model.observation import ReadingObserved, SiblingObserved
from watchtower_agent.model.source import TopicSource
from watchtower_agent.ports.clock import Clock
from watchtower_agent.sources.mailbox import Mailbox, Message
from watchtower_agent.sources.payload import LARGEST
from watchtower_agent.sources.reading import published, unanswered
from watchtower_agent.sources.siblings import Siblings

GATHER: Final = 0.25
"""Seconds that messages are gathered for: of a flood on one topic four a second are read, and the loop looks at what
is known once a second."""
_PARTS: Final = 64
"""Messages of one sibling that wait at most: its batch may come in parts."""


class Inbound:
    """Implements the port `Listener`.

    Args:
        siblings: Reads batches of metrics.
        clock: Stamps what comes.
        sink: Takes what it means.
    """

    def __init__(
        self, siblings: Siblings, clock: Clock, sink: Callable[[ReadingObserved | SiblingObserved], None]
    ) -> None:
        self._siblings = siblings
        self._clock = clock
        self._sink = sink
        self._mailbox = Mailbox()
        self._topics: dict[str, list[TopicSource]] = {}
        self._hears_siblings = False
        self._known: set[str] = set()
        """Metrics of which there was a number."""
        self._reading: asyncio.Handle | None = None

    @property
    def filters(self) -> frozenset[str]:
        """What to subscribe to."""
        return frozenset(self._topics) | (frozenset({self._siblings.filter}) if self._hears_siblings else frozenset())

    def follow(self, topics: frozenset[TopicSource], *, siblings: bool) -> None:
        """From now on this is wanted, and what comes else is dropped."""
        self._topics = {}
        for source in sorted(topics, key=lambda source: source.name):
            self._topics.setdefault(source.topic, []).append(source)
        self._hears_siblings = siblings
        self._known &= {source.name for source in topics}

    def received(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """See `Listener.received`."""
        of_sibling = self._sibling(topic)
        if not of_sibling and topic not in self._topics:
            return
        message = Message(topic=topic, payload=payload[: LARGEST + 1], retained=retained, came=self._clock.now())
        self._mailbox.put(message, keep=_PARTS if of_sibling else 1)
        if self._reading is None:
            self._reading = asyncio.get_running_loop().call_later(GATHER, self._read)

    def refused(self, topic_filter: str, reason: str) -> None:
        """See `Listener.refused`."""
        for source in self._topics.get(topic_filter, ()):
            self._sink(unanswered(source.name, f"it can't be heard: {reason}", self._clock.now()))

    def close(self) -> None:
        """Hear nothing more."""
        self.follow(frozenset(), siblings=False)
        if self._reading is not None:
            self._reading.cancel()

    def _read(self) -> None:
        """One message. Others have their turn before the next: what is large takes milliseconds."""
        self._reading = None
        message = self._mailbox.take()
        if message is None:
            return
        if len(self._mailbox):
            self._reading = asyncio.get_running_loop().call_soon(self._read)
        for source in self._topics.get(message.topic, ()):
            retained = message.retained
            reading = published(source.name, message.payload, source.value, message.came, retained=retained)
            self._tell(reading, retained=retained)
        host = self._sibling(message.topic)
        batch = self._siblings.take(host, message.payload, message.came) if host and not message.retained else None
        if batch is not None:
            self._sink(batch)

    def _tell(self, reading: ReadingObserved, *, retained: bool) -> None:
        """A retained message of unknown age comes at each new connection: it makes nothing unknown that is known."""
        if reading.value is not None:
            self._known.add(reading.name)
        elif retained and reading.name in self._known:
            return
        self._sink(reading)

    def _sibling(self, topic: str) -> str:
        return self._siblings.host_of(topic) if self._hears_siblings else ""
