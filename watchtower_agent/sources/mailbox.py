"""Messages on their way from the broker to whoever reads them: bounded, and the newest of a topic wins. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.sources.payload import LARGEST

MOST_TOPICS: Final = 1000
MOST_BYTES: Final = 16 * LARGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One that came.

    Attributes:
        topic: Its topic.
        payload: Its bytes; of one that is too large the first, and one more than anything may have.
        retained: The broker had kept it.
        came: When.
    """

    topic: str
    payload: bytes
    retained: bool
    came: Instant


class Mailbox:
    """Those that nobody has read yet, by topic.

    However many come, there is little to read and little to keep: what is out of date makes room for what is not.

    Args:
        most_topics: Topics at most.
        most_bytes: Bytes of payloads at most; the newest message is kept always.
    """

    def __init__(self, *, most_topics: int = MOST_TOPICS, most_bytes: int = MOST_BYTES) -> None:
        self._most_topics = most_topics
        self._most_bytes = most_bytes
        self._waiting: OrderedDict[str, deque[Message]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Messages that wait."""
        return sum(map(len, self._waiting.values()))

    def put(self, message: Message, *, keep: int = 1) -> None:
        """Bring one. A topic keeps its turn, however often something comes on it.

        Args:
            message: It.
            keep: How many of the newest of its topic are kept.
        """
        of_topic = self._waiting.setdefault(message.topic, deque())
        of_topic.append(message)
        self._bytes += len(message.payload)
        while len(of_topic) > keep:
            self._bytes -= len(of_topic.popleft().payload)
        while len(self._waiting) > self._most_topics or (self._bytes > self._most_bytes and len(self._waiting) > 1):
            self._drop(message.topic)
        while self._bytes > self._most_bytes and len(of_topic) > 1:
            self._bytes -= len(of_topic.popleft().payload)

    def take(self) -> Message | None:
        """The oldest of the topic whose turn it is; None when nothing waits."""
        if not self._waiting:
            return None
        topic, of_topic = next(iter(self._waiting.items()))
        message = of_topic.popleft()
        self._bytes -= len(message.payload)
        if not of_topic:
            del self._waiting[topic]
        return message

    def _drop(self, but: str) -> None:
        """Let go of the topic that has waited longest, of all but one."""
        topic = next(topic for topic in self._waiting if topic != but)
        self._bytes -= sum(len(message.payload) for message in self._waiting.pop(topic))
