"""What is not known makes nothing shrink, and nothing grow."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.support.scaling import CPU, LONG, Watched, limits, queue, replica
from watchtower_agent.policies.scaling.needs import needs_of
from watchtower_agent.policies.scaling.recommendation import Limit
from watchtower_agent.policies.scaling.situation import Bounds, OwnMetric, Replica, Situation


def idle_since_long(wanted: int) -> Watched:
    """It would shrink at the next look."""
    web = Watched(wanted)
    web.needs(wanted * 0.5, 500)
    assert web.last.recommendation.moves
    return web


def test_without_a_value_of_any_replica_as_many_are_needed_as_are_wanted() -> None:
    web = idle_since_long(8)

    recommendation = web.sees([replica(None)] * 8)

    assert recommendation.to == 8
    assert limits(recommendation) == [Limit.MISSING]
    assert recommendation.needs[0].why == "no replica has a value"
    assert recommendation.metric == ""
    assert recommendation.may_shrink_in is None
    web.needs(4.0, 100)
    assert web.last.recommendation.to == 8  # the time in which nobody knew counts


def test_one_replica_without_a_value_holds_shrinking_for_as_long_as_that_lasts() -> None:
    web = idle_since_long(8)

    held = web.sees([*[replica(0.5)] * 7, replica(None)])

    assert (held.to, held.limit) == (8, Limit.MISSING)
    assert held.needs[0].missing == 1
    assert held.needs[0].need == pytest.approx(4.5)  # it counts as on target
    assert web.needs(4.0).to in (4, 5)


def test_a_missing_replica_makes_nothing_grow() -> None:
    web = Watched(3)

    recommendation = web.sees([*[replica(0.99)] * 3, *[replica(None)] * 3])

    assert recommendation.to == 3
    assert recommendation.needs[0].need == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("loads", "bounds", "told"),
    [
        ((0.02, None), Bounds(least=1, most=9), [(Limit.MISSING, 1, 2)]),
        ((0.02, None, None), Bounds(least=1, most=9), [(Limit.MISSING, 1, 3)]),
        ((0.02, None), Bounds(least=2, most=9), []),  # it may not have fewer
        ((0.9, 0.9, None), Bounds(least=1, most=9), [(Limit.MISSING, 2, 3)]),
        ((1.0, 1.0, 0.9, None), Bounds(least=4, most=9), []),
    ],
)
def test_who_has_as_many_only_by_what_is_assumed_of_the_missing_is_said_to_be_held_by_them(
    loads: tuple[float | None, ...], bounds: Bounds, told: list[tuple[Limit, int, int]]
) -> None:
    recommendation = Watched(len(loads)).sees([replica(load) for load in loads], bounds=bounds)

    assert recommendation.to == len(loads)
    assert [(each.limit, each.before, each.after) for each in recommendation.limits] == told


def test_one_that_warms_up_is_no_missing_one() -> None:
    recommendation = Watched(2).sees([replica(0.1), replica(0.0, healthy_for=5.0)])

    assert (recommendation.to, limits(recommendation)) == (2, [])


def test_above_target_those_that_do_not_count_yet_count_as_idle() -> None:
    web = Watched(8)

    recommendation = web.sees([*[replica(1.5)] * 4, *[replica(0.0, healthy_for=5.0)] * 4])

    assert recommendation.needs[0].need == pytest.approx(6.0)
    assert recommendation.to == 8
    assert limits(recommendation) == [Limit.WARMING]


def test_above_target_a_missing_replica_lets_nothing_shrink() -> None:
    recommendation = Watched(8).sees([*[replica(1.5)] * 4, *[replica(None)] * 4])

    assert limits(recommendation) == [Limit.MISSING]


def test_far_above_target_it_grows_without_the_others() -> None:
    assert Watched(4).sees([*[replica(3.0)] * 2, *[replica(0.0, healthy_for=None)] * 2]).to == 6


@pytest.mark.parametrize(("healthy_for", "counted"), [(20.0, 1), (19.9, 0), (None, 0)])
def test_a_replica_counts_once_it_was_healthy_for_as_long_as_the_mean(healthy_for: float | None, counted: int) -> None:
    needs = Watched(1).sees([replica(9.0, healthy_for=healthy_for)]).needs[0]

    assert (needs.counted, needs.warming) == (counted, 1 - counted)


def test_what_replicas_take_to_start_counts_for_nothing() -> None:
    web = Watched(4)
    for second in range(40):
        starting = replica(5.0, healthy_for=None if second < 20 else second - 20.0)
        assert web.sees([*[replica(1.0)] * 3, starting]).to == 4


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_value_that_is_none_is_missing(value: float) -> None:
    assert Watched(1).sees([replica(value)]).needs[0].missing == 1


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        (queue(None), "nothing came yet"),
        (queue(5.0, age=61.0), "stale: 61 s old, stale_after 60 s"),
        (queue(5.0, age=math.nan), "stale: nan s old, stale_after 60 s"),
        (queue(math.nan), "what came is no number"),
        (queue(math.inf), "what came is no number"),
        (queue(-1.0), "what came is below 0 (-1)"),
        (replace(queue(5.0, age=61.0), why="it answers 503"), "stale: 61 s old, stale_after 60 s (it answers 503)"),
        (replace(queue(None), why="it answers 503"), "it answers 503"),
    ],
)
def test_a_queue_of_which_nothing_is_known_holds_shrinking(metric: object, why: str) -> None:
    web = idle_since_long(8)

    recommendation = web.needs(4.0, metrics=(OwnMetric(name=CPU, target=60.0), metric))

    assert (recommendation.to, limits(recommendation)) == (8, [Limit.MISSING])
    assert recommendation.needs[1].why == why


def test_a_fresh_queue_counts_until_it_is_stale() -> None:
    assert Watched(2).needs(1.0, metrics=(queue(35.0, age=60.0),)).to == 4
    assert Watched(2).needs(1.0, metrics=(queue(-1e-9),)).needs[0].need == 0.0


def test_what_is_known_makes_it_grow_beside_what_is_not() -> None:
    metrics = (queue(None), OwnMetric(name=CPU, target=60.0))

    recommendation = Watched(4).needs(7.0, metrics=metrics)

    assert (recommendation.to, recommendation.metric) == (7, CPU)


def test_unknown_holds_what_max_would_shrink_and_nothing_that_min_would_grow() -> None:
    blind = [replica(None)] * 4

    assert Watched(4).sees(blind, bounds=Bounds(least=1, most=2)).limit is Limit.MISSING
    assert Watched(4).sees(blind, bounds=Bounds(least=6, most=9)).to == 6


def test_time_between_looks_that_were_far_apart_counts_as_time_in_which_as_many_were_needed() -> None:
    web = idle_since_long(8)

    web.now += 31.0

    assert web.needs(4.0).to == 8
    web.needs(4.0, 149)
    assert web.needs(4.0).to == 4


def test_no_metric_at_all_is_none_that_is_known() -> None:
    nothing = Situation(wanted=3, replicas=(), metrics=(), bounds=Bounds(least=1, most=9))

    assert needs_of(nothing, 20.0).unknown
    assert Watched(3).see(nothing).to == 3


def test_what_adds_up_to_no_number_is_not_known() -> None:
    replicas = tuple(Replica(name=name, healthy_for=LONG, values={CPU: 1.7e308}) for name in ("a", "b"))

    recommendation = Watched(2).sees(list(replicas), metrics=(OwnMetric(name=CPU, target=0.5),))

    assert recommendation.to == 2
    assert recommendation.needs[0].why == "its replicas' values are beyond all numbers"


def test_what_keeps_a_service_as_it_is_counts_into_when_it_may_move() -> None:
    web = idle_since_long(8)

    left_alone = web.needs(4.0, paused_for=800.0)
    assert (left_alone.may_grow_in, left_alone.may_shrink_in) == (800.0, 800.0)
    for why in ({"running": 7}, {"updating": True}, {"settling": True}):
        assert web.needs(4.0, **why).may_shrink_in is None  # nobody knows when that is over
    assert web.sees([replica(None), *[replica(0.5)] * 7]).may_shrink_in is None
    assert web.needs(4.0).may_shrink_in == 0.0
