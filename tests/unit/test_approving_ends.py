"""Approve mode: questions that are withdrawn, rejected, or whose time is over, and what is said of them then."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.approving import (
    ENFORCED,
    HEAL,
    NIGHTLY,
    REVIVE,
    answer,
    asked,
    crashed,
    events,
    scheduled,
    sick,
    turns,
    why,
)
from tests.support.core import Host, policy_set
from watchtower_agent.errors import PermanentError
from watchtower_agent.loop import approval_answers
from watchtower_agent.model.approval import Approval, ApprovalAnswered, ApprovalState
from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Dropped
from watchtower_agent.model.pause import PauseAsked, ResumeAsked
from watchtower_agent.policies.guards.pauses import AGENT


def recovers(host: Host) -> None:
    host.docker.health("web", Health.HEALTHY)


def is_removed(host: Host) -> None:
    host.docker.remove("web")


def is_recreated(host: Host) -> None:
    host.docker.remove("web", force=True)
    host.docker.create("web", check=True, identity="f" * 64)


def changes_its_verb(host: Host) -> None:
    host.see(policy_set(HEAL.replace("restart: {stop_timeout: 3s}", "stop: {}")))


def is_taken_back(host: Host) -> None:
    host.see(policy_set(""))


def becomes_a_shadow(host: Host) -> None:
    host.see(policy_set(HEAL.replace("mode: approve", "mode: shadow")))


def selects_others(host: Host) -> None:
    host.see(policy_set(HEAL.replace('name: "*"', "name: db")))


WITHDRAWN = [
    (recovers, "its condition does not hold any more"),
    (is_removed, "web was removed"),
    (is_recreated, "web was removed"),
    (changes_its_verb, "policy heal does not restart any more"),
    (is_taken_back, "policy heal is not in force any more"),
    (becomes_a_shadow, "shadow mode: it decides and does not act"),
    (selects_others, "policy heal does not select web any more"),
]


@pytest.mark.parametrize(("what", "reason"), WITHDRAWN, ids=lambda each: getattr(each, "__name__", ""))
def test_what_is_not_wanted_any_more_is_withdrawn_and_can_t_be_approved(what: Any, reason: str) -> None:  # noqa: ANN401 - a step of the story
    host = Host(HEAL)
    sick(host, "web")
    (approval,) = asked(host)
    what(host)
    host.deliver()
    host.tick(2)
    assert turns(host)[:2] == ["asked", "withdrawn"]
    assert host.of(Approval)[1].why == reason
    with pytest.raises(
        PermanentError, match=rf"^{approval} \(restart web by heal\) was withdrawn \d s ago: {reason}; "
    ):
        answer(host, approval=approval)
    assert host.did == []


@pytest.mark.parametrize(
    ("what", "reason"), [each for each in WITHDRAWN if each[0] in {recovers, is_removed}], ids=["recovers", "removed"]
)
def test_an_answer_that_comes_in_the_same_moment_is_refused_with_the_reason(what: Any, reason: str) -> None:  # noqa: ANN401 - a step of the story
    host = Host(HEAL)
    sick(host, "web")
    what(host)
    host.read()
    # the command was understood before the event was taken in
    (approval,) = [each.id for each in host.of(Approval) if each.state is ApprovalState.ASKED]
    host.see(ApprovalAnswered(approval=approval, approves=True))
    approvals = host.pipeline.decisions.approving.approvals
    with pytest.raises(PermanentError, match=f"is not done: {reason}"):
        approval_answers.answered(approvals, host.pipeline.decisions.agenda, approval, host.clock.now())
    assert host.did == []


def test_other_parameters_are_another_question() -> None:
    host = Host(HEAL)
    sick(host, "web")
    (first,) = asked(host)
    host.see(policy_set(HEAL.replace("3s", "4s")))
    host.tick()
    (second,) = asked(host)
    assert first != second
    assert turns(host) == ["asked", "withdrawn", "asked"]
    assert host.of(Approval)[1].why == "what would be done has changed"
    answer(host)
    assert [dict(intent.decision.parameters) for intent in host.intents] == [{"stop_timeout": 4.0}]


def test_other_parameters_after_the_approval_are_not_done_under_it() -> None:
    host = Host(HEAL)
    sick(host, "web")
    host.see(PauseAsked(what=AGENT, length=10))
    answer(host)
    host.see(policy_set(HEAL.replace("3s", "4s")))
    host.tick(30)
    assert host.did == []
    assert turns(host) == ["asked", "given", "withdrawn", "asked"]


def test_a_policy_that_enforces_by_now_asks_no_longer() -> None:
    host = Host(HEAL)
    sick(host, "web")
    host.see(policy_set(HEAL.replace("mode: approve", "mode: enforce")))
    assert host.did == [("restart", "web")]
    assert host.intents[0].decision.approval == ""
    assert (turns(host), why(host)) == (["asked", "withdrawn"], "heal acts without asking by now")


def test_what_another_policy_did_meanwhile_is_not_asked_about_any_more() -> None:
    host = Host(HEAL + ENFORCED)
    sick(host, "web")
    host.docker.crash("web")
    host.deliver()
    host.tick(5)
    assert host.did == [("restart", "web")]
    assert turns(host) == ["asked", "withdrawn"]


def test_what_is_rejected_is_not_asked_about_while_its_condition_lasts() -> None:
    host = Host(HEAL)
    sick(host, "web")
    (approval,) = asked(host)
    came = answer(host, approves=False, because="it is being looked at")
    assert came["state"] == "rejected"
    host.clock.advance(7200)
    host.tick(5)
    assert (host.did, turns(host)) == ([], ["asked", "rejected"])
    assert host.of_guard("mode")[-1].reason == f"approve mode: a person rejected it: it is being looked at ({approval})"
    assert host.of_guard("mode")[-1].final
    with pytest.raises(PermanentError, match=r"was rejected 2 h ago: it is being looked at; none waits for an answer"):
        answer(host, approval=approval)
    host.docker.health("web", Health.HEALTHY)
    host.deliver()
    host.tick(3)
    host.docker.health("web")
    host.deliver()
    host.tick(3)
    assert turns(host) == ["asked", "rejected", "asked"]


def test_what_an_event_wanted_is_over_once_it_is_rejected() -> None:
    host = Host(REVIVE)
    crashed(host)
    answer(host, approves=False)
    host.tick(10)
    assert (host.did, host.waiting, turns(host)) == ([], [], ["asked", "rejected"])
    assert host.store_records("pending") == {}
    host.docker.start("web")
    host.docker.crash("web")
    host.deliver()
    host.tick(3)
    assert turns(host)[-1] == "asked"


def test_an_approval_can_be_taken_back_while_it_waits_for_its_guards() -> None:
    host = Host(HEAL)
    sick(host, "web")
    (approval,) = asked(host)
    host.see(PauseAsked(what=AGENT, length=10))
    answer(host)
    answer(host, approves=False, approval=approval)
    host.tick(60)
    assert (host.did, turns(host)) == ([], ["asked", "given", "rejected"])


def test_a_condition_that_still_fires_is_asked_about_anew_under_another_id() -> None:
    host = Host(HEAL)
    sick(host, "web")
    (first,) = asked(host)
    host.clock.advance(3600)
    host.tick()
    (second,) = asked(host)
    assert first != second
    assert turns(host) == ["asked", "expired", "asked"]
    assert host.of(Approval)[1].why == "nobody answered within 1h"
    assert [each["severity"] for each in events(host, "approval_expired")] == ["warning"]
    with pytest.raises(PermanentError, match=rf"^{first} .* has expired .*; waiting for an answer: {second} "):
        answer(host, approval=first)


def test_an_answer_at_the_very_end_comes_too_late() -> None:
    host = Host(REVIVE)
    crashed(host)
    (approval,) = asked(host)
    host.clock.advance(3600)
    host.see(ApprovalAnswered(approval=approval, approves=True))
    assert (turns(host), why(host)) == (["asked", "expired"], "nobody answered within 1h")
    assert host.did == []


def test_what_an_event_wanted_is_given_up_with_its_question() -> None:
    host = Host(REVIVE)
    crashed(host)
    host.clock.advance(3500)
    host.tick(2)
    assert turns(host) == ["asked"]
    host.clock.advance(100)
    host.tick(2)
    assert turns(host) == ["asked", "expired"]
    (dropped,) = host.of(Dropped)
    assert dropped.reason == "nobody answered within 1h"
    assert host.waiting == []


def test_how_long_people_are_asked_is_the_policy_s() -> None:
    host = Host(REVIVE + "  approve_within: 2m\n")
    crashed(host)
    host.tick(110)
    assert turns(host) == ["asked"]
    host.tick(20)
    assert turns(host) == ["asked", "expired"]


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
@pytest.mark.parametrize("text", [HEAL, REVIVE, NIGHTLY], ids=["condition", "event", "schedule"])
def test_a_step_of_the_wall_clock_changes_nothing(step: float, text: str) -> None:
    host = Host(text)
    if text is NIGHTLY:
        scheduled(host)
    elif text is HEAL:
        sick(host, "web")
    else:
        crashed(host)
    host.clock.step_wall(step)
    host.tick(5)
    host.clock.advance(3500)
    host.tick(5)
    assert turns(host) == ["asked"]
    answer(host)
    assert host.did == [("restart", "web")]


def test_an_event_wish_waits_for_as_long_as_people_are_asked() -> None:
    """Not only for the quarter of an hour for which others wait."""
    host = Host(REVIVE + "  approve_within: 4h\n")
    crashed(host)
    host.clock.advance(4 * 3600 - 60)
    host.tick(2)
    answer(host)
    assert host.did == [("restart", "web")]


def test_a_scheduled_run_asks_too() -> None:
    host = Host(NIGHTLY)
    scheduled(host)
    assert turns(host) == ["asked"]
    host.tick(2)
    answer(host)
    assert host.did == [("restart", "web")]


def test_an_unknown_id_is_told_with_those_that_wait() -> None:
    host = Host(HEAL)
    with pytest.raises(PermanentError, match=r"^there is no approval 'x\\x1b' to give; none waits for an answer$"):
        answer(host, approval="x\x1b")
    sick(host, *(f"web{number}" for number in range(7)))
    first = asked(host)[0]
    with pytest.raises(
        PermanentError, match=rf"waiting for an answer: {first} \(restart web0 by heal\), .* and 2 more$"
    ):
        answer(host, approval="nope")


def test_what_was_approved_already_is_said_to_be() -> None:
    host = Host(REVIVE)
    crashed(host)
    (approval,) = asked(host)
    host.see(PauseAsked(what=AGENT, length=10))
    answer(host)
    with pytest.raises(PermanentError, match=r"was approved already, 0 s ago, and waits for its guards"):
        answer(host, approval=approval)
    host.see(ResumeAsked(what=AGENT))
    for approves in (True, False):
        with pytest.raises(PermanentError, match=r"was approved already, and is being done"):
            answer(host, approval=approval, approves=approves)
    host.carry_out()
    with pytest.raises(PermanentError, match=r"was approved already: it succeeded: succeeded, 0 s ago"):
        answer(host, approval=approval)
