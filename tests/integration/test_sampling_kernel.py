"""On cgroups of this kernel, made and ended by the test."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cgroups import Bench
from watchtower_agent.collectors.cgroup_tree import discover
from watchtower_agent.model.sample import SampleTarget

ROOT = "/sys/fs/cgroup"


class RealCgroup:
    """One cgroup in every hierarchy that is sampled, below a parent of its own."""

    def __init__(self) -> None:
        tree = discover(ROOT)
        self._unified = Path(tree.unified) if tree.unified else None
        self._controllers = [name for name in ("cpu", "memory") if name in tree.unified_controllers]
        self.parent = f"wt-test-{os.getpid()}"
        self.id = secrets.token_hex(32)
        self._hierarchies = sorted(
            {*map(os.path.realpath, tree.v1.values()), *([tree.unified] if tree.unified else [])}
        )

    @property
    def directories(self) -> list[Path]:
        return [Path(hierarchy, self.parent, self.id) for hierarchy in self._hierarchies]

    def make(self) -> None:
        for directory in self.directories:
            directory.mkdir(parents=True, exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):  # v1: a cpuset takes no process before it has both
                if directory.parents[1].name == "cpuset":
                    for below in (directory.parent, directory):
                        (below / name).write_text((directory.parents[1] / name).read_text())
        if self._unified:  # v2: a cgroup has the controllers that its parent hands down, as an engine has it do
            for above in (self._unified, self._unified / self.parent):
                handed_down = (above / "cgroup.subtree_control").read_text().split()
                for controller in self._controllers:
                    if controller not in handed_down:
                        (above / "cgroup.subtree_control").write_text(f"+{controller}")

    def enter(self, pid: int) -> None:
        for directory in self.directories:
            (directory / "cgroup.procs").write_text(str(pid))

    def end(self) -> None:
        for directory in self.directories:
            with contextlib.suppress(FileNotFoundError):
                directory.rmdir()

    def clean(self) -> None:
        self.end()
        for directory in self.directories:
            directory.parent.rmdir()


@pytest.fixture
def cgroup() -> Iterator[RealCgroup]:
    cgroup = RealCgroup()
    cgroup.make()
    yield cgroup
    cgroup.clean()


@pytest.fixture
def bench(cgroup: RealCgroup) -> Iterator[Bench]:
    bench = Bench(Path(ROOT), Path("/proc"))
    bench.watch(SampleTarget(container_id=cgroup.id, cgroup_parent=f"/{cgroup.parent}"))
    yield bench
    bench.reader.close()


def test_a_cgroup_that_ends_under_open_descriptors_is_unknown_and_no_failure(cgroup: RealCgroup, bench: Bench) -> None:
    assert bench.tick()["memory.usage"] >= 0
    assert bench.tick()["cpu.cores"] == 0
    cgroup.end()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(15):
        sample = bench.tick()
        assert not sample.failures
        assert all(math.isnan(value) for column in sample.batch.columns.values() for value in column)
    assert len(list(Path("/proc/self/fd").iterdir())) < descriptors


def test_a_cgroup_made_again_under_the_same_name_starts_afresh(cgroup: RealCgroup, bench: Bench) -> None:
    bench.tick()
    bench.tick()
    cgroup.end()
    cgroup.make()
    bench.tick()  # the old descriptors say that it is gone
    again = bench.tick()
    assert again["memory.usage"] >= 0
    assert math.isnan(again["cpu.cores"])
    assert bench.tick()["cpu.cores"] == 0


def test_it_is_found_by_its_process_without_a_rule(cgroup: RealCgroup) -> None:
    process = subprocess.Popen(["/bin/sleep", "60"])
    bench = Bench(Path(ROOT), Path("/proc"))
    try:
        cgroup.enter(process.pid)
        bench.watch(SampleTarget(container_id=cgroup.id, pid=process.pid))
        assert bench.tick()["memory.usage"] >= 0
    finally:
        bench.reader.close()
        process.send_signal(signal.SIGKILL)
        process.wait()
