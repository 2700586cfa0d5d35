"""Policies that a person sets off by hand: from the asking to the decisions, and what became of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from watchtower_agent.loop import announcements
from watchtower_agent.loop.decisions import Decisions
from watchtower_agent.loop.readings import cut
from watchtower_agent.model.decision import Decision, Dropped, Held, Mode, Target, Verb
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.outcome import Intent, Outcome
from watchtower_agent.model.trigger import TriggerAsked
from watchtower_agent.policies.by_hand import acts_by_itself, decisions_by_hand, targets_of
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.pruned import needs_plan
from watchtower_agent.state.record import ContainerRecord

MOST_TARGETS: Final = 1000
"""Of which it is told what became of them."""
_LONGEST_NAME, _LONGEST_SENTENCE = 120, 300
"""Characters."""


def set_off(asked: TriggerAsked, decisions: Decisions, say: Callable[[Notice, Instant], None], now: Instant) -> None:
    """Want what a person asks for. Nothing, if the policy or the container has gone meanwhile, or is another one."""
    policy = decisions.policies.named(asked.policy)
    if policy is None or policy.mode is Mode.OFF or acts_by_itself(policy):
        return
    targets = _asked_for(asked, policy, decisions)
    if not targets:
        return
    say(announcements.triggered(policy, [target.name for target, _ in targets], asked.correlation_id, now.wall), now)
    for target, record in targets:
        decisions.want(decisions_by_hand(policy, target, record, asked.correlation_id, now), now)


def _asked_for(
    asked: TriggerAsked, policy: Policy, decisions: Decisions
) -> list[tuple[Target, ContainerRecord | None]]:
    every = targets_of(policy, decisions.state)
    return [each for each in every if asked.target_id is None or each[0].id == asked.target_id]


# --- what became of it --------------------------------------------------------------------------------------------


def became(asked: TriggerAsked, facts: Sequence[Fact], decisions: Decisions, now: Instant) -> dict[str, object]:
    """What became of it in the step in which it was taken in, as a JSON object.

    Args:
        asked: What a person asked for.
        facts: All that happened in that step.
        decisions: As they are after it.
        now: The present.
    """
    mine = [fact for fact in facts if correlation_of(fact) == asked.correlation_id]
    told = next((fact for fact in mine if isinstance(fact, Notice)), None)
    policy = decisions.policies.named(asked.policy)
    found = [] if told is None or policy is None else list(_targets(asked, policy, mine, decisions))
    return {
        "at": now.wall,
        "policy": asked.policy,
        "does": _does(policy),
        "correlation_id": asked.correlation_id,
        "set_off": bool(found),
        "targets": found[:MOST_TARGETS],
        "total": len(found),
    }


def _targets(
    asked: TriggerAsked, policy: Policy, mine: Sequence[Fact], decisions: Decisions
) -> Iterator[dict[str, object]]:
    last: dict[tuple[str, bool], Fact] = {}
    for fact in mine:
        decision = decision_of(fact)
        if decision is not None and not decision.last_resort:
            last[decision.target.id, decision.verb is Verb.NOTIFY] = fact
    for target, _ in _asked_for(asked, policy, decisions):
        for tells in (False, True):
            if (policy.then.notify if tells else policy.then.verb) is None:
                continue
            newest = last.get((target.id, tells))
            verb = Verb.NOTIFY if tells else policy.then.verb
            yield {
                "target": cut(target.name, _LONGEST_NAME),
                "verb": str(verb),
                **result_of(newest, decisions, policy.name, target, tells=tells),
            }


def result_of(
    fact: Fact | None, decisions: Decisions, policy: str, target: Target, *, tells: bool
) -> dict[str, object]:
    """How one decision stands, as a JSON object.

    Args:
        fact: The newest about it; None: there is none.
        decisions: As they are after the step.
        policy: Name of the policy.
        target: Whom it is about.
        tells: It notifies, and does nothing else.
    """
    match fact:
        case Intent():
            return _said("begun", "it is begun")
        case Outcome():
            return _said("told", fact.reason)
        case Held():
            return _held(fact)
        case Dropped():
            return _said("dropped", fact.reason)
        case _:
            return _waits(decisions, policy, target, tells=tells)


def _waits(decisions: Decisions, policy: str, target: Target, *, tells: bool) -> dict[str, object]:
    """It neither passed nor was it stopped: something like it was wanted before, or it is not its turn."""
    waiting = decisions.agenda.waiting.get((policy, f"{'notify' if tells else 'act'}:{target.id}"))
    if waiting is None:
        return _said("dropped", "it is not wanted any more")
    if waiting.held is not None:
        return _held(waiting.held) | {"result": "waits"}
    begun = decisions.under_way.on(target.id)
    if begun is not None:
        return _said("waits", f"a {begun.decision.verb} by policy {begun.decision.policy} is under way")
    if needs_plan(waiting.decision):
        return _said("waits", f"what is on the disk is looked at, then it is planned (as you see it: prune {policy})")
    return _said("waits", "it comes after the others, one at a time")


def _held(held: Held) -> dict[str, object]:
    final = "not_done" if held.final else "held"
    return _said(final, held.reason) | {"guard": held.guard.value, "release_at": held.release_at}


def _said(result: str, reason: str) -> dict[str, object]:
    return {"result": result, "reason": cut(reason, _LONGEST_SENTENCE), "guard": None, "release_at": None}


def _does(policy: Policy | None) -> str | None:
    if policy is None:
        return None
    return policy.then.verb.value if policy.then.verb is not None else "notify"


def decision_of(fact: Fact) -> Decision | None:
    """The decision that a fact is about; None where it is about none."""
    match fact:
        case Decision():
            return fact
        case Held() | Dropped() | Intent() | Outcome():
            return fact.decision
        case _:
            return None


def correlation_of(fact: Fact) -> str:
    """Of the story that a fact is part of; empty where it is part of none."""
    decision = decision_of(fact)
    if decision is not None:
        return decision.correlation_id
    return fact.correlation_id if isinstance(fact, Notice) else ""
