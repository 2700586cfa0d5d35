"""Decisions and actions, counted."""

from __future__ import annotations

from dataclasses import replace

from tests.support.store_values import decision
from watchtower_agent.model.decision import Dropped, Guard, Held, Verb
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.serving.counts import MOST_POLICIES, OTHERS, Counts


def test_a_decision_is_counted_by_what_became_of_it() -> None:
    counts, wanted = Counts(), decision(1)
    held = Held(decision=wanted, guard=Guard.COOLDOWN, reason="")
    counts.told([wanted, held, replace(held, final=True), Dropped(decision=wanted, reason="", at=1.0), wanted])
    counts.told([Intent(decision=wanted, at=1.0)])
    assert counts.decisions == {
        ("heal", "wanted"): 2,
        ("heal", "held"): 1,
        ("heal", "refused"): 1,
        ("heal", "dropped"): 1,
        ("heal", "passed"): 1,
    }
    assert counts.actions == {}


def test_an_action_is_counted_by_how_it_ended_and_a_notification_passed_as_well() -> None:
    counts, wanted = Counts(), decision(1)
    ended = Outcome(decision=wanted, result=Result.FAILED, reason="", started_at=1.0, finished_at=2.0)
    counts.told([ended, replace(ended, decision=replace(wanted, verb=Verb.NOTIFY), result=Result.SUCCEEDED)])
    assert counts.actions == {("restart", "failed"): 1, ("notify", "succeeded"): 1}
    assert counts.decisions == {("heal", "passed"): 1}


def test_names_without_end_are_counted_together() -> None:
    counts = Counts()
    counts.told([decision(1, policy=f"policy-{number}") for number in range(MOST_POLICIES + 5)])
    assert counts.decisions[OTHERS, "wanted"] == 5
    assert len(counts.decisions) == MOST_POLICIES + 1
