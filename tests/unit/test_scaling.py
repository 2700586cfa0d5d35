"""Services in the loop: looked at, decided about, guarded, changed, remembered."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.support.scaled_host import (
    CPU,
    ScaledHost,
    a_swarm,
    scale_policy,
)
from tests.support.schema import validate_message
from watchtower_agent.model.approval import ApprovalAnswered
from watchtower_agent.model.decision import Decision, Held, Mode
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope

# --- a Swarm --------------------------------------------------------------------------------------------------------


def test_a_service_grows_to_what_it_needs_and_says_why() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    host.settle(25)

    assert host.asked[0] == (2, 4)
    assert host.replicas == 4
    (decision,) = host.of(Decision)
    assert (decision.verb.value, decision.target.kind.value, decision.target.name) == ("scale", "service", "shop_web")
    assert "needs" in decision.reason
    assert "cpu.percent_of_limit is" in decision.reason
    assert decision.numbers["replicas.wanted"] == 2
    assert decision.numbers[f"{CPU} target"] == 60.0
    (outcome,) = host.of(Outcome)
    assert outcome.result is Result.SUCCEEDED
    told = [each for each in host.published() if "/event/action/" in each["topic"]]
    assert {each["correlationid"] for each in told} == {decision.correlation_id}
    assert all(each["topic"].endswith("/shop_web") for each in told)


def test_what_the_swarm_said_before_a_change_is_no_reason_for_another() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    host.until_begun()
    host.answers = False
    host.carry_out()
    host.settle(3)
    assert host.asked == [(2, 4)]

    host.answers = True
    host.needs(7.9)
    host.settle(40)
    assert host.asked == [(2, 4), (4, 8)]


def test_a_service_shrinks_after_its_window_and_no_sooner() -> None:
    host = a_swarm(4)
    host.needs(2.0)
    begun = host.clock.monotonic
    host.until_changed()
    assert host.asked == [(4, 3)]  # the mean of 20 s came down by steps
    assert 150.0 < host.clock.monotonic - begun < 175.0

    host.settle(70)
    assert host.asked == [(4, 3), (3, 2)]
    host.settle(600)
    assert host.replicas == 2


def test_a_shrink_that_waits_for_its_turn_is_given_up_where_more_is_needed_by_then() -> None:
    host = ScaledHost(scale_policy(), replicas=4, interval=10.0)
    host.needs(4.0)
    host.settle(60)
    host.needs(1.5)
    host.until_begun()
    assert host.asked == [(4, 3)]

    host.needs(8.0)
    host.tick()
    host.carry_out()
    assert host.replicas == 4
    host.settle(60)
    assert host.replicas == 8


def test_a_growth_that_waits_for_its_turn_is_given_up_where_fewer_are_enough_by_then() -> None:
    host = ScaledHost(scale_policy(), replicas=4)
    host.needs(4.0)
    host.settle(60)
    host.needs(8.0)
    intent = host.until_begun()
    scaling = host.pipeline.decisions.scaling
    assert not scaling.outdated(intent.decision)

    known = scaling.by["web"]
    assert known.looked is not None
    fewer = replace(known.looked.recommendation, to=3)
    known.looked = replace(known.looked, recommendation=fewer)
    assert scaling.outdated(intent.decision)


def test_only_the_leader_acts_and_whoever_leads_next_goes_on_from_what_it_saw() -> None:
    host = ScaledHost(scale_policy(), replicas=4, leads=False)
    host.needs(2.0)
    host.settle(700)
    assert host.asked == []
    assert host.of(Decision) == []

    host.leads = True
    host.settle(4)

    assert host.asked[0][0] == 4
    assert host.replicas in {2, 3}


def test_what_another_leader_did_is_nobodys_intervention() -> None:
    host = ScaledHost(scale_policy(), replicas=2, leads=False)
    host.needs(2.0)
    host.settle(30)
    host.needs(2.9)
    host.settle(20)
    host.by_hand(3)  # the other agent, which sees the same
    host.settle(30)
    host.leads = True
    host.needs(5.0)
    host.settle(25)

    assert host.asked[0][0] == 3


def a_follower_that_was_away(found: int) -> ScaledHost:
    """An agent on a manager that does not lead: while it was away somebody has changed the number."""
    host = ScaledHost(scale_policy(), replicas=2, leads=False)
    host.needs(2.0)
    host.settle(60)
    host.dies(20.0)
    host.by_hand(found)
    host.needs(float(found))
    host.comes_back()
    host.settle(40)
    host.clear()
    return host


def test_what_the_leaders_agent_did_while_another_was_away_is_no_persons_doing() -> None:
    host = a_follower_that_was_away(4)
    host.leader_says()
    host.settle(3)
    host.leads = True
    host.needs(7.9)
    host.settle(25)

    assert host.asked[0][0] == 4
    assert host.replicas in {7, 8}


def test_what_a_person_did_while_another_was_away_is_respected_for_as_long_as_the_leaders_agent_would() -> None:
    host = a_follower_that_was_away(4)
    host.leader_says(left_alone_for=300.0)
    host.settle(3)
    host.leads = True
    host.needs(7.9)
    host.settle(290)
    assert host.asked == []
    host.settle(20)

    assert host.asked == [(4, 8)]


def test_what_the_leaders_agent_said_before_a_change_by_hand_says_nothing_of_that() -> None:
    host = a_follower_that_was_away(4)
    host.leader_says()
    host.settle(3)
    host.by_hand(3)
    host.settle(3)
    host.leads = True
    host.needs(7.9)
    host.settle(600)

    assert host.asked == []


def test_who_leads_believes_itself() -> None:
    host = a_swarm(2)
    host.by_hand(5)
    host.settle(3)
    for _ in range(10):
        host.leader_says()
        host.settle(5)
    assert host.asked == []

    host.leads = False
    host.settle(40)
    before = [each for step in host.steps for each in step.metrics]
    assert [json.loads(each.payload).get("services") for each in before][-1] is None
    said = next(found for each in before if (found := json.loads(each.payload).get("services")))
    assert (said[0]["id"], said[0]["version"]) == (host.service_id, host.version)
    assert 800.0 < said[0]["left_alone_for"] <= 900.0
    for each in before:
        validate_message(each.topic, each.payload)


def test_a_change_by_hand_is_respected_by_whoever_leads_next() -> None:
    host = ScaledHost(scale_policy(), replicas=4, leads=False)
    host.needs(4.0)
    host.settle(60)
    host.by_hand(2)
    host.settle(5)
    host.leads = True
    host.settle(600)

    assert host.asked == []
    assert "somebody else changed" in host.limited[0]


@pytest.mark.parametrize("after", [3, 5, 20])
def test_undoing_what_the_agent_has_just_done_is_respected(after: int) -> None:
    host = a_swarm(2)
    host.needs(3.9)
    host.until_changed()
    host.settle(after)
    host.by_hand(2)
    host.settle(600)

    assert host.asked == [(2, 4)]


def test_undoing_what_the_agent_did_long_ago_is_respected_after_a_restart() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    host.settle(900)
    host.dies(5.0)
    host.by_hand(2)
    host.comes_back()
    host.settle(600)

    assert host.asked == [(2, 4)]


def test_who_is_faster_than_the_agent_is_respected() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    host.until_begun()
    host.by_hand(3)
    host.conflicts = 1
    host.settle(600)

    assert host.asked == [(2, 4)]
    assert host.replicas == 3


@pytest.mark.parametrize("to", [2, 3, 7])
def test_a_change_by_hand_that_follows_the_agents_before_it_was_seen_is_respected(to: int) -> None:
    host = a_swarm(2)
    host.needs(3.9)
    host.until_begun()
    host.answers = False
    host.carry_out()
    host.by_hand(to)
    host.answers = True
    host.settle(600)

    assert host.asked == [(2, 4)]
    assert host.replicas == to


def test_who_changes_something_else_of_the_service_is_no_matter() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    host.until_changed()
    host.version += 1
    host.needs(7.9)
    host.settle(60)

    assert host.asked == [(2, 4), (4, 8)]
    assert host.limited == []


def test_a_service_that_is_always_changed_by_others_is_waited_for_after_three_tries() -> None:
    host = a_swarm(2)
    host.conflicts = 1000
    host.needs(3.9)
    begun = host.clock.monotonic
    while len(host.asked) < 4:
        host.settle()

    first, second, third, fourth = (intent.at - host.intents[0].at for intent in host.intents)
    assert second - first < third - first < 10
    assert fourth - third == pytest.approx(30.0, rel=0.25)
    assert host.clock.monotonic - begun < 120
    host.conflicts = 0
    host.settle(120)
    assert host.replicas == 4


@pytest.mark.parametrize("away", [False, True])
def test_who_wants_none_of_a_service_is_respected_until_somebody_wants_it_again(*, away: bool) -> None:
    host = a_swarm(2)
    if away:
        host.dies(5.0)
    host.by_hand(0)
    if away:
        host.comes_back()
    host.settle(2000)
    assert host.asked == []
    assert "somebody else wants no replica of it" in host.limited[-1]

    host.by_hand(1)
    host.needs(3.9)
    host.settle(890)
    assert host.asked == []
    host.settle(60)
    assert host.asked[0] == (1, 2)


def test_a_service_that_is_made_anew_under_its_name_is_another_one() -> None:
    host = a_swarm(4)
    host.by_hand(6)
    host.settle(5)
    host.service_id = "s2"
    host.by_hand(1)
    host.needs(2.9)
    host.settle(60)

    assert host.asked[0] == (1, 2)


def test_a_change_by_hand_right_after_the_first_start_is_respected() -> None:
    host = ScaledHost(scale_policy(), replicas=2)
    host.needs(2.0)
    host.settle(5)
    host.by_hand(5)
    host.settle(600)

    assert host.asked == []
    assert "somebody else changed" in host.limited[0]


def test_values_beyond_all_numbers_end_nothing() -> None:
    host = a_swarm(2)
    host.load = lambda _: 1.7e308
    host.settle(200)

    assert 2 < (host.replicas or 0) <= 10


def test_a_change_by_hand_is_left_alone_for_a_quarter_of_an_hour_and_that_is_said() -> None:
    host = a_swarm(2)
    host.by_hand(5)
    host.settle(895)
    assert host.asked == []
    assert len(host.limited) == 1
    assert "somebody else changed its number of replicas" in host.limited[0]

    host.settle(10)
    assert host.asked[:1] == [(5, 3)]


def test_the_agents_own_change_is_not_a_persons() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    host.settle(25)
    host.needs(7.9)
    host.settle(60)

    assert host.asked[:2] == [(2, 4), (4, 8)]
    assert host.limited == []


def test_a_change_by_hand_is_respected_over_a_restart_of_the_agent() -> None:
    host = a_swarm(2)
    host.by_hand(5)
    host.settle(60)
    host.dies(5.0)
    host.comes_back()
    host.settle(600)
    assert host.asked == []

    host.settle(300)
    assert host.asked != []


def test_a_change_by_hand_while_the_agent_was_away_is_respected_too() -> None:
    host = a_swarm(2)
    host.dies(5.0)
    host.by_hand(5)
    host.comes_back()
    host.settle(600)

    assert host.asked == []
    assert "somebody else changed" in host.limited[0]


def test_what_was_needed_is_remembered_over_a_restart() -> None:
    host = a_swarm(4)
    host.needs(2.0)
    host.settle(100)
    host.dies(3.0)
    host.comes_back()
    begun = host.clock.monotonic
    host.until_changed()

    assert host.clock.monotonic - begun < 100.0


def test_a_conflict_is_decided_again_from_what_is_seen_then() -> None:
    host = a_swarm(2)
    host.conflicts = 1
    host.needs(3.9)
    host.settle(45)

    assert host.asked == [(2, 4), (2, 4)]
    assert [each.result for each in host.of(Outcome)] == [Result.FAILED, Result.SUCCEEDED]
    first, second = host.of(Decision)
    assert first.id != second.id


def test_a_swarm_that_does_not_answer_is_asked_for_nothing() -> None:
    host = a_swarm(2)
    host.answers = False
    host.tick(11)
    host.needs(4.0)
    host.settle(60)

    assert host.asked == []


def test_an_update_holds_every_change_and_is_told() -> None:
    host = a_swarm(2)
    host.updating = True
    host.needs(4.0)
    host.settle(60)
    assert host.asked == []
    assert len(host.limited) == 1
    assert "updated or rolled back" in host.limited[0]

    host.updating = False
    host.settle(3)
    assert host.asked == [(2, 4)]


def test_nothing_shrinks_while_a_replica_is_not_known_and_the_event_says_why() -> None:
    host = a_swarm(4)
    blind = min(host.docker.containers)
    host.load = lambda each: None if each.id == blind else 6.0
    host.settle(900)

    assert host.asked == []
    assert len(host.limited) == 1
    assert "1 replica has no cpu.percent_of_limit" in host.limited[0]


def test_what_one_of_two_does_not_tell_is_said_to_keep_both() -> None:
    host = a_swarm(2)  # on target, the missing one alone keeps it at two
    host.moves_away()
    host.load = lambda _: 1.0
    host.settle(900)

    assert host.asked == []
    (limited,) = host.limited
    assert f"it stays at 2 and gets no fewer: not everything is known (1 replica has no {CPU})" in limited


def test_replicas_elsewhere_count_by_what_their_agents_tell_until_that_is_stale() -> None:
    host = a_swarm(2)
    there = host.moves_away()
    host.load = lambda _: 72.0

    host.settle(25)
    assert host.asked == []  # what is not known makes nothing grow
    for _ in range(6):
        host.see(host.batch(there, 150.0))
        host.settle(5)
    assert host.asked[:1] == [(2, 4)]

    host.load = lambda _: 6.0
    host.settle(900)
    assert all(to > before for before, to in host.asked)
    assert f"1 replica has no {CPU}" in host.limited[0]


@pytest.mark.parametrize(
    ("host", "node", "interval", "value"),
    [
        ("h9", "n2", 5.0, 1e300),  # another host claims the node, and a load beyond all measure
        ("h9", "n2", 5.0, 0.0),
        ("h9", "n9", 5.0, 0.0),  # of a node where that task is not
        ("h2", "n2", 5.0, -1e300),  # its own host, with what no measurement is
        ("h2", "n2", 3600.0, 0.0),  # what it says once is to count for hours
    ],
)
def test_what_a_wrong_batch_says_moves_nothing(host: str, node: str, interval: float, value: float) -> None:
    swarm = a_swarm(4)
    there = swarm.moves_away()
    swarm.load = lambda _: 6.0  # it would shrink, were it not for what is not known
    for turn in range(200):
        if host == "h9" and node == "n2":
            swarm.see(swarm.batch(there, 6.0))
        if turn == 0 or interval < 60.0:
            swarm.see(swarm.batch(there, value, host=host, node=node, interval=interval))
        swarm.settle(5)

    assert swarm.asked == []
    assert "1 replica has no cpu.percent_of_limit" in swarm.limited[0]


def test_an_interrupted_change_is_settled_by_looking() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    intent = host.until_begun()
    host.begins(intent)
    host.do_scale(intent)
    host.dies(2.0)
    host.comes_back()
    host.settle(20)

    (outcome,) = [each for each in host.of(Outcome) if each.result is Result.INTERRUPTED]
    assert outcome.numbers["engine_did_it"] is True
    assert host.asked == [(2, 4)]
    host.settle(30)
    assert host.limited == []


def test_an_interrupted_change_that_the_engine_did_not_do_is_decided_anew() -> None:
    host = a_swarm(2)
    host.needs(3.9)
    host.until_begun()
    host.dies(2.0)
    host.comes_back()
    host.settle(30)

    (outcome,) = [each for each in host.of(Outcome) if each.result is Result.INTERRUPTED]
    assert outcome.numbers["engine_did_it"] is False
    assert host.asked[-1] == (2, 4)
    assert host.replicas == 4


def test_changes_that_fail_are_tried_again_after_longer_and_longer_waits() -> None:
    host = a_swarm(2)
    host.fails = 3
    host.needs(3.9)
    host.settle(20 * 60)

    begun = [intent.at for intent in host.intents]
    assert [later - earlier for earlier, later in pairwise(begun)] == [
        pytest.approx(delay, rel=0.25) for delay in (30.0, 60.0, 120.0)
    ]
    assert host.replicas == 4


# --- guards ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
def test_a_policy_that_may_not_act_does_not(mode: Mode) -> None:
    host = a_swarm(2, mode=mode)
    host.needs(5.0)
    host.settle(60)

    assert host.asked == []
    assert [each.guard.value for each in host.of(Held)] == (["mode"] if mode is Mode.SHADOW else [])


def test_people_are_asked_and_what_they_approve_is_done() -> None:
    host = a_swarm(2, mode=Mode.APPROVE)
    host.needs(3.9)
    host.settle(40)
    assert host.asked == []
    (question,) = [each for each in host.published() if "/approval_asked/" in each["topic"]]
    assert question["data"]["parameters"]["to"] == 4

    host.see(ApprovalAnswered(approval=question["data"]["approval"], approves=True))
    host.settle(2)
    assert host.asked == [(2, 4)]


def test_a_pause_of_the_policy_holds() -> None:
    host = a_swarm(2)
    host.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="web"), length=600, reason="we move"))
    host.needs(4.0)
    host.settle(60)

    assert host.asked == []
    assert host.guards == ["paused"]


def test_the_label_on_the_service_protects() -> None:
    host = a_swarm(2)
    host.labels = {"watchtower-agent.protect": "true"}
    host.needs(4.0)
    host.settle(60)

    assert host.asked == []
    assert host.guards == ["protected"]
