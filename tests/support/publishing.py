"""The sending half of the agent, on a real store and a real broker: commit here, look at the subscriber there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.patience import patient
from tests.support.store_values import event
from watchtower_agent.clock import SystemClock
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.message import EventMessage, StateMessage
from watchtower_agent.publishing.broker_options import MqttOptions
from watchtower_agent.publishing.link import MqttLink
from watchtower_agent.publishing.outbox import OutboxPublisher
from watchtower_agent.storage import SqliteStore


@dataclass(slots=True, kw_only=True)
class Station:
    """A store and the publisher that empties it.

    Attributes:
        link: Keeps the publisher's connection.
        said: Sentences on connections made and lost, in order.
        alarms: Names and sentences of alarms, in order.
    """

    store: SqliteStore
    publisher: OutboxPublisher
    link: MqttLink
    said: list[str] = field(default_factory=list)
    alarms: list[tuple[str, str]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def commit(self, *events: EventMessage, states: Sequence[StateMessage] = ()) -> None:
        """What the loop does: durable first, then told."""
        await self.store.commit(Commit(events=events, states=tuple(states)))
        self.publisher.committed(events, states)

    async def commit_many(self, first: int, last: int, *, topics: int = 10, group: int = 50) -> None:
        """Commit events numbered from first to last, over some topics."""
        for start in range(first, last + 1, group):
            numbers = range(start, min(start + group, last + 1))
            await self.commit(*(event(number, topic=f"container/die/web{number % topics}") for number in numbers))

    async def until(self, condition: Callable[[], bool], *, timeout: float = 30.0) -> None:  # noqa: ASYNC109 - a test's limit
        """Wait until it holds; looked at whenever something was said, and every few milliseconds."""
        async with asyncio.timeout(patient(timeout)):
            while not condition():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.news.wait(), 0.02)
                self.news.clear()

    async def alarm(self, name: str, *, timeout: float = 30.0) -> str:  # noqa: ASYNC109 - a test's limit
        """Wait for an alarm of that name and return its sentence."""
        await self.until(lambda: any(found == name for found, _ in self.alarms), timeout=timeout)
        return next(sentence for found, sentence in self.alarms if found == name)

    async def left(self, number: int, *, timeout: float = 30.0) -> None:  # noqa: ASYNC109 - a test's limit
        """Wait until the outbox holds no more than that many events."""
        async with asyncio.timeout(patient(timeout)):
            while (await self.store.facts()).outbox_depth > number:  # noqa: ASYNC110 - the store has nothing to wait on
                await asyncio.sleep(0.02)

    async def settled(self, *, timeout: float = 30.0) -> None:  # noqa: ASYNC109 - a test's limit
        """Wait until the outbox is empty and every retained topic is acknowledged."""
        async with asyncio.timeout(patient(timeout)):
            while (await self.store.facts()).outbox_depth or await self.store.pending_states():  # noqa: ASYNC110 - the store has nothing to wait on
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def station(
    folder: Path,
    options: MqttOptions,
    *,
    retry: tuple[float, float] = (0.1, 0.5),
    park: float = 0.3,
    drain: float = 2.0,
    delays: tuple[float, float] = (0.5, 30.0),
    stable_after: float = 10.0,
    takeover: tuple[float, float] = (300.0, 1800.0),
) -> AsyncIterator[Station]:
    """A running station; at the end it drains and says goodbye."""
    store = SqliteStore(folder, clock=SystemClock())
    await store.open()
    await store.load()
    said: list[str] = []
    alarms: list[tuple[str, str]] = []
    news = asyncio.Event()

    def say(sentence: str) -> None:
        said.append(sentence)
        news.set()

    def alarm(name: str, sentence: str) -> None:
        alarms.append((name, sentence))
        news.set()

    link = MqttLink(
        options,
        delays=delays,
        stable_after=stable_after,
        takeover=takeover,
        on_up=say,
        on_down=say,
        on_alarm=alarm,
    )
    publisher = OutboxPublisher(store, link, clock=SystemClock(), retry=retry, park=park)
    running = asyncio.create_task(publisher.run())
    try:
        yield Station(store=store, publisher=publisher, link=link, said=said, alarms=alarms, news=news)
        await publisher.drain(drain)
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()


def in_order_per_topic(messages: Sequence[tuple[str, int]]) -> bool:
    """Whether the first sights of (topic, sequence) grow within each topic; repeats of earlier ones are allowed."""
    highest: dict[str, int] = {}
    seen: set[int] = set()
    for topic, sequence in messages:
        if sequence in seen:
            continue
        seen.add(sequence)
        if sequence < highest.get(topic, 0):
            return False
        highest[topic] = sequence
    return True
