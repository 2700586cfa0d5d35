"""When limits are raised, and by how much."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.support.resizing import MIB, RULES, Watched, limits, mib, verdict
from watchtower_agent.policies.resizing.recommendation import Limit, Limited, Verdict
from watchtower_agent.policies.resizing.rules import Bounds


def test_what_is_used_now_is_a_quarter_less_than_the_limit_should_be() -> None:
    web = Watched(memory=500.0)

    web.sees(memory=480.0)

    assert verdict(web.of_memory) is Verdict.RAISE
    assert mib(web.of_memory.to) == 600.0
    assert web.of_memory.limits == ()


@pytest.mark.parametrize(("used", "said"), [(439.0, Verdict.KEEP), (441.0, Verdict.RAISE)])
def test_it_is_raised_when_more_than_a_tenth_is_missing(used: float, said: Verdict) -> None:
    web = Watched(memory=500.0)

    web.sees(memory=used)

    assert verdict(web.of_memory) is said
    assert limits(web.of_memory) == ([] if said is Verdict.RAISE else [Limit.TOLERANCE])


def test_the_working_set_of_ten_minutes_counts_as_present() -> None:
    web = Watched(memory=500.0, rules=replace(RULES, margin=0.1))
    web.sees(memory=300.0)
    web.uses(memory=100.0, hours=9 / 60)

    assert web.of_memory.needed.recent == 300 * MIB
    web.sees(memory=100.0)
    assert web.of_memory.needed.recent == 100 * MIB


def test_the_peak_of_the_hour_that_goes_on_counts() -> None:
    web = Watched(memory=500.0)
    web.sees(memory=300.0)

    web.uses(memory=100.0, hours=11 / 60)

    assert web.of_memory.needed.recent == 100 * MIB
    assert web.of_memory.needed.p95 == pytest.approx(300 * MIB, rel=0.05)


def test_a_leak_is_followed_until_max() -> None:
    web = Watched(memory=128.0, obeys=True)

    raised = []
    for minute in range(24 * 60):
        used = min(100.0 + 2.0 * minute, web.memory)
        before = web.memory
        web.sees(memory=used)
        assert used < before or before == 2048.0  # it is not killed before
        if web.memory != before:
            raised.append(web.memory)

    assert raised[-1] == 2048.0
    assert all(later <= 1.5 * earlier for earlier, later in pairwise(raised))
    assert verdict(web.of_memory) is Verdict.KEEP


def test_between_two_raises_are_ten_minutes() -> None:
    web = Watched(memory=128.0, obeys=True)
    web.sees(memory=120.0)
    assert web.memory == 150.0
    web.sees(memory=140.0)  # sees the raise

    assert verdict(web.of_memory) is Verdict.KEEP
    assert limits(web.of_memory) == [Limit.COOLDOWN]
    assert web.of_memory.may_raise_in == pytest.approx(600.0)
    web.uses(memory=140.0, hours=9 / 60)
    assert web.memory == 150.0
    web.sees(memory=140.0)
    assert web.memory == 175.0


def test_never_beyond_max() -> None:
    web = Watched(memory=1900.0)

    web.sees(memory=1880.0)

    assert mib(web.of_memory.to) == 2048.0
    assert web.of_memory.limits == (Limited(limit=Limit.MAX, before=2350 * MIB, after=2048 * MIB),)


def test_below_min_it_is_raised_at_once_whatever_is_used() -> None:
    web = Watched(memory=32.0, cpu=0.05)

    web.sees(memory=10.0, cpu=0.01, known=False)

    assert (mib(web.of_memory.to), web.of_cpu.to) == (64.0, 0.1)
    assert verdict(web.of_memory) is Verdict.RAISE


def test_a_container_without_limits_is_never_raised() -> None:
    web = Watched(memory=float("inf"), cpu=float("inf"))

    web.uses(memory=9000.0, cpu=30.0, hours=2)

    assert not web.last.recommendation.moves


def test_cpu_that_is_used_for_five_minutes_counts_as_present() -> None:
    web = Watched(cpu=1.0)

    web.uses(cpu=0.98, hours=4 / 60)
    assert web.of_cpu.needed.recent is None
    web.sees(cpu=0.98)

    assert web.of_cpu.needed.recent == pytest.approx(0.98)
    assert web.of_cpu.to == pytest.approx(1.23)
    assert verdict(web.of_cpu) is Verdict.RAISE


def test_a_burst_of_four_minutes_raises_no_cpu_limit() -> None:
    web = Watched(cpu=1.0)
    web.uses(cpu=0.1, hours=1.5)

    web.uses(cpu=1.0, hours=4 / 60)

    assert verdict(web.of_cpu) is Verdict.KEEP
    assert web.of_cpu.needed.recent == pytest.approx(0.1)


def test_how_it_starts_raises_no_cpu_limit() -> None:
    web = Watched(cpu=1.0)
    web.uses(cpu=1.0, hours=4 / 60)
    web.uses(cpu=0.1, hours=54 / 60)

    assert web.of_cpu.needed.p95 == pytest.approx(1.0, rel=0.05)
    assert verdict(web.of_cpu) is Verdict.KEEP
    assert web.of_cpu.needed.limit == pytest.approx(0.125)


def test_cpu_that_is_used_for_more_than_a_twentieth_of_the_time_counts() -> None:
    web = Watched(cpu=1.0)

    for _ in range(120):
        web.uses(cpu=0.1, hours=1 / 60)
        for second in range(60):  # bursts of 4 s, 6.7 % of the time in all
            web._meter.see(0.99 if second < 8 else 0.1, 200 * MIB, 1.0)
        web.looks(200.0, 0.1)

    assert web.of_cpu.needed.p95 == pytest.approx(0.99, rel=0.05)
    assert verdict(web.of_cpu) is Verdict.RAISE


@pytest.mark.parametrize(("measured", "recent"), [(0.0, None), (41.0, None), (43.0, 1.0)])
def test_a_minute_that_was_hardly_measured_is_no_reason(measured: float, recent: float | None) -> None:
    web = Watched(cpu=1.0)
    web.uses(cpu=1.0, hours=4 / 60)
    web._meter.see(1.0, 200 * MIB, measured)
    web.looks(200.0, 1.0)
    assert web.of_cpu.needed.recent == recent

    web.uses(cpu=1.0, hours=4 / 60)
    assert web.of_cpu.needed.recent == recent
    web.sees(cpu=1.0)
    assert web.of_cpu.needed.recent == pytest.approx(1.0)


def test_minutes_of_long_ago_are_not_the_present() -> None:
    web = Watched(cpu=1.0)
    web.uses(cpu=1.0, hours=5 / 60)
    web.passes(300.0)

    web.sees(cpu=1.0)

    assert web.of_cpu.needed.recent is None


def test_unknown_raises_nothing() -> None:
    web = Watched(memory=500.0)
    web.sees(memory=480.0)

    web.sees(known=False)

    assert verdict(web.of_memory) is Verdict.KEEP
    assert limits(web.of_memory) == [Limit.UNKNOWN]


def test_the_alarm_is_where_a_raise_begins() -> None:
    web = Watched(memory=500.0)
    assert web.sees(memory=200.0).alarm == pytest.approx(440 * MIB)

    web._meter.alarm = web.last.alarm
    assert not web._meter.see(0.1, 439 * MIB, 1.0)
    assert web._meter.see(0.1, 441 * MIB, 1.0)
    web.looks(441.0, 0.1, 1.0)

    assert verdict(web.of_memory) is Verdict.RAISE
    assert web.last.alarm == float("inf")


def test_at_max_and_while_a_raise_waits_there_is_no_alarm() -> None:
    web = Watched(memory=2048.0)
    assert web.sees(memory=2000.0).alarm == float("inf")

    web = Watched(memory=128.0, obeys=True)
    web.sees(memory=120.0)
    assert web.sees(memory=140.0).alarm == float("inf")
    assert web.sees(memory=100.0, killed=True).alarm == float("inf")


def test_one_budget_for_both_limits() -> None:
    web = Watched(memory=64.0, cpu=0.1, rules=replace(RULES, raise_cooldown=0.0, budget=3), obeys=True)

    for factor in range(1, 30):
        web.sees(memory=min(web.memory, 60.0 * 1.2**factor))

    assert web.last.recommendation.changes == 3
    assert limits(web.of_memory)[-1] is Limit.BUDGET
    assert verdict(web.of_memory) is Verdict.KEEP
    before = web.memory
    web.uses(memory=web.memory, hours=1)
    assert web.memory > before  # it goes on as soon as it may


@pytest.mark.parametrize(("least", "most"), [(0.0, 1.0), (2.0, 1.0), (1.0, float("inf")), (-1.0, 1.0)])
def test_bounds_are_bounds(least: float, most: float) -> None:
    with pytest.raises(ValueError, match="min is above 0"):
        Bounds(least=least, most=most)
