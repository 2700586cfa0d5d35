"""Services in the loop that are scaled by metrics from outside: known, not known, idle."""

from __future__ import annotations

import pytest

from tests.support.scaled_host import (
    QUEUE,
    SWARM,
    ScaledHost,
    scale_policy,
)
from watchtower_agent.model.observation import ReadingObserved
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.strategies.scale import BoundsRule, IdleRule, MqttMetricRule
from watchtower_agent.policies.times.cron import parse_cron
from watchtower_agent.policies.times.moments import Schedule
from watchtower_agent.policies.times.zones import zone_of
from watchtower_agent.state.services import Services


def by_queue(replicas: int, *others: MqttMetricRule, interval: float = 5.0) -> ScaledHost:
    """A service that a queue scales, to none where it is idle."""
    return ScaledHost(
        scale_policy(SWARM, QUEUE, *others, least=0, idle=IdleRule()), replicas=replicas, interval=interval
    )


def test_a_queue_scales_to_zero_when_idle_for_long_enough_and_back() -> None:
    host = by_queue(1)
    host.reads(0.0, 910)
    assert host.asked == []
    host.reads(0.0, 10)
    assert host.asked == [(1, 0)]
    assert host.replicas == 0

    host.reads(70.0, 40)
    assert host.asked[1] == (0, 1)
    host.reads(70.0, 60)
    assert host.replicas == 3


def test_a_time_that_lets_a_service_have_none_gives_it_back_its_replica_when_it_is_over() -> None:
    """Of its own metrics alone, which nobody has without replicas: what the schedule says is enough."""
    until_three = BoundsRule(opens=Schedule(parse_cron("0 14 * * *"), zone_of("UTC")), open_for=3600.0, least=0)
    host = ScaledHost(scale_policy(SWARM, idle=IdleRule(), schedule=(until_three,)), replicas=1, interval=5.0)
    host.load = lambda _: 0.0  # it is 14:13:20
    host.settle(1000)
    assert (host.asked, host.replicas) == ([(1, 0)], 0)
    host.settle(1790)
    assert (host.replicas, len(host.limited)) == (0, 1)

    host.settle(40)
    assert (host.asked, host.replicas) == ([(1, 0), (0, 1)], 1)


def test_a_queue_that_tells_nothing_any_more_holds_the_service_as_it_is() -> None:
    host = by_queue(3)
    host.reads(90.0, 30)
    host.settle(1200)

    assert host.asked == []
    assert "mqtt queue/orders/depth is not known: stale" in host.limited[0]


def test_the_agents_own_zero_is_no_persons_though_the_idle_rule_is_gone() -> None:
    host = by_queue(1)
    host.reads(0.0, 920)
    assert host.replicas == 0
    host.see(PolicySet(policies=(scale_policy(SWARM, QUEUE),), digest="other"))
    host.reads(0.0, 60)

    assert host.replicas == 1


@pytest.mark.parametrize("away", [True, False])
def test_time_in_which_nobody_looked_is_not_idle(*, away: bool) -> None:
    host = by_queue(1)
    host.reads(0.0, 60)
    if away:
        host.dies(7200.0)
        host.comes_back()
    else:
        host.answers = False
        host.reads(0.0, 15)
        host.reads(40.0, 1000)
        host.answers = True

    host.reads(0.0, 890)
    assert host.asked == []
    host.reads(0.0, 60)
    assert host.asked == [(1, 0)]


def test_a_restart_of_the_agent_begins_no_idle_time_anew() -> None:
    host = by_queue(1)
    host.reads(0.0, 600)
    host.dies(5.0)
    host.comes_back()
    host.reads(0.0, 320)

    assert host.asked == [(1, 0)]


def test_what_is_below_nothing_is_not_known() -> None:
    host = by_queue(3)
    host.reads(90.0, 30)
    host.reads(-1.0, 2400)

    assert host.asked == []
    assert "mqtt queue/orders/depth is not known: what came is below 0 (-1)" in host.limited[0]


def test_a_service_without_replicas_of_which_nothing_is_known_is_told_of() -> None:
    host = by_queue(1)
    host.reads(0.0, 930)
    assert host.replicas == 0
    assert host.limited == []
    host.settle(600)

    (told,) = host.limited
    assert told.startswith("it stays at 0 and gets no more: not everything is known (mqtt queue/orders/depth is not")


def test_one_queue_that_is_known_to_be_full_brings_the_first_back_whatever_is_known_of_another() -> None:
    other = MqttMetricRule(topic="queue/mails/depth", target=30.0)
    host = by_queue(1, other)
    while host.asked != [(1, 0)]:
        host.see(ReadingObserved(name=other.name, value=0.0, moment=host.clock.monotonic))
        host.reads(0.0, 1)
    host.settle(90)  # of neither anything is known any more
    host.reads(70.0, 120)

    assert host.replicas == 3


def test_a_source_that_does_not_answer_is_known_until_it_is_stale_and_then_it_is_said_why() -> None:
    host = by_queue(3)
    host.reads(60.0, 900)  # it has shrunk to what that takes
    assert host.replicas == 2

    def fails() -> None:
        moment, why = host.clock.monotonic, "it answers 503"
        host.see(ReadingObserved(name=QUEUE.name, value=None, moment=moment, why=why, silent=True))

    host.reads(30.0, 400)
    fails()
    host.settle(15)
    host.reads(30.0, 100)
    assert host.replicas == 1  # one answer that is missing puts no shrink off

    host.by_hand(4)
    host.reads(30.0, 900 - 60)
    for _ in range(10):
        fails()
        host.settle(60)
    assert host.replicas == 4
    assert "mqtt queue/orders/depth is not known: stale: " in host.limited[-1]
    assert "s old, stale_after 60 s (it answers 503)" in host.limited[-1]


def test_a_source_that_never_told_a_number_says_why() -> None:
    host = by_queue(3)
    why = "the answer can't be used: there is no data.result.0"
    for _ in range(100):
        host.see(ReadingObserved(name=QUEUE.name, value=None, moment=host.clock.monotonic, why=why))
        host.settle()
    looked = host.pipeline.decisions.scaling.by["web"].looked

    assert looked is not None
    assert looked.recommendation.needs[0].why == why
    assert looked.recommendation.numbers()[f"{QUEUE.name} unknown"] == why


@pytest.mark.parametrize("interval", [1.0, 45.0])
def test_samples_that_come_seldom_are_no_time_in_which_nobody_looked(interval: float) -> None:
    host = by_queue(4, interval=interval)
    host.reads(110.0, 90)
    host.reads(20.0, 900)

    assert host.replicas == 1


def test_what_the_broker_had_kept_takes_no_newer_numbers_place() -> None:
    services = Services()
    services.apply(ReadingObserved(name="queue", value=500.0, moment=1000.0))

    services.apply(ReadingObserved(name="queue", value=0.0, age=50.0, moment=1001.0))
    assert services.reading("queue") == ReadingObserved(name="queue", value=500.0, moment=1000.0)
    services.apply(ReadingObserved(name="queue", value=0.0, age=0.5, moment=1001.0))
    assert services.reading("queue") == ReadingObserved(name="queue", value=0.0, age=0.5, moment=1001.0)
