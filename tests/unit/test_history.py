from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.numbers import examples
from watchtower_agent.model.window import Window, WindowFunction
from watchtower_agent.state.history import History
from watchtower_agent.state.span import Span


def window(function: str, seconds: float, name: str = "memory.percent") -> Window:
    return Window(function=WindowFunction(function), name=name, seconds=seconds)


class Past:
    """A history that is told one number of one container per second."""

    def __init__(self, *windows: Window) -> None:
        self.history = History()
        self.history.ask(windows)
        self.now = 100.0

    def tell(self, *numbers: float, name: str = "memory.percent") -> None:
        for number in numbers:
            self.now += 1
            self.history.add(self.now, 1.0, ("web",), {name: {"web": number}})

    def ask(self, function: str, seconds: float, later: float = 0.0, name: str = "memory.percent") -> float | None:
        return self.history.value(window(function, seconds, name), "web", self.now + later)


@pytest.mark.parametrize(
    ("function", "answer"), [("avg", 5.5), ("max", 9), ("min", 2), ("p95", 9), ("rate", 7 / 3), ("delta", 7)]
)
def test_functions_of_the_values_within(function: str, answer: float) -> None:
    past = Past(window(function, 4))
    past.tell(100, 2, 8, 3, 9)
    assert past.ask(function, 4) == answer


def test_the_95th_percentile_is_the_nearest_rank() -> None:
    past = Past(window("p95", 100))
    past.tell(*range(100, 0, -1))
    assert past.ask("p95", 100) == 95


def test_too_few_values_are_not_known() -> None:
    past = Past(window("max", 10))
    past.tell(1, 2, 3, 4, 5, 6)
    assert past.ask("max", 10) is None
    past.tell(7)  # seven of ten
    assert past.ask("max", 10) == 7
    past.tell(*[math.nan] * 3)
    assert past.ask("max", 10) == 7
    past.tell(math.nan)
    assert past.ask("max", 10) is None


def test_what_is_too_old_is_not_known() -> None:
    past = Past(window("max", 10))
    past.tell(*range(10))
    assert past.ask("max", 10, later=3) == 9
    assert past.ask("max", 10, later=3.1) is None


def test_a_new_life_forgets_what_was_sampled_and_nothing_else() -> None:
    past = Past(window("max", 2), window("delta", 2, "restarts"))
    for restarts in (1, 1, 2):
        past.now += 1
        past.history.add(past.now, 1.0, ("web",), {"memory.percent": {"web": 90.0}, "restarts": {"web": restarts}})
    past.history.renew("web", ["memory.percent", "cpu.percent"])
    assert past.ask("max", 2) is None
    assert past.ask("delta", 2, name="restarts") == 1
    past.tell(5.0, 6.0)
    assert past.ask("max", 2) == 6


def test_a_container_that_goes_leaves_nothing_to_the_next_in_its_slot() -> None:
    past = Past(window("max", 5))
    past.tell(*[99.0] * 5)
    for tick in range(4):
        past.now += 1
        past.history.add(past.now, 1.0, ("other",), {"memory.percent": {"other": float(tick)}})
    assert past.ask("max", 5) is None
    assert past.history.value(window("max", 5), "other", past.now) == 3


def test_new_windows_begin_with_what_is_kept_and_dropped_ones_are_forgotten() -> None:
    past = Past(window("max", 10))
    past.tell(*range(20))
    past.history.ask([window("max", 10), window("avg", 4), window("min", 10)])
    assert past.ask("avg", 4) == 17.5
    assert past.ask("min", 10) == 10
    past.history.ask([window("avg", 4)])
    past.tell(20)
    assert past.ask("max", 10) is None
    assert past.ask("avg", 4) == 18.5
    past.history.ask([])
    assert not past.history.names
    past.tell(21)
    assert past.ask("avg", 4) is None


def test_nobody_asks_nothing_is_kept() -> None:
    history = History()
    history.add(1.0, 1.0, ("web",), {"memory.percent": {"web": 1.0}})
    assert history.value(window("max", 5), "web", 1.0) is None


# --- beside the present value ---

LOOKING_BACK = (WindowFunction.AVG, WindowFunction.MAX, WindowFunction.MIN, WindowFunction.P95)
measured = st.one_of(
    st.floats(0, 2.0**40, allow_subnormal=False), st.floats(0, 100, allow_subnormal=False), st.integers(0, 2**50)
)

sampled = st.one_of(st.just(0.0), st.floats(2.0**-8, 2.0**40), st.integers(0, 2**40).map(float))
"""Numbers of which the largest sum and the last digit are no more than 106 bits apart."""


@given(st.lists(measured, min_size=1, max_size=40))
def test_nothing_is_more_than_the_most_or_less_than_the_least_of_a_time_that_it_belongs_to(series: list[float]) -> None:
    past = Past(*(window(function, 5) for function in WindowFunction))
    for number in series:
        past.tell(number)
        answers = {function: past.ask(function, 5) for function in LOOKING_BACK}
        if None in answers.values():
            continue
        most, least, mean = (answers[WindowFunction(each)] or 0.0 for each in ("max", "min", "avg"))
        assert least <= number <= most
        assert least <= mean <= most
        assert answers[WindowFunction.P95] in series


def test_a_mean_that_was_rounded_twice_is_not_beyond_what_it_is_of() -> None:
    most = 1.6539893446099985
    least = math.nextafter(most, 0.0)
    past = Past(window("avg", 5), window("min", 5))
    past.tell(least, least, least, least, most)
    assert past.ask("avg", 5) == past.ask("min", 5) == least


@pytest.mark.parametrize("together", [True, False])
@given(before=st.lists(measured, max_size=30), number=measured, gaps=st.sets(st.integers(0, 11), max_size=3))
def test_what_does_not_move_is_exactly_what_it_was(
    together: bool,
    before: list[float],
    number: float,
    gaps: set[int],
) -> None:
    """Whatever came before: no comparison with its own past holds, but those of what is equal."""
    for asked in [WindowFunction] if together else [[each] for each in WindowFunction]:
        past = Past(*(window(function, 10) for function in asked))
        past.tell(*before)
        past.tell(*(math.nan if at in gaps else number for at in range(12)), number)
        for function in asked:
            assert past.ask(function, 10) == (number if function in LOOKING_BACK else 0.0), function


def test_a_mean_has_no_memory_of_what_left() -> None:
    """An hour of traffic of all sizes, then nothing, then a little: as if the traffic had never been."""
    chance = random.Random(7)
    history = History()
    history.ask([window("avg", 3600)])
    whose = [f"c{number}" for number in range(12)]
    for at in range(10_810):
        traffic = at < 3600
        row = {
            each: chance.choice([0.0, 42.0, chance.uniform(60e6, 125e6) / chance.uniform(0.999, 1.001)])
            if traffic
            else 0.1 * (at % 2) * (at >= 7210)
            for each in whose
        }
        history.add(float(at), 1.0, whose, {"memory.percent": row})
        if at == 7209:
            assert {history.value(window("avg", 3600), each, at) for each in whose} == {0.0}
    assert {history.value(window("avg", 3600), each, 10_809.0) for each in whose} == {0.05}


@given(
    st.lists(st.lists(sampled, min_size=3, max_size=3), max_size=40),
    st.lists(st.lists(sampled, min_size=3, max_size=3), min_size=5, max_size=5),
)
def test_a_mean_is_that_of_what_is_within_and_of_nothing_else(
    before: list[list[float]], within: list[list[float]]
) -> None:
    span = Span(5.0, frozenset({WindowFunction.AVG}), 0, 3)
    rows = [array("d", row) for row in (*before, *within)]
    for number, row in enumerate(rows):
        span.enter(row)
        if number >= 5:
            span.leave(rows[number - 5])
    for slot in range(3):
        exact = float(sum(Fraction(row[slot]) for row in rows[-5:]) / 5)
        assert same(WindowFunction.AVG, span.answer(WindowFunction.AVG, slot), exact)


# --- against a slow, obvious one ---


def answered(function: WindowFunction, within: list[tuple[float, float]]) -> float | None:
    """In the words of the definition. Times and numbers, oldest first."""
    numbers = sorted(number for _, number in within)
    grown, passed = within[-1][1] - within[0][1], within[-1][0] - within[0][0]
    enough = 0.95 * len(numbers)
    return {
        WindowFunction.AVG: float(sum(map(Fraction, numbers)) / len(numbers)),
        WindowFunction.MAX: numbers[-1],
        WindowFunction.MIN: numbers[0],
        WindowFunction.P95: next(n for n in numbers if sum(other <= n for other in numbers) >= enough),
        WindowFunction.DELTA: grown,
        WindowFunction.RATE: grown / passed if passed else None,
    }[function]


def same(function: WindowFunction, found: float | None, expected: float | None) -> bool:
    """Exactly; but for a mean, of which the last bit may be rounded twice."""
    if function is not WindowFunction.AVG or found is None or expected is None:
        return found == expected
    return abs(found - expected) <= math.ulp(expected)


class Told:
    """A history, and beside it all that it was ever told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.past: dict[str, list[tuple[float, float]]] = {}
        self._history = History()
        self._spans = {3.0}
        self._ask()

    def tick(self, numbers: dict[str, float], passed: float) -> None:
        self.now += passed
        for whose in numbers:
            self.past.setdefault(whose, [])
        for whose, past in self.past.items():
            past.append((self.now, numbers.get(whose, math.nan)))
        self._history.add(self.now, 1.0, tuple(self.past), {"memory.percent": numbers})

    def gone(self, whose: str) -> None:
        self.past.pop(whose, None)
        self.tick({}, 1.0)

    def renewed(self, whose: str) -> None:
        self._history.renew(whose, ["memory.percent"])
        self.past[whose] = [(at, math.nan) for at, _ in self.past.get(whose, [])]

    def asked(self, spans: list[float]) -> None:
        if max(spans) > max(self._spans):  # what was not kept until now can't be answered as if it had been
            self.past = {whose: [(at, math.nan) for at, _ in past] for whose, past in self.past.items()}
            self._history = History()
        self._spans = set(spans)
        self._ask()

    def agrees(self) -> None:
        for seconds in self._spans:
            for function in WindowFunction:
                for whose, past in self.past.items():
                    expected = self._slowly(function, seconds, past)
                    found = self._history.value(window(function, seconds), whose, self.now)
                    assert same(function, found, expected), (function, seconds, past, found, expected)

    def _ask(self) -> None:
        self._history.ask([window(function, seconds) for seconds in self._spans for function in WindowFunction])

    def _slowly(self, function: WindowFunction, seconds: float, past: list[tuple[float, float]]) -> float | None:
        within = [(at, number) for at, number in past if at > past[-1][0] - seconds and not math.isnan(number)]
        known = bool(within) and self.now - within[-1][0] <= 3 and len(within) >= max(1.0, 0.7 * seconds)
        return answered(function, within) if known else None


numbers = st.one_of(
    st.integers(-50, 50).map(float), st.sampled_from([0.1, 100 / 3, 1e-9, 2.0**31 + 0.3, 1e12 / 7]), st.just(math.nan)
)
WHOSE = st.sampled_from("abc")
steps = st.one_of(
    st.tuples(st.just(Told.tick), st.dictionaries(WHOSE, numbers), st.sampled_from([1.0, 1.0, 2.5])),
    st.tuples(st.just(Told.gone), WHOSE),
    st.tuples(st.just(Told.renewed), WHOSE),
    st.tuples(st.just(Told.asked), st.lists(st.sampled_from([2.0, 3.0, 7.0]), min_size=1)),
)


@settings(max_examples=examples(300))
@given(st.lists(steps, max_size=40))
def test_the_running_answers_agree_with_a_slow_evaluator(happens: list[tuple[Callable[..., None], object]]) -> None:
    told = Told()
    for step, *about in happens:
        step(told, *about)
        told.agrees()
