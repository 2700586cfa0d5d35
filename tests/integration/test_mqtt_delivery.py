"""Events, states, metrics and the agent's status on a real broker, seen by an independent subscriber."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.broker import PersistentSubscriber, PrivateBroker, Received, throwaway_ca
from tests.support.packet_relay import Kind
from tests.support.puback_oracle import PubackOracle
from tests.support.publishing import in_order_per_topic, station
from tests.support.store_values import BASE, BASE_TOPIC, event, state
from tests.support.tcp_proxy import TcpProxy
from watchtower_agent.errors import SettingsError
from watchtower_agent.model.message import MetricsMessage
from watchtower_agent.publishing.broker_options import MqttOptions, MqttProtocol, parse_broker_url

MakeBroker = Callable[..., PrivateBroker]


def options(url: str, **more: object) -> MqttOptions:
    return MqttOptions(url=url, host="h1", client_id="watchtower-h1", base_topic=BASE_TOPIC, **more)  # type: ignore[arg-type] # the tests name its own fields


def numbers(messages: list[Received]) -> list[int]:
    return [int(message.payload) for message in messages if "/event/" in message.topic]


def sights(messages: list[Received]) -> list[tuple[str, int]]:
    return [(message.topic, int(message.payload)) for message in messages if "/event/" in message.topic]


def statuses(subscriber: PersistentSubscriber) -> list[bytes]:
    return [message.payload for message in subscriber.on(f"{BASE}/status")]


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_what_is_committed_arrives(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber, protocol: MqttProtocol
) -> None:
    async with station(tmp_path / "state", options(broker.url, protocol=protocol)) as agent:
        await agent.until(lambda: agent.publisher.facts().connected)
        await agent.commit(event(1), event(2, topic="container/start/web"), states=[state("web", b'{"a":1}')])
        agent.publisher.metrics(MetricsMessage(topic=f"{BASE}/metrics", payload=b"{}", expiry=30))
        await subscriber.until(lambda messages: len(messages) >= 5)
        await agent.settled()
    await subscriber.until(lambda _: statuses(subscriber) == [b"online", b"offline"])
    by_topic = {message.topic.removeprefix(f"{BASE}/"): message for message in subscriber.messages}
    died = by_topic["event/container/die/web"]
    assert (died.payload, died.qos, died.retain) == (b"1", 1, False)
    assert by_topic["state/container/web"].payload == b'{"a":1}'
    metrics = by_topic["metrics"]
    assert (metrics.qos, metrics.payload) == (0, b"{}")
    if protocol is MqttProtocol.V5:
        assert died.properties == (("id", "e1"), ("severity", "info"))
        assert died.content_type == "application/cloudevents+json; charset=utf-8"
        assert metrics.expiry == 30
    else:
        assert (died.properties, died.content_type, metrics.expiry) == ((), "", None)
    with PersistentSubscriber(broker.port) as late:
        kept = await late.until(lambda messages: len(messages) >= 2)
    assert {message.topic: message.payload for message in kept} == {
        f"{BASE}/status": b"offline",
        f"{BASE}/state/container/web": b'{"a":1}',
    }


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_ten_thousand_events_of_an_outage_arrive_in_order(
    tmp_path: Path, make_broker: MakeBroker, protocol: MqttProtocol
) -> None:
    broker = make_broker()
    with PersistentSubscriber(broker.port) as subscriber:
        async with station(tmp_path / "state", options(broker.url, protocol=protocol)) as agent:
            await agent.commit_many(1, 20)
            await subscriber.until(lambda messages: len(numbers(messages)) >= 20)
            broker.stop()
            await agent.commit_many(21, 10_000, group=400)
            assert (await agent.store.facts()).outbox_depth >= 9_980
            broker.start()
            await agent.commit_many(10_001, 10_050, group=1)  # new ones while the old ones go out
            await subscriber.until(lambda messages: len(set(numbers(messages))) == 10_050, timeout=40)
            await agent.settled()
    assert in_order_per_topic(sights(subscriber.messages))


async def test_a_subscriber_sees_every_event_when_the_broker_is_killed(tmp_path: Path, make_broker: MakeBroker) -> None:
    """Or the broker has acknowledged it: what it loses between that and its save is its own."""
    broker = make_broker(save_each_change=True)
    with PersistentSubscriber(broker.port) as subscriber, PubackOracle(broker.port) as oracle:

        def known(messages: list[Received]) -> set[int]:
            return set(numbers(messages)) | {
                int(payload) for _, payload in list(oracle.acknowledged) if payload.isdigit()
            }

        async with station(tmp_path / "state", options(f"mqtt://127.0.0.1:{oracle.port}")) as agent:
            for round_number in range(3):
                first = 100 * round_number + 1
                committing = asyncio.create_task(agent.commit_many(first, first + 99, group=1))
                await subscriber.until(lambda messages, enough=first + 30: len(set(numbers(messages))) >= enough - 2)  # type: ignore[misc] # a default binds the loop's value
                broker.kill()
                broker.start()
                await committing
                await subscriber.until(lambda messages, all_=first + 99: len(known(messages)) == all_)  # type: ignore[misc] # a default binds the loop's value
            await agent.settled()
    assert len(set(numbers(subscriber.messages))) >= 290
    assert in_order_per_topic(sights(subscriber.messages))


async def test_a_frozen_broker_is_given_up_and_nothing_is_lost(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber
) -> None:
    async with station(tmp_path / "state", options(broker.url, ack_timeout=0.5)) as agent:
        await agent.commit(event(1))
        await subscriber.until_topic("/event/")
        broker.freeze()
        await agent.commit_many(2, 60)
        for second in range(5):
            agent.publisher.metrics(MetricsMessage(topic=f"{BASE}/metrics", payload=b"%d" % second))
        await agent.until(lambda: "acknowledged nothing" in agent.said[-1])
        broker.thaw()
        await subscriber.until(lambda messages: set(numbers(messages)) == set(range(1, 61)))
    assert in_order_per_topic(sights(subscriber.messages))


async def test_cut_and_silent_networks(tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber) -> None:
    async with (
        TcpProxy(broker.port) as network,
        station(tmp_path / "state", options(f"mqtt://127.0.0.1:{network.port}", ack_timeout=0.5)) as agent,
    ):
        await agent.until(lambda: agent.publisher.facts().connected)
        await agent.commit_many(1, 300, group=10)
        network.cut()
        await subscriber.until(lambda messages: len(set(numbers(messages))) == 300)
        network.blackhole()
        await agent.commit_many(301, 350)
        await agent.until(lambda: not agent.publisher.facts().connected)
        network.cut()
        network.pass_again()
        await subscriber.until(lambda messages: len(set(numbers(messages))) == 350, timeout=15)
        network.delay = 0.02
        await agent.commit_many(351, 380)
        await subscriber.until(lambda messages: len(set(numbers(messages))) == 380)
    assert in_order_per_topic(sights(subscriber.messages))


@pytest.mark.parametrize("busy", [True, False])
async def test_packets_swallowed_beyond_the_keep_alive(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber, *, busy: bool
) -> None:
    async with TcpProxy(broker.port) as network:
        mine = options(f"mqtt://127.0.0.1:{network.port}", keepalive=1, will_delay=0, ack_timeout=60)
        async with station(tmp_path / "state", mine, delays=(0.05, 0.1)) as agent:
            await agent.commit_many(1, 20)
            await agent.settled()
            network.blackhole()
            if busy:
                await agent.commit_many(21, 60)
            await subscriber.until(lambda _: statuses(subscriber) == [b"online", b"offline"])  # the last will
            await agent.until(lambda: not agent.publisher.facts().connected)
            assert "for longer than mqtt's keepalive" in agent.said[1]
            await agent.commit_many(61 if busy else 21, 80)
            network.pass_again()
            await subscriber.until(lambda messages: set(numbers(messages)) == set(range(1, 81)))
            await agent.settled()
    assert in_order_per_topic(sights(subscriber.messages))


def events(oracle: PubackOracle) -> list[tuple[str, int]]:
    """Topic and number of each event that the broker acknowledged."""
    return [(topic, int(payload)) for topic, payload in tuple(oracle.acknowledged) if "/event/" in topic]


async def test_events_that_a_broker_lost_with_its_store_had_been_acknowledged(
    tmp_path: Path, make_broker: MakeBroker
) -> None:
    """And no other is lost: the relay is the oracle of what was acknowledged."""
    broker = make_broker()
    with PersistentSubscriber(broker.port, session="away") as subscriber:
        assert subscriber.messages == []
    with PubackOracle(broker.port) as oracle:
        async with station(tmp_path / "state", options(f"mqtt://127.0.0.1:{oracle.port}")) as agent:
            under_way = oracle.hold(lambda packet: packet.kind is Kind.PUBLISH and packet.payload == b"150")
            committing = asyncio.create_task(agent.commit_many(1, 500, group=1))
            await asyncio.to_thread(under_way.wait)
            reconnecting = oracle.hold(lambda packet: packet.kind is Kind.CONNECT)
            broker.kill()
            lost = {number for _, number in events(oracle)}
            broker.forget()
            under_way.drop()
            await committing
            broker.start()
            with PersistentSubscriber(broker.port, session="away") as subscriber:
                reconnecting.release()
                await subscriber.until(lambda messages: lost | set(numbers(messages)) >= set(range(1, 501)))
                await agent.settled()
    acknowledged = events(oracle)
    assert len(lost) > 100
    assert {number for _, number in acknowledged} == set(range(1, 501))
    assert in_order_per_topic(acknowledged)
    assert in_order_per_topic(sights(subscriber.messages))


async def test_states_are_told_again_to_a_broker_that_lost_its_data(tmp_path: Path, broker: PrivateBroker) -> None:
    async with station(tmp_path / "state", options(broker.url)) as agent:
        await agent.commit(states=[state("web", b"1"), state("db", b"2"), state("gone", b"3")])
        await agent.until(lambda: agent.publisher.facts().connected)
        await agent.commit(states=[state("gone", b"")])
        await agent.settled()
        broker.stop()
        broker.forget()
        await agent.commit(states=[state("db", b"4")])
        broker.start()
        await agent.until(lambda: len(agent.said) >= 3)
        await agent.settled()
        with PersistentSubscriber(broker.port) as late:
            await late.until(lambda messages: len(messages) >= 3)
            kept = {message.topic.removeprefix(f"{BASE}/"): message.payload for message in late.messages}
        assert kept == {"status": b"online", "state/container/web": b"1", "state/container/db": b"4"}
        assert "gone" not in str((await agent.store.load()).retained_topics)


async def test_a_ghost_is_cleared_after_a_restart(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber
) -> None:
    async with station(tmp_path / "state", options(broker.url)) as agent:
        await agent.commit(states=[state("web", b"1")])
        await subscriber.until_topic("state/container/web")
    broker.stop()
    async with station(tmp_path / "state", options(broker.url)) as agent:
        (ghost,) = (await agent.store.load()).retained_topics
        await agent.commit(states=[state("web", b"")])
        broker.start()
        await subscriber.until(lambda _: subscriber.on(ghost)[-1].payload == b"")
        await agent.settled()
        assert (await agent.store.load()).retained_topics == ()
    with PersistentSubscriber(broker.port) as late:
        kept = await late.until(lambda messages: len(messages) >= 1)
    assert [message.topic for message in kept] == [f"{BASE}/status"]


async def test_only_the_newest_of_many_states_need_arrive(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber
) -> None:
    async with station(tmp_path / "state", options(broker.url)) as agent:
        for number in range(200):
            await agent.commit(states=[state("web", b"%d" % number)])
        await subscriber.until(
            lambda _: subscriber.on("state/")[-1:] != [] and subscriber.on("state/")[-1].payload == b"199"
        )
        seen = [int(message.payload) for message in subscriber.on("state/")]
        assert seen == sorted(seen)


async def test_tls_with_a_client_certificate(tmp_path: Path, make_broker: MakeBroker) -> None:
    files, foreign = throwaway_ca(tmp_path / "ca"), throwaway_ca(tmp_path / "other-ca")
    broker = make_broker(tls=files, require_client_certificate=True, websockets=False)
    own = {"tls_cert": files.client_cert, "tls_key": files.client_key}
    async with station(tmp_path / "state", options(broker.url, tls_ca=files.ca, **own)) as agent:
        await agent.commit(event(1))
        await agent.settled()
    async with station(tmp_path / "other", options(broker.url, tls_ca=foreign.ca, **own)) as agent:
        await agent.until(lambda: bool(agent.said))
        assert "not trusted" in agent.said[0]
        assert "mqtt.tls.ca" in agent.said[0]
    async with station(tmp_path / "none", options(broker.url, tls_ca=tmp_path / "missing.crt")) as agent:
        await agent.until(lambda: bool(agent.said))
        assert "mqtt.tls" in agent.said[0]
    async with station(tmp_path / "plain", options(broker.url.replace("mqtts", "mqtt"))) as agent:
        await agent.until(lambda: bool(agent.said))
        assert "did not complete the connection" in agent.said[0]


async def test_a_host_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        port = silent.getsockname()[1]
        async with station(tmp_path / "state", options(f"mqtt://127.0.0.1:{port}")) as agent:
            await agent.commit(event(1))
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 1
    async with station(tmp_path / "state", options("mqtt://127.0.0.1:1")) as agent:
        assert (await agent.store.facts()).outbox_depth == 1


@pytest.mark.parametrize("secure", [False, True])
async def test_websockets(tmp_path: Path, make_broker: MakeBroker, *, secure: bool) -> None:
    files = throwaway_ca(tmp_path / "ca") if secure else None
    broker = make_broker(websockets=True, tls=files)
    async with station(tmp_path / "state", options(broker.url, tls_ca=files.ca if files else None)) as agent:
        await agent.commit_many(1, 100)
        await agent.settled()


PUBLISHER = """
import asyncio, sys
from pathlib import Path
from tests.support.publishing import station
from tests.support.store_values import BASE_TOPIC, event
from watchtower_agent.publishing.broker_options import MqttOptions, MqttProtocol

async def main():
    url, folder, protocol = sys.argv[1:]
    options = MqttOptions(
        url=url, host="h1", client_id="watchtower-h1", base_topic=BASE_TOPIC, will_delay=1,
        protocol=MqttProtocol(protocol),
    )
    async with station(Path(folder), options) as agent:
        number = (await agent.store.load()).last_sequence
        while True:
            number += 1
            await agent.commit(event(number))
            print(number, flush=True)

asyncio.run(main())
"""


async def publish_until_killed(url: str, folder: Path, protocol: MqttProtocol, commits: int) -> int:
    """Run a publisher in a process of its own and kill it with -9; returns the last event that was durable."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PUBLISHER, url, str(folder), protocol), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    said = [int(await process.stdout.readline()) for _ in range(commits)]
    process.send_signal(signal.SIGKILL)
    said += [int(line) for line in (await process.stdout.read()).splitlines(keepends=True) if line.endswith(b"\n")]
    await process.wait()
    return max(said)


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_kill_9_of_the_publisher(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber, protocol: MqttProtocol
) -> None:
    last = 0
    for commits in (5, 60, 130):
        last = await publish_until_killed(broker.url, tmp_path / "state", protocol, commits)
    await subscriber.until(lambda _: statuses(subscriber)[-1:] == [b"offline"])  # its last will
    async with station(tmp_path / "state", options(broker.url, protocol=protocol)) as agent:
        await subscriber.until(lambda messages: set(range(1, last + 1)) <= set(numbers(messages)))
        await agent.settled()
    assert in_order_per_topic(sights(subscriber.messages))


@pytest.mark.parametrize(
    "url", ["127.0.0.1:1883", "http://h", "mqtt://", "mqtt://h:99999", "mqtt://user:word@h", "mqtt://[::1", ""]
)
def test_a_wrong_url_is_said_with_its_setting(url: str) -> None:
    with pytest.raises(SettingsError, match=r"mqtt\.url") as caught:
        parse_broker_url(url)
    assert "word" not in str(caught.value).replace("password", "")
