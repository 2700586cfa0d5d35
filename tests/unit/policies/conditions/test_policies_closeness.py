"""How close a condition is to firing: value against threshold, share of the way, time held."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.model.window import Window, WindowFunction
from watchtower_agent.policies.conditions.closeness import ALMOST, Closeness, Standing, closeness, rank
from watchtower_agent.policies.conditions.condition import ConditionScope, parse_condition
from watchtower_agent.policies.conditions.tree import (
    SIGNS,
    And,
    Comparison,
    Flag,
    Literal,
    Membership,
    Name,
    Not,
    Or,
    Tree,
    Windowed,
    compiled,
)
from watchtower_agent.policies.conditions.truth import UNKNOWN, Value


class Known:
    """A subject whose values the test gives, by the reference's text."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self.values = values

    def value(self, name: str) -> Value:
        return self.values.get(name, UNKNOWN)

    def window(self, window: Window) -> Value:
        return self.values.get(f"{window.function}({window.name})", UNKNOWN)

    def label(self, key: str) -> Value:
        return self.values.get(f"label {key}", "")

    def attribute(self, key: str) -> Value:
        return self.values.get(f"attribute {key}", "")


def of(text: str, values: Mapping[str, Value], *, hold: float = 0.0, standing: Standing | None = None) -> Closeness:
    tree = parse_condition(text, ConditionScope.WHEN).tree
    return closeness(
        tree, Known({name.replace("_", "."): value for name, value in values.items()}), hold=hold, standing=standing
    )


@pytest.mark.parametrize(
    ("text", "values", "truth", "ratio"),
    [
        ("memory.percent > 90%", {"memory_percent": 81.0}, False, 0.9),
        ("delta(memory.percent, 5m) < -10", {"delta(memory_percent)": -5.0}, False, 0.5),
        ("delta(memory.percent, 5m) < -10", {"delta(memory_percent)": 5.0}, False, 0.0),
        ("delta(memory.percent, 5m) > -10", {"delta(memory_percent)": -40.0}, False, 0.25),
        ("memory.percent > 90%", {"memory_percent": 95.0}, True, 1.0),
        ("memory.percent > 90%", {"memory_percent": 90.0}, False, ALMOST),
        ("memory.percent >= 90%", {"memory_percent": 90.0}, True, 1.0),
        ("memory.percent > 90%", {"memory_percent": 0.0}, False, 0.0),
        ("memory.percent > 90%", {}, None, None),
        ("host.disk.free < 10GiB", {"host_disk_free": 20 * 2.0**30}, False, 0.5),
        ("host.disk.free < 10GiB", {"host_disk_free": 0}, True, 1.0),
        ("uptime <= 0s", {"uptime": 5.0}, False, 0.0),
        ("restarts > 0", {"restarts": 0}, False, None),
        ("restarts < 0", {"restarts": 0}, False, None),
        ('health == "unhealthy"', {"health": "healthy"}, False, None),
        ('health != "healthy"', {"health": "unhealthy"}, True, 1.0),
        ('status in ["exited", "dead"]', {"status": "running"}, False, None),
        ('status not in ["exited", "dead"]', {"status": "running"}, True, 1.0),
        ("not engine.responding", {"engine_responding": True}, False, None),
        ("not engine.responding", {"engine_responding": False}, True, 1.0),
        ("memory.usage > memory.limit", {"memory_usage": 30, "memory_limit": 40}, False, 0.75),
        ("memory.usage > memory.limit", {"memory_usage": 30}, None, None),
        ("cpu.cores > 2 and memory.percent > 90%", {"cpu_cores": 1.0, "memory_percent": 81.0}, False, 0.5),
        ("cpu.cores > 2 and memory.percent > 90%", {"cpu_cores": 3.0, "memory_percent": 81.0}, False, 0.9),
        ("cpu.cores > 2 and memory.percent > 90%", {"memory_percent": 81.0}, False, 0.9),
        ("cpu.cores > 2 and memory.percent > 90%", {"memory_percent": 91.0}, None, None),
        ("cpu.cores > 2 or memory.percent > 90%", {"cpu_cores": 1.0, "memory_percent": 81.0}, False, 0.9),
        ("cpu.cores > 2 or memory.percent > 90%", {"memory_percent": 91.0}, True, 1.0),
        ("cpu.cores > 2 or memory.percent > 90%", {"memory_percent": 81.0}, None, None),
        ('health == "unhealthy" or cpu.cores > 2', {"health": "healthy", "cpu_cores": 1.0}, False, 0.5),
        ('health == "unhealthy" and cpu.cores > 2', {"health": "healthy", "cpu_cores": 1.0}, False, None),
        ('health == "unhealthy" and cpu.cores > 2', {"health": "unhealthy", "cpu_cores": 1.0}, False, 0.5),
        ("not memory.percent < 90%", {"memory_percent": 90.0}, True, 1.0),
        ("not memory.percent <= 90%", {"memory_percent": 90.0}, False, ALMOST),
        ("not memory.percent > 90%", {"memory_percent": 90.0}, True, 1.0),
        ("not memory.percent >= 90%", {"memory_percent": 90.0}, False, ALMOST),
        ("not (cpu.cores > 2 or memory.percent > 90%)", {"cpu_cores": 4.0, "memory_percent": 80.0}, False, 0.5),
    ],
)
def test_the_share_of_the_way(text: str, values: Mapping[str, Value], truth: bool | None, ratio: float | None) -> None:
    found = of(text, values)
    assert found.truth is truth
    assert found.ratio == (ratio if ratio is None else pytest.approx(ratio, abs=1e-12))
    assert (found.ratio == 1.0) is (truth is True)


def test_each_comparison_shows_value_and_threshold_and_takes_a_not_into_its_sign() -> None:
    found = of('not (memory.percent <= 90% or health in ["none"])', {"memory_percent": 45.0, "health": "healthy"})
    memory, health = found.comparisons
    assert (memory.name, memory.value, memory.sign, memory.threshold, memory.limit) == (
        "memory.percent",
        45.0,
        ">",
        "90%",
        90,
    )
    assert (memory.truth, memory.ratio) == (False, 0.5)
    assert (health.name, health.value, health.sign, health.threshold, health.limit) == (
        "health",
        "healthy",
        "not in",
        '["none"]',
        None,
    )
    assert (health.truth, health.ratio) == (True, 1.0)


def test_the_past_and_labels_are_named_as_written() -> None:
    found = of('max(memory.percent, 10m) > 50% and labels["tier"] == "web"', {"max(memory.percent)": 25.0})
    assert [(each.name, each.value) for each in found.comparisons] == [
        ("max(memory.percent, 10m)", 25.0),
        ('labels["tier"]', ""),
    ]


def test_what_fires_is_closer_than_what_is_true_and_that_than_what_is_not() -> None:
    tree = parse_condition("memory.percent > 90%", ConditionScope.WHEN).tree
    above, below = Known({"memory.percent": 95.0}), Known({"memory.percent": 89.9})
    ranks = [
        rank(tree, Known({})),
        rank(tree, below, hold=120.0),
        rank(tree, above, hold=120.0),
        rank(tree, above, hold=120.0, standing=Standing(held_for=34.0, firing=False)),
        rank(tree, above, hold=120.0, standing=Standing(held_for=119.0, firing=False)),
        rank(tree, above, hold=120.0, standing=Standing(held_for=500.0, firing=True)),
    ]
    assert ranks == sorted(set(ranks))
    assert ranks[3] == pytest.approx(1 + 34 / 120)
    assert rank(tree, above) > ranks[4]


NAMES = ("memory.percent", "cpu.cores", "uptime", "restarts")
VALUES = st.one_of(
    st.just(UNKNOWN),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0, 0.0, -0.0, 5e-324, 1.0, 90.0, 1.7976931348623157e308]),
)
LITERALS = st.one_of(st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False))


def references() -> st.SearchStrategy[Name | Windowed]:
    windowed = st.sampled_from(NAMES).map(
        lambda name: Windowed(Window(function=WindowFunction.DELTA, name=name, seconds=60.0), "1m")
    )
    return st.one_of(st.sampled_from(NAMES).map(Name), windowed)


def leaves() -> st.SearchStrategy[Tree]:
    literal = LITERALS.map(lambda number: Literal(number, str(number)))
    comparison = st.builds(Comparison, references(), st.sampled_from(sorted(SIGNS)), st.one_of(literal, references()))
    membership = st.builds(
        Membership, references(), st.lists(literal, min_size=1, max_size=3).map(tuple), st.booleans()
    )
    return st.one_of(comparison, membership, st.just(Flag(Name("engine.responding"))))


TREES = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
    ),
    max_leaves=12,
)
SUBJECTS = st.fixed_dictionaries(
    dict.fromkeys((*NAMES, *(f"delta({name})" for name in NAMES)), VALUES)
    | {"engine.responding": st.sampled_from([True, False, UNKNOWN])}
).map(Known)


@given(TREES, SUBJECTS)
def test_true_is_one_false_is_less_unknown_is_nothing_and_never_nan(tree: Tree, subject: Known) -> None:
    found = closeness(tree, subject)
    if not any(isinstance(value, float) and math.isnan(value) for value in subject.values.values()):
        # Of NaN neither a comparison nor its opposite holds; no collector lets one through.
        assert found.truth is compiled(tree)(subject)
    for truth, ratio in [(found.truth, found.ratio), *((each.truth, each.ratio) for each in found.comparisons)]:
        if truth is True:
            assert ratio == 1.0
        elif truth is False:
            assert ratio is None or 0.0 <= ratio < 1.0
        else:
            assert ratio is None
    ranked = rank(tree, subject)
    assert 0.0 <= ranked < 2.0
    assert (ranked >= 1.0) is (found.truth is True)


@given(st.floats(0, 1e12), st.floats(0, 1e12), st.floats(1e-6, 1e12))
def test_nearer_to_the_threshold_is_closer(one: float, other: float, threshold: float) -> None:
    low, high = sorted((one, other))
    tree = Comparison(Name("cpu.cores"), ">", Literal(threshold, str(threshold)))
    nearer, farther = (closeness(tree, Known({"cpu.cores": value})).ratio for value in (high, low))
    assert nearer is not None
    assert farther is not None
    assert farther <= nearer
