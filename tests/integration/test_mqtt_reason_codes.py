"""Reason codes of MQTT 5 on real connections: each event arrives, waits, or is set aside and told, in order.

mosquitto itself says 0x87 and 0x95 (see `test_mqtt_refusals.py`). The others are said in its place by a relay, which
does not pass on what it refuses; all else is between the agent and a real broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import PersistentSubscriber, PrivateBroker
from tests.support.packet_relay import Kind, PacketRelay, publish_on
from tests.support.patience import patient
from tests.support.publishing import Station, in_order_per_topic, station
from tests.support.store_values import BASE, BASE_TOPIC, event, state
from watchtower_agent.model.message import EventMessage, MetricsMessage
from watchtower_agent.publishing.broker_options import MqttOptions

MALFORMED, PROTOCOL_ERROR, UNSPECIFIED, BUSY, SHUTTING_DOWN = 0x81, 0x82, 0x80, 0x89, 0x8B
NOT_AUTHORISED, TOPIC_INVALID, TOO_LARGE, QUOTA, PAYLOAD_INVALID = 0x87, 0x90, 0x95, 0x97, 0x99
QUICK = (0.02, 0.05)
"""Seconds between attempts to connect."""


@pytest.fixture
def relay(broker: PrivateBroker) -> Iterator[PacketRelay]:
    with PacketRelay(broker.port) as made:
        yield made


def options(relay: PacketRelay) -> MqttOptions:
    url = f"mqtt://127.0.0.1:{relay.port}"
    return MqttOptions(url=url, host="h1", client_id="watchtower-h1", base_topic=BASE_TOPIC)


def sights(subscriber: PersistentSubscriber) -> list[tuple[str, int]]:
    return [(message.topic, int(message.payload)) for message in subscriber.on("/event/")]


def numbers(subscriber: PersistentSubscriber) -> set[int]:
    return {number for _, number in sights(subscriber)}


def two_topics(first: int, last: int) -> list[EventMessage]:
    """Odd numbers on the topic of `web`, even ones on that of `db`."""
    return [event(n, topic=f"container/die/{'web' if n % 2 else 'db'}") for n in range(first, last + 1)]


async def waiting(agent: Station) -> list[int]:
    """Sequences of the events that the outbox holds."""
    return [message.sequence for message in await agent.store.pending_events(after=0, limit=100)]


@pytest.mark.parametrize(
    ("code", "alarm"),
    [
        (QUOTA, "mqtt_quota"),
        (UNSPECIFIED, "mqtt_quota"),
        (BUSY, "mqtt_quota"),
        (NOT_AUTHORISED, "mqtt_not_authorised"),
    ],
)
async def test_what_can_not_be_taken_now_waits_with_its_topic_and_the_others_go_on(
    tmp_path: Path, relay: PacketRelay, subscriber: PersistentSubscriber, code: int, alarm: str
) -> None:
    async with station(tmp_path / "state", options(relay)) as agent:
        await agent.until(lambda: agent.publisher.facts().connected)
        relay.refuse(publish_on("/die/web"), code)
        relay.refuse(publish_on("/state/container/web"), code)
        await agent.commit(*two_topics(1, 60), states=[state("web", b"1"), state("db", b"1")])
        await subscriber.until(lambda _: numbers(subscriber) == set(range(2, 61, 2)))
        await agent.until(lambda: len(agent.publisher.facts().parked_topics) == 2)
        assert f"0x{code:02X}" in await agent.alarm(alarm)
        await agent.commit(*two_topics(61, 80))
        await subscriber.until_topic("/state/container/db")
        await subscriber.until(lambda _: 80 in numbers(subscriber))
        async with asyncio.timeout(patient(30)):
            while await waiting(agent) != [*range(1, 81, 2)]:  # noqa: ASYNC110 - the store has nothing to wait on
                await asyncio.sleep(0.02)
        tried = sum(publish_on("/die/web")(packet) for packet in tuple(relay.packets))
        relay.allow()
        await subscriber.until(lambda _: numbers(subscriber) == set(range(1, 81)))
        await subscriber.until_topic("/state/container/web")
        await agent.settled()
        assert tried < 40, "one event of the topic is tried, those behind it wait"
        assert (await agent.store.facts()).dead_letters == 0
        assert (len(agent.said), [name for name, _ in agent.alarms]) == (1, [alarm])
    assert in_order_per_topic(sights(subscriber))


@pytest.mark.parametrize("code", [MALFORMED, PROTOCOL_ERROR, TOPIC_INVALID, TOO_LARGE, PAYLOAD_INVALID])
async def test_what_is_never_taken_is_set_aside_and_the_others_go_on(
    tmp_path: Path, relay: PacketRelay, subscriber: PersistentSubscriber, code: int
) -> None:
    async with station(tmp_path / "state", options(relay)) as agent:
        await agent.until(lambda: agent.publisher.facts().connected)
        for number in (b"3", b"8"):
            relay.refuse(lambda packet, number=number: publish_on("/die/")(packet) and packet.payload == number, code)  # type: ignore[misc] # a default binds the loop's value
        await agent.commit(*two_topics(1, 30))
        await subscriber.until(lambda _: numbers(subscriber) == set(range(1, 31)) - {3, 8})
        await agent.settled()
        sentence = await agent.alarm("mqtt_dead_letter")
        assert f"event 3 on {BASE}/event/container/die/web" in sentence
        assert f"0x{code:02X}" in sentence
        assert (await agent.store.facts()).dead_letters == 2
        assert len(agent.said) == 1, "the connection was never lost"
    assert in_order_per_topic(sights(subscriber))


@pytest.mark.parametrize("code", [MALFORMED, PROTOCOL_ERROR, TOO_LARGE])
async def test_an_event_for_which_the_broker_ends_the_connection_is_set_aside_however_small(
    tmp_path: Path, relay: PacketRelay, subscriber: PersistentSubscriber, code: int
) -> None:
    relay.disconnect(lambda packet: publish_on("/die/")(packet) and packet.payload == b"8", code)
    async with station(tmp_path / "state", options(relay), delays=QUICK) as agent:
        await agent.commit(*two_topics(1, 30), states=[state("web", b"1")])
        await subscriber.until(lambda _: numbers(subscriber) == set(range(1, 31)) - {8})
        await agent.settled()
        assert "event 8 " in await agent.alarm("mqtt_dead_letter")
        assert (await agent.store.facts()).dead_letters == 1
        await agent.commit(states=[state("large", bytes(9000))])
        await subscriber.until_topic("state/container/large")
    assert in_order_per_topic(sights(subscriber))


@pytest.mark.parametrize("code", [None, QUOTA, BUSY, UNSPECIFIED])
async def test_a_connection_that_ends_again_and_again_for_no_fault_of_a_message_costs_none(
    tmp_path: Path, relay: PacketRelay, subscriber: PersistentSubscriber, code: int | None
) -> None:
    relay.disconnect(lambda packet: publish_on("/die/")(packet) and packet.payload == b"8", code, times=12)
    async with station(tmp_path / "state", options(relay), delays=QUICK) as agent:
        await agent.commit(*two_topics(1, 30))
        await subscriber.until(lambda _: numbers(subscriber) == set(range(1, 31)))
        await agent.settled()
        assert (await agent.store.facts()).dead_letters == 0
    assert sum(packet.kind is Kind.CONNACK for packet in relay.packets) == 13
    assert in_order_per_topic(sights(subscriber))


@pytest.mark.parametrize("code", [SHUTTING_DOWN, QUOTA, BUSY])
async def test_a_large_event_is_not_blamed_where_the_broker_says_that_it_ends_for_another_reason(
    tmp_path: Path, relay: PacketRelay, subscriber: PersistentSubscriber, code: int
) -> None:
    large = b"8".rjust(5000)
    relay.disconnect(lambda packet: publish_on("/die/")(packet) and packet.payload == large, code, times=7)
    async with station(tmp_path / "state", options(relay), delays=QUICK) as agent:
        await agent.commit(event(7), event(8, payload=large), event(9))
        await subscriber.until(lambda _: numbers(subscriber) == {7, 8, 9})
        await agent.settled()
        assert (await agent.store.facts()).dead_letters == 0
    assert in_order_per_topic(sights(subscriber))


async def test_metrics_and_states_that_are_refused_hold_up_no_event(
    tmp_path: Path, relay: PacketRelay, subscriber: PersistentSubscriber
) -> None:
    async with station(tmp_path / "state", options(relay)) as agent:
        await agent.until(lambda: agent.publisher.facts().connected)
        relay.refuse(publish_on("/state/"), QUOTA)
        for number in range(1, 31):
            agent.publisher.metrics(MetricsMessage(topic=f"{BASE}/metrics", payload=b"%d" % number))
            await agent.commit(event(number), states=[state(f"c{number}", b"1")])
        await subscriber.until(lambda _: numbers(subscriber) == set(range(1, 31)))
        assert len(subscriber.on("/metrics")) == 30
        relay.allow()
        await agent.settled()
        await subscriber.until_topic("/state/container/", count=30)
    assert in_order_per_topic(sights(subscriber))
