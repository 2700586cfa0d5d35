"""Cgroup and proc trees of plain files, made from what real kernels wrote: for hosts that this one is not."""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Sequence
from pathlib import Path

from watchtower_agent.collectors.reader import Reader
from watchtower_agent.collectors.request import Demand, Request
from watchtower_agent.collectors.tick import Collector
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.sample import LocalEngine, SampleBatch, SampleTarget

SAMPLES = Path(__file__).parents[1] / "data" / "cgroup"
GIB = 1 << 30


def full_id(number: int) -> str:
    """A full container id."""
    return f"{number:064x}"


class SteppedClock:
    """A clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> Instant:
        return Instant(wall=1_700_000_000 + self.time, monotonic=self.time)

    def monotonic(self) -> float:
        return self.time


class FakeTree:
    """A cgroup tree below one root.

    Args:
        root: The directory to make it in.
        v1: Directories of v1 hierarchies, named as mounts are (`cpu,cpuacct`).
        unified: Where the v2 hierarchy is below the root: `.` for a v2 host, `unified` for a hybrid one, None without.
        controllers: What the v2 hierarchy offers.
    """

    def __init__(
        self,
        root: Path,
        *,
        v1: Sequence[str] = (),
        unified: str | None = None,
        controllers: str = "cpuset cpu io memory pids",
    ) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.hierarchies = {controller: root / name for name in v1 for controller in name.split(",")}
        for directory in self.hierarchies.values():
            directory.mkdir(exist_ok=True)
            (directory / "cgroup.procs").touch()
        self.unified = None if unified is None else root / unified
        if self.unified:
            self.unified.mkdir(exist_ok=True)
            (self.unified / "cgroup.controllers").write_text(f"{controllers}\n")

    def file(self, path: str, name: str) -> Path:
        """A file of one cgroup, in the hierarchy of its controller."""
        hierarchy = self.hierarchies.get(name.partition(".")[0], self.unified)
        assert hierarchy is not None, f"no hierarchy holds {name}"
        return hierarchy / path / name

    def add(self, path: str, **files: str) -> None:
        """Make a cgroup as the kernel does.

        Args:
            path: Below each hierarchy.
            files: Contents that differ from the sample; a dot in a name is written `__`.
        """
        directories = {*self.hierarchies.values(), *([self.unified] if self.unified else [])}
        for directory in directories:
            (directory / path).mkdir(parents=True, exist_ok=True)
        version = SAMPLES / ("v1" if self.hierarchies else "v2")
        for sample in version.iterdir():
            if sample.name.partition(".")[0] in self.hierarchies or not self.hierarchies:
                self.file(path, sample.name).write_text(sample.read_text())
        for name, content in files.items():
            self.write(path, name.replace("__", "."), content)

    def write(self, path: str, name: str, content: str) -> None:
        """Change one file, as the kernel does: under the descriptors that are open."""
        self.file(path, name).write_text(content)

    def remove(self, path: str) -> None:
        """End a cgroup."""
        for directory in {*self.hierarchies.values(), *([self.unified] if self.unified else [])}:
            shutil.rmtree(directory / path)


def v1_tree(root: Path) -> FakeTree:
    """A host with v1 only, every controller mounted by itself."""
    return FakeTree(root, v1=("blkio", "cpu", "cpuacct", "cpuset", "memory", "pids"))


def v2_tree(root: Path) -> FakeTree:
    """A host with v2 only."""
    return FakeTree(root, unified=".")


def fake_proc(root: Path, *, cpus: int = 4, memory: int = 8 * GIB) -> Path:
    """A /proc of a host with so many processors and so much memory."""
    root.mkdir(exist_ok=True)
    lines = [f"cpu{n} 100 0 100 800 0 0 0 0 0 0\n" for n in range(cpus)]
    (root / "stat").write_text("cpu  400 0 400 3000 200 0 0 0 0 0\n" + "".join(lines) + "intr 1 2 3\nctxt 5\n")
    kib = memory // 1024
    (root / "meminfo").write_text(
        f"MemTotal:       {kib} kB\nMemFree:        {kib // 8} kB\nMemAvailable:   {kib // 4} kB\n"
        "SwapTotal:       1000 kB\nSwapFree:         750 kB\n"
    )
    (root / "loadavg").write_text("2.00 1.00 0.50 1/100 4242\n")
    return root


class Sampled:
    """One batch, read as a test wants to: by name and slot."""

    def __init__(self, batch: SampleBatch) -> None:
        self.batch = batch
        self.host = batch.host
        self.failures = batch.failures

    def __getitem__(self, name: str) -> float:
        """The only container's value."""
        (value,) = self.batch.columns[name]
        return value

    def column(self, name: str) -> array[float]:
        """All containers' values."""
        return self.batch.columns[name]


class Bench:
    """A reader on fake trees, with a clock that moves one interval before each tick."""

    def __init__(self, tree: FakeTree | Path, proc: Path, collectors: tuple[Collector, ...] | None = None) -> None:
        self.clock = SteppedClock()
        self.data_root = ""
        self.demand = Demand()
        self.targets: tuple[SampleTarget, ...] = ()
        self.reader = Reader(
            clock=self.clock,
            interval=1.0,
            cgroup_root=str(tree.root if isinstance(tree, FakeTree) else tree),
            proc_root=str(proc),
            monotonic=self.clock.monotonic,
            collectors=collectors,
        )

    def watch(self, *targets: SampleTarget | str) -> None:
        """Read these from now on."""
        self.targets = tuple(SampleTarget(container_id=t) if isinstance(t, str) else t for t in targets)

    def tick(self, seconds: float = 1.0, *, anew: frozenset[str] = frozenset()) -> Sampled:
        """Let time pass and read once."""
        self.clock.time += seconds
        request = Request(
            targets=self.targets, demand=self.demand, engine=LocalEngine(data_root=self.data_root), anew=anew
        )
        return Sampled(self.reader.sample(request))
