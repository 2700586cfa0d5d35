"""kill -9 placed exactly: between commit, PUBLISH, PUBACK and delete, and at each packet of a connection.

A relay before the broker holds a packet back until the agent is dead. The oracle is a subscriber with a session that
the broker keeps; it is not behind the relay.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.agent import Host
from tests.support.broker import PersistentSubscriber, PrivateBroker
from tests.support.busy import tag_often, untag
from tests.support.engine import PrivateEngine
from tests.support.numbers import drill
from tests.support.packet_relay import Held, Kind, Packet, PacketRelay, puback_on, publish_on
from tests.support.patience import patient
from tests.support.publishing import in_order_per_topic, station
from tests.support.store_values import BASE_TOPIC
from tests.support.tape import EngineTape
from watchtower_agent.publishing.broker_options import MqttOptions, MqttProtocol
from watchtower_agent.publishing.client import WINDOW

POLICIES = "version: 1\npolicies: []\n"
TAGS = "/event/image/tag/"
BURST = 30
"""Events on one topic: more than may be under way at once, also with MQTT 3.1.1."""
PACKETS = drill(reduced=16, full=60)
"""At each of so many first packets of a connection an agent is killed."""


@pytest.fixture
def tagging_engine(engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """The run's engine, without the tags that the test makes."""
    yield engine
    untag(engine)


def waiting(host: Host) -> list[int]:
    """Sequences of the events about tags in the outbox, as the disk has them."""
    rows = host.agent.query("SELECT sequence FROM outbox WHERE topic LIKE ? ORDER BY sequence", f"%{TAGS}%")
    return [sequence for (sequence,) in rows]


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for what nobody tells of: the disk is looked at until it holds."""
    deadline = time.monotonic() + patient(15)
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def arrivals(host: Host) -> list[int]:
    """Sequences of the events about tags, as the subscriber saw them, repetitions included."""
    return [int(event.document["sequence"]) for event in tuple(host.watch.events) if TAGS in event.topic]


@contextlib.contextmanager
def nothing_deleted(host: Host) -> Iterator[None]:
    """The store takes no write meanwhile: another program holds it locked."""
    with closing(sqlite3.connect(host.agent.directory / "state" / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@dataclass(slots=True, kw_only=True)
class Drill:
    """Kills of one agent, each at another moment between an event's commit and its deletion.

    Attributes:
        copies: Sequence of each event about tags -> how often it has to arrive.
    """

    host: Host
    relay: PacketRelay
    protocol: MqttProtocol
    copies: dict[int, int] = field(default_factory=dict)

    def tag(self, times: int = 1) -> None:
        """Events, all on one topic."""
        tag_often(self.host.engine, times, tags=1)

    def over(self, *kept: Held) -> None:
        """Kill; what was kept back never arrives. Then the next start, until all is delivered."""
        self.host.agent.kill()
        for held in kept:
            held.drop()
        self.host.agent.start()
        until(lambda: not waiting(self.host), "the outbox is not emptied")

    async def arrived(self, count: int) -> None:
        """Wait until so many different ones have arrived, and are deleted; the new ones came once."""
        await self.host.watch.until(lambda _: len(set(arrivals(self.host))) == count)
        until(lambda: not waiting(self.host), "it is not deleted")
        self.copies |= dict.fromkeys(set(arrivals(self.host)) - set(self.copies), 1)

    async def committed(self) -> None:
        """On the disk and not sent: as many as may be are under way before it, none acknowledged."""
        puback = self.relay.hold(puback_on(TAGS))
        self.tag(BURST)
        puback.wait()
        until(lambda: len(waiting(self.host)) == BURST, "not all are on the disk")
        until(self.under_way_is_full, "fewer are under way than may be")
        on_disk = waiting(self.host)
        sent = sum(publish_on(TAGS)(packet) for packet in tuple(self.relay.packets))
        assert sent < BURST
        await self.host.watch.until(lambda _: len(arrivals(self.host)) == sent)
        self.over(puback)
        self.copies |= {sequence: 2 if at < sent else 1 for at, sequence in enumerate(on_disk)}

    def under_way_is_full(self) -> bool:
        """Whether no further event about tags is sent before one is acknowledged, while a PUBACK is held."""
        packets = tuple(self.relay.packets)
        if self.protocol is MqttProtocol.V5:
            return any(publish_on(TAGS)(packet) for packet in packets)  # one of a topic
        sent = sum(packet.kind is Kind.PUBLISH and packet.number > 0 for packet in packets)
        passed = sum(packet.kind is Kind.PUBACK for packet in packets) - 1
        return sent - passed == WINDOW

    def published(self) -> None:
        """Sent, and not with the broker yet."""
        publish = self.relay.hold(publish_on(TAGS))
        self.tag()
        publish.wait()
        self.copies |= dict.fromkeys(waiting(self.host), 1)
        self.over(publish)

    def taken(self) -> None:
        """With the broker, which has acknowledged it, and the agent does not know."""
        puback = self.relay.hold(puback_on(TAGS))
        self.tag()
        puback.wait()
        self.copies |= dict.fromkeys(waiting(self.host), 2)
        self.over(puback)

    def acknowledged(self) -> None:
        """Acknowledged, as the agent knows, and on the disk still."""
        agent = self.host.agent
        puback = self.relay.hold(puback_on(TAGS))
        self.tag()
        puback.wait()
        before = agent.status()["mqtt"]["delivered"]
        with nothing_deleted(self.host):
            puback.release()
            until(lambda: bool(agent.status()["mqtt"]["delivered"] > before), "the agent heard no PUBACK")
            agent.kill()
        self.copies |= dict.fromkeys(waiting(self.host), 2)
        agent.start()
        until(lambda: not waiting(self.host), "the outbox is not emptied")


@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_kill_9_between_commit_publish_puback_and_delete(
    tagging_engine: PrivateEngine, broker: PrivateBroker, make_host: Callable[..., Host], protocol: MqttProtocol
) -> None:
    with EngineTape(tagging_engine) as tape, PacketRelay(broker.port) as relay:
        settings = {"mqtt": {"protocol": protocol.value}}
        host = make_host(tagging_engine, broker, POLICIES, proxied=False, mqtt_port=relay.port, settings=settings)
        kills = Drill(host=host, relay=relay, protocol=protocol)
        await kills.committed()
        kills.published()
        kills.taken()
        kills.acknowledged()
        assert len(kills.copies) == BURST + 3
        kills.tag()
        await kills.arrived(BURST + 4)
        kills.over()  # killed when all was done: nothing comes again
        kills.tag()
        await kills.arrived(BURST + 5)

        seen = arrivals(host)
        assert {sequence: seen.count(sequence) for sequence in seen} == kills.copies
        assert set(tape.published()) <= set(host.watch.engine_events())
        assert in_order_per_topic([(e.topic, int(e.document["sequence"])) for e in host.watch.events])
        assert host.watch.told("agent", "event_gap") == []


PUBLISHER = """
import asyncio, sys
from pathlib import Path
from tests.support.publishing import station
from tests.support.store_values import BASE_TOPIC, event, state
from watchtower_agent.publishing.broker_options import MqttOptions, MqttProtocol

async def main():
    url, folder, protocol = sys.argv[1:]
    options = MqttOptions(
        url=url, host="h1", client_id="watchtower-h1", base_topic=BASE_TOPIC, protocol=MqttProtocol(protocol)
    )
    async with station(Path(folder), options) as agent:
        number = (await agent.store.load()).last_sequence
        while True:
            number += 1
            made = event(number, topic=f"container/die/web{number % 3}")
            await agent.commit(made, states=[state("web", b"%d" % number)])
            print(number, flush=True)
            await asyncio.sleep(0.005)

asyncio.run(main())
"""


def nth(number: int) -> Callable[[Packet], bool]:
    """Chooses the packet of that number, from 1, of those that pass from now on."""
    left = number

    def choose(packet: Packet) -> bool:
        nonlocal left
        left -= packet.kind in {Kind.CONNECT, Kind.CONNACK, Kind.PUBLISH, Kind.PUBACK}
        return left == 0

    return choose


@pytest.mark.full
@pytest.mark.parametrize("protocol", list(MqttProtocol))
async def test_kill_9_at_each_packet(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber, protocol: MqttProtocol
) -> None:
    last = 0
    with PacketRelay(broker.port) as relay:
        url = f"mqtt://127.0.0.1:{relay.port}"
        for number in range(1, PACKETS + 1):
            held = relay.hold(nth(number))
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", PUBLISHER, url, str(tmp_path / "state"), protocol), stdout=subprocess.PIPE
            )
            await asyncio.to_thread(held.wait)
            process.send_signal(signal.SIGKILL)
            said, _ = await process.communicate()
            held.drop()
            last = max([last, *(int(line) for line in said.splitlines(keepends=True) if line.endswith(b"\n"))])
        options = MqttOptions(url=url, host="h1", client_id="watchtower-h1", base_topic=BASE_TOPIC, protocol=protocol)
        async with station(tmp_path / "state", options) as agent:
            newest = (await agent.store.load()).last_sequence
            await agent.settled()
    assert last >= PACKETS // 4
    await subscriber.until(lambda _: {int(m.payload) for m in subscriber.on("/event/")} == set(range(1, newest + 1)))
    sights = [(message.topic, int(message.payload)) for message in subscriber.on("/event/")]
    assert newest >= last
    assert in_order_per_topic(sights)
    await subscriber.until(lambda _: subscriber.on("state/container/web")[-1].payload == b"%d" % newest)
