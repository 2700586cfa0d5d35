"""What others publish, through a real broker: readings, what nobody knows, refusals, floods, siblings."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.support.broker import PersistentSubscriber, PrivateBroker
from tests.support.inbound import listening, speaker, topic
from tests.support.publishing import Station, station
from tests.support.store_values import event
from watchtower_agent.model.message import MetricsMessage
from watchtower_agent.model.observation import SiblingReplica
from watchtower_agent.model.source import SourcesWanted
from watchtower_agent.publishing.broker_options import MqttOptions, MqttProtocol

MakeBroker = Callable[..., PrivateBroker]
DEPTH, SIZE = topic("queue/orders"), topic("queue/mails", "size")


def options(url: str, host: str = "h1", **more: object) -> MqttOptions:
    return MqttOptions(url=url, host=host, client_id=f"watchtower-{host}", **more)  # type: ignore[arg-type] # the tests name its own fields


def wanted(*topics: object, siblings: bool = False) -> SourcesWanted:
    return SourcesWanted(topics=frozenset(topics), siblings=siblings)  # type: ignore[arg-type] # TopicSources


async def subscribed(broker: PrivateBroker, agent: Station, filters: int = 1, host: str = "h1") -> None:
    """Wait until the broker has confirmed so many subscriptions of that agent, as its log tells."""
    await agent.until(lambda: broker.log.count(f"Sending SUBACK to watchtower-{host}") >= filters)


def delivered_to(broker: PrivateBroker, host: str = "h1") -> list[str]:
    """Topics of what the broker has sent to that agent, in order."""
    return re.findall(rf"Sending PUBLISH to watchtower-{host} \(.*?, '(.*?)', ", broker.log)


def unsubscribed(broker: PrivateBroker) -> list[str]:
    """What agents did not want to hear any more, in order."""
    return re.findall(r"Received UNSUBSCRIBE from watchtower-\S+\n\d+: \t(\S+)\n", broker.log)


def earlier_session(broker: PrivateBroker, protocol: MqttProtocol, *topics: str) -> None:
    """An earlier run with the agent's client id subscribed to these at QoS 1, and went without a word."""
    v5 = protocol is MqttProtocol.V5
    version = paho.MQTTv5 if v5 else paho.MQTTv311
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id="watchtower-h1",
        protocol=version,
        clean_session=None if v5 else False,
    )
    subscribed = threading.Event()

    def ask(*_: object) -> None:
        client.subscribe([(each, 1) for each in topics])

    client.on_connect = ask
    client.on_subscribe = lambda *_: subscribed.set()
    lasting = None
    if v5:
        lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # not typed in paho
        lasting.SessionExpiryInterval = 3600
    client.connect("127.0.0.1", broker.port, properties=lasting)
    client.loop_start()
    assert subscribed.wait(10)
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_a_reading_arrives(tmp_path: Path, broker: PrivateBroker, protocol: MqttProtocol) -> None:
    async with (
        station(tmp_path / "state", options(broker.url, protocol=protocol)) as agent,
        listening(agent.publisher) as (sources, heard),
    ):
        sources.follow(wanted(DEPTH, SIZE))
        await subscribed(broker, agent, 2)
        before = time.monotonic()
        with speaker(broker.port) as say:
            say("queue/orders", " 42\n")
            say("queue/mails", '{"size": "7.5"}')
            say("queue/others", "1")
            await heard.until(lambda _: len(heard.observations) == 2)
        (depth,) = heard.of("queue/orders")
        assert (depth.value, depth.age, depth.why) == (42.0, 0.0, "")
        assert before <= depth.moment <= time.monotonic()
        assert heard.values("queue/mails") == [7.5]


async def test_what_is_no_number_is_not_known_and_says_why(tmp_path: Path, broker: PrivateBroker) -> None:
    async with (
        station(tmp_path / "state", options(broker.url)) as agent,
        listening(agent.publisher) as (sources, heard),
    ):
        sources.follow(wanted(DEPTH))
        await subscribed(broker, agent)
        with speaker(broker.port) as say:
            for number, payload in enumerate((b"NaN", b"\xff", b"", b"9" * (2**20 + 1)), start=1):
                say("queue/orders", payload)
                await heard.until(lambda _, number=number: len(heard.observations) == number)  # type: ignore[misc] # a default binds it
            say("queue/orders", b"1")
            await heard.until(lambda _: heard.values("queue/orders")[-1] == 1.0)
    assert heard.values("queue/orders") == [None] * 4 + [1.0]
    assert [each.why.partition(": ")[2] for each in heard.of("queue/orders")[:4]] == [
        "it is not a finite number",
        "it is not UTF-8",
        "it is no JSON",
        "it is larger than 1 MiB",
    ]


async def test_what_is_larger_than_anything_that_is_meant_does_not_end_the_connection(
    tmp_path: Path, broker: PrivateBroker
) -> None:
    async with (
        station(tmp_path / "state", options(broker.url)) as agent,
        listening(agent.publisher) as (sources, heard),
    ):
        sources.follow(wanted(DEPTH, SIZE))
        await subscribed(broker, agent, 2)
        with speaker(broker.port) as say:
            say("queue/orders", bytes(5 * 2**20))
            say("queue/mails", '{"size": 3}')
            await heard.until(lambda _: heard.values("queue/mails") == [3.0])
        assert heard.values("queue/orders") == [], "the broker keeps it back"
        assert len(agent.said) == 1


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_what_the_broker_had_kept_is_known_by_its_stamp_alone(
    tmp_path: Path, broker: PrivateBroker, protocol: MqttProtocol
) -> None:
    stamped = topic("queue/mails", "size")
    with speaker(broker.port) as say:
        say("queue/orders", "42", retain=True)
        say("queue/mails", json.dumps({"size": 7, "time": time.time() - 30}), retain=True)
    async with (
        station(tmp_path / "state", options(broker.url, protocol=protocol)) as agent,
        listening(agent.publisher) as (sources, heard),
    ):
        sources.follow(wanted(DEPTH, stamped))
        await heard.until(lambda _: len(heard.observations) == 2)
    (depth,), (size,) = heard.of("queue/orders"), heard.of("queue/mails")
    assert depth.value is None
    assert "no `time` in it" in depth.why
    assert size.value == 7.0
    assert 30 <= size.age < 35


@pytest.mark.parametrize("protocol", list(MqttProtocol))
@pytest.mark.parametrize("forgets", [False, True])
async def test_it_goes_on_after_a_restart_of_the_broker(
    tmp_path: Path, broker: PrivateBroker, protocol: MqttProtocol, *, forgets: bool
) -> None:
    async with (
        station(tmp_path / "state", options(broker.url, protocol=protocol)) as agent,
        listening(agent.publisher) as (sources, heard),
    ):
        sources.follow(wanted(DEPTH))
        await subscribed(broker, agent)
        broker.stop()
        if forgets:
            broker.forget()
        broker.start()
        await subscribed(broker, agent, 2)
        with speaker(broker.port) as say:
            say("queue/orders", "5")
            await heard.until(lambda _: heard.values("queue/orders") == [5.0])


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_what_was_published_while_it_was_away_is_not_taken_for_new(
    tmp_path: Path, broker: PrivateBroker, protocol: MqttProtocol
) -> None:
    """Even where an earlier session of that client asked for it at QoS 1, so that the broker has kept it."""
    mine = options(broker.url, protocol=protocol)
    earlier_session(broker, protocol, "queue/orders")
    with speaker(broker.port) as say:
        say("queue/orders", "1")
        async with station(tmp_path / "state", mine) as agent, listening(agent.publisher) as (sources, heard):
            sources.follow(wanted(DEPTH, SIZE))
            await subscribed(broker, agent, 3)
            assert "queue/orders" in delivered_to(broker)
            say("queue/mails", '{"size": 3}')
            await heard.until(lambda _: heard.values("queue/mails") == [3.0])
            say("queue/orders", "2")
            await heard.until(lambda _: bool(heard.values("queue/orders")))
    assert heard.values("queue/orders") == [2.0]


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_other_policies_hear_other_topics(tmp_path: Path, broker: PrivateBroker, protocol: MqttProtocol) -> None:
    async with (
        station(tmp_path / "state", options(broker.url, protocol=protocol)) as agent,
        listening(agent.publisher) as (sources, heard),
    ):
        sources.follow(wanted(DEPTH))
        await subscribed(broker, agent)
        sources.follow(wanted(SIZE))
        await subscribed(broker, agent, 2)
        await agent.until(lambda: "Sending UNSUBACK to watchtower-h1" in broker.log)
        with speaker(broker.port) as say:
            say("queue/orders", "1")
            say("queue/mails", '{"size": 2}')
            await heard.until(lambda _: bool(heard.observations))
            sources.follow(wanted())
            await agent.until(lambda: broker.log.count("Sending UNSUBACK to watchtower-h1") == 2)
        assert heard.values("queue/mails") == [2.0]
        assert heard.values("queue/orders") == []
        assert "queue/orders" not in delivered_to(broker)


async def test_what_an_earlier_run_listened_to_is_listened_to_no_more(tmp_path: Path, broker: PrivateBroker) -> None:
    async with station(tmp_path / "state", options(broker.url)) as agent, listening(agent.publisher) as (sources, _):
        sources.follow(wanted(DEPTH, siblings=True))
        await subscribed(broker, agent, 2)
    async with station(tmp_path / "state", options(broker.url)) as agent:
        await agent.until(lambda: agent.publisher.facts().connected)
        with speaker(broker.port) as say:
            say("queue/orders", "1")
            say("watchtower/v1/h2/metrics", "{}")
            await agent.until(lambda: "watchtower/v1/+/metrics" in unsubscribed(broker))
            await agent.until(lambda: "queue/orders" in unsubscribed(broker))
            had = len(delivered_to(broker))
            say("queue/orders", "2")
            say("watchtower/v1/h2/metrics", "{}")
        assert len(delivered_to(broker)) == had


async def test_a_flood_holds_up_no_event_and_the_newest_value_wins(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber
) -> None:
    async with (
        station(tmp_path / "state", options(broker.url)) as agent,
        listening(agent.publisher) as (sources, heard),
    ):
        sources.follow(wanted(DEPTH))
        await subscribed(broker, agent)

        def flood() -> None:
            with speaker(broker.port) as say:
                for number in range(10_000):
                    say("queue/orders", str(number), wait=number % 500 == 0)
                say("queue/orders", "10000")

        flooding = asyncio.create_task(asyncio.to_thread(flood))
        await agent.commit_many(1, 1000)
        await flooding
        await agent.settled(timeout=30)
        await heard.until(lambda _: heard.values("queue/orders")[-1:] == [10000.0])
        arrived = await subscriber.until(
            lambda messages: sum("/event/" in message.topic for message in messages) >= 1000
        )
    assert sorted({int(message.payload) for message in arrived if "/event/" in message.topic}) == [*range(1, 1001)]
    values = [value for value in heard.values("queue/orders") if value is not None]
    assert values == sorted(values)
    assert len(values) < 1000, "most of them were out of date before anybody looked"
    assert len(agent.said) == 1, "one connection"


def refusing(directory: Path, *, subscribe: bool) -> list[str]:
    """Lines of configuration for a broker that lets nobody, or anybody, subscribe, and says so."""
    (plugin,) = Path("/usr/lib").glob("**/mosquitto_dynamic_security.so")
    access = {"publishClientSend": True, "publishClientReceive": True, "unsubscribe": True, "subscribe": subscribe}
    rules = directory / "rules.json"
    rules.write_text(json.dumps({"defaultACLAccess": access, "clients": [], "groups": [], "roles": []}))
    rules.chmod(0o600)
    return [f"plugin {plugin}", f"plugin_opt_config_file {rules}"]


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_a_refused_subscription_is_told_once_and_asked_for_again(
    tmp_path: Path, make_broker: MakeBroker, protocol: MqttProtocol
) -> None:
    broker = make_broker(options=refusing(tmp_path, subscribe=False))
    async with (
        station(tmp_path / "state", options(broker.url, protocol=protocol)) as agent,
        listening(agent.publisher) as (sources, heard),
    ):
        sources.follow(wanted(DEPTH))
        sentence = await agent.alarm("mqtt_subscription_refused")
        assert "queue/orders" in sentence
        assert "Allow the agent's user" in sentence
        (reading,) = heard.of("queue/orders")
        assert reading.value is None
        assert reading.why.startswith("it can't be heard: the broker refuses it: ")
        broker.restart()
        await subscribed(broker, agent, 2)
        await agent.commit(event(1))
        await agent.settled()
        broker.stop()
        before = broker.log.count("Sending SUBACK to watchtower-h1")  # more than two, where one was asked for again
        broker.options = refusing(tmp_path, subscribe=True)
        broker.start()
        await subscribed(broker, agent, before + 1)
        with speaker(broker.port) as say:
            say("queue/orders", "4")
            await heard.until(lambda _: len(heard.observations) == 2)
        assert heard.values("queue/orders") == [None, 4.0]
        assert [name for name, _ in agent.alarms] == ["mqtt_subscription_refused"]


async def test_what_an_access_list_keeps_back_stays_unknown(tmp_path: Path, make_broker: MakeBroker) -> None:
    """Mosquitto confirms a subscription that its acl_file does not allow, and sends nothing."""
    acl = [*("user agent", "topic write #", "topic read queue/mails"), *("user other", "topic write #")]
    broker = make_broker(passwords={"agent": "a", "other": "o"}, acl=acl)
    async with (
        station(tmp_path / "state", options(broker.url, username="agent", password="a")) as agent,
        listening(agent.publisher) as (sources, heard),
    ):
        sources.follow(wanted(DEPTH, SIZE))
        await subscribed(broker, agent, 2)
        with speaker(broker.port, user=("other", "o")) as say:
            say("queue/orders", "1")
            say("queue/mails", '{"size": 2}')
            await heard.until(lambda _: bool(heard.observations))
    assert heard.values("queue/orders") == []
    assert heard.values("queue/mails") == [2.0]


def batch(host: str, rows: int, value: float) -> MetricsMessage:
    """As the agent of that host publishes it."""
    lines = [
        {"name": f"shop_web.{number}", "id": f"{host}-{number}", "service": "shop_web", "means": {"avg(x, 20s)": value}}
        for number in range(rows)
    ]
    content = {"schema": 1, "host": host, "node": f"node-{host}", "interval": 5.0, "sequence": 1, "containers": lines}
    return MetricsMessage(topic=f"watchtower/v1/{host}/metrics", payload=json.dumps(content).encode())


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_siblings_hear_each_other_and_not_themselves(
    tmp_path: Path, broker: PrivateBroker, protocol: MqttProtocol
) -> None:
    first, second = (options(broker.url, host, protocol=protocol) for host in ("h1", "h2"))
    async with (
        station(tmp_path / "one", first) as one,
        station(tmp_path / "two", second) as two,
        listening(one.publisher, host="h1") as (sources_of_one, heard_by_one),
        listening(two.publisher, host="h2") as (sources_of_two, heard_by_two),
    ):
        for sources in (sources_of_one, sources_of_two):
            sources.follow(wanted(siblings=True))
        await subscribed(broker, one, host="h1")
        await subscribed(broker, two, host="h2")
        await one.until(lambda: one.publisher.facts().connected and two.publisher.facts().connected)
        one.publisher.metrics(batch("h1", 1, 10.5))
        two.publisher.metrics(batch("h2", 2, 20.5))
        await heard_by_one.until(lambda heard: bool(heard.batches))
        await heard_by_two.until(lambda heard: bool(heard.batches))
        if protocol is MqttProtocol.V5:
            assert delivered_to(broker, "h1") == ["watchtower/v1/h2/metrics"]
    (of_two,), (of_one,) = heard_by_one.batches, heard_by_two.batches
    assert (of_one.host, of_one.node, of_one.interval) == ("h1", "node-h1", 5.0)
    assert of_one.replicas == (SiblingReplica(container_id="h1-0", service="shop_web", means={"avg(x, 20s)": 10.5}),)
    assert [replica.container_id for replica in of_two.replicas] == ["h2-0", "h2-1"]


async def test_a_siblings_batch_that_comes_in_parts_is_whole_again(tmp_path: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(options=["max_packet_size 5000"])
    async with (
        station(tmp_path / "one", options(broker.url)) as one,
        station(tmp_path / "two", options(broker.url, "h2")) as two,
        listening(one.publisher) as (sources, heard),
    ):
        sources.follow(wanted(siblings=True))
        await subscribed(broker, one)
        await two.until(lambda: two.publisher.facts().connected)
        two.publisher.metrics(batch("h2", 200, 1.0))
        await heard.until(lambda _: bool(heard.batches))
        assert len(delivered_to(broker)) > 3
    (whole,) = heard.batches
    assert [replica.container_id for replica in whole.replicas] == [f"h2-{number}" for number in range(200)]
