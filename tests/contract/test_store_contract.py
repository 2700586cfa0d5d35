"""What the loop and the sender rely on, of the real store and of the one in memory that the loop's tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.store import FakeStore
from tests.support.store_values import decision, event, intent, outcome, state
from watchtower_agent.clock import SystemClock
from watchtower_agent.model.commit import Commit, Record
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.engine_event import Cursor
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.message import EventMessage, StateMessage
from watchtower_agent.model.outcome import Act, Result
from watchtower_agent.ports.store import Outbox, Store
from watchtower_agent.storage import SqliteStore


class StoreAndOutbox(Store, Outbox, Protocol):
    """Both ports: one thing implements them."""


Reopen = Callable[[StoreAndOutbox], Awaitable[StoreAndOutbox]]


@pytest.fixture(params=["sqlite", "memory"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[StoreAndOutbox, Reopen]]:
    if request.param == "memory":

        async def same(store: StoreAndOutbox) -> StoreAndOutbox:
            return store

        yield FakeStore(), same
        return
    stores: list[SqliteStore] = []

    async def make() -> SqliteStore:
        store = SqliteStore(tmp_path / "state", clock=SystemClock())
        await store.open()
        stores.append(store)
        return store

    async def again(_: StoreAndOutbox) -> StoreAndOutbox:
        await stores[-1].close()
        return await make()

    yield await make(), again
    await stores[-1].close()


@pytest.fixture
def store(opened: tuple[StoreAndOutbox, Reopen]) -> StoreAndOutbox:
    return opened[0]


@pytest.fixture
def reopen(opened: tuple[StoreAndOutbox, Reopen]) -> Reopen:
    return opened[1]


async def sequences(store: Outbox, after: int = 0, limit: int = 1000) -> list[int]:
    return [message.sequence for message in await store.pending_events(after=after, limit=limit)]


def contents(states: Sequence[StateMessage]) -> dict[str, bytes]:
    return {message.topic.rpartition("/")[2]: message.payload for message in states}


async def test_a_new_store_remembers_nothing_and_has_an_install_id(store: StoreAndOutbox) -> None:
    resume = await store.load()
    assert resume.cursor is None
    assert resume.last_sequence == 0
    assert resume.install_id
    assert (resume.recent_event_ids, dict(resume.records), resume.retained_topics) == ((), {}, ())
    assert not resume.store_was_reset


async def test_everything_committed_is_there_after_a_restart(store: StoreAndOutbox, reopen: Reopen) -> None:
    before = await store.load()
    messages = (event(1), event(2, payload=bytes(range(256))))
    await store.commit(
        Commit(
            cursor=Cursor(time_ns=1_700_000_000_123_456_789, event_id="abc"),
            event_ids=("x", "abc"),
            events=messages,
            states=(state("web", b"{}"),),
            intents=(intent(1),),
            records=(Record(kind="cooldown", key="web", value={"until": 12.5, "naïve": [1, None, True]}),),
        )
    )
    store = await reopen(store)
    resume = await store.load()
    assert resume.cursor == Cursor(time_ns=1_700_000_000_123_456_789, event_id="abc")
    assert resume.recent_event_ids == ("x", "abc")
    assert resume.records == {"cooldown": {"web": {"until": 12.5, "naïve": [1, None, True]}}}
    assert resume.last_sequence == 2
    assert resume.install_id == before.install_id
    assert [topic.rpartition("/")[2] for topic in resume.retained_topics] == ["web"]
    assert tuple(await store.pending_events(after=0, limit=10)) == messages
    assert list(await store.open_intents()) == [intent(1)]


async def test_an_empty_commit_is_nothing(store: StoreAndOutbox) -> None:
    await store.commit(Commit())
    assert (await store.load()).last_sequence == 0


async def test_a_record_is_replaced_and_forgotten(store: StoreAndOutbox) -> None:
    await store.commit(Commit(records=(Record(kind="a", key="k", value={"n": 1}),)))
    await store.commit(Commit(records=(Record(kind="a", key="k", value={"n": 2}), Record(kind="b", key="k", value={}))))
    assert (await store.load()).records == {"a": {"k": {"n": 2}}, "b": {"k": {}}}
    await store.commit(Commit(records=(Record(kind="a", key="k", value=None),)))
    assert (await store.load()).records == {"b": {"k": {}}}


async def test_only_the_newest_event_ids_are_kept(store: StoreAndOutbox) -> None:
    for start in range(0, 3000, 100):
        await store.commit(Commit(event_ids=tuple(f"e{number}" for number in range(start, start + 100))))
    assert (await store.load()).recent_event_ids == tuple(f"e{number}" for number in range(3000 - 2048, 3000))


async def test_delivered_events_are_not_pending(store: StoreAndOutbox) -> None:
    await store.commit(Commit(events=tuple(event(number) for number in (1, 2, 3, 7))))
    await store.events_delivered([2, 99])
    assert await sequences(store) == [1, 3, 7]
    assert await sequences(store, after=1) == [3, 7]
    assert await sequences(store, limit=1) == [1]
    assert (await store.facts()).outbox_depth == 3


async def test_the_last_sequence_outlives_an_empty_outbox(store: StoreAndOutbox, reopen: Reopen) -> None:
    await store.commit(Commit(events=(event(41), event(42))))
    await store.events_delivered([41, 42])
    store = await reopen(store)
    assert (await store.load()).last_sequence == 42
    facts = await store.facts()
    assert (facts.outbox_depth, facts.outbox_bytes, facts.outbox_oldest) == (0, 0, None)


async def test_committing_the_same_again_is_committing_it_once(store: StoreAndOutbox) -> None:
    commit = Commit(events=(event(1), event(2)), intents=(intent(1),), outcomes=(outcome(intent(2)),))
    await store.commit(commit)
    before = await store.facts()
    await store.commit(commit)
    assert await sequences(store) == [1, 2]
    assert (await store.facts()).outbox_bytes == before.outbox_bytes
    assert len(await store.history(limit=10)) == 2


async def test_a_state_is_pending_until_its_newest_content_is_acknowledged(store: StoreAndOutbox) -> None:
    await store.commit(Commit(states=(state("web", b"1"), state("db", b"1"))))
    first = await store.pending_states()
    assert contents(first) == {"web": b"1", "db": b"1"}
    await store.commit(Commit(states=(state("web", b"2"),)))
    await store.states_delivered(first)
    assert contents(await store.pending_states()) == {"web": b"2"}
    assert contents(await store.all_states()) == {"web": b"2", "db": b"1"}
    await store.states_delivered(await store.pending_states())
    assert contents(await store.pending_states()) == {}


async def test_unchanged_content_is_not_pending_again(store: StoreAndOutbox) -> None:
    await store.commit(Commit(states=(state("web", b"1"),)))
    await store.states_delivered(await store.pending_states())
    await store.commit(Commit(states=(state("web", b"1"),)))
    assert contents(await store.pending_states()) == {}


async def test_a_cleared_topic_leaves_the_manifest_once_acknowledged(store: StoreAndOutbox, reopen: Reopen) -> None:
    await store.commit(Commit(states=(state("web", b"1"), state("db", b"1"))))
    await store.states_delivered(await store.pending_states())
    await store.commit(Commit(states=(state("web", b""),)))
    store = await reopen(store)
    pending = await store.pending_states()
    assert contents(pending) == {"web": b""}
    assert len((await store.load()).retained_topics) == 2
    await store.states_delivered(pending)
    assert [topic.rpartition("/")[2] for topic in (await store.load()).retained_topics] == ["db"]


async def test_a_late_acknowledgement_does_not_count_for_a_topic_that_came_back(store: StoreAndOutbox) -> None:
    await store.commit(Commit(states=(state("web", b"1"),)))
    await store.commit(Commit(states=(state("web", b""),)))
    cleared = await store.pending_states()
    await store.states_delivered(cleared)
    await store.commit(Commit(states=(state("web", b"back"),)))
    await store.states_delivered(cleared)
    assert contents(await store.pending_states()) == {"web": b"back"}


async def test_the_ledger_tells_of_what_is_known_to_have_helped(store: StoreAndOutbox, reopen: Reopen) -> None:
    ended = {number: outcome(intent(number)) for number in (1, 2, 3)}
    ended[2] = replace(ended[2], verified_at=1020.0)
    ended[3] = replace(ended[3], verified_at=1020.0, result=Result.INEFFECTIVE)
    await store.commit(Commit(intents=tuple(map(intent, ended)), outcomes=tuple(ended.values())))
    store = await reopen(store)
    assert [act.helped for act in (await store.load()).acts] == [None, True, False]


@pytest.mark.parametrize(
    ("asked", "found"), [("web", 1), ("0123456789abc", 1), ("0123456789ab", 1), ("0123456789a", 0)]
)
async def test_a_target_is_found_by_its_name_and_by_as_much_of_its_id_as_docker_shows(
    store: StoreAndOutbox, asked: str, found: int
) -> None:
    begun = intent(1)
    target = replace(begun.decision.target, id="0123456789abcdef")
    await store.commit(
        Commit(intents=(replace(begun, decision=replace(begun.decision, target=target)), intent(2, name="db")))
    )
    assert len(await store.history(limit=10, target=asked)) == found


async def test_an_intent_is_open_until_its_outcome(store: StoreAndOutbox, reopen: Reopen) -> None:
    await store.commit(Commit(intents=(intent(1), intent(2))))
    await store.commit(Commit(outcomes=(outcome(intent(1), Result.FAILED),)))
    store = await reopen(store)
    assert list(await store.open_intents()) == [intent(2)]
    newest, oldest = await store.history(limit=10)
    assert (newest.intent, newest.outcome) == (intent(2), None)
    assert (oldest.intent, oldest.outcome) == (intent(1), outcome(intent(1), Result.FAILED))


async def test_the_ledger_tells_what_was_done_and_when_by_both_clocks(store: StoreAndOutbox, reopen: Reopen) -> None:
    begun, ended = (Instant(wall=1000.5 + n, monotonic=20.25 + n, boot="b") for n in (0, 9))
    first, second, third, tells = intent(1), intent(2, name="db"), intent(3), intent(4, verb=Verb.NOTIFY)
    intents = tuple(replace(each, moment=begun) for each in (first, second, third, tells))
    await store.commit(Commit(intents=intents))
    abandoned = outcome(third, Result.ABANDONED)
    outcomes = (replace(outcome(second, Result.FAILED), moment=ended), replace(abandoned, moment=ended))
    await store.commit(Commit(outcomes=(*outcomes, outcome(tells))))
    store = await reopen(store)

    assert (await store.load()).acts == (
        Act(id="d1", policy="heal", target="web", target_id=first.decision.target.id, verb=Verb.RESTART, at=begun),
        Act(
            id="d2",
            policy="heal",
            target="db",
            target_id=second.decision.target.id,
            verb=Verb.RESTART,
            at=ended,
            helped=False,
        ),
    )
    (row,) = await store.history(limit=10, target="db")
    assert (row.intent.moment, row.outcome and row.outcome.moment) == (begun, ended)
    assert list(await store.open_intents()) == [intents[0]]


async def test_what_has_the_wall_clock_alone_is_told_by_it(store: StoreAndOutbox) -> None:
    await store.commit(Commit(intents=(intent(1),)))
    (act,) = (await store.load()).acts
    assert (act.at.wall, act.at.boot) == (1001.5, "")


async def test_an_outcome_without_intent_is_in_the_history(store: StoreAndOutbox) -> None:
    ended = outcome(intent(1), Result.ABANDONED)
    await store.commit(Commit(outcomes=(ended,)))
    (row,) = await store.history(limit=10)
    assert row.outcome == ended
    assert row.intent.decision == decision(1)
    assert list(await store.open_intents()) == []


async def test_a_later_outcome_replaces_the_one_before_and_the_action_counts_from_the_same_moment(
    store: StoreAndOutbox, reopen: Reopen
) -> None:
    ended = replace(outcome(intent(1)), moment=Instant(wall=1009.5, monotonic=29.25, boot="b"))
    await store.commit(Commit(intents=(intent(1), intent(2)), outcomes=(ended,)))
    first, second = (await store.load()).acts
    judged = replace(ended, result=Result.INEFFECTIVE, reason="unhealthy", verified_at=1044.5)
    await store.commit(Commit(outcomes=(judged,)))
    store = await reopen(store)

    (row,) = await store.history(limit=10, result=Result.INEFFECTIVE)
    assert (row.intent, row.outcome) == (intent(1), judged)
    assert not await store.history(limit=10, result=Result.SUCCEEDED)
    assert (await store.load()).acts == (replace(first, helped=False), second)


async def test_the_history_is_filtered_and_limited(store: StoreAndOutbox) -> None:
    intents = (intent(1), intent(2, policy="other"), intent(3, name="db"), intent(4, verb=Verb.STOP))
    await store.commit(Commit(intents=intents))
    await store.commit(Commit(outcomes=(outcome(intents[0]), outcome(intents[1], Result.FAILED))))

    async def ids(**filters: object) -> list[str]:
        rows = await store.history(limit=10, **filters)  # type: ignore[arg-type] # each test names its own filter
        return [row.intent.decision.id for row in rows]

    assert await ids() == ["d4", "d3", "d2", "d1"]
    assert await ids(policy="other") == ["d2"]
    assert await ids(target="db") == ["d3"]
    assert await ids(target="db-id") == ["d3"]
    assert await ids(verb=Verb.STOP) == ["d4"]
    assert await ids(result=Result.FAILED) == ["d2"]
    assert await ids(policy="other", result=Result.SUCCEEDED) == []
    assert len(await store.history(limit=2)) == 2


async def test_a_buried_event_is_gone_from_the_outbox_and_counted(store: StoreAndOutbox) -> None:
    messages: tuple[EventMessage, ...] = (event(1), event(2))
    await store.commit(Commit(events=messages))
    await store.bury(messages[0], reason="too large")
    assert await sequences(store) == [2]
    facts = await store.facts()
    assert (facts.outbox_depth, facts.dead_letters, facts.buried) == (1, 1, 1)
