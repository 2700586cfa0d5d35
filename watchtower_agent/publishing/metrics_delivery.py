"""Metrics over one connection: sent or forgotten, never queued behind each other."""

from __future__ import annotations

import asyncio
import functools

from watchtower_agent.model.message import MetricsMessage
from watchtower_agent.publishing.connection import Connection, PublishResult, Verdict
from watchtower_agent.publishing.metrics_parts import parts
from watchtower_agent.publishing.refusals import Refusals
from watchtower_agent.publishing.suspect import Evidence, Kind, Learned, Parcel

_CONTENT = "application/json"
_PACKET_REST = 64
"""Bytes of a packet beside its topic and payload at most."""


class MetricsDelivery:
    """Sends measurements at QoS 0. While one of a topic has not left for the network, only the newest other waits.

    Args:
        connection: Open.
        refusals: What follows when the broker does not take one.
        evidence: What this connection shows of large messages.
        learned: What earlier connections showed.
        careful: Send large ones so that the broker acknowledges them: whether it takes them is in doubt.
    """

    def __init__(
        self,
        connection: Connection,
        refusals: Refusals,
        *,
        evidence: Evidence,
        learned: Learned,
        careful: bool,
    ) -> None:
        self._connection = connection
        self._refusals = refusals
        self._evidence = evidence
        self._learned = learned
        self.careful = careful
        self._out: dict[str, int] = {}
        """Messages of a topic that have not left."""
        self._next: dict[str, MetricsMessage] = {}

    def send(self, message: MetricsMessage) -> None:
        """Send it, after the one before it on that topic has left. In parts where it is too large for the broker."""
        if message.topic in self._out:
            self._next[message.topic] = message
            return
        sent = self._fitting(message)
        if sent:
            self._out[message.topic] = len(sent)
        for one in sent:
            self._publish(one)

    def _fitting(self, message: MetricsMessage) -> list[MetricsMessage]:
        size, largest = len(message.payload), self._connection.largest_packet
        announced = None if largest is None else largest - len(message.topic.encode()) - _PACKET_REST
        learned = self._learned.room
        room = min((room for room in (announced, learned) if room is not None), default=size)
        if size <= room:
            return [message]
        sent, left_out = parts(message, room)
        if (room == learned or left_out or not sent) and self._learned.news(Kind.METRICS):
            self._refusals.metrics_too_large(message.topic, size, room=room, parts=len(sent), left_out=left_out)
        return sent

    def _publish(self, message: MetricsMessage) -> None:
        parcel = Parcel(kind=Kind.METRICS, key=message.topic, size=len(message.payload))
        number = self._evidence.sent()
        ask = self.careful and self._evidence.doubts(parcel)
        if not ask:
            self._evidence.unproven(number, parcel)
        future = self._connection.publish(
            message.topic, message.payload, qos=1 if ask else 0, content_type=_CONTENT, expiry=message.expiry
        )
        future.add_done_callback(functools.partial(self._left, number, parcel if ask else None, message.topic))

    def _left(self, number: int, asked: Parcel | None, topic: str, future: asyncio.Future[PublishResult]) -> None:
        result = future.result()
        if asked is not None:
            if result.verdict is Verdict.LOST:
                self._evidence.lost(number, asked)
            else:
                self._evidence.answered(number)
        self._out[topic] -= 1
        if result.verdict is Verdict.NEVER:
            self._refusals.metrics_refused(topic, result)
        if self._out[topic]:
            return
        del self._out[topic]
        newer = self._next.pop(topic, None)
        if newer is not None and result.verdict is not Verdict.LOST:
            self.send(newer)
