"""Dead letters are declared: each once, over crashes, and never by a chain of gap events that nobody takes."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path

from tests.support.core import FakeClock
from tests.support.store_values import event
from tests.support.virtual_time import run_in_virtual_time
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.message import EventMessage
from watchtower_agent.storage import DeadLetters, OutboxDrop, SqliteStore
from watchtower_agent.storage.dead_telling import DeadTelling


class Agent:
    """What the loop does with dead letters, as far as the store sees it."""

    def __init__(self, folder: Path, *, max_size: int = 2**20) -> None:
        self.folder, self.max_size = folder, max_size
        self.clock = FakeClock()
        self.buried: list[DeadLetters] = []
        self.drops: list[OutboxDrop] = []

    async def open(self) -> None:
        self.buried.clear()
        self.store = SqliteStore(
            self.folder,
            clock=self.clock,
            max_size=self.max_size,
            on_dropped=self.drops.append,
            on_buried=self.buried.append,
        )
        await self.store.open()
        await self.store.load()

    async def again(self) -> None:
        await self.store.close()
        await self.open()

    async def commit(self, *events: EventMessage) -> None:
        self.clock.advance(1.0)
        await self.store.commit(Commit(events=events))

    async def bury(self, *events: EventMessage) -> None:
        for each in events:
            await self.store.bury(each, reason="too large")


def tells(sequence: int, letters: DeadLetters) -> EventMessage:
    data = {
        "cause": "dead_letter",
        "count": letters.count,
        "since": letters.since,
        "until": letters.until,
        "sequences": [f"{each:012d}" for each in letters.sequences],
    }
    return event(sequence, topic="agent/event_gap/self", payload=json.dumps({"data": data}).encode())


async def test_a_dead_letter_is_told_with_the_time_of_its_commit(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    await agent.open()
    await agent.commit(event(1))
    committed = agent.clock.wall
    agent.clock.advance(100.0)
    await agent.bury(event(1))
    assert agent.buried == [DeadLetters(count=1, since=committed, until=committed, sequences=(1,))]
    await agent.store.close()


async def test_a_dead_letter_is_told_though_the_connection_ended_while_it_was_written(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    await agent.open()
    await agent.commit(event(1))
    burying = asyncio.create_task(agent.bury(event(1)))
    await asyncio.sleep(0)
    burying.cancel()
    await asyncio.gather(burying, return_exceptions=True)
    assert (await agent.store.facts()).dead_letters == 1
    assert [letters.sequences for letters in agent.buried] == [(1,)]
    await agent.store.close()


async def test_what_a_crash_left_undeclared_is_told_at_the_next_start_and_what_was_declared_is_not(
    tmp_path: Path,
) -> None:
    agent = Agent(tmp_path)
    await agent.open()
    await agent.commit(*(event(number) for number in (1, 2, 3)))
    await agent.bury(event(1), event(2))
    await agent.again()
    assert [(each.count, each.sequences) for each in agent.buried] == [(2, (1, 2))]
    (both,) = agent.buried
    await agent.bury(event(3))
    await agent.commit(tells(4, both))
    await agent.again()
    assert [(each.count, each.sequences) for each in agent.buried] == [(1, (3,))]
    await agent.commit(tells(5, *agent.buried))
    await agent.again()
    assert agent.buried == []
    await agent.store.close()


async def test_a_gap_event_that_is_a_dead_letter_itself_is_told_by_the_next_dead_letter_alone(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    await agent.open()
    await agent.commit(event(1))
    first = agent.clock.wall
    await agent.bury(event(1))
    gap = tells(2, agent.buried.pop())
    await agent.commit(gap)
    await agent.bury(gap)
    assert agent.buried == [], "no other one: it would end as this one did"
    await agent.again()
    assert agent.buried == [], "nor at each start"
    await agent.commit(event(3))
    await agent.bury(event(3))
    assert agent.buried == [DeadLetters(count=3, since=first, until=agent.clock.wall, sequences=(1, 2, 3))]
    await agent.store.close()


def test_many_in_a_row_are_told_together_and_ever_more_seldom() -> None:
    """A policy that notifies of each, on a topic that the broker denies, makes a dead letter of each telling."""
    told: list[tuple[float, int]] = []

    async def chain() -> None:
        loop = asyncio.get_running_loop()

        def again(letters: DeadLetters) -> None:
            told.append((loop.time(), letters.count))
            loop.call_soon(telling.add, one)

        telling = DeadTelling(again)
        for _ in range(3):
            telling.add(one)
        await asyncio.sleep(3600.0)
        telling.close()

    one = DeadLetters(count=1, since=0.0, until=0.0)
    run_in_virtual_time(chain())
    assert told[:6] == [(0.0, 1), (1.0, 3), (3.0, 1), (7.0, 1), (15.0, 1), (31.0, 1)]
    later = [at for at, _ in told[6:]]
    assert {after - before for before, after in pairwise(later)} == {60.0}
    assert 55 < len(later) <= 60


def test_after_a_quiet_while_the_next_is_told_at_once() -> None:
    told: list[float] = []

    async def seldom() -> None:
        loop = asyncio.get_running_loop()
        telling = DeadTelling(lambda _: told.append(loop.time()))
        for wait in (0.0, 0.5, 100.0, 121.0, 0.5):
            await asyncio.sleep(wait)
            telling.add(DeadLetters(count=1, since=0.0, until=0.0))
        await asyncio.sleep(1.0)

    run_in_virtual_time(seldom())
    assert told == [0.0, 1.0, 100.5, 221.5, 222.5]


async def test_one_that_was_buried_before_is_not_counted_again(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    await agent.open()
    await agent.commit(event(1))
    await agent.bury(event(1), event(1))
    assert len(agent.buried) == 1
    await agent.store.close()


async def test_one_that_a_full_outbox_dropped_before_is_not_counted_again(tmp_path: Path) -> None:
    agent = Agent(tmp_path, max_size=20_000)
    await agent.open()
    await agent.commit(event(1))
    await agent.commit(*(event(number, payload=bytes(1000)) for number in range(2, 34)))
    (drop,) = agent.drops
    await agent.bury(event(1))  # it was on its way meanwhile
    assert agent.buried == []
    arrived = await agent.store.pending_events(after=0, limit=100)
    assert drop.count == arrived[0].sequence - 1
    await agent.store.close()


async def test_of_many_the_first_are_named_and_all_are_counted(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    await agent.open()
    await agent.commit(*(event(number) for number in range(1, 101)))
    await agent.bury(*(event(number) for number in range(1, 101)))
    await agent.again()
    (all_of_them,) = agent.buried
    assert (all_of_them.count, all_of_them.sequences) == (100, tuple(range(1, 21)))
    await agent.store.close()


async def test_a_full_outbox_that_drops_what_told_of_dead_letters_counts_them(tmp_path: Path) -> None:
    agent = Agent(tmp_path, max_size=20_000)
    await agent.open()
    await agent.commit(event(1), event(2))
    await agent.bury(event(1), event(2))
    await agent.again()
    await agent.commit(tells(3, *agent.buried))
    await agent.commit(*(event(number, payload=bytes(1000)) for number in range(4, 34)))
    (drop,) = agent.drops
    arrived = await agent.store.pending_events(after=0, limit=100)
    assert drop.count == arrived[0].sequence - 1
    await agent.store.close()
