"""All sources behind one door: what policies want is heard and asked for, and nothing else."""

from __future__ import annotations

from tests.support.http_server import body, http_server
from tests.support.inbound import listening, topic
from watchtower_agent.model.source import SourcesWanted, UrlSource
from watchtower_agent.ports.delivery import Listener
from watchtower_agent.publishing.outbox import NoBroker

DEPTH = topic("queue/orders")
OWN = topic("watchtower/v1/h1/metrics", "host_metrics", "host.load1")
BATCH = b'{"schema": 1, "host": "%s", "interval": 5, "containers": [], "host_metrics": {"host.load1": 2}}'


class Broker:
    """Implements `Subscriber`; the test speaks for it."""

    def __init__(self) -> None:
        self.follows: list[frozenset[str]] = []
        self.listener: Listener | None = None

    def follow(self, filters: frozenset[str], listener: Listener) -> None:
        self.follows.append(filters)
        self.listener = listener

    def say(self, where: str, payload: bytes) -> None:
        assert self.listener is not None
        self.listener.received(where, payload, retained=False)


async def test_both_ways_lead_to_one_sink() -> None:
    broker = Broker()
    with http_server(body("7")) as server:
        async with listening(broker) as (sources, heard):
            address = UrlSource(name="http", url=server.url(), every=3600.0)
            sources.follow(SourcesWanted(topics=frozenset({DEPTH}), urls=frozenset({address}), siblings=True))
            broker.say("queue/orders", b"42")
            broker.say("watchtower/v1/h2/metrics", BATCH % b"h2")
            await heard.until(lambda _: len(heard.observations) == 3)
    assert broker.follows == [frozenset({"queue/orders", "watchtower/v1/+/metrics"})]
    assert (heard.values("queue/orders"), heard.values("http")) == ([42.0], [7.0])
    assert [batch.host for batch in heard.batches] == ["h2"]


async def test_what_is_wanted_already_is_left_as_it_is() -> None:
    broker = Broker()
    async with listening(broker) as (sources, _):
        for _ in range(2):
            sources.follow(SourcesWanted(topics=frozenset({DEPTH})))
            sources.follow(SourcesWanted(topics=frozenset({topic("queue/orders")})))

    assert broker.follows == [frozenset({"queue/orders"})]


async def test_two_numbers_of_one_message() -> None:
    broker = Broker()
    async with listening(broker) as (sources, heard):
        both = frozenset({topic("t", "a"), topic("t", "b")})
        named = frozenset({type(each)(name=str(each.value[0]), topic="t", value=each.value) for each in both})
        sources.follow(SourcesWanted(topics=named))
        broker.say("t", b'{"a": 1, "b": 2}')
        await heard.until(lambda _: len(heard.observations) == 2)

    assert (heard.values("a"), heard.values("b")) == ([1.0], [2.0])


async def test_an_agents_own_batch_is_no_siblings_but_may_be_a_metric() -> None:
    broker = Broker()
    async with listening(broker) as (sources, heard):
        sources.follow(SourcesWanted(topics=frozenset({OWN}), siblings=True))
        broker.say(OWN.topic, BATCH % b"h1")
        await heard.until(lambda _: bool(heard.observations))

    assert heard.values(OWN.name) == [2.0]
    assert heard.batches == []


async def test_siblings_that_nobody_wants_any_more_are_not_heard() -> None:
    broker = Broker()
    async with listening(broker) as (sources, heard):
        sources.follow(SourcesWanted(siblings=True))
        broker.say("watchtower/v1/h2/metrics", BATCH % b"h2")
        sources.follow(SourcesWanted(topics=frozenset({DEPTH})))
        broker.say("queue/orders", b"1")
        await heard.until(lambda _: bool(heard.observations))

    assert heard.values("queue/orders") == [1.0]
    assert heard.batches == []


async def test_a_batch_that_was_kept_is_of_another_time() -> None:
    broker = Broker()
    async with listening(broker) as (sources, heard):
        sources.follow(SourcesWanted(topics=frozenset({DEPTH}), siblings=True))
        assert broker.listener is not None
        broker.listener.received("watchtower/v1/h2/metrics", BATCH % b"h2", retained=True)
        broker.say("queue/orders", b"1")
        await heard.until(lambda _: bool(heard.observations))

    assert heard.batches == []


async def test_without_a_broker_nothing_is_known_and_that_is_said() -> None:
    async with listening(NoBroker()) as (sources, heard):
        sources.follow(SourcesWanted(topics=frozenset({DEPTH}), siblings=True))

    assert [(each.value, each.why) for each in heard.of("queue/orders")] == [
        (None, "it can't be heard: the settings name no broker (mqtt.url)")
    ]
    assert len(heard.observations) == 1


async def test_a_retained_message_of_unknown_age_makes_nothing_unknown_that_is_known() -> None:
    broker = Broker()
    async with listening(broker) as (sources, heard):
        sources.follow(SourcesWanted(topics=frozenset({DEPTH, topic("other")})))
        assert broker.listener is not None
        for count, (payload, retained) in enumerate([(b"1", True), (b"2", False), (b"2", True)]):
            broker.listener.received("queue/orders", payload, retained=retained)
            broker.say("other", b"0")
            await heard.until(lambda _, count=count: len(heard.of("other")) > count)  # type: ignore[misc] # a default binds it
        broker.say("queue/orders", b"many")
        await heard.until(lambda _: len(heard.of("queue/orders")) == 3)

    assert heard.values("queue/orders") == [None, 2.0, None]
    assert "no `time` in it" in heard.of("queue/orders")[0].why
    assert "no JSON" in heard.of("queue/orders")[-1].why


async def test_who_looks_for_another_number_in_a_topic_subscribes_to_it_anew() -> None:
    """Else it would not hear what the broker has kept of it."""
    broker = Broker()
    async with listening(broker) as (sources, _):
        sources.follow(SourcesWanted(topics=frozenset({DEPTH, topic("t", "a")})))
        sources.follow(SourcesWanted(topics=frozenset({DEPTH, topic("t", "b")})))

    whole = frozenset({"queue/orders", "t"})
    assert broker.follows == [whole, frozenset({"queue/orders"}), whole]
