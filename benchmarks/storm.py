"""A storm of container events: is any lost, is any counted twice, and does the engine notice that somebody listens?

Clients rename containers as fast as the engine answers. Two engines take turns, a part of the storm each: one with
the agent connected, one without, and from storm to storm they change places. A part takes a second or two, and what
the machine is worth changes over more than that, so the two parts beside each other can be compared where two whole
storms, one after the other, can't. What really happened is what an event stream of its own has seen, which both
engines have.

What the shortest way from the engine to the subscriber costs, Docker's own client and mosquitto's, which keeps nothing,
counts nothing and knows nothing, is measured in the same way: more than that nobody can leave to the engine.

The same is then done by several clients at once that leave no core idle: what the agent takes, with its broker and a
subscriber on the same machine, is then missing to the engine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from renames import Clients
from report import Figure, machine, options, progress, show
from stage import EVENTS, Agent, Json, Stage, running

from tests.support.engine import PrivateEngine
from watchtower_agent.engine.event import normalise_event

LEAST_PACE = 0.9
BETWEEN = 0.1
"""Seconds from one engine's part to the other's: what the agent still has to do for the former is over by then."""

POLICIES = """
version: 1
policies:
  - name: heal-unhealthy
    select: {labels: {autoheal: "true"}}
    when: health == "unhealthy"
    for: 10s
    then: {restart: {}}
  - name: told-when-it-dies
    on: {container: die}
    then: {notify: {severity: warning}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """An engine, and what is renamed there."""

    engine: PrivateEngine
    containers: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """How long they took.

    Attributes:
        times: Seconds of each part on the engine that is listened to.
        alone: Seconds of each part on the other.
    """

    times: tuple[float, ...]
    alone: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """The engine's pace with somebody listening by that without, part by part."""
        return [alone / time for time, alone in zip(self.times, self.alone, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm(Parts):
    """One storm with the agent.

    Attributes:
        happened: Container events that the oracle has seen on the agent's engine.
        lost: Of these, not one message for them arrived.
        doubled: Messages beyond the first for one event.
        miscounted: What the agent counted beside what the engine sent.
        behind: Seconds after the storm's end until the last message arrived.
        cpu: Seconds of CPU that the agent took.
    """

    happened: int
    lost: int
    doubled: int
    miscounted: int
    behind: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a storm is.

    Attributes:
        events: On each engine.
        parts: In which they are made.
        clients: At once.
    """

    events: int
    parts: int
    clients: int


def storm(stage: Stage, heard: Side, alone: Side, size: Size) -> Storm:
    """A storm, with an agent on the engine `heard`."""
    subscriber = stage.subscriber(EVENTS)
    agent = stage.agent(POLICIES, engine_url=heard.engine.url)
    with running(stage, agent):
        time.sleep(2)  # the inspections of the start are over
        counted = agent.status()["engine"]["events"]
        cpu = cpu_seconds(agent)
        oracle, other = stage.oracle(heard.engine), stage.oracle(alone.engine)
        before = subscriber.count()
        parts, ended = in_turn(heard, alone, size)
        other.close()
        expected = oracle.count()
        subscriber.wait_count(before + expected, within=30)
        time.sleep(0.5)  # what is published twice comes later
        cpu = cpu_seconds(agent) - cpu
        counted = agent.status()["engine"]["events"] - counted
    engine_id = heard.engine.api("GET", "/info")["ID"]
    happened = [
        event.id
        for seen in oracle.end()
        if (event := normalise_event(seen["event"], engine_id=engine_id)) is not None and event.kind == "container"
    ]
    arrived = subscriber.end()
    messages = Counter(json.loads(message["payload"])["id"] for message in arrived)
    return Storm(
        happened=len(happened),
        lost=sum(1 for event_id in happened if event_id not in messages),
        doubled=sum(messages[event_id] - 1 for event_id in happened if event_id in messages),
        miscounted=counted - expected,
        behind=max(0.0, (_last(arrived, set(happened)) - ended) / 1e9),
        cpu=cpu,
        times=parts.times,
        alone=parts.alone,
    )


def shortest(stage: Stage, heard: Side, alone: Side, size: Size) -> Parts:
    """A storm, with the shortest way to a subscriber from the engine `heard`."""
    subscriber = stage.subscriber(EVENTS)
    events = subprocess.Popen(
        ["docker", "--host", heard.engine.url, "events", "--format", "{{json .}}"], stdout=subprocess.PIPE
    )
    broker = ["-h", "127.0.0.1", "-p", str(stage.broker.port)]
    publish = subprocess.Popen(
        ["mosquitto_pub", *broker, "-V", "5", "-q", "1", "-l", "-t", EVENTS.replace("#", "any")], stdin=events.stdout
    )
    time.sleep(1)  # both are connected
    oracle, other = stage.oracle(heard.engine), stage.oracle(alone.engine)
    before = subscriber.count()
    parts, _ = in_turn(heard, alone, size)
    other.close()
    expected = oracle.count()
    come = subscriber.wait_count(before + expected, within=30) - before
    for process in (events, publish):
        process.terminate()
        process.wait(10)
    oracle.close()
    subscriber.close()
    assert come >= expected, f"the shortest way lost {expected - come} events"
    return parts


def in_turn(heard: Side, alone: Side, size: Size) -> tuple[Parts, int]:
    """A storm on each; how long its parts took, and when the last one on `heard` ended, in nanoseconds."""
    clients = {side.engine: Clients(side.engine, side.containers, size.clients) for side in (heard, alone)}
    times: dict[PrivateEngine, list[float]] = {engine: [] for engine in clients}
    ended = {}
    for part in range(size.parts):
        # Which of the two goes first alternates: what changes with time favours neither.
        for side in (heard, alone) if part % 2 == 0 else (alone, heard):
            begun, ended[side.engine] = clients[side.engine].rename(size.events // size.parts)
            times[side.engine].append((ended[side.engine] - begun) / 1e9)
            time.sleep(BETWEEN)
    for each in clients.values():
        each.close()
    return Parts(times=tuple(times[heard.engine]), alone=tuple(times[alone.engine])), ended[heard.engine]


def cpu_seconds(agent: Agent) -> float:
    """That the agent's process took so far."""
    assert agent.process is not None
    fields = Path(f"/proc/{agent.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _last(arrived: list[Json], ids: set[str]) -> int:
    return max((m["monotonic"] for m in arrived if json.loads(m["payload"])["id"] in ids), default=0)


def storms(stage: Stage, sides: tuple[Side, Side], size: Size, count: int) -> list[Storm]:
    """So many of them, with the agent on one engine and on the other in turn."""
    seen = []
    for number in range(count):
        heard, alone = sides if number % 2 == 0 else sides[::-1]
        seen.append(run := storm(stage, heard, alone, size))
        pace = f"{sum(run.times):.2f} s with the agent, {sum(run.alone):.2f} s without"
        middle = statistics.median(run.ratios)
        progress(
            f"  storm {number + 1}: {pace}, middle of {size.parts} parts {middle:.2f}; {run.happened} events, lost"
            f" {run.lost}, doubled {run.doubled}, miscounted {run.miscounted}; {run.cpu:.2f} s of CPU"
        )
    return seen


def pace(name: str, seen: Sequence[Parts], limit: float | None = None) -> Figure:
    """The median of all parts of these storms."""
    ratios = [ratio for run in seen for ratio in run.ratios]
    low, _, high = statistics.quantiles(ratios)
    by_storm = [sum(run.alone) / sum(run.times) for run in seen]
    note = (
        f"median of {len(ratios)} parts, half of them {low:.2f} to {high:.2f};"
        f" whole storms {min(by_storm):.2f} to {max(by_storm):.2f}"
    )
    return Figure(name=name, value=statistics.median(ratios), unit="", limit=limit, at_least=True, note=note)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=4000, help="events in a storm (default: 4000)")
    parser.add_argument("--parts", type=int, default=8, help="in which the engines take turns (default: 8)")
    parser.add_argument("--storms", type=int, default=8, help="how many (default: 8)")
    parser.add_argument("--clients", type=int, default=4, help="at once, where no core is left idle (default: 4)")
    parser.add_argument("--containers", type=int, default=40, help="that are renamed in turn (default: 40)")
    chosen = options(parser)
    host = machine()
    with Stage() as stage:
        progress(f"making {chosen.containers} containers on each of two engines")
        first, second = (
            Side(engine=engine, containers=stage.idle_containers("c", chosen.containers, engine=engine))
            for engine in (stage.engine, stage.second_engine())
        )
        progress("one client")
        size = Size(events=chosen.n, parts=chosen.parts, clients=1)
        one = storms(stage, (first, second), size, chosen.storms)
        fewer = max(2, chosen.storms // 2)
        progress("one client, and the shortest way in place of the agent")
        least = [
            shortest(stage, *((first, second) if number % 2 == 0 else (second, first)), size) for number in range(fewer)
        ]
        progress(f"{chosen.clients} clients")
        size = Size(events=chosen.n, parts=chosen.parts, clients=chosen.clients)
        many = storms(stage, (first, second), size, fewer)
    every = one + many
    happened = sum(run.happened for run in every)
    figures = [
        Figure(name="events lost", value=sum(run.lost for run in every), unit="", limit=0, note=f"of {happened}"),
        Figure(name="events delivered twice", value=sum(run.doubled for run in every), unit="", limit=0),
        Figure(name="events miscounted", value=sum(abs(run.miscounted) for run in every), unit="", limit=0),
        pace("engine's pace with the agent / without", one, LEAST_PACE),
        pace("pace with the shortest way / without", least),
        Figure(
            name="a storm with the agent",
            value=_middle([run.times for run in one]),
            unit="s",
            note=f"{chosen.n} events",
        ),
        Figure(name="a storm without", value=_middle([run.alone for run in one]), unit="s"),
        pace(f"pace with / without, {chosen.clients} clients", many),
        Figure(name=f"a storm with, {chosen.clients} clients", value=_middle([run.times for run in many]), unit="s"),
        Figure(name=f"a storm without, {chosen.clients} clients", value=_middle([run.alone for run in many]), unit="s"),
        Figure(
            name="last message after the storm", value=max(run.behind for run in every), unit="s", note="the worst run"
        ),
        Figure(name="agent's CPU for a storm", value=statistics.median(run.cpu for run in one), unit="s"),
    ]
    return show("Storm", figures, host, as_json=chosen.json)


def _middle(storms: list[tuple[float, ...]]) -> float:
    return statistics.median(map(sum, storms))


if __name__ == "__main__":
    sys.exit(main())
