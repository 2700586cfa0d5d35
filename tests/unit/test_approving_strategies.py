"""People are asked about limits and replicas, whose numbers are never twice the same: once, and not at every sample."""

from __future__ import annotations

import math
import random

import pytest

from tests.support.approving import answer, asked, turns
from tests.support.core import policy_set
from tests.support.scaled_host import a_swarm
from tests.support.sized_host import MIB, POLICY, SizedHost
from watchtower_agent.model.approval import Approval
from watchtower_agent.model.decision import Decision, Mode, Number, Target, TargetKind, Verb
from watchtower_agent.policies.asked import as_asked

ASKS = POLICY.replace("select:", "mode: approve\n  approve_within: 1d\n  select:")


def busy(host: SizedHost, hours: float, seed: int = 1) -> None:
    """It uses nearly all the CPU that it may, now more and now less."""
    drawn = random.Random(seed)
    for _ in range(int(hours * 3600 / host.interval)):
        host.uses(host.interval, memory=60, cores=0.44 + 0.05 * drawn.random())


def test_a_limit_that_is_measured_anew_each_time_is_asked_about_once_and_changed_as_published() -> None:
    host = SizedHost(ASKS, interval=30)
    busy(host, 3)
    (question,) = asked(host)
    assert len(turns(host)) <= 3, turns(host)
    published = next(each for each in host.of(Approval) if each.id == question).decision

    answer(host)
    host.uses(60, memory=60, cores=0.48)
    assert host.resized == [dict(published.parameters)]
    assert host.of(Decision)[-1].reason == published.reason


def test_a_limit_that_was_rejected_is_not_asked_about_again_since_it_differs_a_little() -> None:
    host = SizedHost(ASKS, interval=30)
    busy(host, 2)
    answer(host, approves=False)
    host.clear()
    busy(host, 3, seed=2)

    assert (turns(host), asked(host), host.resized) == ([], [], [])


def swings(host: SizedHost, times: int = 3) -> None:
    """What it needs is now a little more than a tenth above its limit of 128 MiB, and now a little less."""
    for _ in range(times):
        host.uses(900, memory=113.5, cores=0.2)
        host.uses(900, memory=111.5, cores=0.2)


def test_who_needs_now_a_little_more_and_now_a_little_less_than_is_worth_a_change_is_asked_about_once() -> None:
    host = SizedHost(ASKS, interval=30)
    swings(host)
    assert turns(host) == ["asked"]

    answer(host)  # while by itself so little would not be changed
    host.uses(60, memory=111.5, cores=0.2)
    assert host.resized == [{"memory": 142 * MIB}]


def test_a_rejection_is_kept_through_such_swings() -> None:
    host = SizedHost(ASKS, interval=30)
    swings(host, 1)
    answer(host, approves=False)
    swings(host)

    assert (turns(host), host.resized) == (["asked", "rejected"], [])


def test_what_is_not_known_for_a_moment_ends_no_question() -> None:
    host = SizedHost(ASKS, interval=30)
    swings(host, 1)
    answer(host, approves=False)
    host.uses(90, memory=math.nan, cores=math.nan)
    swings(host, 1)

    assert (turns(host), host.resized) == (["asked", "rejected"], [])


def test_a_question_ends_once_far_less_is_needed() -> None:
    host = SizedHost(ASKS, interval=30)
    host.uses(600, memory=60, cores=0.45)
    host.uses(600, memory=60, cores=0.43)
    assert turns(host) == ["asked"]
    host.uses(600, memory=60, cores=0.3)

    assert turns(host) == ["asked", "withdrawn"]


def test_a_policy_that_asks_nobody_any_more_does_not_change_what_is_near_enough() -> None:
    host = SizedHost(ASKS, interval=30)
    swings(host, 1)
    host.see(policy_set(ASKS.replace("mode: approve\n  approve_within: 1d", "mode: enforce")))
    host.uses(60, memory=111.5, cores=0.2)

    assert (turns(host), host.resized) == (["asked", "withdrawn"], [])


def test_a_limit_that_is_to_be_another_one_is_asked_about_anew() -> None:
    host = SizedHost(ASKS)
    host.uses(100, memory=100, cores=0.2)
    host.oom()
    host.uses(2, memory=126, cores=0.2)
    (first,) = asked(host)
    host.update_by_hand(memory=100 * MIB)  # it is not what is about to be changed any more
    host.uses(3, memory=90, cores=0.2)

    assert first not in asked(host)
    assert host.resized == []


def test_a_service_whose_need_swings_is_asked_about_once() -> None:
    host = a_swarm(2, mode=Mode.APPROVE)
    for needed in [2.9, 3.4] * 15:
        host.needs(needed)
        host.settle(40)

    # More than was asked for first is not made without another question; then the smaller of two steps stays.
    assert turns(host) in (["asked"], ["asked", "withdrawn", "asked"])
    assert host.asked == []
    answer(host)
    host.settle(2)
    assert host.asked == [(2, 3)]


# --- what is near enough ----------------------------------------------------------------------------------------------


def resize(memory: float, *, limit: float = 100.0, desired: float | None = None, moves: bool = True) -> Decision:
    numbers: dict[str, Number] = {
        "memory limit": limit,
        "memory desired": memory if desired is None else desired,
        "memory min": 50.0,
        "memory max": 200.0,
    }
    return wish(Verb.RESIZE, {"memory": memory} if moves else {"cpu": 1.0}, numbers)


def scale(begun: int, to: int, **others: Number) -> Decision:
    return wish(Verb.SCALE, {"to": to, "from": begun, **others}, {})


def wish(verb: Verb, parameters: dict[str, Number], numbers: dict[str, Number]) -> Decision:
    return Decision(
        id=f"{parameters}",
        policy="p",
        target=Target(kind=TargetKind.CONTAINER, id="1", name="web"),
        verb=verb,
        reason=f"{parameters}",
        numbers=numbers,
        parameters=parameters,
        correlation_id="c",
        decided_at=0.0,
        expires_at=0.0,
    )


@pytest.mark.parametrize(
    ("wanted", "asked_about"),
    [
        (resize(150), resize(155)),
        (resize(150), resize(145)),
        (resize(80), resize(85)),
        (scale(2, 4, version=3), scale(2, 3, version=3)),
        (scale(2, 40, version=3), scale(2, 37, version=3)),
        (scale(4, 2, remove="a,b"), scale(4, 3, remove="a")),
        (scale(1, 4, original="a", add=3, shared=False), scale(1, 3, original="a", add=2, shared=False)),
    ],
)
def test_what_is_near_enough_stays_as_it_was_asked_about(wanted: Decision, asked_about: Decision) -> None:
    found = as_asked(wanted, asked_about)
    assert (found.parameters, found.reason) == (asked_about.parameters, asked_about.reason)
    assert found.id == wanted.id


@pytest.mark.parametrize(
    ("wanted", "asked_about"),
    [
        pytest.param(resize(150), resize(170), id="too far"),
        pytest.param(resize(85), resize(80), id="lowered to less than is wanted"),
        pytest.param(resize(150, limit=120), resize(150), id="from another limit"),
        pytest.param(resize(199), resize(201), id="above max"),
        pytest.param(resize(80, desired=80, moves=False), resize(80), id="lowered though it is not to be by now"),
        pytest.param(wish(Verb.RESIZE, {"cpu": 1.0}, {}), resize(150), id="of another resource"),
        pytest.param(scale(2, 3, version=3), scale(2, 4, version=3), id="more than is wanted"),
        pytest.param(scale(2, 9, version=3), scale(2, 5, version=3), id="much less than is wanted"),
        pytest.param(scale(2, 4, version=4), scale(2, 4, version=3), id="of a service that was changed"),
        pytest.param(scale(3, 4, version=3), scale(2, 4, version=3), id="from another number"),
        pytest.param(scale(4, 3, remove="b"), scale(4, 3, remove="a"), id="other clones"),
        pytest.param(scale(4, 3, remove="a"), scale(4, 2, remove="a,b"), id="more clones"),
        pytest.param(scale(3, 4, version=3), scale(3, 2, version=3), id="the other way"),
        pytest.param(scale(3, 3, remove="a"), scale(3, 3, remove="b"), id="what clones left"),
    ],
)
def test_what_differs_is_another_question(wanted: Decision, asked_about: Decision) -> None:
    assert as_asked(wanted, asked_about) is wanted
