"""A storm of container events: is any lost, is any counted twice, and does the engine notice that somebody listens?

A client renames containers as fast as the engine answers, in pairs of runs: once with the agent connected, once
without. What really happened is what an event stream of its own has seen, which is there in both runs. The same is
then done by several clients at once that leave no core idle: what the agent takes, with its broker and a subscriber on
the same machine, is then missing to the engine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from report import Figure, machine, options, progress, show
from stage import EVENTS, Agent, Json, Stage, running

from watchtower_agent.engine.event import normalise_event

LEAST_PACE = 0.9

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

CLIENT = """
import http.client, socket, sys
path, count, containers = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
connection = http.client.HTTPConnection("engine")
connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
connection.sock.connect(path)
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    container = containers[number % len(containers)]
    connection.request("POST", f"/containers/{container}/rename?name={container[:12]}-{number}", body="")
    answer = connection.getresponse()
    answer.read()
    assert answer.status < 300, answer.status
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """One run with the agent.

    Attributes:
        happened: Container events that the oracle has seen.
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


def storm(stage: Stage, containers: list[str], count: int, clients: int) -> float:
    """Let the clients do so many renames together; the seconds that it took."""
    each = count // clients
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(stage.engine.socket), str(each), *containers[number::clients]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(clients)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    begun = time.monotonic()
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    codes = [process.wait(120) for process in processes]
    taken = time.monotonic() - begun
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
    assert not any(codes), f"a client failed: {codes}"
    return taken


def with_agent(stage: Stage, containers: list[str], count: int, clients: int, engine_id: str) -> tuple[float, Storm]:
    subscriber = stage.subscriber(EVENTS)
    agent = stage.agent(POLICIES)
    with running(stage, agent):
        time.sleep(2)  # the inspections of the start are over
        counted = agent.status()["engine"]["events"]
        cpu = cpu_seconds(agent)
        oracle = stage.oracle()
        before = subscriber.count()
        taken = storm(stage, containers, count, clients)
        ended = time.monotonic_ns()
        expected = oracle.count()
        subscriber.wait_count(before + expected, within=30)
        time.sleep(0.5)  # what is published twice comes later
        cpu = cpu_seconds(agent) - cpu
        counted = agent.status()["engine"]["events"] - counted
    happened = [
        event.id
        for seen in oracle.end()
        if (event := normalise_event(seen["event"], engine_id=engine_id)) is not None and event.kind == "container"
    ]
    arrived = subscriber.end()
    messages = Counter(json.loads(message["payload"])["id"] for message in arrived)
    return taken, Storm(
        happened=len(happened),
        lost=sum(1 for event_id in happened if event_id not in messages),
        doubled=sum(messages[event_id] - 1 for event_id in happened if event_id in messages),
        miscounted=counted - expected,
        behind=max(0.0, (_last(arrived, set(happened)) - ended) / 1e9),
        cpu=cpu,
    )


def without_agent(stage: Stage, containers: list[str], count: int, clients: int) -> float:
    oracle = stage.oracle()
    try:
        return storm(stage, containers, count, clients)
    finally:
        oracle.close()


def cpu_seconds(agent: Agent) -> float:
    """That the agent's process took so far."""
    assert agent.process is not None
    fields = Path(f"/proc/{agent.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _last(arrived: list[Json], ids: set[str]) -> int:
    return max((m["monotonic"] for m in arrived if json.loads(m["payload"])["id"] in ids), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Runs in pairs.

    Attributes:
        storms: With the agent.
        times: Seconds of each storm with the agent.
        alone: Seconds of each storm without.
    """

    storms: list[Storm]
    times: list[float]
    alone: list[float]

    @property
    def ratios(self) -> list[float]:
        """The engine's pace with the agent by that without."""
        return [alone / time for time, alone in zip(self.times, self.alone, strict=True)]


def in_pairs(stage: Stage, containers: list[str], count: int, clients: int, pairs: int) -> Pairs:
    engine_id = stage.engine.api("GET", "/info")["ID"]
    seen = Pairs(storms=[], times=[], alone=[])
    for pair in range(pairs):
        # Which of the two goes first alternates: what changes with time favours neither.
        for agent_first in (pair % 2 == 0, pair % 2 != 0):
            if agent_first:
                taken, run = with_agent(stage, containers, count, clients, engine_id)
                seen.times.append(taken)
                seen.storms.append(run)
            else:
                seen.alone.append(without_agent(stage, containers, count, clients))
        times = f"{seen.times[-1]:.2f} s with the agent, {seen.alone[-1]:.2f} s without"
        progress(f"  pair {pair + 1}: {times}; {seen.storms[-1]}")
    return seen


def pace(name: str, seen: Pairs, limit: float | None = None) -> Figure:
    ratios = seen.ratios
    note = f"median of {len(ratios)} pairs, {min(ratios):.2f} to {max(ratios):.2f}"
    return Figure(name=name, value=statistics.median(ratios), unit="", limit=limit, at_least=True, note=note)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=4000, help="events in a run (default: 4000)")
    parser.add_argument("--pairs", type=int, default=7, help="pairs of runs (default: 7)")
    parser.add_argument("--clients", type=int, default=4, help="at once, where no core is left idle (default: 4)")
    parser.add_argument("--containers", type=int, default=40, help="that are renamed in turn (default: 40)")
    chosen = options(parser)
    host = machine()
    with Stage() as stage:
        progress(f"making {chosen.containers} containers")
        containers = stage.idle_containers("c", chosen.containers)
        progress("one client")
        one = in_pairs(stage, containers, chosen.n, 1, chosen.pairs)
        progress(f"{chosen.clients} clients")
        many = in_pairs(stage, containers, chosen.n, chosen.clients, max(1, chosen.pairs // 2))
    storms = one.storms + many.storms
    happened = sum(run.happened for run in storms)
    figures = [
        Figure(name="events lost", value=sum(run.lost for run in storms), unit="", limit=0, note=f"of {happened}"),
        Figure(name="events delivered twice", value=sum(run.doubled for run in storms), unit="", limit=0),
        Figure(name="events miscounted", value=sum(abs(run.miscounted) for run in storms), unit="", limit=0),
        pace("engine's pace with the agent / without", one, LEAST_PACE),
        Figure(name="a storm with the agent", value=statistics.median(one.times), unit="s", note=f"{chosen.n} events"),
        Figure(name="a storm without", value=statistics.median(one.alone), unit="s"),
        pace(f"pace with / without, {chosen.clients} clients", many),
        Figure(name=f"a storm with, {chosen.clients} clients", value=statistics.median(many.times), unit="s"),
        Figure(name=f"a storm without, {chosen.clients} clients", value=statistics.median(many.alone), unit="s"),
        Figure(
            name="last message after the storm", value=max(run.behind for run in storms), unit="s", note="the worst run"
        ),
        Figure(name="agent's CPU for a storm", value=statistics.median(run.cpu for run in storms), unit="s"),
    ]
    return show("Storm", figures, host, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
