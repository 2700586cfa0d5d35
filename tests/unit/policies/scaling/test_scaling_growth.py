"""When a service gets more replicas, and how many."""

from __future__ import annotations

import pytest

from tests.support.scaling import CPU, TARGET, Watched, limits, queue, service
from watchtower_agent.policies.scaling.recommendation import Limit, Limited
from watchtower_agent.policies.scaling.rules import Growth, Rules
from watchtower_agent.policies.scaling.situation import Bounds, HostRoom, OwnMetric, Replica


def test_it_grows_at_once_to_what_is_needed() -> None:
    recommendation = Watched(4).needs(5.2)

    assert recommendation.to == 6
    assert recommendation.moves
    assert recommendation.desired == 6
    assert recommendation.limit is None
    assert recommendation.need == pytest.approx(5.2)
    assert recommendation.metric == CPU


def test_what_is_just_above_whole_replicas_by_rounding_takes_no_other() -> None:
    assert Watched(4).needs(5.0 + 1e-9).to == 5


def test_a_little_above_target_is_tolerated() -> None:
    tolerant = Rules(up=Growth(tolerance=0.1))

    assert Watched(10, tolerant).needs(11.0).to == 10
    assert limits(Watched(10, tolerant).needs(11.0)) == [Limit.TOLERANCE]
    assert Watched(10, tolerant).needs(11.01).to == 12


def test_while_a_growth_goes_on_a_quarter_of_the_tolerance_is_left() -> None:
    web = Watched(10, Rules(up=Growth(tolerance=0.12)))
    web.needs(12.0, obeys=True)
    assert web.needs(12.4, 16).to == 13

    settled = web.needs(12.3, 75)
    assert settled.to == 12
    assert settled.tolerance == pytest.approx(0.12)
    assert web.needs(13.4).to == 12


def leaping(needs: float, newest: float, wanted: int) -> tuple[Replica, ...]:
    values, last = {CPU: TARGET * needs / wanted}, {CPU: TARGET * newest / wanted}
    return (Replica(name="web", healthy_for=99.0, values=values, newest=last),) * wanted


@pytest.mark.parametrize(("newest", "to"), [(6.0, 4), (6.1, 7), (7.5, 8)])
def test_the_very_last_seconds_count_where_they_need_half_as_many_again(newest: float, to: int) -> None:
    recommendation = Watched(4).sees(leaping(4.2, newest, 4))

    assert recommendation.to == to
    assert recommendation.jump == (pytest.approx(newest) if to > 4 else None)


def test_a_jump_is_no_reason_to_keep_replicas_later() -> None:
    web = Watched(4)
    web.sees(leaping(4.2, 7.5, 4))

    assert web.last.recommendation.most == 5


def test_the_very_last_seconds_shrink_nothing() -> None:
    web = Watched(8)
    web.needs(8.0, 500)

    assert web.sees(leaping(8.0, 0.0, 8)).to == 8


def test_it_at_most_doubles_within_thirty_seconds_whatever_the_steps_are() -> None:
    web = Watched(4)
    first = web.needs(20.0, obeys=True)
    assert first.to == 8
    assert first.limits == (Limited(limit=Limit.STEP_UP, before=20, after=8),)

    seen = [web.needs(20.0, obeys=True).to for _ in range(31)]

    assert seen[:30] == [8] * 30  # the growth is seen a second after it was recommended, and counts from then on
    assert seen[30] == 16


def test_the_step_counts_from_what_there_was_before() -> None:
    web = Watched(4)
    web.needs(5.5, obeys=True)
    assert web.wanted == 6

    web.needs(20.0, 16, obeys=True)

    assert web.wanted == 8  # twice four, not twice six


def test_one_may_always_be_added() -> None:
    assert Watched(1, Rules(up=Growth(step=0.1))).needs(5.0).to == 2
    assert Watched(4, Rules(up=Growth(step=0.3))).needs(9.0).to == 5


def test_it_waits_after_any_change_whoever_made_it() -> None:
    web = Watched(8)
    web.needs(8.0)
    web.wanted = 6  # somebody else

    held = web.needs(9.0, 15)
    assert (held.to, limits(held)) == (6, [Limit.COOLDOWN])
    assert held.may_grow_in == pytest.approx(1.0)
    assert web.needs(9.0).to == 9


def test_growth_never_goes_beyond_max() -> None:
    recommendation = Watched(4).needs(7.0, bounds=Bounds(least=1, most=5))

    assert recommendation.limits == (Limited(limit=Limit.MAX, before=7, after=5),)
    assert recommendation.to == 5


def test_below_min_it_grows_at_once_whatever_is_needed() -> None:
    recommendation = Watched(2).needs(2.0, bounds=Bounds(least=7, most=9))

    assert (recommendation.to, limits(recommendation)) == (7, [Limit.MIN])


@pytest.mark.parametrize(
    ("room", "to"),
    [
        (HostRoom(available=900.0, reserve=100.0, per_replica=400.0), 6),
        (HostRoom(available=499.0, reserve=100.0, per_replica=400.0), 4),
        (HostRoom(available=50.0, reserve=100.0, per_replica=400.0), 4),
        (HostRoom(available=None, reserve=100.0, per_replica=400.0), 4),
        (HostRoom(available=900.0, reserve=100.0, per_replica=None), 4),
        (HostRoom(available=900.0, reserve=100.0, per_replica=0.0), 4),
        (HostRoom(available=9e9, reserve=100.0, per_replica=400.0), 8),
    ],
)
def test_clones_find_room_on_the_host_or_are_not_made(room: HostRoom, to: int) -> None:
    recommendation = Watched(4).needs(8.0, room=room)

    assert recommendation.to == to
    assert limits(recommendation) == ([Limit.HOST_ROOM] if to < 8 else [])


def test_room_stops_no_shrinking() -> None:
    web = Watched(10)
    none = HostRoom(available=0.0, reserve=0.0, per_replica=1.0)

    assert web.needs(2.0, 421, room=none).to == 5


def test_of_several_metrics_the_one_that_needs_most_wins() -> None:
    metrics = (OwnMetric(name=CPU, target=TARGET), queue(75.0), OwnMetric(name="memory.percent", target=80.0))
    replicas = (Replica(name="web", healthy_for=99.0, values={CPU: 90.0, "memory.percent": 20.0}),) * 4

    recommendation = Watched(4).see(service(4.0, 4, metrics=metrics, replicas=replicas))

    assert recommendation.to == 8
    assert recommendation.metric == "queue"
    assert [each.need for each in recommendation.needs] == pytest.approx([6.0, 7.5, 1.0])
    assert [each.value for each in recommendation.needs] == pytest.approx([90.0, 75.0, 20.0])


def test_a_queue_needs_replicas_that_have_nothing_to_do_yet() -> None:
    recommendation = Watched(4).needs(0.4, metrics=(queue(66.0),))

    assert recommendation.to == 7
    assert recommendation.needs[0].ratio == pytest.approx(6.6 / 4)


@pytest.mark.parametrize("target", [0.0, -1.0, float("nan"), float("inf")])
def test_a_target_is_above_zero(target: float) -> None:
    with pytest.raises(ValueError, match=r"the target of cpu\.percent"):
        OwnMetric(name="cpu.percent", target=target)
