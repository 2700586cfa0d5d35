"""What was seen how often, the older the less it counts; and the meter that counts for it."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.policies.resizing.histogram import BYTES, CORES, GROWTH, HALF_LIFE, Histogram, Scale
from watchtower_agent.policies.resizing.meter import Meter

DAY = 86400.0


def of(*values: tuple[float, float, float], scale: Scale = CORES) -> Histogram:
    """Value, weight, when."""
    histogram = Histogram(scale=scale)
    for value, weight, at in values:
        histogram = histogram.add(value, weight, at)
    return histogram


@given(st.floats(0.0, 2e3))
def test_a_bucket_ends_at_or_a_little_above_its_values(value: float) -> None:
    end = CORES.end(CORES.bucket(value))

    if value <= CORES.first:
        assert end == CORES.first
    elif value <= CORES.last:
        assert value * (1 - 1e-9) <= end <= value * GROWTH * (1 + 1e-9)
    else:
        assert end == CORES.end(CORES.highest)


@given(st.lists(st.floats(0.002, 1000.0), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_percentile_is_that_of_the_values_and_at_most_five_percent_more(values: list[float], share: float) -> None:
    histogram = of(*((value, 1.0, 0.0) for value in values))

    exact = sorted(values)[max(0, math.ceil(share * len(values) * (1 - 1e-9)) - 1)]

    found = histogram.percentile(share)
    assert found is not None
    assert exact * (1 - 1e-9) <= found <= exact * GROWTH * (1 + 1e-9)


def test_of_twenty_values_p95_is_the_nineteenth() -> None:
    histogram = of(*((1.5**power, 1.0, 0.0) for power in range(-10, 10)))

    assert histogram.percentile(0.95) == pytest.approx(1.5**8, rel=0.05)
    assert histogram.percentile(1.0) == pytest.approx(1.5**9, rel=0.05)


def test_nothing_has_no_percentile() -> None:
    assert Histogram(scale=CORES).percentile(0.95) is None


def test_a_day_old_value_counts_half() -> None:
    assert of((4.0, 1.0, 0.0), (1.0, 0.99, DAY)).percentile(0.663) == pytest.approx(1.0, rel=0.05)
    assert of((4.0, 1.0, 0.0), (1.0, 0.99, DAY)).percentile(0.666) == pytest.approx(4.0, rel=0.05)
    assert of((4.0, 1.0, 0.0), (1.0, 0.99, 0.0)).percentile(0.6) == pytest.approx(4.0, rel=0.05)


def test_years_overflow_nothing_and_change_no_percentile() -> None:
    histogram, draw = Histogram(scale=CORES), random.Random(1)
    largest = 0
    for hour in range(0, 3 * 365 * 24, 3):
        histogram = histogram.add(draw.lognormvariate(-1.0, 1.5), 60.0, hour * 3600.0)
        largest = max(largest, len(histogram.weights))

    assert largest <= 286
    assert all(math.isfinite(weight) and weight < 1e15 for weight in histogram.weights.values())
    assert histogram.percentile(0.95) == pytest.approx(math.exp(-1.0 + 1.645 * 1.5), rel=0.6)
    assert histogram.reference is not None
    assert histogram.reference > 2.8 * 365 * DAY


def test_a_new_reference_changes_nothing() -> None:
    draw = random.Random(2)
    values = [(draw.lognormvariate(0.0, 1.0), 1.0, 25 * HALF_LIFE + 60.0 * minute) for minute in range(500)]
    before = of((1.0, 1e-6, 0.0), *values)
    after = before.add(1.0, 1e-9, 33.3 * HALF_LIFE)

    assert before.reference == 0.0
    assert after.reference == 33 * HALF_LIFE
    for share in (0.1, 0.5, 0.9, 0.95, 0.99):
        assert before.percentile(share) == after.percentile(share)


def test_after_a_century_without_anything_only_the_new_counts() -> None:
    assert of((4.0, 1e6, 0.0), (1.0, 1.0, 36500 * DAY)).percentile(0.99) == pytest.approx(1.0, rel=0.05)


def test_it_comes_back_as_it_was() -> None:
    histogram = of((0.3, 60.0, 100.0), (2.0, 1.5, 5000.0), (900.0, 2.0, 90000.0))

    stored = json.loads(json.dumps(histogram.stored(90500.0)))

    assert Histogram.restored(stored, 90500.0, CORES) == histogram


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {},
        {"age": 1.0},
        {"age": "1", "weights": []},
        {"age": 1.0, "weights": {"1": 2.0}},
        {"age": 1.0, "weights": [[1]]},
        {"age": 1.0, "weights": [[1, 2, 3]]},
        {"age": 1.0, "weights": [[1.5, 2.0]]},
        {"age": 1.0, "weights": [[-1, 2.0]]},
        {"age": 1.0, "weights": [[100_000, 2.0]]},
        {"age": 1.0, "weights": [[1, -2.0]]},
        {"age": 1.0, "weights": [[1, float("nan")]]},
        {"age": 1.0, "weights": [[True, 2.0]]},
        {"age": 1.0, "weights": [[1, 2.0]] * 1000},
    ],
)
def test_what_is_no_histogram_is_refused(stored: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Histogram.restored(stored, 0.0, CORES)


@given(
    st.lists(st.one_of(st.floats(0.0, 1024.0), st.integers(0, 280).map(lambda power: 0.001 * 1.05**power)), min_size=1)
)
def test_the_meter_counts_seconds_into_the_same_buckets(values: list[float]) -> None:
    meter, expected = Meter(), dict[int, float]()
    for value in values:
        meter.see(value, math.nan, 2.0)
        bucket = CORES.bucket(value)
        expected[bucket] = expected.get(bucket, 0.0) + 2.0

    measured = meter.take()

    assert measured.cores == expected
    assert measured.cpu_seconds == 2.0 * len(values)
    assert measured.core_seconds == pytest.approx(2.0 * sum(values))
    assert (measured.memory_seconds, measured.peak) == (0.0, None)


def test_what_is_not_known_is_not_counted() -> None:
    meter = Meter()
    for odd in (math.nan, -1.0, math.inf, 1e9):
        meter.see(odd, math.nan if odd > 0 else odd, 1.0)
    meter.see(math.nan, 5e6, 1.0)
    meter.see(math.nan, 3e6, 1.0)

    measured = meter.take()

    assert not measured.cores
    assert measured.cpu_seconds == 0.0
    assert (measured.memory_seconds, measured.peak) == (2.0, 5e6)


def test_what_was_taken_is_forgotten() -> None:
    meter = Meter()
    meter.see(1.0, 5e6, 1.0)
    first = meter.take()

    assert meter.take().peak is None
    meter.see(0.5, 1e6, 1.0)
    assert meter.take().peak == 1e6
    assert (first.cores, first.peak) == ({CORES.bucket(1.0): 1.0}, 5e6)


def test_p95_over_the_seconds_stays_p95() -> None:
    meter, draw, seconds = Meter(), random.Random(3), []
    histogram = Histogram(scale=CORES)
    for _ in range(60):
        for _ in range(60):
            seconds.append(draw.lognormvariate(-1.5, 1.0))
            meter.see(seconds[-1], math.nan, 1.0)
        histogram = histogram.add_all(meter.take().cores, 0.0)

    exact = sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]
    found = histogram.percentile(0.95)
    assert found is not None
    assert exact <= found <= exact * GROWTH


def test_the_scales_are_as_large_as_they_are_said_to_be() -> None:
    assert CORES.highest == 284
    assert BYTES.highest == 341
