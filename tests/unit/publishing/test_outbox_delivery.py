"""Which message goes next and what its answer means, with a broker that says what real ones seldom say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence, Sized

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.connection import FakeConnection, Sent
from tests.support.core import FakeClock
from tests.support.numbers import examples
from tests.support.patience import patient
from tests.support.publishing import in_order_per_topic
from tests.support.store import FakeStore
from tests.support.store_values import BASE, event, state
from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.distribution import Distribution
from watchtower_agent.model.message import EventMessage, MetricsMessage, StateMessage
from watchtower_agent.publishing import delivery
from watchtower_agent.publishing.connection import Verdict
from watchtower_agent.publishing.delivery import Delivery
from watchtower_agent.publishing.encoding import to_json
from watchtower_agent.publishing.metrics_parts import parts
from watchtower_agent.publishing.outbox import NoBroker
from watchtower_agent.publishing.refusals import Refusals
from watchtower_agent.publishing.suspect import Evidence, Kind, Learned, Parcel, Suspect


class Bench:
    """A delivery on a store in memory and a connection that obeys."""

    def __init__(
        self, store: FakeStore, connection: FakeConnection, suspect: Suspect, learned: Learned | None = None
    ) -> None:
        self.alarms: list[str] = []
        self.store = store
        self.connection = connection
        self.news = store.news = connection.news
        self.acknowledged = Distribution.by(1.0, 60.0)
        self.clock = FakeClock()
        self.delivery = Delivery(
            store,
            connection,
            refusals=Refusals(lambda name, _: self.alarms.append(name), retry=(0.01, 0.05), park=0.02),
            suspect=suspect,
            learned=learned or Learned(),
            acknowledged=self.acknowledged,
            clock=self.clock,
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
        async with asyncio.timeout(patient(30)):
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
    connection: FakeConnection,
    *,
    store: FakeStore | None = None,
    suspect: Suspect | None = None,
    learned: Learned | None = None,
) -> AsyncIterator[Bench]:
    bench = Bench(store or FakeStore(), connection, suspect or Suspect(), learned)
    task = asyncio.create_task(bench.delivery.run(bench.draining))
    await settle()
    try:
        yield bench
        bench.draining.set()
        bench.delivery.abandon()
        async with asyncio.timeout(patient(30)):
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


async def test_that_it_goes_on_is_told_on_the_clock_that_it_was_handed() -> None:
    async with running(FakeConnection()) as bench:
        begun = bench.delivery.moved_at
        bench.clock.advance(7.0)
        await settle()
        assert bench.delivery.moved_at == begun
        bench.delivery.stir()
        await settle()
        assert bench.delivery.moved_at == begun + 7.0


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


class WrittenMeanwhile(FakeStore):
    """While its first page is asked for, another event is written, told, and read with that page."""

    tell: Callable[[EventMessage], None] | None = None

    async def pending_events(self, *, after: int, limit: int) -> Sequence[EventMessage]:
        if self.tell is not None:
            tell, self.tell = self.tell, None
            await self.commit(Commit(events=(event(3),)))
            tell(event(3))
        return await super().pending_events(after=after, limit=limit)


async def test_what_is_told_while_a_page_with_it_is_read_goes_out_once() -> None:
    store = WrittenMeanwhile()
    await store.commit(Commit(events=(event(1), event(2))))
    bench = Bench(store, FakeConnection(), Suspect())
    store.tell = lambda message: bench.delivery.committed((message,), ())
    bench.draining.set()
    async with asyncio.timeout(patient(30)):
        await bench.delivery.run(bench.draining)
    assert bench.sent == [1, 2, 3]


class AllowedMeanwhile(FakeStore):
    """While one of its pages is read, the broker takes again what it had refused."""

    meanwhile: Callable[[], Coroutine[object, object, None]] | None = None

    async def pending_events(self, *, after: int, limit: int) -> Sequence[EventMessage]:
        page = await super().pending_events(after=after, limit=limit)
        if after and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return page


async def test_what_waits_behind_a_refused_event_is_not_overtaken_by_a_page_that_was_read_meanwhile() -> None:
    """On the disk: the refused event, one that waits behind it on the first page, one of its topic on the second."""
    store = AllowedMeanwhile()
    others = tuple(event(number, topic=f"container/start/{number}") for number in range(3, 301))
    await store.commit(Commit(events=(event(1), event(2), *others, event(301))))
    refused = True

    def verdict(sent: Sent) -> Verdict | None:
        if sent.payload == b"1":
            return Verdict.LATER if refused else None  # the second time it is answered below
        return Verdict.DELIVERED

    connection = FakeConnection(verdict=verdict)

    async def allowed() -> None:
        nonlocal refused
        refused = False
        while not connection.open:
            await connection.news.wait()
            connection.news.clear()
        connection.answer(connection.open[0])
        await settle()

    store.meanwhile = allowed
    async with running(connection, store=store) as bench:
        await bench.until(lambda: bench.delivery.delivered == 301)
        assert [number for number in bench.sent if number in {2, 301}] == [2, 301]


async def test_what_is_acknowledged_while_a_page_with_it_is_read_is_not_sent_again() -> None:
    """On the disk: a refused event, one that waits behind it, and one on another topic, which the broker has."""
    store = AllowedMeanwhile()
    await store.commit(Commit(events=(event(1), event(2), event(3, topic="container/start/db"))))
    refused = True

    def verdict(sent: Sent) -> Verdict | None:
        if sent.payload == b"3":
            return None
        return Verdict.LATER if refused and sent.payload == b"1" else Verdict.DELIVERED

    connection = FakeConnection(verdict=verdict)

    async def acknowledged() -> None:
        (last,) = connection.open
        connection.answer(last)
        await settle()

    async with running(connection, store=store) as bench:
        await bench.until(lambda: 3 in bench.sent)
        store.meanwhile, refused = acknowledged, False
        await bench.until(lambda: bench.delivery.delivered >= 3)
        await settle()
        assert [number for number in bench.sent if number != 1] == [3, 2]


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


async def test_a_store_that_can_not_forget_for_a_while_forgets_later(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(FakeStore):
        refusals = 0

        async def events_delivered(self, sequences: Sequence[int]) -> None:
            self.refuse()
            await super().events_delivered(sequences)

        async def states_delivered(self, states: Sequence[StateMessage]) -> None:
            self.refuse()
            await super().states_delivered(states)

        def refuse(self) -> None:
            self.refusals += 1
            if self.refusals <= 4:
                raise TemporaryError("the disk is full")

    monkeypatch.setattr(delivery, "_STORE_RETRY", 0.01)
    for events, states in (([event(1), event(2)], []), ([], [state("web", b"1")])):
        store = Forgetful()
        async with running(FakeConnection(), store=store) as bench:
            await bench.commit(*events, states=states)
            async with asyncio.timeout(patient(30)):
                while (await store.facts()).outbox_depth or await store.pending_states():
                    await bench.next_news()
        assert store.refusals > 4


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
        assert suspect == Suspect(parcel=Parcel(kind=Kind.EVENT, key="1", size=5000), losses=losses, ends=losses)
    async with running(FakeConnection(), store=store, suspect=suspect) as bench:
        await bench.until(lambda: bench.delivery.delivered == 1)
        assert [message.sequence for message, _ in store.dead] == [1]
        assert bench.alarms == ["mqtt_dead_letter"]
    assert bench.delivery.suspect == Suspect()


async def hung_up_on(
    connection: FakeConnection, largest: int, store: FakeStore, suspect: Suspect, learned: Learned, batch: bytes
) -> tuple[Bench, bool]:
    """A connection's life with a broker of MQTT 3.1.1 that takes so many bytes; whether it hung up."""
    hung_up = False

    def verdict(sent: Sent) -> Verdict:
        nonlocal hung_up
        if len(sent.payload) > largest:
            hung_up = True
            return Verdict.LOST if sent.qos else Verdict.DELIVERED  # that it left says nothing
        return Verdict.LOST if hung_up else Verdict.DELIVERED

    connection.verdict = verdict
    async with running(connection, store=store, suspect=suspect, learned=learned) as bench:
        bench.delivery.metrics(MetricsMessage(topic="m", payload=batch))
        await settle()
    return bench, hung_up


def batch_of(count: int) -> bytes:
    lines = [{"name": f"c{number}", "id": "x" * 300} for number in range(count)]
    return json.dumps({"host": "h1", "host_metrics": {"host.cpu": 1.5}, "containers": lines}).encode()


async def test_states_and_metrics_on_which_a_broker_hangs_up_are_found_and_everything_else_arrives() -> None:
    store, suspect, learned = FakeStore(), Suspect(), Learned()
    large = [state(f"big{number}", bytes(9000 + number)) for number in range(10)]
    await store.commit(
        Commit(states=(*large, state("small", b"1")), events=tuple(event(number) for number in range(1, 30)))
    )
    alarms: list[str] = []
    broken, hung_up = 0, True
    connection = FakeConnection(reports_refusals=False)
    while hung_up and broken < 40:
        connection = FakeConnection(reports_refusals=False)
        bench, hung_up = await hung_up_on(connection, 6000, store, suspect, learned, batch_of(30))
        suspect = bench.delivery.suspect
        alarms += bench.alarms
        broken += hung_up
    assert broken <= 2 * Suspect.GUILTY_AFTER, "what is as large as what was found out is not tried"
    assert sorted(alarms) == ["mqtt_metrics_refused", "mqtt_state_refused"], "each is said once"
    assert await store.pending_states() == []
    assert not store._events
    assert not store.dead
    metrics = [json.loads(sent.payload) for sent in connection.sent if sent.topic == "m"]
    assert [line["name"] for part in metrics for line in part["containers"]] == [f"c{number}" for number in range(30)]
    assert [(part["part"], part["parts"]) for part in metrics] == [
        (number, len(metrics)) for number in range(1, len(metrics) + 1)
    ]
    assert all(part["host_metrics"] == {"host.cpu": 1.5} for part in metrics)
    assert suspect == Suspect()


async def test_a_broker_that_only_keeps_silent_convicts_nobody() -> None:
    doubted = Suspect(parcel=Parcel(kind=Kind.EVENT, key="1", size=5000), losses=4, ends=4)
    connection = FakeConnection(verdict=silent)
    async with running(connection, suspect=doubted) as bench:
        await bench.commit(event(1, payload=b"1" * 5000))
        connection.silent = True
        connection.answer(connection.open[0], Verdict.LOST)
        await settle()
        assert bench.delivery.suspect == doubted


async def test_a_state_that_is_given_up_is_pending_no_more_though_nothing_else_happens() -> None:
    learned = Learned()
    learned.learn(Parcel(kind=Kind.STATE, key="another", size=8000))
    async with running(FakeConnection(), learned=learned) as bench:
        await bench.commit(states=[state("big", bytes(7900))])  # about as large
        assert await bench.store.pending_states() == []
        assert bench.connection.sent == []
        await bench.commit(states=[state("big", b"small now")])
        assert [sent.payload for sent in bench.connection.sent] == [b"small now"]


async def test_a_connection_that_lasts_is_trusted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_CAREFUL_FOR", 0.05)
    connection = FakeConnection(verdict=silent, reports_refusals=False, window=5)
    doubted = Suspect(parcel=Parcel(kind=Kind.EVENT, key="99", size=5000), losses=2, ends=2)
    async with running(connection, suspect=doubted) as bench:
        await bench.commit(*(event(number) for number in range(1, 11)))
        assert bench.sent == [1]
        await bench.until(lambda: len(bench.sent) == 5)
        bench.delivery.metrics(MetricsMessage(topic="m", payload=bytes(5000)))
        assert connection.sent[-1].qos == 0


async def test_metrics_alone_on_which_a_broker_hangs_up_are_found() -> None:
    store, suspect, learned = FakeStore(), Suspect(), Learned()
    qualities = []
    for losses in range(1, Suspect.GUILTY_AFTER + 1):
        connection = FakeConnection(reports_refusals=False)
        bench, hung_up = await hung_up_on(connection, 6000, store, suspect, learned, batch_of(30))
        assert hung_up
        suspect = bench.delivery.suspect
        assert suspect.losses == losses
        qualities += [sent.qos for sent in connection.sent]
    assert qualities == [0, 0, 1, 1, 1], "in doubt the broker is asked to acknowledge them"
    bench, hung_up = await hung_up_on(
        FakeConnection(reports_refusals=False), 6000, store, suspect, learned, batch_of(29)
    )
    assert not hung_up, "no batch is of the same size to the byte"
    assert bench.alarms == ["mqtt_metrics_refused"]


async def test_what_is_known_to_be_larger_than_a_packet_may_be_is_sent_in_parts() -> None:
    connection = FakeConnection(largest_packet=5000)
    async with running(connection) as bench:
        bench.delivery.metrics(MetricsMessage(topic="m", payload=batch_of(40)))
        bench.delivery.metrics(MetricsMessage(topic="c", payload=b'{"name":"%s"}' % (b"x" * 6000)))
        await settle()
        assert len(connection.sent) > 1
        assert all(len(sent.payload) <= 5000 - 64 and sent.qos == 0 for sent in connection.sent)
        assert {sent.topic for sent in connection.sent} == {"m"}
        assert bench.alarms == ["mqtt_metrics_refused"], "one container's own metrics have no parts"


async def test_a_container_whose_line_alone_is_too_large_costs_itself_only() -> None:
    lines = [{"name": "a"}, {"name": "b" * 6000}, {"name": "c"}]
    sent, left_out = parts(MetricsMessage(topic="m", payload=json.dumps({"containers": lines}).encode()), 5000)
    assert [line["name"] for one in sent for line in json.loads(one.payload)["containers"]] == ["a", "c"]
    assert left_out == 1


@given(
    sizes=st.lists(st.integers(0, 900), max_size=60),
    room=st.integers(1, 3000),
    text=st.sampled_from(["x", "ü", "\u2028"]),
)
def test_parts_have_room_and_together_are_the_batch(sizes: list[int], room: int, text: str) -> None:
    head = {"host": "h1", "sequence": 7, "host_metrics": {"host.cpu": 0.1}}
    lines = [{"name": f"c{number}", "pad": text * size} for number, size in enumerate(sizes)]
    message = MetricsMessage(topic="m", payload=to_json({**head, "containers": lines}), expiry=33)
    sent, left_out = parts(message, room)
    contents = [json.loads(one.payload) for one in sent]
    told = [line for content in contents for line in content["containers"]]
    assert all(len(one.payload) <= room and one.expiry == 33 for one in sent)
    assert all({name: content[name] for name in head} == head for content in contents)
    assert told == [line for line in lines if line in told], "in order, none twice"
    assert len(told) + left_out == len(lines)


async def test_a_batch_that_was_followed_by_an_acknowledgement_is_not_suspected() -> None:
    connection = FakeConnection(reports_refusals=False)
    async with running(connection) as bench:
        bench.delivery.metrics(MetricsMessage(topic="m", payload=bytes(5000)))
        assert bench.delivery.suspect.parcel is not None
        await bench.commit(event(1))
        assert bench.delivery.suspect == Suspect()


def test_of_what_was_on_its_way_the_first_large_one_is_suspected() -> None:
    evidence = Evidence(Suspect(), lambda: 0.0)
    parcels = [Parcel(kind=Kind.EVENT, key=str(size), size=size) for size in (100, 9000, 9001)]
    for parcel in parcels:
        evidence.lost(evidence.sent(), parcel)
    assert evidence.suspect() == Suspect(parcel=parcels[1], losses=1, ends=1)


def test_a_batch_is_suspected_for_a_moment_only() -> None:
    now = [0.0]
    evidence = Evidence(Suspect(), lambda: now[0])
    evidence.unproven(evidence.sent(), Parcel(kind=Kind.METRICS, key="m", size=9000))
    assert evidence.suspect().losses == 1
    now[0] = 3.0
    assert evidence.suspect() == Suspect()


def test_a_small_message_is_never_convicted() -> None:
    small = Parcel(kind=Kind.EVENT, key="1", size=4096)
    assert Suspect(parcel=small, losses=99, ends=99).convicted is None
    large = Parcel(kind=Kind.EVENT, key="1", size=4097)
    assert Suspect(parcel=large, losses=Suspect.GUILTY_AFTER, ends=5).convicted == large
    assert Suspect(parcel=large, losses=Suspect.GUILTY_AFTER - 1, ends=99).convicted is None


def test_a_small_event_is_convicted_where_the_broker_blamed_it_each_time() -> None:
    small = Parcel(kind=Kind.EVENT, key="1", size=100)

    def after(ends: str, parcel: Parcel = small) -> Suspect:
        """After connections that ended with a word (w) or without one (-)."""
        suspect = Suspect()
        for end in ends:
            evidence = Evidence(suspect, lambda: 0.0)
            evidence.lost(evidence.sent(), parcel)
            suspect = evidence.suspect(blamed=end == "w")
        return suspect

    assert after("wwwww").convicted == small
    assert after("wwww").convicted is None
    assert after("wwww-w").convicted is None, "once it ended without a word: it may be the network"
    assert after("-wwwww").convicted == small
    assert after("wwwww", Parcel(kind=Kind.STATE, key="t", size=100)).convicted is None
    learned = Learned()
    learned.learn(small)
    assert not learned.refuses(10**6), "it is not its size"


async def test_events_wait_on_the_disk_not_in_memory_behind_a_slow_broker() -> None:
    class Watched(FakeStore):
        def __init__(self) -> None:
            super().__init__()
            self.read: list[int] = []

        async def pending_events(self, *, after: int, limit: int) -> Sequence[EventMessage]:
            page = await super().pending_events(after=after, limit=limit)
            self.read += [message.sequence for message in page]
            return page

    store, connection = Watched(), FakeConnection(verdict=silent)
    async with running(connection, store=store) as bench:
        for start in range(1, 6001, 100):
            await bench.commit(*(event(number) for number in range(start, start + 100)))
        connection.verdict = lambda _: Verdict.DELIVERED
        connection.answer(connection.open[0])
        await bench.until(lambda: bench.delivery.delivered == 6000)
    assert set(range(2200, 6001)) <= set(store.read), "about 2,000 may be held"


async def test_without_a_broker_nothing_is_sent_and_nothing_is_wrong() -> None:
    nobody = NoBroker()
    nobody.committed((event(1),), (state("web", b"1"),))
    nobody.metrics(MetricsMessage(topic="m", payload=b""))
    await nobody.drain(1)
    assert not nobody.facts().connected


VERDICTS = [Verdict.DELIVERED] * 6 + [Verdict.LATER, Verdict.NOT_AUTHORISED, Verdict.NEVER]


@given(seed=st.integers(0, 2**32), topics=st.integers(1, 5), window=st.integers(1, 6), count=st.integers(1, 60))
@settings(max_examples=examples(60), deadline=None)
def test_every_event_is_delivered_in_order_or_buried_whatever_the_broker_answers(
    seed: int, topics: int, window: int, count: int
) -> None:
    asyncio.run(_whatever_the_broker_answers(random.Random(seed), topics, window, count))


async def _whatever_the_broker_answers(chance: random.Random, topics: int, window: int, count: int) -> None:
    connection = FakeConnection(verdict=silent, window=window)
    delivered: list[tuple[str, int]] = []
    async with running(connection) as bench:
        number = 0
        async with asyncio.timeout(patient(30)):
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
