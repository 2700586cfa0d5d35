"""What watching costs: the whole agent, with shipped policies and publishing on, beside what others take.

Many containers, one sample a second, first idle, then all waking five times a second. CPU time is what the scheduler
counted for every thread of a process. The limit in C is a small program that reads CPU, memory and memory.stat of each
container once a second from files that it keeps open, and does nothing else. `docker stats` is what most scripts ask;
what it costs is in the engine's process as well as in its own.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from report import CHECKOUT, Figure, machine, options, progress, show
from stage import METRICS, Agent, Stage, running

from watchtower_agent.collectors.cgroup_tree import CgroupTree, discover

IDLE_PERCENT, AWAKE_PERCENT, OF_C, STATS_DEARER, RSS_MIB = 0.8, 1.0, 1.2, 25.0, 70.0

WAKING = ("sh", "-c", "mkfifo /tmp/f; exec 3<>/tmp/f; while :; do read -t 0.2 line <&3; done")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process took.

    Attributes:
        percent: Of one core.
        rss_mib: Resident memory at the end.
    """

    percent: float
    rss_mib: float


def cpu_ns(pid: int) -> int:
    """CPU time of every thread that lives, as the scheduler counted it."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total


def rss_mib(pid: int) -> float:
    """Resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def measured(pids: Sequence[int], seconds: float) -> list[Cost]:
    """What each process takes from now on for so long."""
    before, begun = [cpu_ns(pid) for pid in pids], time.monotonic()
    time.sleep(seconds)
    after, passed = [cpu_ns(pid) for pid in pids], time.monotonic() - begun
    return [
        Cost(percent=(late - early) / passed / 1e7, rss_mib=rss_mib(pid))
        for pid, early, late in zip(pids, before, after, strict=True)
    ]


# --- peers ---


def compiled(stage: Stage) -> Path:
    """The program in C."""
    program = stage.directory / "reader"
    subprocess.run(["gcc", "-O2", "-o", str(program), str(CHECKOUT / "benchmarks" / "reader.c")], check=True)
    return program


def files(tree: CgroupTree, container_ids: Sequence[str]) -> list[str]:
    """What the program in C reads."""
    paths = []
    for container_id in container_ids:
        (accounting,) = Path(tree.accounting).glob(f"**/*{container_id}*")
        memory = Path(tree.memory) / accounting.relative_to(tree.accounting)
        if tree.v1:
            paths += [accounting / "cpuacct.usage", memory / "memory.usage_in_bytes", memory / "memory.stat"]
        else:
            paths += [accounting / "cpu.stat", memory / "memory.current", memory / "memory.stat"]
    return [str(path) for path in paths]


@contextlib.contextmanager
def in_c(stage: Stage, program: Path, container_ids: Sequence[str]) -> Iterator[int]:
    """It runs; its pid."""
    tree = discover("/sys/fs/cgroup")
    listing = stage.directory / "files.txt"
    listing.write_text("\n".join(files(tree, container_ids)) + "\n")
    with listing.open() as source, (stage.directory / "reader.out").open("w") as out:
        process = subprocess.Popen([str(program), "v1" if tree.v1 else "v2"], stdin=source, stdout=out)
    try:
        time.sleep(2)
        assert process.poll() is None, "the program in C ended"
        yield process.pid
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def docker_stats(stage: Stage) -> Iterator[int]:
    """`docker stats` runs; its pid."""
    process = subprocess.Popen(["docker", "stats"], env=stage.engine.environment(), stdout=subprocess.DEVNULL)
    try:
        time.sleep(8)
        yield process.pid
    finally:
        process.kill()
        process.wait()


# --- one state of the containers ---


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
    assert agent.process is not None
    with in_c(stage, program, ids) as peer:
        for number in range(rounds):
            one, other = measured([agent.process.pid, peer], seconds)
            found.agent.append(one)
            found.peer.append(other)
            progress(f"  round {number + 1}: agent {one.percent:.2f} %, C {other.percent:.2f} % of a core")
    return found


def wake(stage: Stage, ids: Sequence[str]) -> None:
    """Let every container wake five times a second from now on."""

    def one(container_id: str) -> None:
        stage.engine.docker("exec", "--detach", container_id, *WAKING)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, ids))


def shipped_policies() -> str:
    """All of `config/policies` as one file."""
    lines = ["version: 1", "policies:"]
    for file in sorted((CHECKOUT / "config" / "policies").glob("*.yaml")):
        text = file.read_text().split("policies:\n", 1)[1]
        lines.append(text.rstrip())
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--containers", type=int, default=400, help="running containers (default: 400)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each comparison (default: 3)")
    parser.add_argument("--seconds", type=float, default=40.0, help="a round lasts so long (default: 40)")
    chosen = options(parser)
    host = machine()
    if shutil.which("gcc") is None:
        progress("gcc is needed for the peer in C: apt-get install gcc")
        return 2
    with Stage() as stage:
        program = compiled(stage)
        progress(f"making {chosen.containers} containers")
        ids = stage.idle_containers("c", chosen.containers)
        agent = stage.agent(shipped_policies())
        subscriber = stage.subscriber(METRICS)
        with running(stage, agent):
            time.sleep(15)  # the inspections of the start are over, and every file is open
            progress("idle")
            idle = compare(stage, agent, program, ids, chosen.rounds, chosen.seconds)
            progress("docker stats beside the agent")
            engine = engine_pids(stage)
            quiet = measured(engine, chosen.seconds / 2)
            assert agent.process is not None
            with docker_stats(stage) as client:
                client_cost, agent_cost, *engine_cost = measured([client, agent.process.pid, *engine], chosen.seconds)
            stats = client_cost.percent + sum(
                busy.percent - before.percent for busy, before in zip(engine_cost, quiet, strict=True)
            )
            progress(f"  docker stats {stats:.2f} %, agent {agent_cost.percent:.2f} %")
            progress("waking five times a second")
            wake(stage, ids)
            time.sleep(10)
            awake = compare(stage, agent, program, ids, chosen.rounds, chosen.seconds)
            status = agent.status()
        batches = subscriber.count()
    note = f"{chosen.containers} containers, median of {chosen.rounds} rounds of {chosen.seconds:g} s"
    figures = [
        Figure(name="agent, idle", value=_median(idle.agent), unit="%", limit=IDLE_PERCENT, note=note),
        Figure(name="agent, all awake", value=_median(awake.agent), unit="%", limit=AWAKE_PERCENT),
        Figure(name="agent / program in C, idle", value=idle.ratio, unit="", limit=OF_C),
        Figure(name="agent / program in C, all awake", value=awake.ratio, unit="", limit=OF_C),
        Figure(name="program in C, idle", value=_median(idle.peer), unit="%"),
        Figure(name="program in C, all awake", value=_median(awake.peer), unit="%"),
        Figure(name="docker stats, client and daemon", value=stats, unit="%", note="engine's own idle taken off"),
        Figure(
            name="docker stats / agent",
            value=stats / agent_cost.percent,
            unit="",
            limit=STATS_DEARER,
            at_least=True,
            note="at the same time",
        ),
        Figure(name="agent's resident memory", value=awake.agent[-1].rss_mib, unit="MiB", limit=RSS_MIB),
        Figure(name="batches of metrics that arrived", value=batches, unit=""),
        Figure(name="ticks left out", value=float(status["sampling"]["overruns"]), unit="", limit=0),
    ]
    return show("Sampling", figures, host, as_json=chosen.json)


def engine_pids(stage: Stage) -> list[int]:
    """The daemon's process and its containerd's."""
    daemon = stage.engine.pid
    below = [pid for task in Path(f"/proc/{daemon}/task").iterdir() for pid in (task / "children").read_text().split()]
    return [daemon, *(int(pid) for pid in below if "containerd" in Path(f"/proc/{pid}/comm").read_text())]


def _median(costs: Sequence[Cost]) -> float:
    return statistics.median(cost.percent for cost in costs)


if __name__ == "__main__":
    sys.exit(main())
