"""Containers as the engine's stats API shows them. The answers have the shape of real ones (engine 26.1, cgroup v1)."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.cgroups import SteppedClock, full_id
from watchtower_agent.collectors.request import Demand, Request
from watchtower_agent.collectors.stats_answer import parse_stats
from watchtower_agent.collectors.stats_api import NAMES, StatsCollector
from watchtower_agent.collectors.tick import Tick
from watchtower_agent.errors import AbsentError, TemporaryError
from watchtower_agent.model.sample import SampleTarget, Total

ID, OTHER = full_id(1), full_id(2)
MIB = 1 << 20
ANSWER: dict[str, Any] = {
    "read": "2026-11-24T10:00:00.000000001Z",
    "preread": "0001-01-01T00:00:00Z",
    "pids_stats": {"current": 5, "limit": 60},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 254, "minor": 0, "op": "Read", "value": 4096},
            {"major": 254, "minor": 0, "op": "Write", "value": 8192},
            {"major": 254, "minor": 0, "op": "Total", "value": 12288},
        ]
    },
    "num_procs": 0,
    "cpu_stats": {
        "cpu_usage": {"total_usage": 10_000_000_000, "usage_in_kernelmode": 0},
        "system_cpu_usage": 99,
        "online_cpus": 4,
        "throttling_data": {"periods": 100, "throttled_periods": 10, "throttled_time": 5},
    },
    "memory_stats": {
        "usage": 50 * MIB,
        "max_usage": 60 * MIB,
        "stats": {"inactive_file": 1, "total_inactive_file": 10 * MIB},
        "limit": 80 * MIB,
    },
    "networks": {
        "eth0": {"rx_bytes": 1000, "rx_errors": 1, "rx_dropped": 2, "tx_bytes": 500, "tx_errors": 3, "tx_dropped": 4},
        "eth1": {"rx_bytes": 10, "rx_errors": 0, "rx_dropped": 0, "tx_bytes": 5, "tx_errors": 0, "tx_dropped": 0},
    },
}


def answer(second: int = 0, /, **changes: object) -> dict[str, Any]:
    """One answer, read so many seconds after the first; a key's dots are written `__`."""
    made = deepcopy(ANSWER)
    made["read"] = f"2026-11-24T10:00:{second:02d}.000000001Z"
    for path, value in changes.items():
        place = made
        *above, last = path.split("__")
        for key in above:
            place = place[key]
        place[last] = value
    return made


def threads_of_questions() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "engine-stats"]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.001)


class Bench:
    """The collector before an engine that answers as it is told, with a clock that moves one second before a tick."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.answers: dict[str, object] = {}
        self.asked: list[str] = []
        self.demand = Demand(every_tick=frozenset({"cpu.percent"}))
        self.targets: tuple[SampleTarget, ...] = ()
        self.engine: Callable[[str], object] = self.ask
        self.collector = StatsCollector(self.answered, self.clock.monotonic)
        self.failures: dict[str, str] = {}
        self.anew: frozenset[str] = frozenset()
        self.totals: dict[Total, list[float]] = {}
        self.waited_for: dict[str, threading.Event] = {}
        """By whose questions that hang at this moment."""
        self.hung: dict[str, threading.Event] = {}

    def hang(self, container_id: str) -> None:
        """From now on questions about it hang."""
        self.hung[container_id] = threading.Event()

    def give_up(self) -> None:
        """For the questions that hang the time is over; the next ones hang too."""
        before = dict(self.hung)
        for container_id, question in before.items():
            self.hang(container_id)
            question.set()
        until(lambda: not any(question.is_set() for question in list(self.waited_for.values())))

    def answered(self, container_id: str) -> object:
        return self.engine(container_id)

    def ask(self, container_id: str) -> object:
        self.asked.append(container_id)
        over = self.hung.get(container_id)
        if over is not None:
            self.waited_for[container_id] = over
            assert over.wait(20)
            del self.waited_for[container_id]
            if container_id in self.hung:
                raise TemporaryError("no answer within 10 s")
        found = self.answers.get(container_id)
        if found is None:
            raise AbsentError(f"{container_id} is gone")
        if isinstance(found, Exception):
            raise found
        return found

    def watch(self, *targets: SampleTarget) -> None:
        self.targets = targets

    def tick(self, seconds: float = 1.0, anew: frozenset[str] = frozenset()) -> dict[str, list[float]]:
        self.clock.time += seconds
        request = Request(targets=self.targets, demand=self.demand, anew=anew)
        tick = Tick(at=self.clock.now(), interval=1.0, request=request, lives=(), monotonic=self.clock.monotonic)
        self.collector.collect(tick)
        until(lambda: len(self.waited_for) == len(threads_of_questions()))
        self.failures = tick.failures
        self.anew = tick.anew
        self.totals = {total: list(column) for total, column in tick.totals.items()}
        return {name: list(column) for name, column in tick.columns.items()}


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    bench.watch(SampleTarget(container_id=ID, started_at=1.0, own_network=True, cpu_limit=0.5))
    yield bench
    for gave_up in bench.hung.values():
        gave_up.set()


def test_what_counters_stand_at(bench: Bench) -> None:
    bench.answers[ID] = answer()
    bench.tick()
    assert all(math.isnan(numbers[0]) for numbers in bench.totals.values()), "not asked yet"
    bench.tick()
    assert bench.totals == {
        Total.CPU: [10e9],
        Total.PERIODS: [100],
        Total.THROTTLED: [10],
        Total.READ: [4096],
        Total.WRITTEN: [8192],
        Total.RECEIVED: [1010],
        Total.SENT: [505],
        Total.NETWORK_ERRORS: [10],
    }


def test_the_same_names_units_and_formulas_as_from_cgroup_files(bench: Bench) -> None:
    bench.answers[ID] = answer()
    bench.tick()
    first = bench.tick()
    assert first["memory.usage"] == [50 * MIB]
    assert first["memory.working_set"] == [40 * MIB]
    assert first["memory.limit"] == [80 * MIB]
    assert first["memory.percent"] == [50]
    assert (first["pids"], first["pids.limit"]) == ([5], [60])
    assert math.isnan(first["cpu.cores"][0])

    bench.answers[ID] = answer(
        2,
        cpu_stats__cpu_usage__total_usage=10_500_000_000,
        cpu_stats__throttling_data={"periods": 120, "throttled_periods": 15},
        networks={"eth0": {**ANSWER["networks"]["eth0"], "rx_bytes": 3010, "tx_bytes": 505, "rx_errors": 3}},
        blkio_stats={"io_service_bytes_recursive": [{"op": "read", "value": 4096}, {"op": "write", "value": 10192}]},
    )
    bench.tick()
    second = bench.tick()
    assert second["cpu.cores"] == [0.25]
    assert second["cpu.percent"] == [25]
    assert second["cpu.percent_of_limit"] == [50]
    assert second["cpu.throttled"] == [25]
    assert second["network.receive"] == [1000]
    assert second["network.transmit"] == [0]
    assert second["network.errors"] == [1]
    assert (second["io.read"], second["io.write"]) == ([0], [1000])
    assert not bench.failures


def test_what_no_policy_needs_is_asked_at_the_metrics_interval(bench: Bench) -> None:
    bench.demand = Demand(metrics_interval=10.0)
    bench.answers[ID] = answer()
    for _ in range(25):
        bench.tick()
    assert len(bench.asked) == 3


def test_a_round_that_takes_long_is_followed_by_a_rest_of_nine_times_its_length(bench: Bench) -> None:
    bench.answers[ID] = answer()
    took = 2.0

    def slow(container_id: str) -> object:
        bench.asked.append(container_id)
        bench.clock.time += took
        return bench.answers[container_id]

    bench.engine = slow
    begun = bench.clock.time
    for _ in range(30):
        bench.tick()
    passed = bench.clock.time - begun
    assert len(bench.asked) == 1 + passed // 20


def crowd(bench: Bench, number: int) -> list[str]:
    """Another so many containers that answer."""
    ids = [full_id(10 + each) for each in range(number)]
    bench.answers.update({each: answer() for each in ids})
    bench.watch(*(SampleTarget(container_id=each, name=f"web-{place}") for place, each in enumerate(ids)))
    return ids


@pytest.mark.parametrize("stuck", [1, 4, 9])
def test_containers_that_hang_are_left_out_alone_and_all_others_are_known_at_every_tick(
    bench: Bench, stuck: int
) -> None:
    ids = crowd(bench, 20)
    bench.tick()
    bench.tick()
    for each in ids[:stuck]:
        bench.hang(each)
    for second in range(100):
        if second == 13:
            bench.give_up()
        known = [not math.isnan(usage) for usage in bench.tick()["memory.usage"]]
        assert all(known[stuck:]), f"blind after {second} s"
        if second > 5:
            assert not any(known[:stuck]), "what nobody answered is believed"
            assert "web-0" in bench.failures["stats_api"]
            assert len(bench.failures) == 1


def test_one_that_hangs_is_asked_about_ever_more_seldom_and_at_once_again_when_it_answers(bench: Bench) -> None:
    ids = crowd(bench, 6)
    bench.tick()
    bench.tick()
    bench.asked.clear()
    asked_at: list[float] = []

    def hang(container_id: str) -> object:
        if container_id == ids[0]:
            asked_at.append(bench.clock.time)
            while bench.clock.time < asked_at[-1] + 10:
                time.sleep(0.0005)
            raise TemporaryError("no answer within 10 s")
        return bench.answers[container_id]

    bench.engine = hang
    failures: dict[str, str] = {}
    for _ in range(400):
        bench.clock.time += 1
        tick = Tick(
            at=bench.clock.now(),
            interval=1.0,
            request=Request(targets=bench.targets, demand=bench.demand),
            lives=(),
            monotonic=bench.clock.monotonic,
        )
        bench.collector.collect(tick)
        failures = tick.failures
        until(lambda: len(threads_of_questions()) <= (bench.clock.time < asked_at[-1] + 10 if asked_at else 0))
    waits = [later - earlier - 10 for earlier, later in pairwise(asked_at)]
    assert waits[:3] == pytest.approx([20, 40, 80], abs=2)
    assert set(waits[3:]) <= {80.0, 81.0, 82.0}
    assert failures["stats_api"].startswith("web-0: no answer within 10 s; what it uses is unknown")
    bench.engine = bench.ask
    for _ in range(90):
        bench.tick()
    assert not bench.failures
    asked = len(bench.asked)
    bench.tick()
    assert len(bench.asked) == asked + 6


def test_an_engine_that_answered_nobody_is_asked_about_everyone_soon_after_it_answers_again(bench: Bench) -> None:
    ids = crowd(bench, 30)
    bench.tick()
    bench.tick()
    for each in ids:
        bench.hang(each)
    for _ in range(3):
        bench.tick()
    bench.clock.time += 10
    bench.give_up()
    for _ in range(3):
        assert all(map(math.isnan, bench.tick()["memory.usage"]))
    hung, bench.hung = bench.hung, {}
    for question in hung.values():
        question.set()
    until(lambda: not threads_of_questions())
    for _ in range(11):
        bench.tick()
    assert not any(map(math.isnan, bench.tick()["memory.usage"]))
    assert not bench.failures


def test_an_engine_that_hangs_delays_no_tick_and_what_it_told_is_believed_for_three_intervals(bench: Bench) -> None:
    bench.answers[ID] = answer()
    bench.tick()
    assert bench.tick()["memory.usage"] == [50 * MIB]
    release = threading.Event()

    def hang(container_id: str) -> object:
        release.wait(20)
        return bench.answers[container_id]

    bench.engine = hang
    known = []
    try:
        for _ in range(8):
            bench.clock.time += 1
            request = Request(targets=bench.targets, demand=bench.demand)
            tick = Tick(at=bench.clock.now(), interval=1.0, request=request, lives=(), monotonic=bench.clock.monotonic)
            bench.collector.collect(tick)
            known.append(not math.isnan(tick.columns["memory.usage"][0]))
    finally:
        release.set()
    assert known[0]
    assert not known[-1]
    assert known == sorted(known, reverse=True)


def test_a_counter_of_another_life_gives_no_rate(bench: Bench) -> None:
    bench.answers[ID] = answer()
    bench.tick()
    bench.answers[ID] = answer(2, cpu_stats__cpu_usage__total_usage=99_000_000_000)
    bench.watch(SampleTarget(container_id=ID, started_at=2.0))
    bench.tick()
    bench.tick()
    assert math.isnan(bench.tick()["cpu.cores"][0])
    assert bench.tick()["memory.usage"] == [50 * MIB]


def test_a_network_that_is_not_its_own_and_a_quota_that_it_does_not_have_are_unknown(bench: Bench) -> None:
    bench.watch(SampleTarget(container_id=ID))
    for second in (0, 2, 4):
        bench.answers[ID] = answer(second)
        bench.tick()
    sample = bench.tick()
    assert math.isnan(sample["network.receive"][0])
    assert math.isnan(sample["cpu.throttled"][0])
    assert sample["cpu.percent_of_limit"] == [0]  # of the host's four processors


def test_one_that_vanished_is_unknown_and_no_failure_and_the_others_go_on(bench: Bench) -> None:
    bench.watch(SampleTarget(container_id=ID), SampleTarget(container_id=OTHER))
    bench.answers[OTHER] = answer()
    bench.tick()
    sample = bench.tick()
    assert math.isnan(sample["memory.usage"][0])
    assert sample["memory.usage"][1] == 50 * MIB
    assert not bench.failures


def test_an_engine_that_refuses_is_said_once_with_how_many(bench: Bench) -> None:
    bench.watch(SampleTarget(container_id=ID), SampleTarget(container_id=OTHER))
    bench.answers = {ID: TemporaryError("the engine is busy"), OTHER: TemporaryError("the engine is busy")}
    bench.tick()
    bench.tick()
    assert bench.failures["stats_api"] == "the engine is busy, and 1 more like it"
    bench.answers = {ID: answer(), OTHER: answer()}
    bench.tick()
    bench.tick()
    assert not bench.failures


def test_a_question_that_fails_in_no_foreseen_way_is_said_and_asked_again(bench: Bench) -> None:
    bench.watch(SampleTarget(container_id=ID), SampleTarget(container_id=OTHER))
    bench.answers = {ID: ZeroDivisionError("as it happens"), OTHER: answer()}
    bench.tick()
    sample = bench.tick()
    assert "ZeroDivisionError: as it happens" in bench.failures["stats_api"]
    assert sample["memory.usage"][1] == 50 * MIB
    bench.answers[ID] = answer()
    bench.tick()
    assert bench.tick()["memory.usage"] == [50 * MIB, 50 * MIB]
    assert not bench.failures


# --- the answers ---


def test_an_answer_of_one_that_does_not_run_is_none() -> None:
    assert parse_stats({"read": "0001-01-01T00:00:00Z", "cpu_stats": {}, "memory_stats": {}}) is None


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"memory_stats": {}}, "memory_usage"),
        ({"blkio_stats": {"io_service_bytes_recursive": None}}, "read"),
        ({"blkio_stats": {"io_service_bytes_recursive": []}}, "written"),
        ({"networks": None}, "received"),
        ({"pids_stats": {}}, "pids"),
        ({"cpu_stats__online_cpus": 0}, "online_cpus"),
        ({"cpu_stats__cpu_usage__total_usage": -1}, "cpu_seconds"),
        ({"cpu_stats__cpu_usage__total_usage": "1"}, "cpu_seconds"),
        ({"cpu_stats__cpu_usage__total_usage": True}, "cpu_seconds"),
        ({"cpu_stats__cpu_usage__total_usage": 1e300}, "cpu_seconds"),
    ],
)
def test_what_is_missing_or_senseless_is_unknown(changes: dict[str, object], name: str) -> None:
    parsed = parse_stats(answer(0, **changes))
    assert parsed is not None
    assert math.isnan(getattr(parsed, name))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(ANSWER)), inner, max_size=4),
        max_leaves=12,
    )
)
def test_junk_is_unknown_and_never_a_crash(junk: object) -> None:
    parse_stats(junk)
    for key in ANSWER:
        if key != "read":
            assert parse_stats({**ANSWER, key: junk}) is not None


def test_every_name_is_written() -> None:
    bench = Bench()
    bench.watch(SampleTarget(container_id=ID))
    assert set(bench.tick()) == set(NAMES)


def test_limits_are_known_anew_once_a_question_that_was_asked_afterwards_is_answered(bench: Bench) -> None:
    bench.watch(*(SampleTarget(container_id=each, started_at=1.0, cpu_limit=0.5) for each in (ID, OTHER)))
    bench.answers.update({ID: answer(), OTHER: answer()})
    bench.tick()
    bench.tick(anew=frozenset({ID, OTHER}))  # what was asked before is answered, the next question is asked
    assert bench.anew == frozenset()
    bench.answers[OTHER] = TemporaryError("too slow")
    bench.tick()
    assert bench.anew == {ID, OTHER}
    bench.tick(anew=frozenset({ID, OTHER}))
    bench.tick()
    assert bench.anew == {ID}, "the other did not answer"
    bench.answers[OTHER] = answer(1)
    bench.tick()
    bench.tick()
    assert bench.anew == {OTHER}


@pytest.mark.parametrize(
    ("around", "limit"),
    [
        (50 * MIB, 50 * MIB),
        (90 * MIB, 80 * MIB),
        (2**63 - 4096, 80 * MIB),  # v1 around it: none
        (2**200, 80 * MIB),
        (0, 80 * MIB),
        (-1, 80 * MIB),
        ("52428800", 80 * MIB),
        (None, 80 * MIB),
        (True, 80 * MIB),
        (math.nan, 80 * MIB),
    ],
)
def test_on_cgroup_v1_the_least_limit_around_a_container_is_its_limit(
    bench: Bench, around: object, limit: float
) -> None:
    bench.answers[ID] = answer(memory_stats__stats__hierarchical_memory_limit=around)
    bench.tick()
    sample = bench.tick()
    assert sample["memory.limit"] == [limit]
    assert sample["memory.percent"] == [100 * 40 * MIB / limit]


@pytest.mark.parametrize("own", [0, 2**63 - 4096, None])
def test_a_limit_that_is_none_is_unknown_unless_there_is_one_around_it(bench: Bench, own: object) -> None:
    bench.answers[ID] = answer(memory_stats__limit=own)
    bench.tick()
    assert math.isnan(bench.tick()["memory.limit"][0])
    bench.answers[ID] = answer(1, memory_stats__limit=own, memory_stats__stats__hierarchical_memory_limit=50 * MIB)
    bench.tick()
    assert bench.tick()["memory.limit"] == [50 * MIB]
