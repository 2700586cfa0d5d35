"""A full outbox tells all that it dropped, whenever the gap events themselves are among the oldest."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings, strategies as st

from tests.support.core import FakeClock
from tests.support.numbers import examples
from tests.support.store_values import event, gap
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.message import EventMessage
from watchtower_agent.storage import OutboxDrop, SqliteStore

MAX = 20_000

steps = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 2000), st.booleans(), st.booleans()), min_size=1)


class Agent:
    """What the loop does with drops: those that it was told of become one gap event, in its next commit or later."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.told: OutboxDrop | None = None
        self.last = 0
        self.committed: dict[int, float] = {}

    async def open(self) -> None:
        self.told = None
        self.store = SqliteStore(self.folder, clock=self.clock, max_size=MAX, on_dropped=self.dropped)
        await self.store.open()
        await self.store.load()

    def dropped(self, drop: OutboxDrop) -> None:
        self.told = drop.joined(self.told)

    async def commit(self, count: int, size: int, *, tell: bool) -> None:
        self.clock.advance(1.0)
        events: list[EventMessage] = []
        if tell and self.told is not None:
            events.append(gap(self.last + 1, self.told))
            self.told = None
        first = self.last + 1 + len(events)
        events += [event(number, payload=bytes(size)) for number in range(first, first + count)]
        self.last = first + count - 1
        self.committed |= {message.sequence: self.clock.wall for message in events}
        await self.store.commit(Commit(events=tuple(events)))


@given(steps=steps)
@settings(max_examples=examples(60), deadline=None)
def test_the_counts_that_arrive_are_the_events_that_do_not(steps: list[tuple[int, int, bool, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_until_the_broker_is_back(Agent(Path(folder)), steps))


async def _until_the_broker_is_back(agent: Agent, steps: list[tuple[int, int, bool, bool]]) -> None:
    await agent.open()
    for count, size, tell, restart in steps:
        await agent.commit(count, size, tell=tell)
        if restart:
            await agent.store.close()
            await agent.open()
    while agent.told is not None:  # a small commit seldom drops anything again
        await agent.commit(1, 1, tell=True)
    arrived = {message.sequence: message for message in await agent.store.pending_events(after=0, limit=10**6)}
    await agent.store.close()
    missing = agent.committed.keys() - arrived.keys()
    told = [json.loads(message.payload)["data"] for message in arrived.values() if "event_gap" in message.topic]
    assert sum(data["count"] for data in told) == len(missing)
    windows = [(data["since"], data["until"]) for data in told]
    for sequence in missing:
        assert any(since <= agent.committed[sequence] <= until for since, until in windows)


async def test_the_window_of_another_loss_is_carried_on_when_its_event_is_dropped(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    await agent.open()
    lost = OutboxDrop(count=7, since=5.0, until=6.0)
    await agent.store.commit(Commit(events=(gap(1, lost, cause="engine_restarted"),)))
    agent.last = 1
    await agent.commit(30, 1000, tell=False)
    assert agent.told is not None
    arrived = await agent.store.pending_events(after=0, limit=100)
    assert agent.told.count == arrived[0].sequence - 1, "how many the engine lost is not what the outbox dropped"
    assert agent.told.since == 5.0
    await agent.store.close()


async def test_a_gap_event_that_cannot_be_read_is_dropped_like_any_other(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    await agent.open()
    await agent.store.commit(Commit(events=(event(1, topic="agent/event_gap/self", payload=b"\xff"),)))
    agent.last = 1
    await agent.commit(30, 1000, tell=False)
    assert agent.told is not None
    await agent.store.close()
