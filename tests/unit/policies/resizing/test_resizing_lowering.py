"""When limits are lowered: late, by little, and never below what is used."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.support.resizing import DAY, HOUR, MIB, RULES, Watched, limits, mib, verdict
from watchtower_agent.policies.resizing.recommendation import Limit, Verdict
from watchtower_agent.policies.resizing.rules import Bounds
from watchtower_agent.policies.resizing.sizing import leaves_room


def test_an_idle_one_is_lowered_after_a_day_and_six_hours_by_a_fifth() -> None:
    web = Watched()

    web.uses(hours=24 - 1 / 60)
    assert limits(web.of_memory)[-1] is Limit.DATA
    assert web.of_memory.may_lower_in == pytest.approx(60.0 + 6 * HOUR)
    web.uses(hours=6)
    assert limits(web.of_memory)[-1] is Limit.HELD
    assert limits(web.of_cpu)[-1] is Limit.HELD
    assert web.of_memory.may_lower_in == pytest.approx(60.0)
    web.sees()

    assert verdict(web.of_memory) is Verdict.LOWER
    assert limits(web.of_memory) == [Limit.STEP]
    assert mib(web.of_memory.to) == 820.0  # 819.2, whole
    assert web.of_cpu.to == 1.6
    assert web.last.recommendation.lowers


def test_then_a_step_every_six_hours_down_to_what_is_needed() -> None:
    web = Watched(obeys=True)
    web.uses(hours=30 - 1 / 60)
    before, at, steps = web.memory, web.now, list[tuple[float, float]]()

    for _ in range(60 * 72):
        web.sees()
        if web.memory != before:
            steps.append((web.now - at, web.memory / before))
            before, at = web.memory, web.now

    assert [share for _, share in steps] == [pytest.approx(0.8, abs=0.002)] * 6
    assert all(seconds >= 6 * HOUR for seconds, _ in steps[1:])
    assert web.memory == pytest.approx(1024 * 0.8**6, abs=5)  # 268: 250 is no fifth less
    assert limits(web.of_memory) == [Limit.TOLERANCE]
    assert web.cpu == pytest.approx(2.0 * 0.8**7, abs=0.05)  # 0.42; what is needed is 0.375


def test_min_is_as_small_as_it_gets() -> None:
    web = Watched(memory=70.0, cpu=0.12, obeys=True)

    web.uses(memory=1.0, cpu=0.001, hours=24 * 5)

    assert web.memory == 70.0  # 64 is not worth it
    assert web.cpu == 0.12


def test_less_must_have_been_enough_throughout() -> None:
    web = Watched(memory=500.0)
    web.uses(memory=200.0, hours=29)
    web.sees(memory=340.0)  # an hour before it would be lowered: 425 would be right, which 500 is near enough
    web.uses(memory=200.0, hours=6)
    assert limits(web.of_memory)[-1] is Limit.HELD

    web.uses(memory=200.0, hours=11 / 60)

    assert verdict(web.of_memory) is Verdict.LOWER


def test_a_peak_keeps_what_it_took() -> None:
    web = Watched(memory=500.0)
    web.sees(memory=380.0)

    web.uses(memory=200.0, hours=48)

    assert limits(web.of_memory) == [Limit.PEAK, Limit.TOLERANCE]
    assert web.of_memory.needed.peak == 380 * MIB


def test_a_nightly_peak_keeps_its_memory() -> None:
    web = Watched(obeys=True)

    for minute in range(10 * 24 * 60):
        used = 800.0 if 120 <= minute % 1440 < 180 else 200.0
        assert used <= web.memory
        web.sees(memory=used)

    assert web.memory >= 800.0 / 0.9


def test_a_weekly_peak_keeps_its_memory_and_one_of_long_ago_does_not() -> None:
    web = Watched(obeys=True)
    web.sees(memory=800.0)
    web.uses(memory=200.0, hours=8 * 24)
    assert web.memory == 1024.0
    web.uses(memory=200.0, hours=24 * 2)

    assert web.memory < 820.0


def test_bursts_of_cpu_do_not_keep_its_limit_but_what_lasts_does() -> None:
    bursty, nightly = Watched(obeys=True), Watched(obeys=True)

    for minute in range(6 * 24 * 60):
        bursty.sees(cpu=1.5 if minute % 60 == 7 else 0.1)
        nightly.sees(cpu=1.5 if 120 <= minute % 1440 < 150 else 0.1)

    assert bursty.cpu < 0.3
    assert nightly.cpu >= 1.5 / 0.9


def test_cpu_of_long_ago_is_no_peak_though_no_later_one_is_known() -> None:
    web = Watched()
    web.uses(cpu=1.5, hours=0.5)

    for many in range(60 * 49):
        assert many == 0 or web.of_cpu.needed.peak is not None or many >= 60 * 47
        web._meter.see(0.1, 200 * MIB, 30.0)  # half of each minute: too little to call it known
        web.looks(200.0, 0.1)

    assert web.of_cpu.needed.peak is None


def test_unknown_never_lowers() -> None:
    web = Watched()
    web.uses(hours=30)

    web.sees(known=False)

    assert (verdict(web.of_memory), verdict(web.of_cpu)) == (Verdict.KEEP, Verdict.KEEP)
    assert limits(web.of_memory)[-1] is Limit.UNKNOWN
    web.sees()
    assert verdict(web.of_memory) is Verdict.LOWER  # what was known before counts still


def test_the_newest_working_set_has_the_last_word() -> None:
    web = Watched()
    web.uses(hours=30)

    web.looks(739.0, 0.3)  # 820 is the step: 738 would do

    assert limits(web.of_memory)[-1] is Limit.WORKING_SET
    assert verdict(web.of_memory) is Verdict.KEEP
    web.looks(738.0, 0.3)
    assert verdict(web.of_memory) is Verdict.LOWER


def test_time_in_which_nothing_was_measured_does_not_count() -> None:
    web = Watched()
    web.uses(hours=27)  # of which three count
    web.passes(1 * HOUR)  # the agent was away
    web.uses(hours=1)
    web.uses(hours=1, known=False)
    web.uses(hours=2 - 1 / 60)
    assert limits(web.of_memory)[-1] is Limit.HELD

    web.sees()
    web.sees()

    assert verdict(web.of_memory) is Verdict.LOWER


def test_after_a_long_gap_six_hours_begin_anew() -> None:
    web = Watched()
    web.uses(hours=29)
    web.passes(2 * HOUR)

    web.uses(hours=6)

    assert limits(web.of_memory)[-1] is Limit.HELD
    web.sees()
    assert verdict(web.of_memory) is Verdict.LOWER


def test_after_two_weeks_without_a_look_a_day_has_to_be_measured_anew() -> None:
    web = Watched()
    web.uses(hours=30)
    web.passes(15 * DAY)

    web.sees()

    assert limits(web.of_memory)[-1] is Limit.DATA
    assert web.of_memory.needed.measured == 60.0


def test_what_somebody_else_changed_rests_for_six_hours() -> None:
    web = Watched()
    web.uses(hours=30)
    web.memory = 1500.0  # by hand

    web.uses(hours=6)
    assert limits(web.of_memory)[-1] is Limit.HELD
    assert verdict(web.of_memory) is Verdict.KEEP
    web.sees()

    assert mib(web.of_memory.to) == 1200.0


def test_a_container_without_limits_gets_max_first_and_then_goes_down_in_steps() -> None:
    web = Watched(memory=math.inf, cpu=math.inf, obeys=True)
    web.uses(hours=30 - 1 / 60)
    assert (web.memory, web.cpu) == (math.inf, math.inf)
    assert web.of_memory.numbers()["memory limit"] is None

    web.sees()

    assert (web.memory, web.cpu) == (2048.0, 4.0)
    web.sees()
    assert web.past.originals == (math.inf, math.inf)
    web.uses(hours=6)
    assert (web.memory, web.cpu) == (1639.0, 3.2)
    assert web.past.originals == (math.inf, math.inf)


def test_a_container_without_limits_that_needs_more_than_max_gets_none() -> None:
    web = Watched(memory=math.inf, obeys=True)

    web.uses(memory=1900.0, hours=48)

    assert web.memory == math.inf
    assert limits(web.of_memory)[-1] is Limit.PEAK


def test_what_is_reserved_stays() -> None:
    web, much = Watched(reservation=850.0), Watched(memory=8192.0, reservation=3000.0)

    for each in (web, much):
        each.uses(hours=31)

    assert (verdict(web.of_memory), limits(web.of_memory)) == (
        Verdict.KEEP,
        [Limit.RESERVATION, Limit.TOLERANCE],
    )
    assert (verdict(much.of_memory), limits(much.of_memory)) == (Verdict.KEEP, [Limit.RESERVATION])


def test_no_cpu_limit_is_larger_than_the_host() -> None:
    web = Watched(cpu=math.inf, host_cpus=2.0, obeys=True)

    web.uses(hours=30)

    assert web.cpu == 2.0
    web.uses(cpu=1.99, hours=1)
    assert web.cpu == 2.0


def test_on_a_host_smaller_than_min_that_is_all_there_is() -> None:
    web = Watched(cpu=0.5, host_cpus=1.0, rules=replace(RULES, cpu=Bounds(least=2.0, most=4.0)))

    web.sees()

    assert web.of_cpu.to == 1.0


def test_above_max_it_goes_to_max_in_one_step() -> None:
    web = Watched(memory=8192.0, obeys=True)
    web.uses(memory=1500.0, hours=30 - 1 / 60)
    assert web.memory == 8192.0

    web.sees(memory=1500.0)

    assert web.memory == 2048.0


def test_just_above_max_counts_too() -> None:
    web = Watched(memory=2100.0, obeys=True)

    web.uses(memory=1700.0, hours=31)

    assert web.memory == 2048.0


@pytest.mark.parametrize(
    ("working_set", "leaves"), [(900 * MIB, True), (901 * MIB, False), (None, False), (math.nan, False), (-1.0, False)]
)
def test_a_lower_memory_limit_leaves_room(working_set: float | None, leaves: bool) -> None:
    assert leaves_room(RULES, working_set, 1000 * MIB) is leaves
