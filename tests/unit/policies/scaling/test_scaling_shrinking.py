"""When a service gets fewer replicas, and how many."""

from __future__ import annotations

import pytest

from tests.support.scaling import Watched, limits, service
from watchtower_agent.policies.scaling.recommendation import Limit, Limited
from watchtower_agent.policies.scaling.rules import Growth, Rules, Shrinking
from watchtower_agent.policies.scaling.situation import Bounds, Situation

RULES = Rules(up=Growth(tolerance=0.12), down=Shrinking(window=420.0, fast=0.25, fast_after=150.0, step=0.5, per=60.0))


def settled(wanted: int, needs: float) -> Watched:
    """It has needed that for longer than any window."""
    web = Watched(wanted, RULES)
    web.needs(needs, 500)
    return web


def test_at_the_start_as_many_were_needed_as_there_are_for_the_whole_window() -> None:
    web = Watched(10, RULES)

    assert limits(web.needs(9.0, 420)) == [Limit.WINDOW]
    assert web.needs(9.0).to == 9


def test_a_quarter_less_goes_after_the_shorter_wait() -> None:
    web = Watched(8, RULES)

    waiting = web.needs(6.0, 150)
    assert waiting.limits == (Limited(limit=Limit.WINDOW, before=6, after=8),)
    assert waiting.may_shrink_in == pytest.approx(1.0)
    assert web.needs(6.0).to == 6


def test_a_shrink_that_a_step_limited_goes_on_with_the_shorter_wait() -> None:
    web = settled(20, 20.0)
    assert web.needs(9.0, 150, obeys=True).to == 10

    assert web.needs(9.0, 60, obeys=True).to == 10
    assert web.needs(9.0, obeys=True).to == 9  # a tenth less, which else waits for the whole window

    web.needs(9.0, 95)
    assert web.needs(8.0, 200).to == 9  # by now it goes on no more


def test_less_than_a_quarter_waits_for_the_whole_window() -> None:
    web = Watched(8, RULES)

    assert web.needs(7.0, 420).to == 8
    assert web.needs(7.0).to == 7


def test_it_shrinks_to_the_most_that_was_needed_meanwhile_not_to_what_is_needed_now() -> None:
    web = settled(12, 12.0)
    web.needs(6.5)
    assert web.needs(2.0, 148).to == 12

    recommendation = web.needs(2.0)

    assert (recommendation.recent, recommendation.most) == (7, 12)
    assert recommendation.to == 7
    assert recommendation.limits == (Limited(limit=Limit.WINDOW, before=2, after=7),)


def test_never_more_than_half_goes_at_once_and_the_next_only_after_a_minute() -> None:
    web = settled(9, 9.0)
    assert web.needs(1.0, 149, obeys=True).to == 9

    first = web.needs(1.0, obeys=True)
    assert first.to == 5
    assert first.limits[-1] == Limited(limit=Limit.STEP_DOWN, before=1, after=5)

    held = web.needs(1.0, 60, obeys=True)
    assert (held.to, held.limit) == (5, Limit.COOLDOWN)
    assert web.needs(1.0).to == 3


def test_the_last_replica_stays() -> None:
    web = Watched(1, RULES)

    assert web.needs(0.0, 500).to == 1


def test_it_never_goes_below_min() -> None:
    web = settled(6, 1.0)

    recommendation = web.needs(1.0, bounds=Bounds(least=4, most=9))

    assert (recommendation.to, recommendation.limit) == (4, Limit.MIN)


def test_above_max_it_shrinks_at_once_whatever_is_needed() -> None:
    web = Watched(9, RULES)

    recommendation = web.needs(9.0, bounds=Bounds(least=1, most=3))

    assert (recommendation.to, recommendation.limit) == (3, Limit.MAX)


def regretting(web: Watched) -> None:
    """It shrinks, and has to grow again soon."""
    web.needs(4.0, 160, obeys=True)
    assert web.wanted == 4
    web.needs(8.0, 20, obeys=True)
    assert web.wanted == 8


def test_a_regretted_shrink_doubles_the_shorter_wait_for_two_hours() -> None:
    web = settled(8, 8.0)
    assert web.last.recommendation.wait == pytest.approx(150.0)
    regretting(web)
    assert web.last.recommendation.regretted
    assert web.last.recommendation.wait == pytest.approx(300.0)

    web.needs(8.0, 10)
    held = web.needs(4.0, 151)
    assert held.to == 8
    assert held.limits == (Limited(limit=Limit.REGRET, before=4, after=8),)
    assert web.needs(4.0, 148).to == 8
    assert web.needs(4.0).to == 4

    later = web.needs(8.0, 7200)
    assert not later.regretted
    assert web.needs(4.0, 151).to == 4


def test_a_regret_is_told_once() -> None:
    web = settled(8, 8.0)
    told = []
    for needs, seconds in ((4.0, 160), (8.0, 60)):
        for _ in range(seconds):
            web.needs(needs, obeys=True)
            told.append(web.last.regretted)

    assert told.count(True) == 1


def test_growing_long_after_a_shrink_is_no_regret() -> None:
    web = settled(8, 8.0)
    web.needs(4.0, 160, obeys=True)
    web.needs(4.0, 145, obeys=True)

    web.needs(8.0, 20, obeys=True)

    assert web.wanted == 8
    assert not web.last.recommendation.regretted


def test_growing_since_min_was_raised_is_no_regret() -> None:
    web = settled(8, 8.0)
    web.needs(4.0, 160, obeys=True)

    web.needs(4.0, 20, obeys=True, bounds=Bounds(least=8, most=9))

    assert web.wanted == 8
    assert not web.last.recommendation.regretted


@pytest.mark.parametrize(
    ("situation", "limit"),
    [
        (service(4.0, 8, running=7), Limit.FEWER_RUNNING),
        (service(4.0, 8, updating=True), Limit.UPDATING),
        (service(4.0, 8, paused_for=1.0), Limit.OPERATOR),
        (service(4.0, 8, settling=True), Limit.SETTLING),
    ],
)
def test_what_holds_shrinking(situation: Situation, limit: Limit) -> None:
    web = settled(8, 8.0)
    web.needs(4.0, 150)

    held = web.see(situation)

    assert (held.to, held.limit) == (8, limit)
    assert web.needs(4.0).to == 4


def test_fewer_running_than_wanted_hold_no_growth() -> None:
    assert Watched(8, RULES).needs(12.0, running=5).to == 12


def test_updates_and_people_hold_growth_too() -> None:
    assert Watched(8, RULES).needs(12.0, updating=True).to == 8
    assert Watched(8, RULES).needs(12.0, paused_for=1.0).to == 8
    assert Watched(8, RULES).needs(12.0, settling=True).to == 8


def test_it_is_said_when_it_will_shrink() -> None:
    web = settled(8, 8.0)

    assert web.last.recommendation.may_shrink_in is None  # as many are needed
    told = web.needs(6.0).may_shrink_in
    assert told == pytest.approx(149.0)
    web.needs(6.0, 148)
    assert not web.last.recommendation.moves
    assert web.needs(6.0).moves
