"""What watching costs: the whole agent, with shipped policies and publishing on, beside what others take.

Many containers, one sample a second, first idle, then all waking five times a second. CPU time is what the scheduler
counted for every thread of a process. The limit in C is a small program that reads CPU, memory and memory.stat of each
container once a second from files that it keeps open, and does nothing else. `docker stats` is what most scripts ask;
what it costs is in the engine's processes as well as in its own: in the daemon, its containerd, and a shim for each
container. Other programs that watch containers are installed for the run; `--peers` says which, all without it.

Beside that: resident memory after an hour, which is given to an agent in half a minute (`memory.py`, `hour.py`); how
late the agent's own loop is, measured inside; and of the core alone, on simulated containers (`simulated.py`), what a
condition costs (`conditions.py`), and whether ten times as many containers cost ten times as much.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import peers
from conditions import conditions
from costs import Cost, engine_groups, family, measured, rss_mib
from memory import hours
from report import Figure, machine, options, progress, show
from simulated import many
from stage import METRICS, Agent, Json, Stage, Subscriber, running, shipped_policies

from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.policy import PolicySet

IDLE_PERCENT, AWAKE_PERCENT, OF_C, STATS_DEARER, LAG_MS = 0.8, 1.0, 1.2, 25.0, 10.0

DOCKER_STATS = "docker stats"
WAKING = ("sh", "-c", "mkfifo /tmp/f; exec 3<>/tmp/f; while :; do read -t 0.2 line <&3; done")

# --- agent and C, at the same time ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Rounds in each of which both were measured at the same time."""

    agent: list[Cost]
    peer: list[Cost]

    @property
    def ratio(self) -> float:
        """The agent's CPU by the peer's, median of the rounds."""
        return statistics.median(one.percent / other.percent for one, other in zip(self.agent, self.peer, strict=True))


def compare(stage: Stage, agent: Agent, program: Path, ids: Sequence[str], rounds: int, seconds: float) -> Compared:
    """Agent and C at the same time, so that both meet the same machine."""
    found = Compared(agent=[], peer=[])
    with peers.in_c(stage, program, ids) as peer:
        for number in range(rounds):
            costs = measured({"agent": [agent.pid], "C": [peer]}, seconds)
            found.agent.append(costs["agent"])
            found.peer.append(costs["C"])
            told = ", ".join(f"{name} {cost.percent:.2f} %" for name, cost in costs.items())
            progress(f"  round {number + 1}: {told} of a core")
    return found


def wake(stage: Stage, ids: Sequence[str]) -> None:
    """Let every container wake five times a second from now on."""

    def one(container_id: str) -> None:
        stage.engine.docker("exec", "--detach", container_id, *WAKING)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, ids))


def costs_of(name: str, found: Compared, limit: float, note: str) -> list[Figure]:
    """Agent, C, and one by the other."""
    return [
        Figure(name=f"agent, {name}", value=_median(found.agent), unit="%", limit=limit, note=note),
        Figure(name=f"program in C, {name}", value=_median(found.peer), unit="%"),
        Figure(name=f"agent / program in C, {name}", value=found.ratio, unit="", limit=OF_C),
    ]


# --- who else watches ---


def beside(stage: Stage, agent: Agent, name: str, containers: int, seconds: float) -> list[Figure]:
    """A peer beside the agent: what it takes itself, and what it adds to the engine's processes."""
    progress(f"{name} beside the agent")
    try:
        program = peers.docker_stats(stage) if name == DOCKER_STATS else peers.made(name, stage, containers)
        engine = engine_groups(stage.engine.pid, stage.engine.directory)
        quiet = measured(engine, seconds / 2)
        with peers.running(program) as pid:
            busy = measured({name: family(pid), "agent": [agent.pid]} | engine, seconds)
    except peers.NotMeasuredError as error:
        return [Figure(name=f"{name}", value=None, unit="%", note=str(error))]
    added = {part: busy[part].percent - quiet[part].percent for part in engine}
    own, of_agent = busy[name], busy["agent"].percent
    whole = own.percent + sum(added.values())
    progress(f"  {name} {whole:.2f} %, agent {of_agent:.2f} %")
    told = f"{program.version}{', ' if program.note else ''}{program.note}"
    figures = [
        Figure(name=f"{name}: its own processes", value=own.percent, unit="%", note=told),
        *(
            Figure(name=f"{name}: added to the engine's {part}", value=percent, unit="%", note=_of(engine[part]))
            for part, percent in added.items()
        ),
        Figure(name=f"{name}: resident memory", value=own.rss_mib, unit="MiB", note=f"{own.threads} threads"),
    ]
    at_once = "at the same time"
    if name == DOCKER_STATS:
        figures.append(
            Figure(
                name=f"{name}, client and daemon / agent",
                value=(own.percent + added["daemon"]) / of_agent,
                unit="",
                limit=STATS_DEARER,
                at_least=True,
                note=at_once,
            )
        )
    return [*figures, Figure(name=f"{name}, all of it / agent", value=whole / of_agent, unit="", note=at_once)]


def _of(pids: Sequence[int]) -> str:
    return f"{len(pids)} processes" if len(pids) != 1 else ""


# --- the loop's lag ---


def lag(agent: Agent, name: str, seconds: int) -> list[Figure]:
    """How late the agent's loop is, as it measures itself."""
    progress(f"the loop's lag, {name}")
    found: Json = agent.lag(seconds)
    turns, timers = found["turns"], found["timers"]
    late = timers["late"]
    told = f"{turns['turns']} turns in {seconds} s, {100 * turns['busy']:.2f} % of the time, longest "
    return [
        Figure(
            name=f"loop's lag, {name}, p99.9 of all moments",
            value=1e3 * turns["lag"]["p99.9"],
            unit="ms",
            limit=LAG_MS,
            note=f"{told}{1e3 * turns['longest']:.1f} ms",
        ),
        Figure(
            name=f"loop's lag, {name}, p99.9 of timers",
            value=1e3 * late["p99.9"],
            unit="ms",
            limit=LAG_MS,
            note=f"n={timers['count']}, p50 {1e3 * late['p50']:.2f}, most {1e3 * late['longest']:.1f}",
        ),
    ]


# --- all of it ---


def watching(stage: Stage, ids: Sequence[str], chosen: argparse.Namespace) -> list[Figure]:
    """The agent through both states of the containers, with everybody who is measured beside it."""
    agent, subscriber = stage.agent(shipped_policies()), stage.subscriber(METRICS)
    with running(stage, agent):
        time.sleep(15)  # the inspections of the start are over, and every file is open
        figures = _through(stage, agent, ids, chosen)
        status = agent.status()
        resident = rss_mib(agent.pid)
    return [*figures, *_in_the_end(status, subscriber, resident)]


def _through(stage: Stage, agent: Agent, ids: Sequence[str], chosen: argparse.Namespace) -> list[Figure]:
    figures: list[Figure] = []
    rounds, seconds = chosen.rounds, chosen.seconds
    note = f"{len(ids)} containers, median of {rounds} rounds of {seconds:g} s"
    program = peers.compiled(stage) if "cost" in chosen.parts else None
    if program is not None:
        progress("idle")
        figures += costs_of("idle", compare(stage, agent, program, ids, rounds, seconds), IDLE_PERCENT, note)
    if "lag" in chosen.parts:
        figures += lag(agent, "idle", chosen.lag)
    if "peers" in chosen.parts:
        for name in (DOCKER_STATS, *chosen.peers):
            figures += beside(stage, agent, name, len(ids), seconds)
        for name in peers.PEERS.keys() - set(chosen.peers):
            figures.append(Figure(name=name, value=None, unit="%", note=f"not asked for with --peers {name}"))
    if program is not None or "lag" in chosen.parts:
        progress("waking five times a second")
        wake(stage, ids)
        time.sleep(10)
    if program is not None:
        figures += costs_of("all awake", compare(stage, agent, program, ids, rounds, seconds), AWAKE_PERCENT, "")
    if "lag" in chosen.parts:
        figures += lag(agent, "all awake", chosen.lag)
    return figures


def _in_the_end(status: Json, subscriber: Subscriber, resident: float) -> list[Figure]:
    ticks, minutes = status["sampling"]["ticks"], status["agent"]["uptime"] / 60
    return [
        Figure(name="resident memory in the end", value=resident, unit="MiB", note=f"after {minutes:.0f} min"),
        Figure(name="batches of metrics that arrived", value=subscriber.count(), unit=""),
        Figure(
            name="ticks left out", value=float(status["sampling"]["left_out"]), unit="", limit=0, note=f"of {ticks:,}"
        ),
    ]


def _median(costs: Sequence[Cost]) -> float:
    return statistics.median(cost.percent for cost in costs)


PARTS = ("core", "hour", "cost", "lag", "peers")


def _several(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def several(text: str) -> tuple[str, ...]:
        given = tuple(word for word in text.split(",") if word)
        if unknown := sorted(set(given) - set(known)):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(known)}")
        return given

    return several


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--containers", type=int, default=400, help="running containers (default: 400)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each comparison (default: 3)")
    parser.add_argument("--seconds", type=float, default=40.0, help="a round lasts so long (default: 40)")
    parser.add_argument(
        "--lag", type=int, default=60, help="seconds in which the loop's lag is looked at (default: 60)"
    )
    parser.add_argument(
        "--peers",
        type=_several(tuple(peers.PEERS)),
        default=tuple(peers.PEERS),
        help=f"programs to install for this run and measure, of {', '.join(peers.PEERS)} (default: all; '' for none)",
    )
    parser.add_argument(
        "--parts",
        type=_several(PARTS),
        default=PARTS,
        help=f"only these, of {', '.join(PARTS)} (default: all)",
    )
    chosen = options(parser)
    host = machine()
    if "cost" in chosen.parts and shutil.which("gcc") is None:
        progress("gcc is needed for the peer in C: apt-get install gcc")
        return 2
    figures: list[Figure] = []
    if "core" in chosen.parts:
        policies = load_policies({"policies.yaml": shipped_policies().encode()})
        assert isinstance(policies, PolicySet), policies
        figures += conditions(chosen.containers, policies)
        figures += many(chosen.containers, policies, stretches=chosen.rounds)
    if set(chosen.parts) != {"core"}:
        with Stage() as stage:
            progress(f"making {chosen.containers} containers")
            ids = stage.idle_containers("c", chosen.containers)
            if "hour" in chosen.parts:
                figures += hours(stage)
            if set(chosen.parts) - {"core", "hour"}:
                figures += watching(stage, ids, chosen)
    return show("Sampling", figures, host, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
