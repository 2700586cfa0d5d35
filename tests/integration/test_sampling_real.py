"""The sampler beside `docker stats`, on a real engine."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import PrivateEngine
from watchtower_agent.clock import SystemClock
from watchtower_agent.collectors.cgroup_tree import discover
from watchtower_agent.collectors.reader import Reader
from watchtower_agent.collectors.sampler import Sampler
from watchtower_agent.engine.address import resolve_address
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.model.sample import LocalEngine, SampleBatch, SampleTarget

MIB = 1 << 20
BURN = ("sh", "-c", "while :; do :; done")
HOG = ("sh", "-c", "dd if=/dev/zero of=/dev/shm/hog bs=1M count=40 2>/dev/null; while :; do sleep 1; done")
OOM = ("sh", "-c", "while :; do sleep 0.1; tail /dev/zero; done")


class Running:
    """A sampler at its work."""

    def __init__(self, data_root: str) -> None:
        self.batches: queue.Queue[SampleBatch] = queue.Queue()
        reader = Reader(clock=SystemClock(), interval=0.5)
        self.sampler = Sampler(reader=reader, deliver=self.batches.put)
        self.sampler.demand(frozenset({"memory.working_set"}), 10.0)
        self.sampler.engine(LocalEngine(data_root=data_root))
        self.sampler.start()

    def until(self, wanted: Callable[[SampleBatch], bool], what: str, batches: int = 60) -> SampleBatch:
        """The first batch of which something holds."""
        for _ in range(batches):
            batch = self.batches.get(timeout=10)
            if wanted(batch):
                return batch
        pytest.fail(f"not within {batches} batches: {what}")


@pytest.fixture
def running(engine: PrivateEngine) -> Iterator[Running]:
    running = Running(engine.api("GET", "/info")["DockerRootDir"])
    yield running
    running.sampler.stop()


def cpu_seconds(container_id: str) -> float:
    """What the kernel says that a container used, read as anyone would."""
    tree = discover("/sys/fs/cgroup")
    (directory,) = Path(tree.accounting).glob(f"**/*{container_id}*")
    if tree.v1:
        return int((directory / "cpuacct.usage").read_text()) / 1e9
    return int((directory / "cpu.stat").read_text().split()[1]) / 1e6


class Stats:
    """What `docker stats` computes of two answers of the engine, taken when the test says so."""

    def __init__(self, engine: PrivateEngine, container_id: str) -> None:
        self._calls = EngineCalls(resolve_address(engine.url, None, environment={}), clock=SystemClock())
        self._id = container_id
        self._first = self._read()

    def cpu_percent(self) -> float:
        """Since this was made: Δcontainer / Δsystem * processors, as the CLI has it."""
        first, second = self._first, self._read()
        used = second["cpu_usage"]["total_usage"] - first["cpu_usage"]["total_usage"]
        passed = second["system_cpu_usage"] - first["system_cpu_usage"]
        return float(100 * used / passed * second["online_cpus"])

    def _read(self) -> dict[str, Any]:
        answer: Any = self._calls.stats(self._id)
        stats: dict[str, Any] = answer["cpu_stats"]
        return stats


def docker_stats(engine: PrivateEngine) -> dict[str, dict[str, str]]:
    """`docker stats`, by name."""
    lines = engine.docker("stats", "--no-stream", "--format={{json .}}").splitlines()
    return {stats["Name"]: stats for stats in map(json.loads, lines)}


def test_a_burner_and_a_hog_as_docker_stats_shows_them(engine: PrivateEngine, running: Running) -> None:
    burner = engine.run("burner", *BURN, options=("--cpus=0.4",))
    hog = engine.run("hog", *HOG, options=("--memory=80m", "--shm-size=64m"))
    running.sampler.watch((SampleTarget(container_id=burner), SampleTarget(container_id=hog)))
    running.until(lambda batch: len(batch.targets) > 1 and batch.columns["memory.usage"][1] > 40 * MIB, "40 MiB used")
    began, used, beside = running.batches.get(timeout=10).at, cpu_seconds(burner), Stats(engine, burner)
    shares = [batch.columns["cpu.percent"][0] for batch in (running.batches.get(timeout=10) for _ in range(6))]
    docker = beside.cpu_percent()
    passed, used = SystemClock().now().monotonic - began.monotonic, cpu_seconds(burner) - used
    stats = docker_stats(engine)
    batch = running.batches.get(timeout=10)
    assert not batch.failures

    seen = sum(shares) / len(shares)
    assert seen == pytest.approx(100 * used / passed, rel=0.1)
    assert seen < 40 * 1.1
    assert seen == pytest.approx(docker, rel=0.1)
    assert batch.columns["cpu.percent_of_limit"][0] == pytest.approx(batch.columns["cpu.percent"][0] / 0.4)

    assert batch.columns["memory.limit"][1] == 80 * MIB
    assert batch.columns["memory.percent"][1] == pytest.approx(float(stats["hog"]["MemPerc"].rstrip("%")), rel=0.15)
    assert batch.columns["memory.percent"][1] == pytest.approx(
        100 * batch.columns["memory.working_set"][1] / (80 * MIB)
    )
    assert 0 < batch.host["host.disk.percent"] < 100
    assert batch.host["host.cpu.percent"] > 10


def test_an_oom_kill_is_counted_when_it_is_reported(engine: PrivateEngine, running: Running) -> None:
    victim = engine.run("victim", *OOM, options=("--memory=20m", "--memory-swap=20m"))
    running.sampler.watch((SampleTarget(container_id=victim),))

    def counted(batch: SampleBatch) -> bool:
        running.sampler.read_anew(victim)
        return bool(batch.targets) and batch.columns["memory.oom_kills"][0] >= 1

    batch = running.until(counted, "an OOM kill")
    assert batch.columns["memory.limit"][0] == 20 * MIB


def test_a_restart_is_followed_without_a_failure(engine: PrivateEngine, running: Running) -> None:
    box = engine.run("box", *BURN)
    running.sampler.watch((SampleTarget(container_id=box),))
    running.until(lambda batch: bool(batch.targets) and batch.columns["cpu.cores"][0] > 0.3, "a rate")
    engine.docker("restart", "--time=0", "box")
    pid = engine.api("GET", f"/containers/{box}/json")["State"]["Pid"]
    assert Path(f"/proc/{pid}").exists()
    batch = running.until(lambda batch: batch.columns["cpu.cores"][0] > 0.3, "a rate after the restart")
    assert not batch.failures
    engine.docker("rm", "--force", "box")
    batch = running.until(lambda batch: batch.columns["cpu.cores"][0] != batch.columns["cpu.cores"][0], "the end")
    assert not batch.failures
