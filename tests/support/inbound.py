"""The receiving half of the agent: its sources, what they said, and somebody who publishes."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.patience import patient
from watchtower_agent.clock import SystemClock
from watchtower_agent.model.observation import ReadingObserved, SiblingObserved
from watchtower_agent.model.source import TopicSource
from watchtower_agent.ports.delivery import Subscriber
from watchtower_agent.sources.sources import Sources


@dataclass(slots=True)
class Heard:
    """Everything that sources said, in order."""

    observations: list[ReadingObserved | SiblingObserved] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, observation: ReadingObserved | SiblingObserved) -> None:
        self.observations.append(observation)
        self.news.set()

    def of(self, name: str) -> list[ReadingObserved]:
        return [each for each in self.observations if isinstance(each, ReadingObserved) and each.name == name]

    def values(self, name: str) -> list[float | None]:
        return [each.value for each in self.of(name)]

    @property
    def batches(self) -> list[SiblingObserved]:
        return [each for each in self.observations if isinstance(each, SiblingObserved)]

    async def until(self, condition: Callable[[Heard], bool], *, timeout: float = 30.0) -> None:  # noqa: ASYNC109 - a test's limit
        """Wait until it holds of all that was said so far."""
        try:
            async with asyncio.timeout(patient(timeout)):
                while not condition(self):
                    await self.news.wait()
                    self.news.clear()
        except TimeoutError:
            raise AssertionError(f"not within {timeout:g} s; {self.observations[-5:]} came last") from None


@contextlib.asynccontextmanager
async def listening(subscriber: Subscriber, *, host: str = "h1") -> AsyncIterator[tuple[Sources, Heard]]:
    """Sources that run, and what they say."""
    heard = Heard()
    sources = Sources(subscriber=subscriber, base_topic="watchtower", host=host, clock=SystemClock(), sink=heard.put)
    running = asyncio.create_task(sources.run())
    try:
        yield sources, heard
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def topic(name: str, *path: str | int) -> TopicSource:
    """A metric of that topic, named after it."""
    return TopicSource(name=name, topic=name, value=path)


@contextlib.contextmanager
def speaker(port: int, *, user: tuple[str, str] | None = None) -> Iterator[Callable[..., None]]:
    """Somebody who publishes on that broker: call it with topic and payload. It returns once that is sent."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"speaker-{secrets.token_hex(6)}")
    client.max_queued_messages_set(0)
    client.max_inflight_messages_set(1000)
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    if user is not None:
        client.username_pw_set(*user)
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert connected.wait(patient(30))

    def publish(topic: str, payload: bytes | str, *, retain: bool = False, wait: bool = True) -> None:
        info = client.publish(topic, payload, qos=1, retain=retain)
        if wait:
            info.wait_for_publish(patient(30))

    try:
        yield publish
    finally:
        client.disconnect()
        client.loop_stop()
