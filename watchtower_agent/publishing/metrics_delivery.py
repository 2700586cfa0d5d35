"""Metrics over one connection: sent or forgotten, never queued behind each other."""

from __future__ import annotations

import asyncio
import functools

from watchtower_agent.model.message import MetricsMessage
from watchtower_agent.publishing.connection import Connection, PublishResult, Verdict
from watchtower_agent.publishing.refusals import Refusals

_CONTENT = "application/json"


class MetricsDelivery:
    """Sends measurements at QoS 0. While one of a topic has not left for the network, only the newest other waits."""

    def __init__(self, connection: Connection, refusals: Refusals) -> None:
        self._connection = connection
        self._refusals = refusals
        self._out: set[str] = set()
        self._next: dict[str, MetricsMessage] = {}

    def send(self, message: MetricsMessage) -> None:
        """Send it, after the one before it on that topic has left."""
        if message.topic in self._out:
            self._next[message.topic] = message
            return
        self._out.add(message.topic)
        future = self._connection.publish(
            message.topic, message.payload, qos=0, content_type=_CONTENT, expiry=message.expiry
        )
        future.add_done_callback(functools.partial(self._left, message.topic))

    def _left(self, topic: str, future: asyncio.Future[PublishResult]) -> None:
        result = future.result()
        self._out.discard(topic)
        newer = self._next.pop(topic, None)
        if result.verdict is Verdict.NEVER:
            self._refusals.metrics_refused(topic, result)
        if newer is not None and result.verdict is not Verdict.LOST:
            self.send(newer)
