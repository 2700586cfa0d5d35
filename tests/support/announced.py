"""Numbers that somebody publishes every second, as an exporter of theirs does."""

from __future__ import annotations

import json
import threading
from typing import Self

import paho.mqtt.publish

from tests.support.broker import PrivateBroker


class Announced:
    """One JSON object on one topic. Use as a context manager.

    Args:
        broker: Where to; it may be away at times.
        topic: On which.
        values: What is in it at first.

    Attributes:
        values: What is in it from the next second on.
    """

    def __init__(self, broker: PrivateBroker, topic: str, **values: float) -> None:
        self.values = values
        self._broker = broker
        self._topic = topic
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announced", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._over.wait(1.0):
            try:
                payload = json.dumps(self.values)
                paho.mqtt.publish.single(self._topic, payload, hostname="127.0.0.1", port=self._broker.port)
            except OSError:  # the broker is away
                continue
