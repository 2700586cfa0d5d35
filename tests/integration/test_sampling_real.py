"""The sampler on a real engine."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cgroup_parent import limited_parent
from tests.support.engine import PrivateEngine
from tests.support.patience import patient
from watchtower_agent.clock import SystemClock
from watchtower_agent.collectors.cgroup_tree import discover
from watchtower_agent.collectors.reader import Reader
from watchtower_agent.collectors.sampler import Sampler
from watchtower_agent.collectors.stats_answer import parse_stats
from watchtower_agent.model.sample import LocalEngine, SampleBatch, SampleTarget

MIB = 1 << 20
BURN = ("sh", "-c", "while :; do :; done")
STIR = ("sh", "-c", "while :; do sleep 0.05; done")
OOM = ("sh", "-c", "while :; do sleep 0.1; tail /dev/zero; done")

MAKER = """
    root=/sys/fs/cgroup; limit=memory.max
    if [ -d $root/memory ]; then
        root=$root/memory; limit=memory.limit_in_bytes
    else
        mkdir $root/init; echo 1 > $root/init/cgroup.procs; echo +memory > $root/cgroup.subtree_control
    fi
    mkdir $root/small; echo 4194304 > $root/small/$limit
    until [ -e /fill ]; do sleep 0.1; done
    for time in 1 2; do
        sh -c "echo \\$\\$ > $root/small/cgroup.procs; exec dd if=/dev/zero of=/dev/null bs=20M count=1"
    done
    until [ -e /remove ]; do sleep 0.1; done
    rmdir $root/small && touch /removed
    sleep 3600
"""
"""Kills two processes within a cgroup of its own making, and removes it."""


class Running:
    """A sampler at its work."""

    def __init__(self, data_root: str) -> None:
        self.batches: queue.Queue[SampleBatch] = queue.Queue()
        reader = Reader(clock=SystemClock(), interval=0.5)
        self.sampler = Sampler(reader=reader, deliver=self.batches.put)
        self.sampler.demand(frozenset({"memory.working_set"}), 10.0)
        self.sampler.engine(LocalEngine(data_root=data_root))
        self.sampler.start()

    def watch(self, *targets: SampleTarget) -> None:
        """Read these from now on; what was read while they were started, which may take long, is forgotten."""
        self.sampler.watch(targets)
        self.batches.queue.clear()

    def until(self, wanted: Callable[[SampleBatch], bool], what: str, seconds: float = 60.0) -> SampleBatch:
        """The first batch of which something holds."""
        deadline = time.monotonic() + patient(seconds)
        while time.monotonic() < deadline:
            batch = self.batches.get(timeout=patient(10))
            if wanted(batch):
                return batch
        pytest.fail(f"not within {patient(seconds):g} s: {what}")


@pytest.fixture
def running(engine: PrivateEngine) -> Iterator[Running]:
    running = Running(engine.api("GET", "/info")["DockerRootDir"])
    yield running
    running.sampler.stop()


def test_the_host_beside_a_burner(engine: PrivateEngine, running: Running) -> None:
    running.watch(SampleTarget(container_id=engine.run("burner", *BURN, options=("--cpus=0.4",))))
    running.until(lambda batch: bool(batch.targets) and batch.columns["cpu.percent"][0] > 0, "a rate")
    batch = running.until(lambda batch: batch.host["host.cpu.percent"] > 10, "a busy host")
    assert batch.columns["cpu.percent_of_limit"][0] == pytest.approx(batch.columns["cpu.percent"][0] / 0.4)
    assert 0 < batch.host["host.disk.percent"] < 100
    assert not batch.failures


def test_limits_of_the_cgroup_around_a_container_are_its_own(engine: PrivateEngine, running: Running) -> None:
    with limited_parent(engine, cores=0.8, memory=300 * MIB) as parent:
        options = {"free": (), "less": ("--cpus=0.2", "--memory=80m"), "more": ("--memory=900m",)}
        targets = [
            SampleTarget(
                container_id=engine.run(name, *STIR, options=(f"--cgroup-parent={parent}", *own)), cgroup_parent=parent
            )
            for name, own in options.items()
        ]
        running.watch(*targets)

        def known(batch: SampleBatch) -> bool:
            return bool(batch.targets) and all(share > 0 for share in batch.columns["cpu.percent_of_limit"])

        batch = running.until(known, "all shares known")
        assert list(batch.columns["memory.limit"]) == [300 * MIB, 80 * MIB, 300 * MIB]
        used, shares = batch.columns["cpu.percent"], batch.columns["cpu.percent_of_limit"]
        assert [one / other for one, other in zip(used, shares, strict=True)] == pytest.approx([0.8, 0.2, 0.8])
        assert not batch.failures
        if "memory" in discover("/sys/fs/cgroup").v1:  # on v2 the engine does not tell what is around a container
            told = [engine.api("GET", f"/containers/{name}/stats", stream="false") for name in ("free", "less")]
            assert [each.memory_limit for each in map(parse_stats, told) if each] == [300 * MIB, 80 * MIB]


def test_an_oom_kill_is_counted_when_it_is_reported(engine: PrivateEngine, running: Running) -> None:
    victim = engine.run("victim", *OOM, options=("--memory=20m", "--memory-swap=20m"))
    running.watch(SampleTarget(container_id=victim))

    def counted(batch: SampleBatch) -> bool:
        running.sampler.read_anew(victim)
        return bool(batch.targets) and batch.columns["memory.oom_kills"][0] >= 1

    batch = running.until(counted, "an OOM kill")
    assert batch.columns["memory.limit"][0] == 20 * MIB


def test_kills_in_cgroups_that_a_container_makes_within_its_own_are_counted(
    engine: PrivateEngine, running: Running
) -> None:
    """And stay counted when those have gone."""
    maker = engine.run("maker", "sh", "-c", MAKER, options=("--privileged", "--cgroupns=private"))
    running.watch(SampleTarget(container_id=maker))
    running.until(lambda batch: bool(batch.targets) and batch.columns["memory.oom_kills"][0] == 0, "none yet")
    engine.docker("exec", "maker", "touch", "/fill")
    running.until(lambda batch: batch.columns["memory.oom_kills"][0] == 2, "two kills")
    engine.docker("exec", "maker", "touch", "/remove")
    engine.docker("exec", "maker", "sh", "-c", "until [ -e /removed ]; do sleep 0.1; done")

    def counted(batch: SampleBatch) -> bool:
        running.sampler.read_anew(maker)
        assert batch.columns["memory.oom_kills"][0] >= 2
        return maker in batch.anew

    running.until(counted, "another look")
    batch = running.until(counted, "and the one after it")
    assert batch.columns["memory.oom_kills"][0] == 2
    assert not batch.failures


def test_a_restart_is_followed_without_a_failure(engine: PrivateEngine, running: Running) -> None:
    box = engine.run("box", *BURN)
    running.watch(SampleTarget(container_id=box))
    running.until(lambda batch: bool(batch.targets) and batch.columns["cpu.cores"][0] > 0, "a rate")
    engine.docker("restart", "--time=0", "box")
    pid = engine.api("GET", f"/containers/{box}/json")["State"]["Pid"]
    assert Path(f"/proc/{pid}").exists()
    restarted = SystemClock().now().monotonic
    batch = running.until(
        lambda batch: batch.at.monotonic > restarted and batch.columns["cpu.cores"][0] > 0,
        "a rate after the restart",
    )
    assert not batch.failures
    engine.docker("rm", "--force", "box")
    batch = running.until(lambda batch: batch.columns["cpu.cores"][0] != batch.columns["cpu.cores"][0], "the end")
    assert not batch.failures
