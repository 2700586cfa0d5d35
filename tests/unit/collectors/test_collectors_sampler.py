from __future__ import annotations

import contextlib
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tests.support.cgroups import FakeTree, fake_proc, full_id, v2_tree
from watchtower_agent.clock import SystemClock
from watchtower_agent.collectors.reader import Reader
from watchtower_agent.collectors.sampler import Sampler, next_due
from watchtower_agent.collectors.tick import Collector, Tick
from watchtower_agent.collectors.turn import SEARCH
from watchtower_agent.model.sample import SampleBatch, SampleTarget

ID = full_id(1)


class Gate:
    """A collector that a test holds up."""

    def __init__(self, name: str = "gate") -> None:
        self.name = name
        self.entered = 0
        self.thread = threading.current_thread()
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()

    def collect(self, tick: Tick) -> None:
        self.entered += 1
        self.thread = threading.current_thread()
        self.reached.set()
        self.open.wait(10)
        tick.host["host.oom"] = len(tick.request.anew)
        tick.host["host.demand"] = len(tick.request.demand.every_tick)
        tick.host["host.pace"] = tick.request.demand.metrics_interval

    def close(self) -> None:
        pass


class Run:
    """A running sampler and the batches it delivers."""

    def __init__(
        self, tree: FakeTree, proc: Path, interval: float, *collectors: Collector, sure_after: float = 0.1
    ) -> None:
        self.batches: queue.Queue[SampleBatch] = queue.Queue()
        self.interval = interval
        reader = Reader(
            clock=SystemClock(),
            interval=interval,
            cgroup_root=str(tree.root),
            proc_root=str(proc),
            collectors=collectors or None,
        )
        self.turns = reader.turns
        self.sampler = Sampler(
            reader=reader, deliver=self.batches.put, late_after=0.3, sure_after=sure_after, first_trial=0.2
        )

    def next(self) -> SampleBatch:
        return self.batches.get(timeout=10)

    def until(self, condition: Callable[[SampleBatch], bool]) -> SampleBatch:
        """The first batch of which this holds, looked after as the loop does."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            self.sampler.look_after()
            with contextlib.suppress(queue.Empty):
                batch = self.batches.get(timeout=0.02)
                if condition(batch):
                    return batch
        raise AssertionError("no such batch came")


@pytest.fixture
def tree(tmp_path: Path) -> FakeTree:
    tree = v2_tree(tmp_path / "cgroup")
    tree.add(f"docker/{ID}")
    return tree


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    return fake_proc(tmp_path / "proc")


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def gated(tree: FakeTree, proc: Path, gate: Gate) -> Iterator[Run]:
    run = Run(tree, proc, 0.2, gate)
    yield run
    gate.open.set()
    run.sampler.stop()


def test_the_first_targets_are_sampled_at_once_and_not_at_the_next_tick(tree: FakeTree, proc: Path) -> None:
    run = Run(tree, proc, 60.0)
    run.sampler.start()
    try:
        assert run.next().targets == ()
        began = time.monotonic()
        run.sampler.watch((SampleTarget(container_id=ID),))
        batch = run.next()
        assert time.monotonic() - began < 1.0
        assert batch.columns["memory.usage"][0] > 0
        run.sampler.watch(())
        run.sampler.watch((SampleTarget(container_id=ID),))
        with pytest.raises(queue.Empty):  # only the first ones ever: a restart must not disturb the schedule
            run.batches.get(timeout=0.08)
    finally:
        run.sampler.stop()


def test_batches_come_on_schedule_from_a_thread_that_ends(tree: FakeTree, proc: Path) -> None:
    run = Run(tree, proc, 0.02)
    run.sampler.watch((SampleTarget(container_id=ID),))
    run.sampler.start()
    stamps = [run.next().at.monotonic for _ in range(6)]
    run.sampler.stop()
    assert stamps == sorted(stamps)
    counters = run.sampler.counters
    assert counters.ticks >= 6
    assert 0 < counters.last_duration <= counters.longest_duration
    assert set(counters.collector_seconds) >= {"cpu", "disk", "host", "memory", "network"}
    assert "sampler" not in {thread.name for thread in threading.enumerate()}


def test_the_ticks_that_a_slow_one_covers_are_counted_and_not_made_up_for(gated: Run, gate: Gate) -> None:
    gate.open.clear()
    gated.sampler.start()
    assert gate.reached.wait(10)
    threading.Timer(0.85, gate.open.set).start()  # more than four intervals
    slow = gated.next()
    assert slow.duration >= 0.8
    stamps = [slow.at.monotonic, *(gated.next().at.monotonic for _ in range(3))]
    gated.sampler.stop()
    steps = [(stamp - stamps[0]) / gated.interval for stamp in stamps[1:]]
    assert steps[0] > 4  # no burst
    assert all(abs(step - round(step)) < 0.4 for step in steps)  # and still on the old schedule
    assert gated.sampler.counters.left_out >= round(steps[0]) - 1  # more on a machine that is late afterwards


def test_a_reading_that_never_returns_does_not_hold_up_the_end(gated: Run, gate: Gate) -> None:
    gate.open.clear()
    gated.sampler.start()
    assert gate.reached.wait(10)
    gated.sampler.stop(timeout=0.05)
    assert "sampler" in {thread.name for thread in threading.enumerate() if thread.daemon}


def test_demand_and_ooms_reach_the_next_tick_once(gated: Run) -> None:
    gated.sampler.read_anew(ID)
    gated.sampler.demand(frozenset({"memory.percent"}), 10.0)
    gated.sampler.start()
    first, second = gated.next(), gated.next()
    assert (first.host["host.oom"], first.host["host.demand"]) == (1, 1)
    assert (second.host["host.oom"], second.host["host.demand"]) == (0, 1)


@pytest.mark.parametrize(("interval", "scraped"), [(60.0, 10.0), (5.0, 5.0)])
def test_while_somebody_scrapes_nothing_is_read_less_often_than_every_ten_seconds(
    gated: Run, interval: float, scraped: float
) -> None:
    gated.sampler.demand(frozenset(), interval)
    gated.sampler.start()
    assert gated.next().host["host.pace"] == interval
    gated.sampler.scraped()
    gated.next()  # it may have begun before
    assert gated.next().host["host.pace"] == scraped


def test_failures_are_counted_among_the_last(tree: FakeTree, tmp_path: Path) -> None:
    run = Run(tree, tmp_path / "nothing", 0.02)
    run.sampler.start()
    run.next()
    run.next()
    run.sampler.stop()
    assert "host" in run.sampler.counters.failures


class Other:
    """A collector that counts its ticks."""

    name = "other"

    def __init__(self) -> None:
        self.ticks = 0

    def collect(self, tick: Tick) -> None:
        self.ticks += 1
        tick.host["host.ticks"] = self.ticks

    def close(self) -> None:
        pass


def answer(fifo: Path, said: bytes) -> None:
    """Put a file in the pipe's place, and let go on who waits for the pipe."""
    pipe = fifo.rename(fifo.with_name("pipe"))
    fifo.write_bytes(said)
    os.close(os.open(pipe, os.O_WRONLY))


def test_a_collector_that_hangs_is_left_behind_until_it_comes_back(tree: FakeTree, proc: Path) -> None:
    gate, other = Gate(), Other()
    run = Run(tree, proc, 0.05, gate, other)
    run.sampler.read_anew(ID)
    gate.open.clear()
    run.sampler.start()
    try:
        batch = run.until(lambda batch: "gate" in batch.failures)
        assert batch.failures["gate"].startswith("The collector gate waits for ")
        assert "is unknown until that comes back" in batch.failures["gate"]
        assert "host.oom" not in batch.host
        assert batch.anew == {ID}, "what the lost tick was asked for is asked of the next"
        for _ in range(5):
            assert run.until(lambda batch: "host.ticks" in batch.host).failures.keys() == {"gate"}
        assert gate.entered == 1, "while it hangs nobody asks it again"
        ticks, hung = run.next().host["host.ticks"], gate.thread
        gate.open.set()
        batch = run.until(lambda batch: not batch.failures)
        assert "host.oom" in batch.host
        assert batch.host["host.ticks"] > ticks
        hung.join(10)
        assert not hung.is_alive()
        assert gate.thread is not hung
    finally:
        gate.open.set()
        run.sampler.stop()
    assert other.ticks == run.sampler.counters.ticks, "the lost tick went no further"


def test_each_one_that_hangs_is_left_behind_once(tree: FakeTree, proc: Path) -> None:
    first, second, other = Gate("first"), Gate("second"), Other()
    run = Run(tree, proc, 0.05, first, second, other)
    first.open.clear()
    second.open.clear()
    run.sampler.start()
    try:
        run.until(lambda batch: batch.failures.keys() == {"first", "second"})
        second.open.set()
        run.until(lambda batch: batch.failures.keys() == {"first"})
        first.open.set()
        run.until(lambda batch: not batch.failures)
    finally:
        first.open.set()
        second.open.set()
        run.sampler.stop()


def test_a_slow_tick_of_collectors_that_each_come_back_leaves_nobody_behind(tree: FakeTree, proc: Path) -> None:
    class Slow(Gate):
        def collect(self, tick: Tick) -> None:
            threading.Event().wait(0.15)
            tick.host[self.name] = 1

    run = Run(tree, proc, 0.05, Slow("one"), Slow("two"), Slow("three"))
    run.sampler.start()
    try:
        batch = run.until(lambda batch: "three" in batch.host)
        assert (len(batch.host), batch.failures) == (3, {})
    finally:
        run.sampler.stop()


class Slow:
    """A collector that takes as long as a test says."""

    name = "slow"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.entered = 0

    def collect(self, tick: Tick) -> None:
        self.entered += 1
        threading.Event().wait(self.seconds)
        tick.host["host.slow"] = self.entered

    def close(self) -> None:
        pass


def test_a_collector_that_is_slow_again_holds_up_no_other_until_it_is_quick(tree: FakeTree, proc: Path) -> None:
    slow, other = Slow(0.4), Other()
    run = Run(tree, proc, 0.05, slow, other, sure_after=20)
    run.sampler.start()
    try:
        first, second = run.next(), run.next()
        assert (first.failures, second.host["host.slow"]) == ({}, 2)
        began = time.monotonic()
        apart = [run.next() for _ in range(20)]
        assert time.monotonic() - began < 20 * slow.seconds / 2
        for batch in apart:
            assert batch.failures["slow"].startswith("The collector slow took 0.")
            assert "0.3 s are the most" in batch.failures["slow"]
            assert batch.host.keys() == {"host.ticks"}
        run.until(lambda _: slow.entered >= 4)  # tried on its own, and too slow still
        assert run.next().failures.keys() == {"slow"}
        slow.seconds = 0
        batch = run.until(lambda batch: not batch.failures)
        assert batch.host["host.slow"] > 4
    finally:
        run.sampler.stop()


def test_a_collector_that_was_slow_once_goes_on(tree: FakeTree, proc: Path) -> None:
    slow = Slow(0.4)
    run = Run(tree, proc, 0.05, slow, sure_after=20)
    run.sampler.start()
    try:
        assert run.next().duration > 0.3
        slow.seconds = 0
        assert [run.next().failures for _ in range(10)] == 10 * [{}]
    finally:
        run.sampler.stop()


def test_one_that_was_left_behind_and_is_slow_each_time_is_not_taken_for_restored(tree: FakeTree, proc: Path) -> None:
    slow, other = Slow(0.6), Other()
    run = Run(tree, proc, 0.05, slow, other)
    run.sampler.start()
    try:
        run.until(lambda batch: "slow" in batch.failures)
        while slow.entered < 4:
            run.sampler.look_after()
            assert run.next().failures.keys() == {"slow"}
        assert "took 0." in run.next().failures["slow"]
    finally:
        slow.seconds = 0
        run.sampler.stop()


def test_a_search_for_cgroups_that_is_slow_is_said_and_goes_on(tree: FakeTree, proc: Path) -> None:
    class Searching(Slow):
        """Takes its time in the turn of the search."""

        def collect(self, tick: Tick) -> None:
            run.turns.begin(SEARCH)
            super().collect(tick)

    slow = Searching(0.4)
    run = Run(tree, proc, 0.05, slow, sure_after=20)
    run.sampler.watch((SampleTarget(container_id=ID),))
    run.sampler.start()
    try:
        batch = run.until(lambda batch: bool(batch.failures))
        assert batch.failures["cgroup"].startswith("The search for cgroups took 0.")
        assert len(batch.targets) == 1
        slow.seconds = 0
        assert run.until(lambda batch: not batch.failures).host["host.slow"] > 1
    finally:
        run.sampler.stop()


def test_who_was_stopped_itself_leaves_nobody_behind(tree: FakeTree, proc: Path, gate: Gate) -> None:
    run = Run(tree, proc, 0.05, gate, sure_after=5.0)
    gate.open.clear()
    run.sampler.start()
    try:
        assert gate.reached.wait(10)
        time.sleep(0.5)  # as by SIGSTOP: only that time passes makes it late
        assert run.sampler.look_after().startswith("the collector gate waits for ")
        gate.open.set()
        assert run.until(lambda batch: "host.oom" in batch.host).failures == {}
        assert run.sampler.look_after() == ""
    finally:
        gate.open.set()
        run.sampler.stop()


@pytest.mark.parametrize(
    ("file", "collector", "unknown", "known"),
    [
        ("loadavg", "host", "host.load1", "memory.usage"),
        ("memory.current", "memory", "memory.usage", "cpu.cores"),
        ("cpu.stat", "cpu", "cpu.cores", "memory.usage"),
    ],
)
def test_a_real_file_that_hangs_costs_its_collector_and_no_other(
    tree: FakeTree, proc: Path, file: str, collector: str, unknown: str, known: str
) -> None:
    path = proc / file if file == "loadavg" else tree.file(f"docker/{ID}", file)
    said = path.read_bytes()
    path.unlink()
    os.mkfifo(path)  # who opens it waits until somebody writes
    run = Run(tree, proc, 0.05)
    run.sampler.watch((SampleTarget(container_id=ID),))
    run.sampler.start()

    def knows(batch: SampleBatch, name: str) -> bool:
        return name in batch.host or not math.isnan(batch.columns.get(name, [math.nan])[0])

    try:
        batch = run.until(lambda batch: knows(batch, known) and not knows(batch, unknown))
        assert f"The collector {collector} waits for {path}" in batch.failures[collector]
        answer(path, said)
        run.until(lambda batch: knows(batch, unknown) and not batch.failures)
    finally:
        run.sampler.stop()


def test_a_search_for_cgroups_that_hangs_leaves_the_host_s_metrics(tree: FakeTree, proc: Path) -> None:
    path = proc / "4711" / "cgroup"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    stray = SampleTarget(container_id=full_id(2), pid=4711)
    run = Run(tree, proc, 0.05)
    run.sampler.watch((stray,))
    run.sampler.start()
    try:
        batch = run.until(lambda batch: "host.load1" in batch.host)
        assert f"The search for cgroups waits for {path}: what containers use is unknown" in batch.failures["cgroup"]
        assert batch.targets == ()
        run.sampler.watch((SampleTarget(container_id=ID),))
        answer(path, b"0::/\n")
        run.until(lambda batch: not batch.failures and batch.columns["memory.usage"][0] > 0)
    finally:
        run.sampler.stop()


def test_stopping_one_that_never_started_is_quiet(tree: FakeTree, proc: Path) -> None:
    Run(tree, proc, 1.0).sampler.stop()


@given(due=st.floats(0, 1e6), interval=st.floats(0.01, 100), late=st.floats(0, 1000))
def test_the_next_tick_is_on_schedule_and_never_in_the_past(due: float, interval: float, late: float) -> None:
    now = due + late
    following, skipped = next_due(due, interval, now)
    assert following >= now - 1e-6
    assert following - now <= interval + 1e-6
    assert (following - due) / interval == pytest.approx(skipped + 1)
