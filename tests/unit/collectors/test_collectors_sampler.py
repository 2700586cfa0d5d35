from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tests.support.cgroups import FakeTree, fake_proc, full_id, v2_tree
from watchtower_agent.clock import SystemClock
from watchtower_agent.collectors.reader import Reader
from watchtower_agent.collectors.sampler import Sampler, next_due
from watchtower_agent.collectors.tick import Tick
from watchtower_agent.model.sample import SampleBatch, SampleTarget

ID = full_id(1)


class Gate:
    """A collector that a test holds up."""

    name = "gate"

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()

    def collect(self, tick: Tick) -> None:
        self.reached.set()
        self.open.wait(10)
        tick.host["host.oom"] = len(tick.request.anew)
        tick.host["host.demand"] = len(tick.request.demand.every_tick)

    def close(self) -> None:
        pass


class Run:
    """A running sampler and the batches it delivers."""

    def __init__(self, tree: FakeTree, proc: Path, interval: float, gate: Gate | None = None) -> None:
        self.batches: queue.Queue[SampleBatch] = queue.Queue()
        self.interval = interval
        reader = Reader(
            clock=SystemClock(),
            interval=interval,
            cgroup_root=str(tree.root),
            proc_root=str(proc),
            collectors=(gate,) if gate else None,
        )
        self.sampler = Sampler(reader=reader, deliver=self.batches.put)

    def next(self) -> SampleBatch:
        return self.batches.get(timeout=10)


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


def test_an_overrun_is_counted_and_the_ticks_it_covered_are_not_made_up_for(gated: Run, gate: Gate) -> None:
    gate.open.clear()
    gated.sampler.start()
    assert gate.reached.wait(10)
    threading.Timer(0.85, gate.open.set).start()  # more than four intervals
    slow = gated.next()
    assert slow.duration >= 0.8
    stamps = [slow.at.monotonic, *(gated.next().at.monotonic for _ in range(3))]
    gated.sampler.stop()
    assert gated.sampler.counters.overruns == 1
    steps = [(stamp - stamps[0]) / gated.interval for stamp in stamps[1:]]
    assert steps[0] > 4  # no burst
    assert all(abs(step - round(step)) < 0.4 for step in steps)  # and still on the old schedule


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


def test_failures_are_counted_among_the_last(tree: FakeTree, tmp_path: Path) -> None:
    run = Run(tree, tmp_path / "nothing", 0.02)
    run.sampler.start()
    run.next()
    run.next()
    run.sampler.stop()
    assert "host" in run.sampler.counters.failures


def test_stopping_one_that_never_started_is_quiet(tree: FakeTree, proc: Path) -> None:
    Run(tree, proc, 1.0).sampler.stop()


@given(due=st.floats(0, 1e6), interval=st.floats(0.01, 100), late=st.floats(0, 1000))
def test_the_next_tick_is_on_schedule_and_never_in_the_past(due: float, interval: float, late: float) -> None:
    now = due + late
    following, skipped = next_due(due, interval, now)
    assert following >= now - 1e-6
    assert following - now <= interval + 1e-6
    assert (following - due) / interval == pytest.approx(skipped + 1)
