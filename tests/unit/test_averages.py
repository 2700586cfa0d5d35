"""Averages of ten seconds: against a slow, obvious reference, and what becomes of containers that come and go."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.numbers import examples
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.sample import SampleBatch, SampleTarget
from watchtower_agent.policies.catalogue import CATALOGUE, Scope
from watchtower_agent.state.averages import AVERAGED, Averages
from watchtower_agent.state.history import HOST

CPU = "cpu.percent"
LOAD = "host.load1"


class Told:
    """Averages of CPU and of the host's load, and beside them every tick that they were ever told."""

    def __init__(self, keep: float = 600.0, interval: float = 1.0) -> None:
        self.averages = Averages(keep, interval)
        self.keep, self.interval = keep, interval
        self.now = 100.0
        self.known: set[str] = set()
        self.targets: tuple[SampleTarget, ...] = ()
        self.ticks: dict[str, list[tuple[float, float]]] = {HOST: []}
        self.first_tick = math.inf

    def tick(self, numbers: Mapping[str, float], passed: float = 1.0, load: float = math.nan) -> None:
        """The containers with numbers run; whoever ran before and has none does not."""
        self.known |= numbers.keys()
        if [target.container_id for target in self.targets] != list(numbers):
            self.targets = tuple(SampleTarget(container_id=whose) for whose in numbers)
        self.again(array("d", numbers.values()), passed, load)

    def again(self, column: array[float], passed: float = 1.0, load: float = math.nan) -> None:
        """A tick with a column as it is, of the same containers as before."""
        self.now += passed
        self.first_tick = min(self.first_tick, self.now)
        host = {} if math.isnan(load) else {LOAD: load}
        at = Instant(wall=0.0, monotonic=self.now)
        batch = SampleBatch(at=at, interval=self.interval, targets=self.targets, columns={CPU: column}, host=host)
        self.averages.add(batch, self.known)
        for target, number in zip(self.targets, column, strict=True):
            if target.container_id in self.known:
                self.ticks.setdefault(target.container_id, []).append((self.now, number))
        self.ticks[HOST].append((self.now, load))

    def gone(self, whose: str) -> None:
        """Removed: the sampler learns it later."""
        self.known.discard(whose)
        self.ticks.pop(whose, None)
        self.averages.forget(whose)

    def values(self, whose: str, last: float = math.inf) -> list[float | None]:
        found = self.averages.series(LOAD if whose == HOST else CPU, whose, self.now, last)
        return [] if found is None else list(found.values)

    def slowly(self, whose: str, last: float) -> dict[float, float]:
        """Begin of a stretch -> its average, in the words of the definition."""
        step = max(10.0, 2 * self.interval)
        oldest = math.floor((self.now - min(last, self.keep)) / step) * step
        found: dict[float, list[float]] = {}
        for at, number in self.ticks[whose]:
            begin = math.floor(at / step) * step
            if begin >= oldest and math.isfinite(number):
                found.setdefault(begin, []).append(number)
        return {begin: sum(numbers) / len(numbers) for begin, numbers in found.items()}

    def agrees(self, last: float) -> None:
        for whose in self.ticks:
            series = self.averages.series(LOAD if whose == HOST else CPU, whose, self.now, last)
            expected = self.slowly(whose, last)
            if series is None:
                assert not expected
                continue
            moments = [series.begin + number * series.step for number in range(len(series.values))]
            found = {at: value for at, value in zip(moments, series.values, strict=True) if value is not None}
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-5), (whose, last)
            assert moments[-1] == math.floor(self.now / series.step) * series.step
            assert moments[0] >= math.floor(self.first_tick / series.step) * series.step


def test_an_average_of_each_ten_seconds_and_of_the_present_ones_so_far() -> None:
    told = Told()
    for number in range(9):  # 101 to 109
        told.tick({"web": float(number)})
    for _ in range(10):
        told.tick({"web": 50.0})
    told.tick({"web": 7.0})

    series = told.averages.series(CPU, "web", told.now, 600)
    assert series is not None
    assert (series.begin, series.step, series.values) == (100.0, 10.0, (4.0, 50.0, 7.0))
    told.averages.series(CPU, "web", told.now, 600)
    assert told.values("web") == [4.0, 50.0, 7.0], "looking changes nothing"


def test_what_is_not_known_is_left_out_and_not_taken_for_zero() -> None:
    told = Told()
    for number in (10.0, math.nan, 20.0, math.inf, 30.0):
        told.tick({"web": number, "db": math.nan})
    assert told.values("web") == [20.0]
    assert told.values("db") == [None]


def test_time_without_ticks_is_not_known() -> None:
    told = Told()
    told.tick({"web": 1.0})
    told.tick({"web": 3.0}, passed=30.0)
    assert told.values("web") == [1.0, None, None, 3.0]
    told.now += 20
    assert told.values("web") == [1.0, None, None, 3.0, None]


def test_a_column_that_is_carried_counts_at_each_tick() -> None:
    told = Told()
    told.tick({"web": 1.0, "db": math.nan})
    assert told.values("web") == [1.0]
    column = array("d", [4.0, 2.0])
    for _ in range(2):
        told.again(column)
    assert (told.values("web"), told.values("db")) == ([3.0], [2.0])


def test_a_container_that_does_not_run_keeps_its_past_and_goes_on_in_its_next_life() -> None:
    told = Told()
    told.tick({"web": 90.0, "db": 1.0})
    for _ in range(25):
        told.tick({"db": 1.0})
    assert told.values("web") == [90.0, None, None]
    told.tick({"db": 1.0, "web": 5.0})
    assert told.values("web") == [90.0, None, 5.0]
    assert told.values("db") == [1.0, 1.0, 1.0]


def test_one_that_was_removed_leaves_nothing_to_the_next_in_its_slot() -> None:
    told = Told()
    for _ in range(15):
        told.tick({"old": 90.0})
    told.gone("old")
    assert told.values("old") == []
    told.tick({"new": 2.0})
    assert told.values("new") == [2.0]
    for _ in range(10):
        told.tick({"new": 4.0})
    assert told.values("new") == pytest.approx([(2 + 3 * 4) / 4, 4.0])


def test_one_that_is_sampled_after_it_was_removed_gets_no_slot_again() -> None:
    told = Told()
    told.tick({"old": 90.0, "web": 1.0})
    told.gone("old")
    for _ in range(20):  # the sampler's targets are those of before
        told.again(array("d", [90.0, 3.0]))
    assert told.averages.series(CPU, "old", told.now, 600) is None
    assert told.values("web") == pytest.approx([(1 + 8 * 3) / 9, 3.0, 3.0])


def test_a_tick_whose_columns_belong_to_nobody_known_is_left_out() -> None:
    told = Told()
    told.tick({"web": 1.0})
    batch = SampleBatch(
        at=Instant(wall=0.0, monotonic=told.now + 1), interval=1.0, columns={CPU: array("d", [5.0, 6.0])}
    )
    told.averages.add(batch, told.known)
    assert told.values("web") == [1.0]


def test_containers_that_come_and_go_need_no_more_room_than_those_there_were_at_once() -> None:
    told = Told()
    for number in range(100):
        told.tick({str(number): 1.0, str(number + 1): 1.0})
        told.gone(str(number))
    assert max(len(row) for row in told.averages._containers[CPU].kept) == 2


@pytest.mark.parametrize(("interval", "step"), [(0.1, 10.0), (5.0, 10.0), (10.0, 20.0), (60.0, 120.0)])
def test_slow_sampling_has_two_ticks_to_an_average(interval: float, step: float) -> None:
    told = Told(3600.0, interval)
    for number in range(10):
        told.tick({"web": 1.0}, passed=interval + (0.3 if number % 2 else -0.3) * interval)
    series = told.averages.series(CPU, "web", told.now, 3600)
    assert series is not None
    assert series.step == step
    assert None not in series.values


def test_no_more_is_kept_than_was_asked_for_and_nothing_where_nothing_was() -> None:
    told = Told(keep=60.0)
    for number in range(400):
        told.tick({"web": float(number)}, load=1.0)
        assert len(told.values("web")) <= 7
        assert len(told.values(HOST)) <= 7
        assert len(told.averages._host.kept) == len(told.averages._containers[CPU].kept) <= 6
    assert told.values("web", last=15.0) == told.values("web")[-3:]  # now is 500: of 480 a half is in it

    none = Told(keep=0.0)
    none.tick({"web": 1.0}, load=1.0)
    assert (none.values("web"), none.values(HOST)) == ([], [])


def test_the_names_are_sampled_ones_of_containers() -> None:
    entries = [CATALOGUE[name] for name in AVERAGED]
    assert all(entry.sampled and entry.scope is Scope.CONTAINER for entry in entries)


def test_a_row_that_says_the_same_is_kept_once() -> None:
    told = Told()
    for _ in range(100):
        told.tick({"web": 5.0, "db": math.nan})
    told.tick({"web": 6.0, "db": math.nan})
    assert told.values("web") == [5.0] * 10 + [5.5]
    rows = told.averages._containers[CPU].kept
    assert len({id(row) for row in rows}) < len(rows) == 10


# --- against a slow, obvious one ---

numbers = st.one_of(st.integers(-50, 50).map(float), st.just(math.nan), st.floats(0, 1e12))
WHOSE = st.sampled_from("abcd")
steps = st.one_of(
    st.tuples(
        st.just(Told.tick),
        st.dictionaries(WHOSE, numbers),
        st.sampled_from([1.0, 1.0, 2.5, 9.0, 25.0]),
        numbers,
    ),
    st.tuples(st.just(Told.gone), WHOSE),
    st.tuples(st.just(Told.agrees), st.sampled_from([5.0, 30.0, 600.0])),
)


@settings(max_examples=examples(300))
@given(st.sampled_from([40.0, 600.0]), st.lists(steps, max_size=60))
def test_the_averages_agree_with_a_slow_evaluator(
    keep: float, happens: list[tuple[Callable[..., None], object]]
) -> None:
    told = Told(keep)
    for step, *about in happens:
        step(told, *about)
    for last in (5.0, 30.0, 600.0):
        told.agrees(last)
