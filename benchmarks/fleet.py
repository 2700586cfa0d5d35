"""Simulated hosts for `scale.py`, in a process of their own: what agents say, without engines and stores.

Each host has a connection of its own, made by the agent's code, and a composer of its own, so that every topic and
payload is what an agent of that host would send. The columns of the batches are those that the agent's reader and core
make of containers; the numbers in them are drawn at random. Nothing waits in an outbox: QoS 1 is sent and awaited.

`python benchmarks/fleet.py PORT HOSTS CONTAINERS` answers each line on its standard input (`connect`, or `run` with
seconds, `alone` or `each`) with one line of JSON, and ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

import report  # noqa: F401 - the path of the checkout
from simulated import Host as SimulatedHost, in_memory

from tests.support import facts
from tests.support.core import container
from watchtower_agent.clock import SystemClock
from watchtower_agent.model.container import Container
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.fact import AgentInfo, ContainerView, Fact, MetricsTable
from watchtower_agent.model.message import EventMessage, MetricsMessage, StateMessage
from watchtower_agent.model.observation import EngineInfo
from watchtower_agent.model.outcome import Intent
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.publishing.broker_options import MqttOptions, parse_broker_url
from watchtower_agent.publishing.client import WINDOW
from watchtower_agent.publishing.cloudevent import CloudEventComposer
from watchtower_agent.publishing.connection import PublishResult, Verdict
from watchtower_agent.publishing.delivery import EVENT_CONTENT
from watchtower_agent.publishing.mqtt import MqttConnection, connect
from watchtower_agent.publishing.state_delivery import STATE_CONTENT
from watchtower_agent.state import views

INTERVAL: Final = 10.0
"""Seconds between two batches of a host: the default."""
RESTARTS_EVERY: Final = 600.0
"""Seconds after which a container of a host crashes and is restarted by a policy."""
AT_ONCE: Final = 50
"""Hosts that connect at the same time."""
_TABLES: Final = 16
"""Different numbers that the hosts take in turns: to draw new ones each time would cost more than to send them."""


@dataclass(slots=True, kw_only=True)
class Sent:
    """What was sent, in messages and bytes of payload, and how many the broker did not take."""

    messages: int = 0
    payload: int = 0
    of_batches: int = 0
    """Bytes of the batches' payloads alone."""
    refused: int = 0
    latest: float = 0.0
    """Seconds by which a batch was late, at most: this process is the one that is too slow then."""

    def add(self, message: EventMessage | StateMessage | MetricsMessage) -> None:
        """One more."""
        self.messages += 1
        self.payload += len(message.payload)
        if isinstance(message, MetricsMessage):
            self.of_batches += len(message.payload)


@dataclass(slots=True, kw_only=True)
class Host:
    """One host's composer and connection."""

    composer: CloudEventComposer
    each: CloudEventComposer
    """The same with a message for each container (`mqtt.metrics.per_container`)."""
    options: MqttOptions
    connection: MqttConnection | None = None
    sequence: int = 0
    batches: int = 0
    _watching: asyncio.Task[str] | None = None

    @classmethod
    def made(cls, number: int, port: int) -> Self:
        """The host of that number."""
        name = f"host{number:05d}"
        engine = EngineInfo(id=f"engine-{number}", name=name, version="26.1.5", api_version="1.45")
        one, each = (
            CloudEventComposer(
                host=name, install_id=f"{number:016x}", labels=("com.docker.compose.*",), per_container=per_container
            )
            for per_container in (False, True)
        )
        for composer in (one, each):
            composer.engine_changed(engine)
        url = f"mqtt://127.0.0.1:{port}"
        return cls(composer=one, each=each, options=MqttOptions(url=url, host=name, client_id=f"watchtower-{name}"))

    async def up(self, states: Iterable[StateMessage], sent: Sent) -> None:
        """Connect, and tell everything that is retained, as an agent does at each connection."""
        self.connection = await connect(self.options, parse_broker_url(self.options.url))
        self._watching = asyncio.create_task(self.connection.lost())
        await self.connection.say("online")
        waiting: set[asyncio.Future[PublishResult]] = set()
        for state in states:
            if len(waiting) >= min(WINDOW, self.connection.window):
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                sent.refused += sum(one.result().verdict is not Verdict.DELIVERED for one in done)
            sent.add(state)
            waiting.add(self._publish_state(state))
        sent.refused += sum(one.verdict is not Verdict.DELIVERED for one in await asyncio.gather(*waiting))

    def _publish_state(self, state: StateMessage) -> asyncio.Future[PublishResult]:
        assert self.connection is not None
        return self.connection.publish(state.topic, state.payload, qos=1, retain=True, content_type=STATE_CONTENT)

    def send_batch(self, batch: SampleBatch, table: MetricsTable, sent: Sent, *, each: bool) -> None:
        """The metrics of one interval."""
        assert self.connection is not None
        self.batches += 1
        composer = self.each if each else self.composer
        engine = {"engine.responding": 1.0, "engine.latency": 0.0012, "engine.containers.running": 50.0}
        for message in composer.metrics(batch, table, engine, sequence=self.batches, interval=INTERVAL):
            sent.add(message)
            self.connection.publish(
                message.topic, message.payload, qos=0, content_type=STATE_CONTENT, expiry=message.expiry
            )

    async def restart(self, seen: Container, sent: Sent) -> None:
        """What is said when a container crashes and a policy restarts it: six events and two states."""
        assert self.connection is not None
        view = ContainerView(container=seen, restarts=1, restarts_by_agent=1, last_sample={"memory.percent": 41.5})
        for fact in _crash(seen):
            self.sequence += 1
            event = self.composer.event(fact, sequence=self.sequence, correlation_id="c" * 32, view=view)
            assert event is not None
            sent.add(event)
            result = await self.connection.publish(
                event.topic, event.payload, qos=1, content_type=EVENT_CONTENT, user_properties=event.properties
            )
            sent.refused += result.verdict is not Verdict.DELIVERED
        for _ in range(2):
            state = self.composer.container_state(view)
            sent.add(state)
            sent.refused += (await self._publish_state(state)).verdict is not Verdict.DELIVERED

    def down(self) -> None:
        """Hang up."""
        if self._watching is not None:
            self._watching.cancel()
        if self.connection is not None:
            self.connection.hang_up()


def _crash(seen: Container) -> Sequence[Fact]:
    def engine(action: str) -> EngineEvent:
        made = facts.engine_event(action, actor=seen.id, name=seen.name, image=seen.image, exitCode="137")
        return replace(made, time_ns=time.time_ns(), id=f"{random.getrandbits(128):032x}")

    now = time.time()
    target = replace(facts.decision().target, id=seen.id, name=seen.name)
    decision = replace(facts.decision(), target=target, decided_at=now, expires_at=now + 900)
    outcome = replace(facts.outcome(), decision=decision, started_at=now, finished_at=now + 0.4)
    return (
        engine("die"),
        decision,
        Intent(decision=decision, at=now),
        engine("start"),
        engine("restart"),
        outcome,
    )


class Fleet:
    """All hosts, with the same containers on each."""

    def __init__(self, port: int, hosts: int, containers: int) -> None:
        self.hosts = [Host.made(number, port) for number in range(hosts)]
        self.containers = [_container(number) for number in range(containers)]
        self.batch, self.tables = _measured(self.containers)

    async def connect(self) -> dict[str, Any]:
        """All hosts, so many at once."""
        sent, gate = Sent(), asyncio.Semaphore(AT_ONCE)

        async def one(host: Host) -> None:
            async with gate:
                states = [host.composer.container_state(ContainerView(container=each)) for each in self.containers]
                info = AgentInfo(
                    policies={"heal-unhealthy": "enforce", "notify-oom": "enforce", "prune-disk": "shadow"},
                    policies_digest="a" * 64,
                    settings_digest="b" * 64,
                    last_sequence=0,
                    mode="enforce",
                )
                await host.up([host.composer.info(info), *states], sent)

        began = time.monotonic()
        await asyncio.gather(*(one(host) for host in self.hosts))
        return asdict(sent) | {"seconds": time.monotonic() - began}

    async def run(self, seconds: float, *, each: bool) -> dict[str, Any]:
        """Batches of every host each interval, evenly over time, and now and then a crash."""
        sent, crashes = Sent(), set()
        began, used = time.monotonic(), time.process_time()
        pause, number = INTERVAL / len(self.hosts), 0
        crash_every = RESTARTS_EVERY / len(self.hosts)
        crashed = 0
        clock = SystemClock()
        while (due := began + number * pause) < began + seconds:
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            elif number % 50 == 0:
                await asyncio.sleep(0)  # late: whatever comes in is taken all the same
            sent.latest = max(sent.latest, -wait)
            host = self.hosts[number % len(self.hosts)]
            batch = replace(self.batch, at=clock.now())
            host.send_batch(batch, self.tables[number % _TABLES], sent, each=each)
            number += 1
            while crashed * crash_every < due - began:
                seen = self.containers[crashed % len(self.containers)]
                crashes.add(asyncio.create_task(self.hosts[crashed * 7 % len(self.hosts)].restart(seen, sent)))
                crashed += 1
        await asyncio.gather(*crashes)
        passed = time.monotonic() - began
        cpu = time.process_time() - used
        connected = sum(host.connection is not None and not _gone(host) for host in self.hosts)
        return asdict(sent) | {"seconds": passed, "cpu": cpu, "batches": number, "connected": connected}

    def down(self) -> None:
        """All hang up."""
        for host in self.hosts:
            host.down()


def _gone(host: Host) -> bool:
    return host._watching is None or host._watching.done()  # noqa: SLF001 - its own module's


def _container(number: int) -> Container:
    labels = {
        "com.docker.compose.project": f"project{number // 5}",
        "com.docker.compose.service": f"service{number % 5}",
        "com.docker.compose.version": "2.26.1",
        "com.docker.compose.container-number": "1",
    }
    name = f"project{number // 5}-service{number % 5}-1"
    return container(name, labels=labels, image=f"registry.example/shop/service{number % 5}:1.{number}")


def _measured(containers: Sequence[Container]) -> tuple[SampleBatch, list[MetricsTable]]:
    """A batch as the agent's reader and core make it, and tables with its columns and other numbers."""
    with in_memory() as folder:
        host = SimulatedHost.made(folder, len(containers), PolicySet())
        for _ in range(3):  # rates need two readings
            host.tick()
            time.sleep(0.1)
        state = host.pipeline.state
        found, batch = views.table(state, host.clock.now()), state.samples
        host.reader.close()
    assert batch is not None
    chance = random.Random(7)
    tables = []
    for _ in range(_TABLES):
        columns = {name: _drawn(name, column, chance) for name, column in found.columns.items()}
        uptimes = [round(chance.uniform(60, 1e7), 1) for _ in containers]
        tables.append(MetricsTable(containers=containers, columns=columns, uptimes=uptimes))
    return batch, tables


def _drawn(name: str, column: array[float], chance: random.Random) -> array[float]:
    """Numbers such as a host with work to do has: none is unknown, and few are zero."""
    match name.split("."):
        case ["memory", "limit"] | ["pids", "limit"]:
            return column
        case ["memory", "usage" | "working_set"]:
            return array("d", [float(chance.randrange(4 << 20, 2 << 30, 4096)) for _ in column])
        case ["pids"]:
            return array("d", [float(chance.randrange(1, 200)) for _ in column])
        case ["memory", "oom_kills"] | ["network", "errors"]:
            return array("d", [0.0] * len(column))
        case ["io" | "network", _]:
            return array("d", [chance.uniform(0, 1e6) for _ in column])
        case _:
            return array("d", [chance.uniform(0, 100) for _ in column])


async def _main(port: int, hosts: int, containers: int) -> None:
    fleet = Fleet(port, hosts, containers)
    print("ready", flush=True)
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), lambda: lines.put_nowait(sys.stdin.readline()))
    while line := (await lines.get()).split():
        match line:
            case ["connect"]:
                answer = await fleet.connect()
            case ["run", seconds, "alone" | "each" as kind]:
                answer = await fleet.run(float(seconds), each=kind == "each")
            case _:
                raise AssertionError(line)
        print(json.dumps(answer), flush=True)
    fleet.down()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(*map(int, sys.argv[1:4])))
