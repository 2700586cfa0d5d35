"""Which message goes next and what its answer means, with a broker that says what real ones seldom say."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence, Sized

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.connection import FakeConnection, Sent
from tests.support.publishing import in_order_per_topic
from tests.support.store import FakeStore
from tests.support.store_values import BASE, event, state
from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.message import EventMessage, MetricsMessage, StateMessage
from watchtower_agent.publishing.connection import Verdict
from watchtower_agent.publishing.delivery import Delivery
from watchtower_agent.publishing.outbox import NoBroker
from watchtower_agent.publishing.refusals import Refusals
from watchtower_agent.publishing.suspect import Suspect


class Bench:
    """A delivery on a store in memory and a connection that obeys."""

    def __init__(self, store: FakeStore, connection: FakeConnection, suspect: Suspect) -> None:
        self.alarms: list[str] = []
        self.store = store
        self.connection = connection
        self.news = store.news = connection.news
        self.delivery = Delivery(
            store,
            connection,
            refusals=Refusals(lambda name, _: self.alarms.append(name), retry=(0.01, 0.05), park=0.02),
            suspect=suspect,
        )
        self.draining = asyncio.Event()

    async def commit(self, *events: EventMessage, states: Sequence[StateMessage] = ()) -> None:
        await self.store.commit(Commit(events=events, states=tuple(states)))
        self.delivery.committed(events, states)
        await settle()

    @property
    def sent(self) -> list[int]:
        """Sequences of the events handed to the network, in order."""
        return [int(sent.payload) for sent in self.connection.sent if "/event/" in sent.topic]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await self.next_news()

    async def next_news(self) -> None:
        """Until the delivery sends something, or the store or the test answers."""
        await self.news.wait()
        self.news.clear()


async def settle() -> None:
    """Let everything that is ready happen."""
    for _ in range(20):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(
    connection: FakeConnection, *, store: FakeStore | None = None, suspect: Suspect | None = None
) -> AsyncIterator[Bench]:
    bench = Bench(store or FakeStore(), connection, suspect or Suspect())
    task = asyncio.create_task(bench.delivery.run(bench.draining))
    await settle()
    try:
        yield bench
        bench.draining.set()
        bench.delivery.abandon()
        async with asyncio.timeout(5):
            await task
    finally:
        task.cancel()


def silent(_: Sent) -> None:
    return None


async def test_a_committed_event_goes_out_before_the_caller_returns() -> None:
    connection = FakeConnection()
    async with running(connection) as bench:
        message = event(1)
        await bench.store.commit(Commit(events=(message,)))
        bench.delivery.committed((message,), ())
        assert bench.sent == [1]


async def test_an_event_over_quota_is_not_overtaken_within_its_topic() -> None:
    refusals = iter([Verdict.LATER, Verdict.LATER, Verdict.LATER])

    def verdict(sent: Sent) -> Verdict:
        return next(refusals, Verdict.DELIVERED) if sent.payload == b"1" else Verdict.DELIVERED

    async with running(FakeConnection(verdict=verdict)) as bench:
        await bench.commit(event(1), event(2), event(3, topic="container/die/db"))
        await bench.commit(event(4))
        await bench.until(lambda: bench.delivery.delivered == 4)
        assert bench.sent == [1, 3, 1, 1, 1, 2, 4]
        assert bench.alarms == ["mqtt_quota"]


async def test_a_topic_that_stays_refused_is_listed_and_holds_nothing_up() -> None:
    def verdict(sent: Sent) -> Verdict:
        return Verdict.NOT_AUTHORISED if "start" in sent.topic or sent.retain else Verdict.DELIVERED

    async with running(FakeConnection(verdict=verdict)) as bench:
        await bench.commit(event(1, topic="container/start/web"), states=[state("web", b"1")])
        await bench.commit(*(event(number) for number in range(2, 50)))
        assert set(bench.delivery.parked_topics) == {f"{BASE}/event/container/start/web", f"{BASE}/state/container/web"}
        await bench.until(lambda: list(bench.store._events) == [1])


async def test_what_is_refused_does_not_hold_up_the_end() -> None:
    connection = FakeConnection(verdict=lambda _: Verdict.LATER)
    bench = Bench(FakeStore(), connection, Suspect())
    task = asyncio.create_task(bench.delivery.run(bench.draining))
    await settle()
    await bench.commit(event(1), event(2), states=[state("web", b"1")])
    bench.draining.set()
    async with asyncio.timeout(1):
        await task
    assert (await bench.store.facts()).outbox_depth == 2


@pytest.mark.parametrize(("reports_refusals", "together"), [(True, 1), (False, 5)])
async def test_events_of_one_topic_go_together_only_where_nothing_is_refused(
    reports_refusals: bool,
    together: int,
) -> None:
    connection = FakeConnection(verdict=silent, reports_refusals=reports_refusals, window=5)
    async with running(connection) as bench:
        await bench.commit(*(event(number) for number in range(1, 11)))
        assert bench.sent == list(range(1, together + 1))


async def test_the_window_is_never_exceeded() -> None:
    connection = FakeConnection(verdict=silent, window=3)
    async with running(connection) as bench:
        await bench.commit(
            *(event(number, topic=f"t/x/{number}") for number in range(1, 101)),
            states=[state(str(number), b"1") for number in range(50)],
        )
        while connection.open:
            connection.answer(connection.open[-1])
            await settle()
        assert connection.most_open == 3
        assert bench.delivery.delivered == 100


async def test_more_events_than_memory_holds_all_go_out_in_order_and_once() -> None:
    connection = FakeConnection(verdict=silent)
    async with running(connection) as bench:
        for start in range(1, 6001, 100):
            await bench.commit(*(event(number) for number in range(start, start + 100)))
        connection.verdict = lambda _: Verdict.DELIVERED
        connection.answer(connection.open[0])
        await bench.until(lambda: bench.delivery.delivered == 6000)
        assert bench.sent == list(range(1, 6001))


async def test_what_an_earlier_connection_did_not_deliver_comes_first() -> None:
    store = FakeStore()
    await store.commit(Commit(events=tuple(event(number) for number in range(1, 1001))))
    async with running(FakeConnection(), store=store) as bench:
        await bench.commit(event(1001))
        await bench.until(lambda: bench.delivery.delivered == 1001)
        assert bench.sent == list(range(1, 1002))


async def test_only_the_newest_state_waits_behind_one_on_its_way() -> None:
    connection = FakeConnection(verdict=silent)
    async with running(connection) as bench:
        for number in range(5):
            await bench.commit(states=[state("web", b"%d" % number)])
        connection.answer(connection.open[0])
        await settle()
        assert [sent.payload for sent in connection.sent] == [b"0", b"4"]
        connection.answer(connection.open[0])
        await settle()
        assert await bench.store.pending_states() == []


def left_behind(bench: Bench) -> dict[str, int]:
    """What the delivery still holds in its collections, by their names."""
    parts = {**vars(bench.delivery), **vars(bench.delivery._states)}
    return {name: len(part) for name, part in parts.items() if isinstance(part, Sized) and len(part)}


async def test_names_that_come_and_go_leave_nothing_behind() -> None:
    connection = FakeConnection()
    async with running(connection) as bench:
        for number in range(3000):
            await bench.store.commit(Commit(states=(state(f"job-{number}", b"1"),)))
            bench.delivery.committed((), (state(f"job-{number}", b"1"),))
            if number % 100 == 0:
                await settle()
            await bench.store.commit(Commit(states=(state(f"job-{number}", b""),)))
            bench.delivery.committed((), (state(f"job-{number}", b""),))
            if number % 50 == 0:
                await settle()
        await settle()
        last = {sent.topic: sent.payload for sent in connection.sent}
        assert set(last.values()) == {b""}
        assert await bench.store.all_states() == []
        assert left_behind(bench) == {}


async def test_events_that_were_delivered_leave_nothing_behind() -> None:
    async with running(FakeConnection()) as bench:
        for number in range(1, 3001):
            await bench.store.commit(Commit(events=(event(number, topic=f"container/die/job-{number}"),)))
            bench.delivery.committed((event(number, topic=f"container/die/job-{number}"),), ())
        await bench.until(lambda: not bench.store._events)
        assert bench.delivery.delivered == 3000
        assert left_behind(bench) == {}


async def test_a_name_that_comes_back_is_published_again() -> None:
    connection = FakeConnection()
    async with running(connection) as bench:
        for payload in (b"1", b"", b"1"):
            await bench.commit(states=[state("web", payload)])
        assert [sent.payload for sent in connection.sent] == [b"1", b"", b"1"]


async def test_of_metrics_only_the_newest_waits_for_a_slow_network() -> None:
    connection = FakeConnection(verdict=silent)
    async with running(connection) as bench:
        for number in range(5):
            bench.delivery.metrics(MetricsMessage(topic="m", payload=b"%d" % number))
        connection.answer(connection.sent[0])
        await settle()
        assert [sent.payload for sent in connection.sent] == [b"0", b"4"]


async def test_draining_ends_when_all_is_acknowledged() -> None:
    connection = FakeConnection(verdict=silent)
    bench = Bench(FakeStore(), connection, Suspect())
    task = asyncio.create_task(bench.delivery.run(bench.draining))
    await settle()
    await bench.commit(event(1), event(2))
    bench.draining.set()
    await settle()
    assert not task.done()
    while connection.open:
        connection.answer(connection.open[0])
        await settle()
    async with asyncio.timeout(1):
        await task
    assert (await bench.store.facts()).outbox_depth == 0


async def test_a_store_that_fails_for_a_while_delays_and_loses_nothing() -> None:
    class Failing(FakeStore):
        trouble = True

        async def pending_events(self, *, after: int, limit: int) -> Sequence[EventMessage]:
            self.fails()
            return await super().pending_events(after=after, limit=limit)

        async def events_delivered(self, sequences: Sequence[int]) -> None:
            self.fails()
            await super().events_delivered(sequences)

        def fails(self) -> None:
            if self.trouble:
                raise TemporaryError("the disk is full")

    store = Failing()
    await store.commit(Commit(events=(event(1), event(2))))
    async with running(FakeConnection(), store=store) as bench:
        await bench.commit(event(3))
        assert bench.sent == []
        store.trouble = False
        await bench.until(lambda: bench.delivery.delivered == 3)
        await bench.until(lambda: not store._events)
        assert bench.sent == [1, 2, 3]


async def test_the_event_on_which_a_broker_hangs_up_is_found() -> None:
    store = FakeStore()
    await store.commit(Commit(events=(event(1, payload=b"1" * 5000), event(2))))
    suspect = Suspect()
    for losses in range(1, Suspect.GUILTY_AFTER + 1):
        connection = FakeConnection(verdict=silent)
        async with running(connection, store=store, suspect=suspect) as bench:
            assert not store.dead
            connection.answer(connection.open[0], Verdict.LOST)
            await settle()
        suspect = bench.delivery.suspect
        assert suspect == Suspect(sequence=1, losses=losses)
    async with running(FakeConnection(), store=store, suspect=suspect) as bench:
        await bench.until(lambda: bench.delivery.delivered == 1)
        assert [message.sequence for message, _ in store.dead] == [1]
        assert bench.alarms == ["mqtt_dead_letter"]
    assert bench.delivery.suspect == Suspect()


async def test_a_small_event_is_never_blamed() -> None:
    convicted = Suspect(sequence=1, losses=99)
    assert not convicted.convicts(event(1))
    assert convicted.convicts(event(1, payload=bytes(5000)))
    assert not convicted.convicts(event(2, payload=bytes(5000)))


async def test_without_a_broker_nothing_is_sent_and_nothing_is_wrong() -> None:
    nobody = NoBroker()
    nobody.committed((event(1),), (state("web", b"1"),))
    nobody.metrics(MetricsMessage(topic="m", payload=b""))
    await nobody.drain(1)
    assert not nobody.facts().connected


VERDICTS = [Verdict.DELIVERED] * 6 + [Verdict.LATER, Verdict.NOT_AUTHORISED, Verdict.NEVER]


@given(seed=st.integers(0, 2**32), topics=st.integers(1, 5), window=st.integers(1, 6), count=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_every_event_is_delivered_in_order_or_buried_whatever_the_broker_answers(
    seed: int, topics: int, window: int, count: int
) -> None:
    asyncio.run(_whatever_the_broker_answers(random.Random(seed), topics, window, count))


async def _whatever_the_broker_answers(chance: random.Random, topics: int, window: int, count: int) -> None:
    connection = FakeConnection(verdict=silent, window=window)
    delivered: list[tuple[str, int]] = []
    async with running(connection) as bench:
        number = 0
        async with asyncio.timeout(10):
            while number < count or (await bench.store.facts()).outbox_depth or await bench.store.pending_states():
                if number < count and chance.random() < 0.4:
                    group = range(number + 1, min(count, number + chance.randint(1, 8)) + 1)
                    messages = [event(step, topic=f"container/die/{step % topics}") for step in group]
                    number = group[-1]
                    await bench.commit(*messages, states=[state("web", b"%d" % number)])
                if connection.open and chance.random() < 0.8:
                    sent = chance.choice(connection.open)
                    verdict = chance.choice(VERDICTS) if len(connection.sent) < 10 * count else Verdict.DELIVERED
                    if sent.retain and verdict is Verdict.NEVER:
                        verdict = Verdict.DELIVERED
                    connection.answer(sent, verdict)
                    if verdict is Verdict.DELIVERED and not sent.retain:
                        delivered.append((sent.topic, int(sent.payload)))
                if number == count and not connection.open:
                    await bench.next_news()  # what is refused for now comes again, and the store hears of the rest
                await asyncio.sleep(0)
    buried = [message.sequence for message, _ in bench.store.dead]
    assert sorted([*buried, *(sequence for _, sequence in delivered)]) == list(range(1, count + 1))
    assert in_order_per_topic(delivered)
    assert connection.most_open <= window
