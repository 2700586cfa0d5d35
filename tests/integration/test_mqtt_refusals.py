"""A broker that says no: bad credentials, forbidden topics, packets that are too large, a second client with our id."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.support.broker import PersistentSubscriber, PrivateBroker
from tests.support.publishing import Station, in_order_per_topic, station
from tests.support.store_values import BASE, BASE_TOPIC, event, state
from watchtower_agent.model.message import MetricsMessage
from watchtower_agent.publishing.broker_options import MqttOptions, MqttProtocol, parse_broker_url
from watchtower_agent.publishing.connection import Verdict
from watchtower_agent.publishing.mqtt import connect

MakeBroker = Callable[..., PrivateBroker]
ALLOWED = ["user agent", f"topic write {BASE}/status", f"topic write {BASE}/event/container/die/#"]


def options(url: str, **more: object) -> MqttOptions:
    return MqttOptions(url=url, host="h1", client_id="watchtower-h1", base_topic=BASE_TOPIC, **more)  # type: ignore[arg-type] # the tests name its own fields


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_wrong_credentials_are_said_with_what_to_do(
    tmp_path: Path, make_broker: MakeBroker, protocol: MqttProtocol
) -> None:
    broker = make_broker(passwords={"agent": "right"})
    wrong = options(broker.url, username="agent", password="wrong", protocol=protocol)
    assert "wrong" not in repr(wrong)
    async with station(tmp_path / "state", wrong) as agent:
        sentence = await agent.alarm("mqtt_refused")
        assert "mqtt.password_file" in sentence
        await agent.commit(event(1))
        assert (await agent.store.facts()).outbox_depth == 1
    right = options(broker.url, username="agent", password="right", protocol=protocol)
    async with station(tmp_path / "state", right) as agent:
        await agent.settled()


async def test_a_forbidden_topic_is_parked_and_the_others_go_on(tmp_path: Path, make_broker: MakeBroker) -> None:
    everyone = {"agent": "a", "oracle": "o"}
    broker = make_broker(passwords=everyone, acl=[*ALLOWED, "user oracle", "topic read #"])
    with PersistentSubscriber(broker.port, user=("oracle", "o")) as subscriber:
        async with station(tmp_path / "state", options(broker.url, username="agent", password="a")) as agent:
            await agent.until(lambda: agent.publisher.facts().connected)
            forbidden = [event(number, topic="container/start/web") for number in (1, 2, 3)]
            await agent.commit(*forbidden, event(4), states=[state("web", b"1")])
            await agent.commit(event(5, topic="container/start/web"), event(6))
            await subscriber.until_topic("container/die/web", count=2)
            sentence = await agent.alarm("mqtt_not_authorised")
            assert "Allow" in sentence
            await agent.until(lambda: len(agent.publisher.facts().parked_topics) == 2)
            # That the broker has 4 and 6 is known to the store only when their acknowledgements are written.
            await agent.left(4)
            assert [message.sequence for message in await agent.store.pending_events(after=0, limit=10)] == [1, 2, 3, 5]
            broker.stop()
            broker.acl = ["user agent", "topic write #", "user oracle", "topic read #"]
            broker.start()
            arrived = await subscriber.until_topic("container/start/web", count=4)
            assert [message.payload for message in arrived] == [b"1", b"2", b"3", b"5"]
            await subscriber.until_topic("state/container/web")
            await agent.settled()
            assert agent.publisher.facts().parked_topics == ()


async def test_a_topic_that_is_allowed_again_catches_up_on_the_same_connection(
    tmp_path: Path, make_broker: MakeBroker
) -> None:
    everyone = {"agent": "a", "oracle": "o"}
    broker = make_broker(passwords=everyone, acl=[*ALLOWED, "user oracle", "topic read #"])
    with PersistentSubscriber(broker.port, user=("oracle", "o")) as subscriber:
        async with station(tmp_path / "state", options(broker.url, username="agent", password="a")) as agent:
            for number in range(1, 1001):
                await agent.commit(event(number, topic="container/start/web" if number % 2 else "container/die/web"))
            await subscriber.until_topic("container/die/web", count=500)
            await agent.until(lambda: bool(agent.publisher.facts().parked_topics))
            connections = len(agent.said)
            broker.allow("user agent", "topic write #", "user oracle", "topic read #")
            arrived = await subscriber.until_topic("container/start/web", count=500)
            assert [int(message.payload) for message in arrived] == list(range(1, 1001, 2))
            assert len(agent.said) == connections
            await agent.settled()


@pytest.mark.parametrize("limit", ["max_packet_size 5000", "message_size_limit 4000"])
async def test_what_is_too_large_is_buried_and_the_others_go_on(
    tmp_path: Path, make_broker: MakeBroker, limit: str
) -> None:
    broker = make_broker(options=[limit])
    with PersistentSubscriber(broker.port) as subscriber:
        async with station(tmp_path / "state", options(broker.url)) as agent:
            await agent.until(lambda: agent.publisher.facts().connected)
            await agent.commit(event(1), event(2, payload=bytes(8000)), event(3), states=[state("web", bytes(8000))])
            await subscriber.until_topic("/event/", count=2)
            await agent.settled()
            assert "event 2 " in await agent.alarm("mqtt_dead_letter")
            await agent.alarm("mqtt_state_refused")
            assert (await agent.store.facts()).dead_letters == 1
            await agent.commit(states=[state("web", b"small")])
            await subscriber.until_topic("state/container/web")
            assert len(agent.said) == 1, "the connection was never lost"


async def test_a_topic_that_mqtt_cannot_carry_is_buried(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber
) -> None:
    async with station(tmp_path / "state", options(broker.url)) as agent:
        await agent.commit(event(1, topic="container/+/web"), event(2, topic="a/#"), event(3))
        await subscriber.until_topic("container/die/web")
        await agent.settled()
        assert (await agent.store.facts()).dead_letters == 2


async def test_the_receive_maximum_is_respected(tmp_path: Path, make_broker: MakeBroker) -> None:
    broker = make_broker(max_inflight=2)
    with PersistentSubscriber(broker.port) as subscriber:
        async with station(tmp_path / "state", options(broker.url)) as agent:
            await agent.until(lambda: agent.publisher.facts().connected)
            broker.freeze()
            await agent.commit_many(1, 500, topics=50)
            assert agent.publisher.facts().in_flight == 2
            broker.thaw()
            await subscriber.until_topic("/event/", count=500)
            await agent.settled()
            assert len(agent.said) == 1


async def test_a_second_agent_with_our_id_is_said_and_events_wait(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber
) -> None:
    async with station(tmp_path / "first", options(broker.url)) as first:
        await first.until(lambda: first.publisher.facts().connected)
        async with station(tmp_path / "second", options(broker.url)) as second:
            sentence = await first.alarm("mqtt_session_taken_over")
            assert "mqtt.client_id" in sentence
            await first.commit(event(1))
            await second.commit(event(2))
            await second.settled()
            assert len(second.said) == 1, "the first one did not come back to throw the second out"
            assert (await first.store.facts()).outbox_depth == 1
            assert first.publisher.facts().last_error == sentence
            await first.commit_many(3, 20, topics=1)
    assert [message.payload for message in subscriber.on("/event/")] == [b"2"]
    async with station(tmp_path / "first", options(broker.url)) as first:
        await first.settled()
    await subscriber.until_topic("/event/", count=20)
    sights = [(message.topic, int(message.payload)) for message in subscriber.on("/event/")]
    assert sorted(number for _, number in sights) == list(range(1, 21))
    assert in_order_per_topic(sights[1:])


async def test_once_the_other_client_is_gone_the_agent_publishes_again_by_itself_and_has_told_it_once(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber
) -> None:
    same = options(broker.url)
    async with station(tmp_path / "first", same, takeover=(0.2, 60.0)) as first:
        for turn in (1, 2, 3):
            await first.until(lambda: first.publisher.facts().connected)
            async with station(tmp_path / "second", same) as second:  # waits for minutes: it does not fight
                await first.until(lambda turn=turn: first.link.pause == 0.1 * 2**turn)  # type: ignore[misc] # mypy can't infer a default's type
                await first.commit(event(turn))
                await first.settled()
                assert [name for name, _ in second.alarms] == ["mqtt_session_taken_over"], "thrown out in its turn"
                assert second.link.pause == 300.0
        assert [name for name, _ in first.alarms] == ["mqtt_session_taken_over"]
    assert [message.payload for message in subscriber.on("/event/")] == [b"1", b"2", b"3"]


async def test_nothing_listening_is_said_once(tmp_path: Path, make_broker: MakeBroker) -> None:
    broker = make_broker()
    broker.stop()
    async with station(tmp_path / "state", options(broker.url)) as agent:
        await agent.commit(event(1))
        await agent.until(lambda: bool(agent.said))
        assert "Nothing listens at" in agent.said[0]
        broker.start()
        await agent.settled()
        assert [sentence for sentence in agent.said if "Nothing listens" in sentence] == agent.said[:1]


async def test_two_agents_with_one_id_over_3_1_1(tmp_path: Path, broker: PrivateBroker) -> None:
    same = options(broker.url, protocol=MqttProtocol.V311)
    quick = (0.02, 0.05)
    async with station(tmp_path / "a", same, delays=quick) as one, station(tmp_path / "b", same, delays=quick) as two:
        await one.until(lambda: bool(one.alarms or two.alarms))
        loser, winner = (one, two) if one.alarms else (two, one)
        assert "client id" in await loser.alarm("mqtt_session_taken_over")
        await loser.commit(event(1))
        await winner.commit(event(2))
        await winner.settled()
        assert winner.publisher.facts().connected
        assert (await loser.store.facts()).outbox_depth == 1


async def test_a_packet_too_large_for_a_3_1_1_broker_does_not_stop_the_others_for_ever(
    tmp_path: Path, make_broker: MakeBroker
) -> None:
    broker = make_broker(options=["max_packet_size 6000"])  # over 3.1.1 it can only hang up
    with PersistentSubscriber(broker.port) as subscriber:
        v311 = options(broker.url, protocol=MqttProtocol.V311)
        async with station(tmp_path / "state", v311, delays=(0.02, 0.05)) as agent:
            await agent.commit(*(event(number, topic=f"container/die/w{number}") for number in range(1, 31)))
            await agent.commit(event(31, payload=bytes(9000)))
            await agent.commit_many(32, 60)
            await agent.settled()
            assert "event 31 " in await agent.alarm("mqtt_dead_letter")
            assert (await agent.store.facts()).dead_letters == 1
        await subscriber.until(
            lambda messages: (
                {message.payload for message in messages if "/event/" in message.topic}
                == {b"%d" % number for number in range(1, 61) if number != 31}
            )
        )


def batch_of(count: int) -> bytes:
    lines = [{"name": f"c{number}", "id": "x" * 300} for number in range(count)]
    return json.dumps({"host": "h1", "host_metrics": {"host.cpu": 1.5}, "containers": lines}).encode()


def arrived(subscriber: PersistentSubscriber) -> set[str]:
    """Names of the containers of which metrics came."""
    batches = [json.loads(message.payload) for message in subscriber.on("/metrics")]
    return {line["name"] for batch in batches for line in batch["containers"]}


async def measuring(agent: Station) -> None:
    """What the sampler does, a little faster."""
    while True:
        agent.publisher.metrics(MetricsMessage(topic=f"{BASE}/metrics", payload=batch_of(30)))
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("state_too", [True, False])
async def test_states_and_metrics_too_large_for_a_3_1_1_broker_are_given_up_and_all_else_arrives(
    tmp_path: Path, make_broker: MakeBroker, *, state_too: bool
) -> None:
    broker = make_broker(options=["max_packet_size 6000"])  # over 3.1.1 it can only hang up
    with PersistentSubscriber(broker.port) as subscriber:
        v311 = options(broker.url, protocol=MqttProtocol.V311)
        async with station(tmp_path / "state", v311, delays=(0.02, 0.05)) as agent:
            if state_too:
                await agent.commit(states=[state("big", bytes(9000)), state("bigger", bytes(9500))])
            sampler = asyncio.create_task(measuring(agent))
            await agent.commit(*(event(number) for number in range(1, 31)), states=[state("web", b"1")])
            await subscriber.until(lambda _: len(arrived(subscriber)) == 30, timeout=30)
            await agent.settled()
            alarms, said = len(agent.alarms), len(agent.said)
            await agent.commit_many(31, 60)
            await subscriber.until_topic("/event/", count=60)
            sampler.cancel()
            names = sorted(name for name, _ in agent.alarms)
            assert names == ["mqtt_metrics_refused", *(["mqtt_state_refused"] if state_too else [])]
            assert (len(agent.alarms), len(agent.said)) == (alarms, said), "nothing ends any more"
            sentence = await agent.alarm("mqtt_metrics_refused")
            assert f"{BASE}/metrics ({len(batch_of(30))} bytes) are sent in parts" in sentence
            if state_too:
                assert f"{BASE}/state/container/big (9000 bytes)" in await agent.alarm("mqtt_state_refused")
        assert [message.payload for message in subscriber.on("state/container/web")][-1:] == [b"1"]


async def test_metrics_that_an_mqtt_5_broker_does_not_take_at_once_come_in_parts(
    tmp_path: Path, make_broker: MakeBroker
) -> None:
    broker = make_broker(options=["max_packet_size 6000"])
    with PersistentSubscriber(broker.port) as subscriber:
        async with station(tmp_path / "state", options(broker.url)) as agent:
            await agent.until(lambda: agent.publisher.facts().connected)
            agent.publisher.metrics(MetricsMessage(topic=f"{BASE}/metrics", payload=batch_of(30)))
            await subscriber.until(lambda _: len(arrived(subscriber)) == 30)
            assert agent.alarms == []
            assert len(agent.said) == 1


async def test_a_connection_knows_whether_the_broker_hung_up_or_kept_silent(make_broker: MakeBroker) -> None:
    broker = make_broker()
    ours = options(broker.url, ack_timeout=0.2)
    for harm, silent in [(broker.freeze, True), (broker.kill, False)]:
        connection = await connect(ours, parse_broker_url(ours.url))
        harm()
        connection.publish("t", b"1", qos=1)
        async with asyncio.timeout(5):
            await connection.lost()
        assert connection.silent is silent
        connection.hang_up()
        if silent:
            broker.thaw()


async def test_what_arrived_while_the_agent_stood_still_is_no_silence(make_broker: MakeBroker) -> None:
    broker = make_broker()
    ours = options(broker.url, ack_timeout=0.2)
    connection = await connect(ours, parse_broker_url(ours.url))
    lost = asyncio.create_task(connection.lost())
    sent = connection.publish("t", b"1", qos=0)
    asked = connection.publish("t", b"2", qos=1)
    async with asyncio.timeout(5):
        await sent  # and with it, in the same turn, what was asked to be acknowledged
        time.sleep(0.5)  # noqa: ASYNC251 - the agent stands still, the broker answers
        assert (await asked).verdict is Verdict.DELIVERED
        for number in range(3):  # nor is an acknowledgement that came in time for one message a silence for the next
            assert (await connection.publish("t", b"%d" % number, qos=1)).verdict is Verdict.DELIVERED
    assert not lost.done()
    lost.cancel()
    connection.hang_up()


async def test_while_nothing_is_unacknowledged_no_timer_runs(make_broker: MakeBroker) -> None:
    """What wakes the loop for nothing is paid for all day long."""
    broker = make_broker()
    ours = options(broker.url)
    connection = await connect(ours, parse_broker_url(ours.url))
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    set_timer = loop.call_at

    def noted(*args: Any, **more: Any) -> asyncio.TimerHandle:  # noqa: ANN401 - as the loop's
        timers.append(set_timer(*args, **more))
        return timers[-1]

    with patch.object(loop, "call_at", noted):
        lost = asyncio.create_task(connection.lost())
        for qos in (0, 1, 1):
            await connection.publish("t", b"1", qos=qos)
        await asyncio.sleep(0)
    assert timers, "while one is not acknowledged, one does run"
    assert all(timer.cancelled() for timer in timers)
    lost.cancel()
    connection.hang_up()


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_a_broker_that_ends_is_said_in_words(
    tmp_path: Path, make_broker: MakeBroker, protocol: MqttProtocol
) -> None:
    broker = make_broker()
    async with station(tmp_path / "state", options(broker.url, protocol=protocol)) as agent:
        await agent.until(lambda: agent.publisher.facts().connected)
        broker.stop()
        await agent.until(lambda: len(agent.said) >= 2)
        assert "code:" not in agent.said[1]
        assert "it was stopped or restarted" in agent.said[1] or "it is shutting down" in agent.said[1]


@pytest.mark.parametrize(("stable_after", "begins_anew"), [(0.0, True), (60.0, False)], ids=["good", "short-lived"])
async def test_only_after_a_connection_that_was_good_the_delays_begin_anew(
    tmp_path: Path, make_broker: MakeBroker, stable_after: float, begins_anew: bool
) -> None:
    first = 0.02
    broker = make_broker()
    broker.stop()
    ours = options(broker.url)
    async with station(tmp_path / "state", ours, delays=(first, 60.0), stable_after=stable_after) as agent:
        await agent.until(lambda: agent.link.pause >= 4 * first)
        broker.start()
        await agent.until(lambda: agent.publisher.facts().connected)
        grown = agent.link.pause
        broker.stop()
        broker.start()  # before the loop can try again, so that the next attempt is the one that succeeds
        await agent.until(lambda: sum("Connected" in sentence for sentence in agent.said) == 2)
        assert agent.link.pause == (first if begins_anew else 2 * grown)
