"""The collector of the engine's process, shown a real process: this one's child."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cgroups import SteppedClock
from watchtower_agent.collectors.engine_process import EngineProcessCollector
from watchtower_agent.collectors.request import Demand, Request
from watchtower_agent.collectors.tick import Tick
from watchtower_agent.model.sample import LocalEngine

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
NAMES = {"engine.memory", "engine.threads", "engine.open_files"}
CHILD = """
import os, sys, threading, time
open("/proc/self/comm", "w").write(sys.argv[1])
held = [open(os.devnull) for _ in range(5)]
threads = [threading.Thread(target=threading.Event().wait, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.readline()
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
print("done", flush=True)
sys.stdin.readline()
"""


class Child:
    """A process with three threads and some open files that uses 0.3 s of CPU when it is told to."""

    def __init__(self, name: str = "dockerd") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._heard("ready")

    def burn(self) -> None:
        self._say()
        self._heard("done")

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _say(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def _heard(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word


@contextlib.contextmanager
def process_of_pid(pid: int) -> Iterator[None]:
    """A process that the kernel gives a pid that is free again: the next one after the last."""
    for _ in range(200):
        LAST_PID.write_text(str(pid - 1))
        process = subprocess.Popen(["/bin/sleep", "60"])
        if process.pid == pid:
            break
        process.kill()  # somebody else on this machine was quicker
        process.wait()
    else:
        pytest.fail(f"the pid {pid} is another's for good")
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """This process can open nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def child() -> Iterator[Child]:
    with child_named("dockerd") as child:
        yield child


@contextlib.contextmanager
def child_named(name: str) -> Iterator[Child]:
    """A process that the kernel knows by this name."""
    child = Child(name)
    try:
        yield child
    finally:
        child.end()


def write_pid_file(root: Path, pid: int) -> None:
    (root / "run").mkdir(exist_ok=True)
    (root / "run" / "docker.pid").write_text(f"{pid}\n")


@pytest.fixture
def own_name() -> Iterator[None]:
    """The kernel knows this process by an engine's name."""
    comm = Path(f"/proc/{os.getpid()}/comm")
    before = comm.read_text()
    comm.write_text("dockerd")
    yield
    comm.write_text(before)


class Bench:
    """The collector and a clock that moves one second before each tick."""

    def __init__(self, root: Path) -> None:
        self.clock = SteppedClock()
        self.collector = EngineProcessCollector(proc_root="/proc", root=str(root))
        self.demand = Demand(every_tick=frozenset({"engine.memory"}))

    def tick(self, pid: int, *, data_root: str = "/data", seconds: float = 1.0) -> dict[str, float]:
        host, failures = self.look(pid, data_root=data_root, seconds=seconds)
        assert not failures
        return host

    def look(
        self, pid: int, *, data_root: str = "/data", seconds: float = 1.0
    ) -> tuple[dict[str, float], dict[str, str]]:
        self.clock.time += seconds
        request = Request(demand=self.demand, engine=LocalEngine(data_root=data_root, pid=pid))
        tick = Tick(at=self.clock.now(), interval=1.0, request=request, lives=(), monotonic=self.clock.monotonic)
        self.collector.collect(tick)
        return tick.host, tick.failures


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_its_numbers(bench: Bench, child: Child) -> None:
    pid = child.process.pid
    first = bench.tick(pid)
    assert set(first) == NAMES
    assert first["engine.threads"] == 3
    assert first["engine.open_files"] == len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert first["engine.memory"] == pytest.approx(resident, rel=0.1)
    child.burn()
    # the kernel counts in hundredths of a second
    assert bench.tick(pid)["engine.cpu.percent"] == pytest.approx(30, abs=5)


@pytest.mark.usefixtures("own_name")
def test_open_files_are_counted_once_a_minute(bench: Bench) -> None:
    before = bench.tick(os.getpid())["engine.open_files"]
    with Path(os.devnull).open():
        assert bench.tick(os.getpid())["engine.open_files"] == before
        assert bench.tick(os.getpid(), seconds=60)["engine.open_files"] == before + 1


def test_one_that_ended_is_unknown_and_the_next_one_is_followed(bench: Bench, child: Child) -> None:
    bench.tick(child.process.pid)
    child.end()
    assert bench.tick(child.process.pid) == {}
    with child_named("dockerd") as successor:
        assert set(bench.tick(successor.process.pid)) == NAMES


def test_one_that_ended_and_was_not_waited_for_is_unknown(bench: Bench, child: Child) -> None:
    bench.tick(child.process.pid)
    child.process.kill()
    os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
    assert bench.tick(child.process.pid) == {}, "a zombie has a pid, no memory and one thread"


def test_a_process_that_has_its_pid_by_now_is_not_taken_for_it(bench: Bench, child: Child) -> None:
    pid = child.process.pid
    assert bench.tick(pid)["engine.threads"] == 3
    child.end()
    with process_of_pid(pid):
        for _ in range(25):
            assert bench.tick(pid) == {}


def test_a_process_that_gets_its_pid_between_two_ticks_is_not_taken_for_it(bench: Bench, child: Child) -> None:
    pid = child.process.pid
    bench.tick(pid)
    child.end()
    with process_of_pid(pid):
        assert bench.tick(pid) == {}
        assert bench.tick(pid) == {}


def test_behind_the_init_systems_socket_it_is_found_by_its_pid_file(bench: Bench, tmp_path: Path) -> None:
    program = shutil.copy("/bin/sleep", tmp_path / "dockerd")
    daemon = subprocess.Popen([program, "60"])
    write_pid_file(tmp_path, daemon.pid)
    try:
        found = bench.tick(1)
        assert found["engine.threads"] == 1
        assert found["engine.memory"] > 0
    finally:
        daemon.kill()
        daemon.wait()


def test_a_pid_file_that_is_out_of_date_names_no_engine(bench: Bench, tmp_path: Path) -> None:
    with child_named("python") as other:
        write_pid_file(tmp_path, other.process.pid)
        assert bench.tick(1).get("engine.threads") != 3


@pytest.mark.parametrize("name", ["podman", "balenad"])
def test_another_engine_is_known_by_its_name(bench: Bench, name: str) -> None:
    with child_named(name) as engine:
        assert bench.tick(engine.process.pid)["engine.threads"] == 3


@pytest.mark.parametrize("name", ["socat", "docker-proxy", "traefik"])
def test_a_proxy_is_not_taken_for_the_engine_behind_it(bench: Bench, tmp_path: Path, name: str) -> None:
    daemon = subprocess.Popen([shutil.copy("/bin/sleep", tmp_path / "dockerd"), "60"])
    write_pid_file(tmp_path, daemon.pid)
    with child_named(name) as proxy:
        try:
            assert bench.tick(proxy.process.pid)["engine.threads"] == 1
        finally:
            daemon.kill()
            daemon.wait()


def test_behind_a_proxy_the_engine_is_unknown_where_there_is_no_telling_which(bench: Bench) -> None:
    with child_named("dockerd"), child_named("dockerd"), child_named("socat") as proxy:
        assert bench.tick(proxy.process.pid) == {}


def test_behind_a_proxy_the_engine_after_a_restart_is_found(bench: Bench, tmp_path: Path) -> None:
    with child_named("socat") as proxy:
        with child_named("dockerd") as first:
            write_pid_file(tmp_path, first.process.pid)
            assert set(bench.tick(proxy.process.pid)) == NAMES
        assert bench.tick(proxy.process.pid) == {}
        with child_named("dockerd") as second:
            write_pid_file(tmp_path, second.process.pid)
            assert set(bench.tick(proxy.process.pid)) == NAMES


def test_one_that_can_not_be_read_is_told_until_it_can(bench: Bench, child: Child) -> None:
    bench.demand = Demand(metrics_interval=10.0)
    pid = child.process.pid
    bench.tick(pid)
    with no_descriptor_left():
        told = [bench.look(pid) for _ in range(25)]
    assert [bool(failures) for _, failures in told] == [False] * 9 + [True] * 16
    assert "Too many open files" in told[-1][1]["engine_process"]
    assert told[-1][0] == {}
    assert set(bench.tick(pid, seconds=10.0)) >= {"engine.memory", "engine.threads"}


def test_an_engine_elsewhere_has_no_process_here(bench: Bench, child: Child) -> None:
    assert bench.tick(child.process.pid, data_root="") == {}
