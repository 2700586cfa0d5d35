"""A host of any size without an engine: cgroups that are plain files, read and judged by the agent's own code.

For what is asked about the core alone: what a condition costs, and whether ten times as many containers cost ten times
as much. The containers' cgroups have the files of cgroup v2 in a file system in memory; they are found, opened, read
and parsed by the real reader, and what it read goes through the real pipeline with the shipped policies.
"""

from __future__ import annotations

import contextlib
import gc
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from report import Figure, progress

from tests.support.cgroups import fake_proc, full_id, v2_tree
from tests.support.core import INFO, container
from watchtower_agent.clock import SystemClock
from watchtower_agent.collectors.files import RESERVE, raise_descriptor_limit
from watchtower_agent.collectors.reader import Reader
from watchtower_agent.collectors.request import Demand, Request
from watchtower_agent.loop.effects import Effects
from watchtower_agent.loop.observations import Observation
from watchtower_agent.loop.pipeline import Pipeline
from watchtower_agent.loop.pipeline_options import PipelineOptions
from watchtower_agent.model.observation import (
    ContainerObserved,
    EngineFound,
    EnginePinged,
    InventoryObserved,
)
from watchtower_agent.model.sample import LocalEngine, SampleTarget
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.publishing.cloudevent import CloudEventComposer

TENFOLD = 10.5
"""Times as much as a tenth of the containers cost, at most."""
METRICS_INTERVAL = 10.0
"""Seconds; the default. Every tenth tick reads more than the others."""
_ENGINE = LocalEngine(data_root="/dev/shm")
"""The disk that conditions ask about."""


@dataclass(slots=True)
class Host:
    """So many containers, as the agent's core and its reader see them.

    Attributes:
        reading: Seconds of CPU time that the reader has taken.
        judging: The same of the pipeline.
        failures: What could not be read, or not as cheaply as on other machines.
    """

    pipeline: Pipeline
    reader: Reader
    clock: SystemClock = field(default_factory=SystemClock)
    reading: float = 0.0
    judging: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)
    _targets: tuple[SampleTarget, ...] = ()
    _demand: Demand = field(default_factory=Demand)

    @classmethod
    def made(cls, root: Path, count: int, policies: PolicySet) -> Host:
        """Make the files below a folder, and an agent's core that has listed and inspected all containers."""
        tree = v2_tree(root / "cgroup")
        proc = fake_proc(root / "proc")
        ids = [full_id(number) for number in range(count)]
        for container_id in ids:
            tree.add(f"docker/{container_id}")
        options = PipelineOptions(
            host="bench",
            mode="enforce",
            interval=1.0,
            metrics_interval=METRICS_INTERVAL,
            protection=Protection(),
        )
        clock = SystemClock()
        host = cls(
            pipeline=Pipeline(options, CloudEventComposer(host="bench", install_id="0" * 16)),
            reader=Reader(clock=clock, cgroup_root=str(tree.root), proc_root=str(proc)),
            clock=clock,
        )
        containers = tuple(container(f"c{number}", identity=each, pid=0) for number, each in enumerate(ids))
        at = clock.now().wall
        host.step(policies, EngineFound(info=INFO, restarted=False, at=at))
        host.step(InventoryObserved(containers=containers, after_position=0, at=at))
        host.step(*(ContainerObserved(container_id=c.id, container=c, after_position=0, at=at) for c in containers))
        host.step()
        assert len(host._targets) == count
        return host

    def step(self, *observations: Observation) -> None:
        """One step of the pipeline, and what it tells the sampler."""
        effects: Effects = self.pipeline.step(observations, self.clock.now())
        self._targets = effects.watch if effects.watch is not None else self._targets
        if effects.demand is not None:
            self._demand = Demand(every_tick=effects.demand, metrics_interval=METRICS_INTERVAL)

    def tick(self) -> None:
        """What the sampler and the loop do once a second."""
        before = time.thread_time()
        batch = self.reader.sample(Request(targets=self._targets, demand=self._demand, engine=_ENGINE))
        between = time.thread_time()
        self.step(EnginePinged(latency=0.001, at=batch.at.wall), batch)
        self.judging += time.thread_time() - between
        self.reading += between - before
        self.failures |= batch.failures

    @property
    def cost(self) -> float:
        """Seconds of CPU time so far."""
        return self.reading + self.judging


@contextlib.contextmanager
def in_memory() -> Iterator[Path]:
    """A folder in a file system that is in memory."""
    folder = Path(tempfile.mkdtemp(prefix="wt-bench-", dir="/dev/shm"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- ten times as many ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """What few and what many took for a tick, by the same code at the same time.

    Attributes:
        count: Containers of the few; the many are ten times as many.
        few: Seconds of CPU time for a tick, reading and judging.
        many: The same.
        ratio: Of many by few, median over stretches of twenty ticks.
        reading: The same of the readings alone.
        spread: Lowest and highest of the ratios.
        files: Files that stay open in both, for each container.
    """

    count: int
    few: float
    many: float
    ratio: float
    reading: float
    spread: tuple[float, float]
    files: float


def scaled(few: int, policies: PolicySet, *, stretches: int) -> Scaled:
    """Let few and ten times as many tick once a second, in turns, half a second apart: as cold as the agent's own are.

    Where the machine's limit on open files is too low for both, the agent would open some anew at each reading, which
    costs ten times as much: then both are fewer, so that all files stay open in both.
    """
    with in_memory() as folder:
        files = _files_kept(folder / "one", policies)
        available = raise_descriptor_limit() - 2 * RESERVE
        at_most = int(available / (files * 11))
        few = min(few, at_most // 100 * 100 or at_most)
        progress(f"making files of {11 * few} simulated cgroups")
        hosts = []
        for count in (few, 10 * few):
            (root := folder / str(count)).mkdir()
            hosts.append(host := Host.made(root, count, policies))
            host.reader._descriptors.limit = available  # noqa: SLF001 - what both have together is below it
        gc.freeze()
        for host in hosts * 3:  # all files are open
            host.tick()
        ratios, readings, costs = [], [], []
        for number in range(stretches):
            for host in hosts:
                host.reading = host.judging = 0.0
            due = time.monotonic()
            for _ in range(20):
                for host in hosts:
                    host.tick()
                    due += 0.5
                    time.sleep(max(0.0, due - time.monotonic()))
            small, large = hosts
            ratios.append(large.cost / small.cost)
            readings.append(large.reading / small.reading)
            costs.append((small.cost / 20, large.cost / 20))
            progress(
                f"  stretch {number + 1}: {10 * few} cost {ratios[-1]:.2f} times {few} (reading {readings[-1]:.2f})"
            )
        failing = hosts[0].failures | hosts[1].failures
        assert not failing, failing  # "descriptors", too, is none: no file is opened anew
        for host in hosts:
            host.reader.close()
        gc.unfreeze()
        return Scaled(
            count=few,
            few=statistics.median(cost for cost, _ in costs),
            many=statistics.median(cost for _, cost in costs),
            ratio=statistics.median(ratios),
            reading=statistics.median(readings),
            spread=(min(ratios), max(ratios)),
            files=files,
        )


def _files_kept(root: Path, policies: PolicySet) -> float:
    """How many files stay open for a container."""
    root.mkdir()
    probed = 40
    host = Host.made(root, probed, policies)
    for _ in range(int(METRICS_INTERVAL) + 2):  # some are first read later than others
        host.tick()
    kept = host.reader._descriptors.kept  # noqa: SLF001 - nothing else tells
    host.reader.close()
    assert not host.failures, host.failures
    return kept / probed


def many(containers: int, policies: PolicySet, *, stretches: int) -> list[Figure]:
    """What ten times as many containers cost, beside these, or beside as many as the limit on open files lets be."""
    found = scaled(containers, policies, stretches=stretches)
    few, tenfold = f"{found.count:,}", f"{10 * found.count:,}"
    fewer = "" if found.count == containers else f"; not {containers:,}, for the machine's limit on open files"
    low, high = found.spread
    return [
        Figure(
            name=f"{tenfold} simulated containers / {few}",
            value=found.ratio,
            unit="",
            limit=TENFOLD,
            note=f"{low:.2f} to {high:.2f}, all files open in both{fewer}",
        ),
        Figure(name="the same, reading alone", value=found.reading, unit=""),
        Figure(name=f"a tick of {few} simulated", value=1e3 * found.few, unit="ms", note="CPU time"),
        Figure(name=f"a tick of {tenfold} simulated", value=1e3 * found.many, unit="ms"),
    ]
