"""Only an idle rule takes the last replica away."""

from __future__ import annotations

from tests.support.scaling import Watched, limits, queue, service
from watchtower_agent.policies.scaling.recommendation import Limit
from watchtower_agent.policies.scaling.rules import Rules
from watchtower_agent.policies.scaling.situation import Bounds, Idleness

RULES = Rules(idle_for=900.0)
NONE_IS_ENOUGH = Bounds(least=0, most=9)
IDLE = Idleness(holds=True, held_for=900.0)


def test_the_last_one_goes_once_the_rule_has_held_for_long_enough() -> None:
    web = Watched(1, RULES)

    waiting = web.needs(0.1, bounds=NONE_IS_ENOUGH, idleness=Idleness(holds=True, held_for=899.0))
    assert (waiting.to, waiting.may_shrink_in) == (1, 1.0)
    going = web.needs(0.1, bounds=NONE_IS_ENOUGH, idleness=IDLE)
    assert (going.to, limits(going)) == (0, [Limit.IDLE])


def test_it_stays_without_a_rule_whatever_min_says() -> None:
    web = Watched(1)

    assert web.needs(0.0, 1000, bounds=NONE_IS_ENOUGH).to == 1
    assert limits(web.last.recommendation) == [Limit.IDLE]
    assert web.needs(0.0, bounds=NONE_IS_ENOUGH, idleness=IDLE).to == 1


def test_never_from_several_to_none() -> None:
    web = Watched(2, RULES)

    assert web.needs(0.0, 1000, bounds=NONE_IS_ENOUGH, idleness=IDLE).to == 1


def test_min_keeps_it() -> None:
    recommendation = Watched(1, RULES).needs(0.0, idleness=IDLE)

    assert recommendation.to == 1


def test_what_is_not_known_keeps_it() -> None:
    metrics = (queue(None),)

    assert Watched(1, RULES).needs(0.0, bounds=NONE_IS_ENOUGH, idleness=IDLE, metrics=metrics).to == 1
    unsure = Idleness(holds=None, held_for=900.0)
    assert Watched(1, RULES).needs(0.0, bounds=NONE_IS_ENOUGH, idleness=unsure).to == 1


def test_load_keeps_it() -> None:
    assert Watched(1, RULES).needs(1.5, bounds=NONE_IS_ENOUGH, idleness=IDLE).to == 2


def test_none_stays_none_while_it_is_idle_or_nobody_knows() -> None:
    web = Watched(0, RULES)
    for holds in (True, None):
        recommendation = web.needs(0.0, bounds=NONE_IS_ENOUGH, idleness=Idleness(holds=holds))
        assert recommendation.to == 0


def test_the_first_comes_back_when_the_rule_holds_no_more() -> None:
    web = Watched(0, RULES)

    recommendation = web.needs(0.0, bounds=NONE_IS_ENOUGH, idleness=Idleness(holds=False))

    assert recommendation.to == 1


def test_a_queue_brings_the_first_back() -> None:
    web = Watched(0, RULES)
    waiting = service(0.0, 0, bounds=NONE_IS_ENOUGH, metrics=(queue(500.0),), idleness=Idleness(holds=False))

    assert web.see(waiting).to == 1  # one at a time from none: twice nothing is nothing


def test_without_min_or_rule_none_is_below_min() -> None:
    assert Watched(0).needs(0.0).to == 1
