"""Approve mode: when people are asked, and what is done once they have approved it."""

from __future__ import annotations

import re

import pytest

from tests.support.approving import (
    ENFORCED,
    HEAL,
    REVIVE,
    answer,
    asked,
    crashed,
    events,
    sick,
    turns,
    until_begun,
    why,
)
from tests.support.core import NOW, Host, ended, policy_set
from tests.support.schema import validate_message
from watchtower_agent.model.approval import Approval, ApprovalAnswered
from watchtower_agent.model.decision import Guard, Held
from watchtower_agent.model.observation import EngineLost
from watchtower_agent.model.outcome import Result
from watchtower_agent.model.pause import PauseAsked, ResumeAsked
from watchtower_agent.model.shared_cause import SharedCauseRule
from watchtower_agent.policies.guards.pauses import AGENT


def test_people_are_asked_once_and_nothing_is_done_while_nobody_answers() -> None:
    host = Host(HEAL)
    sick(host, "web")
    host.tick(60)

    assert host.did == []
    assert turns(host) == ["asked"]
    (question,) = events(host, "approval_asked")
    assert question["topic"].endswith("/event/policy/approval_asked/heal")
    assert question["severity"] == "warning"
    data = question["data"]
    (decision,) = host.wanted
    assert re.fullmatch("[2-9b-z]{6}", data["approval"])
    assert data["decision_id"] == decision.id
    assert (data["verb"], data["target"]["name"], data["parameters"]) == ("restart", "web", {"stop_timeout": 3.0})
    assert (data["reason"], data["numbers"]["health"]) == ("unhealthy", "unhealthy")
    assert data["expires_at"] == "2026-09-21T15:13:21.000000Z"
    assert data["container"]["name"] == "web"
    assert question["correlationid"] == decision.correlation_id
    (held,) = host.of_guard("mode")
    assert held.reason == f"approve mode: a person is asked for 1h (approve {data['approval']})"
    assert not held.final


def test_a_notification_is_told_unasked() -> None:
    host = Host(HEAL)
    sick(host, "web")
    assert [outcome.decision.policy for outcome in host.told] == ["heal"]


def test_each_target_has_a_question_of_its_own() -> None:
    host = Host(HEAL)
    sick(host, "web", "db")
    assert len(set(asked(host))) == 2


def test_what_is_protected_is_not_asked_about() -> None:
    host = Host(HEAL)
    host.docker.create("web", check=True, silent=True, labels={"watchtower-agent.protect": "true"})
    host.relist()
    host.deliver()
    host.docker.health("web")
    host.deliver()
    host.tick(3)
    assert (turns(host), host.guards) == ([], ["protected"])


@pytest.mark.parametrize("mode", ["observe", "shadow"])
def test_nobody_is_asked_where_nothing_would_be_done(mode: str) -> None:
    shadow = mode == "shadow"
    host = Host(HEAL.replace("mode: approve", "mode: shadow") if shadow else HEAL, mode="enforce" if shadow else mode)
    sick(host, "web")
    host.tick(3)
    assert turns(host) == []
    assert all(held.final for held in host.of_guard("mode"))


def test_while_it_is_paused_nobody_is_asked_and_after_it_people_are() -> None:
    host = Host(HEAL)
    host.see(PauseAsked(what=AGENT, length=10))
    sick(host, "web")
    host.tick(3)
    assert (turns(host), set(host.guards)) == ([], {"paused"})
    host.tick(10)
    assert turns(host) == ["asked"]


def test_a_person_s_own_act_is_not_asked_about() -> None:
    host = Host(REVIVE)
    host.docker.create("web", silent=True)
    host.relist()
    host.deliver()
    host.docker.stop("web")
    host.deliver()
    host.tick(5)
    assert turns(host) == []
    assert host.guards[-1] == "operator_intent"


def test_an_engine_that_is_away_is_waited_for() -> None:
    host = Host(HEAL)
    host.docker.create("web", check=True, silent=True)
    host.relist()
    host.deliver()
    host.docker.health("web")
    host.read()
    host.see(EngineLost(reason="gone", at=host.clock.wall))
    host.tick(3)
    assert turns(host) == []
    host.connect()
    host.tick(2)
    assert turns(host) == ["asked"]


def test_one_cause_for_many_is_no_hundred_questions() -> None:
    host = Host(HEAL, shared_cause=SharedCauseRule(share=30.0, at_least=3, within=120.0, hold=300.0))
    names = [f"web{number}" for number in range(6)]
    sick(host, *names)
    host.tick(3)
    assert turns(host) == []
    assert set(host.guards) == {"shared_cause"}


def test_what_only_time_holds_is_asked_about_meanwhile() -> None:
    """A cooldown must not hide the question; it still counts after the answer."""
    host = Host(HEAL + "  cooldown: 1m\n")
    sick(host, "web")
    answer(host)
    host.carry_out()
    host.docker.health("web")
    host.deliver()
    host.tick(8)
    assert turns(host) == ["asked", "given", "asked"]
    came = answer(host)
    assert (came["state"], came["guard"]) == ("given", "cooldown")
    assert came["release_at"] == pytest.approx(NOW + 62, abs=2)
    host.tick(40)
    assert len(host.did) == 1
    host.tick(20)
    assert len(host.did) == 2


def test_behind_a_window_that_opens_soon_another_guard_is_heard_too() -> None:
    host = Host(REVIVE + '  windows: [{cron: "30 14 * * *", for: 1h}]\n')  # it is 14:13
    host.docker.create("web", silent=True)
    host.relist()
    host.deliver()
    host.docker.stop("web")
    host.deliver()
    host.tick(5)

    assert (turns(host), host.guards[-1]) == ([], "operator_intent")


def test_nobody_is_asked_for_what_waits_until_its_window_is_closed() -> None:
    windows = '  windows: [{cron: "0 14 * * *", for: 14m}]\n'  # it is 14:13:20
    host = Host(HEAL + windows + "  cooldown: 1m\n")
    sick(host, "web")
    answer(host)
    host.carry_out()
    assert len(host.did) == 1
    host.clear()
    host.docker.health("web")
    host.deliver()
    host.tick(8)

    assert (turns(host), host.guards[-1]) == ([], "cooldown")


def test_what_time_holds_for_longer_than_an_approval_lasts_is_asked_about_later() -> None:
    policy = HEAL + '  windows: [{cron: "0 16 * * *", for: 1h}]\n  approve_within: 10m\n'
    host = Host(policy)  # it is 14:13
    sick(host, "web")
    assert (turns(host), host.guards) == ([], ["outside_window"])
    host.clock.advance(5700)
    host.tick(2)
    assert turns(host) == []
    host.clock.advance(300)
    host.tick(2)
    assert turns(host) == ["asked"]
    assert answer(host)["guard"] == "outside_window"
    host.clock.advance(550)
    host.tick(60)
    assert host.did == [("restart", "web")]


def test_what_is_approved_is_done_exactly_as_published_and_the_story_has_one_id() -> None:
    host = Host(HEAL)
    sick(host, "web")
    (approval,) = asked(host)

    came = answer(host, because="we looked")

    assert came["state"] == "begun"
    (intent,) = host.intents
    published = events(host, "approval_asked")[0]["data"]
    done = intent.decision
    assert (done.id, done.target.id) == (published["decision_id"], published["target"]["id"])
    assert (done.verb.value, dict(done.parameters)) == (published["verb"], published["parameters"])
    assert done.approval == approval
    host.carry_out()
    (given,) = events(host, "approval_given")
    assert (given["data"]["because"], given["data"]["reason"]) == ("we looked", "a person approved it: we looked")
    story = [each for each in host.published() if each.get("correlationid") == done.correlation_id]
    names = ["/".join(each["topic"].split("/")[4:6]) for each in story]
    assert names.index("policy/approval_asked") < names.index("policy/approval_given") < names.index("action/started")
    assert "action/succeeded" in names
    assert [e["data"]["approval"] for e in story if "/event/action/s" in e["topic"]] == [approval, approval]
    for step in host.steps:
        for message in step.events:
            validate_message(message.topic, message.payload)


def test_it_is_done_once() -> None:
    host = Host(REVIVE)
    crashed(host)
    (approval,) = asked(host)
    answer(host)
    host.see(ApprovalAnswered(approval=approval, approves=True))
    host.carry_out()
    host.see(ApprovalAnswered(approval=approval, approves=True))
    host.tick(100)
    assert host.did == [("restart", "web")]
    assert turns(host) == ["asked", "given"]


def test_two_who_approve_in_the_same_moment_are_one_approval() -> None:
    host = Host(HEAL)
    sick(host, "web")
    (approval,) = asked(host)
    host.see(
        PauseAsked(what=AGENT, length=60.0),
        ApprovalAnswered(approval=approval, approves=True, because="I looked"),
        ApprovalAnswered(approval=approval, approves=True, because="me too"),
    )
    assert turns(host) == ["asked", "given"]
    assert why(host) == "a person approved it: I looked"
    host.see(
        ApprovalAnswered(approval=approval, approves=True),
        ApprovalAnswered(approval=approval, approves=False, because="stop"),
        ApprovalAnswered(approval=approval, approves=True),
    )
    assert turns(host) == ["asked", "given", "rejected"]
    host.tick(70)
    assert host.did == []


def test_after_it_was_done_the_next_wish_is_asked_about_anew() -> None:
    host = Host(HEAL)
    sick(host, "web")
    first = asked(host)
    answer(host)
    host.carry_out()
    host.docker.health("web")
    host.deliver()
    host.tick(40)
    assert len(host.did) == 1
    assert asked(host) != first
    assert turns(host) == ["asked", "given", "asked"]


def test_the_whole_id_of_the_decision_and_capitals_are_taken_too() -> None:
    host = Host(HEAL)
    sick(host, "web", "db")
    (one, other) = asked(host)
    decision = events(host, "approval_asked")[0]["data"]["decision_id"]
    assert answer(host, approval=f" {decision} ")["id"] == one
    assert answer(host, approval=other.upper())["id"] == other


def test_every_guard_is_asked_again_and_the_approval_waits_for_it() -> None:
    host = Host(REVIVE)
    crashed(host)
    host.see(PauseAsked(what=AGENT, length=600, reason="we move"))
    came = answer(host)
    assert (came["state"], came["guard"]) == ("given", "paused")
    assert came["guard_reason"] == "the agent is paused for 10m: we move (end it: resume --all)"
    host.tick(30)
    assert host.did == []
    host.see(ResumeAsked(what=AGENT))
    assert host.did == [("restart", "web")]


def test_an_approved_action_counts_like_any_other() -> None:
    host = Host(REVIVE + ENFORCED)
    crashed(host)
    host.carry_out()  # the other policy's restart
    host.docker.crash("web")
    host.deliver()
    host.tick()
    answer(host)
    host.tick(1)
    assert [intent.decision.policy for intent in host.intents] == ["first"]
    host.tick(60)
    host.carry_out()
    attempts = host.pipeline.decisions.breaking.ledger.attempts("web")
    assert "revive" in {act.policy for act in attempts} or len(attempts) == 2


def test_more_approved_than_the_budget_allows_opens_the_breaker() -> None:
    host = Host(REVIVE + "  budget: {max: 1, per: 20m, probe_after: 20m}\n  backoff: {initial: 0s}\n  cooldown: 0s\n")
    crashed(host)
    answer(host)
    host.carry_out()
    host.docker.crash("web")
    host.deliver()
    host.tick(3)
    assert events(host, "breaker_open") == []
    came = answer(host)
    assert came["guard"] == "breaker"
    assert len(events(host, "breaker_open")) == 1
    host.clock.advance(1200)
    host.tick(3)
    assert len(host.did) == 2


def test_what_a_breaker_holds_waits_no_longer_than_its_approval() -> None:
    host = Host(
        REVIVE.replace("mode: approve", "mode: approve\n  approve_within: 15m")
        + "  budget: {max: 1, per: 10m, probe_after: 20m}\n  backoff: {initial: 0s}\n  cooldown: 0s\n"
    )
    crashed(host)
    answer(host)
    host.carry_out()
    host.docker.crash("web")
    host.deliver()
    host.tick(3)
    came = answer(host)
    assert came["guard"] == "breaker"
    host.clear()
    host.tick(5)
    (stored,) = host.store_records("pending").values()
    assert stored["expires_at"] == pytest.approx(came["expires_at"], abs=1)
    assert not any(record.kind == "pending" for step in host.steps for record in step.records)
    host.clock.advance(901)
    host.tick(3)
    assert turns(host)[-1] == "expired"
    assert why(host) == "it was approved and not let pass within 15m"
    host.clock.advance(1200)
    host.tick(3)
    assert host.did == []


def test_the_stop_of_a_breaker_that_opens_is_asked_about_too() -> None:
    host = Host(
        REVIVE
        + "  budget: {max: 1, per: 20m, probe_after: 20m, on_open: stop}\n  backoff: {initial: 0s}\n  cooldown: 0s\n"
    )
    host.policies = policy_set(
        HEAL
        + "  budget: {max: 1, per: 20m, probe_after: 20m, on_open: stop}\n  cooldown: 0s\n  backoff: {initial: 0s}\n"
    )
    host.see(host.policies)
    sick(host, "web")
    answer(host)
    host.carry_out()
    host.docker.health("web")
    host.deliver()
    host.tick(8)
    answer(host)
    host.tick(3)
    assert host.did == [("restart", "web")]
    (question,) = [each for each in host.of(Approval) if each.decision.last_resort]
    assert question.decision.verb.value == "stop"
    answer(host, approval=question.id)
    assert host.did == [("restart", "web"), ("stop", "web")]


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_a_mode_that_changes_before_the_write_keeps_it_from_being_done(mode: str) -> None:
    host = Host(HEAL)
    sick(host, "web")
    answer(host)
    (intent,) = host.open.values()
    host.see(policy_set(HEAL.replace("mode: approve", f"mode: {mode}")))
    assert host.attempt(intent).result is Result.ABANDONED
    assert host.docker.events == []


def test_a_recheck_after_the_approval_s_time_stops_it() -> None:
    host = Host(HEAL)
    sick(host, "web")
    answer(host)
    (intent,) = host.open.values()
    host.clock.advance(3600)
    held = host.pipeline.recheck(intent, host.clock.now())
    assert isinstance(held, Held)
    assert held.guard is Guard.MODE


@pytest.mark.parametrize("trigger", [HEAL, REVIVE], ids=["condition", "event"])
def test_what_is_held_just_before_the_write_waits_on_under_the_same_approval(trigger: str) -> None:
    host = Host(trigger)
    if trigger is HEAL:
        sick(host, "web")
    else:
        crashed(host)
    answer(host)
    host.see(PauseAsked(what=AGENT, length=20))
    (outcome,) = host.carry_out()
    assert outcome.numbers == {"guard": "paused"}
    host.tick(10)
    assert len(host.intents) == 1
    until_begun(host, 2)
    assert [each.decision.approval for each in host.intents] == [host.intents[0].decision.approval] * 2
    assert turns(host) == ["asked", "given"]
    host.carry_out()
    host.tick(100)
    assert len(host.intents) == 2


def test_an_attempt_that_failed_has_used_its_approval() -> None:
    host = Host(HEAL)
    sick(host, "web")
    answer(host)
    (intent,) = host.open.values()
    host.begins(intent)
    host.see(ended(intent, Result.FAILED, host.clock.wall, host.clock.wall))
    host.tick(60)
    assert len(host.intents) == 1
    assert turns(host) == ["asked", "given", "asked"]


def test_a_policy_can_tell_of_the_question() -> None:
    host = Host(HEAL + "- {name: page, on: {policy: approval_asked}, then: {notify: {severity: critical}}}\n")
    sick(host, "web")
    host.tick()
    (told,) = [outcome for outcome in host.told if outcome.decision.policy == "page"]
    assert told.reason == f"restart of web by heal: approve {asked(host)[0]}: unhealthy"
    assert told.decision.target.kind == "host"
