"""What is bounded: the outbox's bytes, the ledger, the dead letters; and the groups that commits form."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.store_values import event, gap, intent, outcome
from watchtower_agent.clock import SystemClock
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.decision import Number, Verb
from watchtower_agent.model.outcome import Outcome
from watchtower_agent.storage import OutboxDrop, SqliteStore

MAX = 100_000


@pytest.fixture
async def capped(tmp_path: Path) -> AsyncIterator[tuple[SqliteStore, list[OutboxDrop]]]:
    drops: list[OutboxDrop] = []
    store = SqliteStore(tmp_path, clock=SystemClock(), max_size=MAX, on_dropped=drops.append)
    await store.open()
    await store.load()
    yield store, drops
    await store.close()


async def sequences(store: SqliteStore) -> list[int]:
    return [message.sequence for message in await store.pending_events(after=0, limit=100_000)]


async def test_the_oldest_are_dropped_at_the_cap_and_counted(capped: tuple[SqliteStore, list[OutboxDrop]]) -> None:
    store, drops = capped
    for number in range(1, 301):
        await store.commit(Commit(events=(event(number, payload=bytes(1000)),)))
        assert (await store.facts()).outbox_bytes <= MAX
    left = await sequences(store)
    assert left == list(range(left[0], 301))
    assert sum(drop.count for drop in drops) == left[0] - 1 == (await store.facts()).dropped
    assert len(drops) < 60, "a full outbox must not declare a gap for every event"
    assert all(drop.since <= drop.until for drop in drops)
    assert (await store.load()).last_sequence == 300


async def test_a_drop_is_told_again_after_a_crash_until_a_gap_event_was_committed(tmp_path: Path) -> None:
    async def opened() -> tuple[SqliteStore, list[OutboxDrop]]:
        drops: list[OutboxDrop] = []
        store = SqliteStore(tmp_path, clock=SystemClock(), max_size=MAX, on_dropped=drops.append)
        await store.open()
        await store.load()
        return store, drops

    store, drops = await opened()
    await store.commit(Commit(events=tuple(event(number, payload=bytes(1000)) for number in range(1, 151))))
    (dropped,) = drops
    await store.close()
    store, drops = await opened()
    assert drops == [dropped]
    await store.commit(Commit(events=(event(151),)))
    await store.close()
    store, drops = await opened()
    assert drops == [dropped]
    await store.commit(Commit(events=(gap(152, cause="engine_restarted"),)))
    await store.close()
    store, drops = await opened()
    assert drops == [dropped], "another loss was told"
    await store.commit(Commit(events=(gap(153, dropped),)))
    await store.close()
    store, drops = await opened()
    assert drops == []
    await store.close()


async def test_a_drop_that_happens_while_the_gap_is_committed_stays_undeclared(tmp_path: Path) -> None:
    drops: list[OutboxDrop] = []
    store = SqliteStore(tmp_path, clock=SystemClock(), max_size=MAX, on_dropped=drops.append)
    await store.open()
    await store.load()
    await store.commit(Commit(events=tuple(event(number, payload=bytes(1000)) for number in range(1, 151))))
    more = Commit(events=tuple(event(number, payload=bytes(1000)) for number in range(151, 201)))
    telling = Commit(events=(gap(201, drops[0]),))
    await asyncio.gather(store.commit(more), store.commit(telling))  # the gap event speaks of the first drop only
    await store.close()
    first, second = drops
    again: list[OutboxDrop] = []
    store = SqliteStore(tmp_path, clock=SystemClock(), max_size=MAX, on_dropped=again.append)
    await store.open()
    await store.load()
    await store.close()
    assert [drop.count for drop in again] == [second.count]
    assert first.count > 0


async def test_one_event_larger_than_the_cap_is_dropped_not_fatal(
    capped: tuple[SqliteStore, list[OutboxDrop]],
) -> None:
    store, drops = capped
    await store.commit(Commit(events=(event(1, payload=bytes(2 * MAX)),)))
    assert await sequences(store) == []
    assert [drop.count for drop in drops] == [1]


async def test_a_commit_that_is_tried_again_with_other_content_replaces_the_rows(
    capped: tuple[SqliteStore, list[OutboxDrop]],
) -> None:
    store, _ = capped
    await store.commit(Commit(events=(event(1, payload=bytes(1000)), event(2))))
    await store.commit(Commit(events=(event(1, payload=b"newer"), event(2), event(3))))
    assert [message.payload for message in await store.pending_events(after=0, limit=10)] == [b"newer", b"2", b"3"]
    facts = await store.facts()
    assert facts.outbox_depth == 3
    assert facts.outbox_bytes < 1000


async def test_the_ledger_keeps_the_newest_and_every_open_intent(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, clock=SystemClock())
    await store.open()
    await store.commit(Commit(intents=(intent(0),)))
    for start in range(1, 12_001, 500):
        intents = tuple(intent(number) for number in range(start, start + 500))
        await store.commit(Commit(intents=intents, outcomes=tuple(outcome(made) for made in intents)))
    assert list(await store.open_intents()) == [intent(0)]
    rows = await store.history(limit=20_000)
    assert len(rows) == 10_001
    assert rows[0].intent.decision.id == "d12000"
    await store.close()


async def test_no_number_of_notifications_makes_the_ledger_forget_an_action(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, clock=SystemClock())
    await store.open()
    acted = intent(0)
    await store.commit(Commit(intents=(acted,), outcomes=(outcome(acted),)))
    for start in range(1, 12_001, 500):
        told = tuple(intent(number, verb=Verb.NOTIFY) for number in range(start, start + 500))
        await store.commit(Commit(intents=told, outcomes=tuple(outcome(made) for made in told)))
    assert [act.id for act in (await store.load()).acts] == ["d0"]
    rows = await store.history(limit=20_000)
    assert len(rows) == 10_001
    assert rows[-1].intent.decision.id == "d0"
    await store.close()


async def test_dead_letters_are_bounded_in_number_and_size(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, clock=SystemClock())
    await store.open()
    for number in range(1, 1101):
        letter = event(number, payload=bytes(20_000))
        await store.commit(Commit(events=(letter,)))
        await store.bury(letter, reason="too large")
        if number % 100 == 0:
            await store.bury(letter, reason="its end was not known")
    facts = await store.facts()
    assert (facts.dead_letters, facts.buried) == (1000, 1100)
    await store.close()
    connection = sqlite3.connect(tmp_path / "store.db")
    row = connection.execute("SELECT min(sequence), max(length(payload)), max(size) FROM dead_letters").fetchone()
    connection.close()
    assert row == (101, 16 * 1024, 20_000)


async def test_commits_that_arrive_together_are_durable_in_order(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, clock=SystemClock())
    await store.open()
    ended: list[int] = []

    async def one(number: int) -> None:
        await store.commit(Commit(events=(event(number),)))
        ended.append(number)

    await asyncio.gather(*(one(number) for number in range(1, 2001)))
    assert ended == list(range(1, 2001))
    assert await sequences(store) == ended
    await store.close()


async def test_a_caller_that_gives_up_waiting_has_committed_all_the_same(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, clock=SystemClock())
    await store.open()
    waiting = asyncio.create_task(store.commit(Commit(events=(event(1),))))
    await asyncio.sleep(0)
    waiting.cancel()
    await store.commit(Commit(events=(event(2),)))
    assert await sequences(store) == [1, 2]
    await store.close()


async def test_delivered_rows_leave_the_file_without_another_call(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, clock=SystemClock())
    await store.open()
    await store.commit(Commit(events=tuple(event(number) for number in range(1, 1001))))
    await store.events_delivered(range(1, 1001))
    await store.close()
    connection = sqlite3.connect(tmp_path / "store.db")
    assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("value", [1, 1.0, True, None, "1", -0.5, 2**60, float("inf"), "ünï\ud7ff\u2028"])
async def test_numbers_come_back_as_they_went_in(tmp_path: Path, value: Number) -> None:
    store = SqliteStore(tmp_path, clock=SystemClock())
    await store.open()
    made = intent(1)
    ended = Outcome(
        decision=made.decision,
        result=outcome(made).result,
        reason="",
        started_at=1.0,
        finished_at=2.0,
        numbers={"n": value},
    )
    await store.commit(Commit(outcomes=(ended,)))
    (row,) = await store.history(limit=1)
    assert row.outcome is not None
    assert row.outcome.numbers["n"] == value
    assert type(row.outcome.numbers["n"]) is type(value)
    await store.close()
