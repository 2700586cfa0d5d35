"""What the guards say of a decision that waits, and what that leads to: a breaker opens, people are asked. Pure."""

from __future__ import annotations

from typing import Final

from watchtower_agent.model.decision import Decision, Guard, Held, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.guards.breakers import Breakers
from watchtower_agent.policies.guards.budget import futile, used_up
from watchtower_agent.policies.guards.futility import Futility
from watchtower_agent.policies.guards.ledger import policy_scope
from watchtower_agent.policies.guards.order import ask, objections
from watchtower_agent.policies.guards.permission import next_window
from watchtower_agent.policies.guards.question import Question
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.pruned import needs_plan
from watchtower_agent.policies.waiting import takes_turns

_ONLY_TIME: Final = frozenset(
    {Guard.OUTSIDE_WINDOW, Guard.COOLDOWN, Guard.BACKOFF, Guard.BREAKER, Guard.BUDGET},
)
"""What these hold is let go when its time has come, whatever the state of things: people can be asked meanwhile."""
_TOO_MUCH: Final = frozenset({Guard.COOLDOWN, Guard.BACKOFF, Guard.BREAKER, Guard.BUDGET})
"""What these alone hold is wanted in earnest: nothing else speaks against it."""

_WITHOUT_BREAKER: Final = frozenset({Verb.PRUNE, Verb.RESTART_ENGINE})
"""Verbs whose budget ends by itself, and is no container's, policy's or host's."""


def verdict(question: Question) -> Held | None:
    """The guard that stops the decision, or None when it may be carried out."""
    if question.decision.verb is Verb.PRUNE:
        # In whatever mode, people are shown what would be deleted before they are asked, or told that it is not.
        held = ask(question, as_if_approved=needs_plan(question.decision))
    elif question.decision.verb is Verb.RESTART_ENGINE:
        held = ask(question)
    else:
        held = ask(question)
        in_earnest = held is None or (held.guard in _TOO_MUCH and ask(question, unpaced=True) is None)
        if in_earnest and _is_futile(question):
            held = ask(question)
    if held is None or (question.decision.verb in _WITHOUT_BREAKER and held.guard is Guard.BUDGET):
        return held
    if held.guard is Guard.BUDGET:
        return _more_than_allowed(question, held)
    if held.guard is Guard.MODE and not held.final and question.circumstances.approvals.of(question.decision) is None:
        return _asked_for(question)
    return held


def _more_than_allowed(question: Question, held: Held) -> Held | None:
    """A budget is used up: what the breaker says that this opens."""
    spent = used_up(question)
    if spent is None:
        return held
    why = f"{spent.cause}, and one more is wanted: {question.decision.reason}"
    news = question.breakers.open(spent.scope, spent.budget, question.decision, question.now, why, cause=spent.cause)
    return ask(question) if news else held


def _is_futile(question: Question) -> bool:
    """Whether its policy is seen to be of no use once too often by this: then its own breaker is open now."""
    decision, policy, now = question.decision, question.policy, question.now
    before = question.futility.of(decision)
    # A time of day, a person and what follows another container tell nothing of what was done before.
    if before is None or takes_turns(decision) or not question.futility.wanted_again(decision, policy, now):
        return False
    why = f"the {before.verb} of {decision.target.name} did not last: {decision.reason}"
    question.breakers.wanted_again(decision, before.decision_id, now, why)
    return opened_if_futile(question.futility, question.breakers, decision, policy, now, why)


def opened_if_futile(
    futility: Futility, breakers: Breakers, decision: Decision, policy: Policy, now: Instant, why: str
) -> bool:
    """Open a policy's own breaker when what it did was of no use too often.

    Args:
        futility: Of which targets it was.
        breakers: Those that are not closed.
        decision: What was of no use at last, or is wanted again.
        policy: Whose.
        now: The present.
        why: What that came to, in few words for people.

    Returns:
        Whether something is open for it now that was not, or is for longer.
    """
    if futility.is_too_much(policy):
        cause = futile(policy, futility.in_vain(policy.name))
        told = f"{cause}; the last: {why}"
        breakers.open(policy_scope(policy.name), policy.budget, decision, now, told, cause=cause, digest=policy.digest)
    return policy_scope(policy.name) in breakers.by


def _asked_for(question: Question) -> Held | None:
    """Ask people, unless they would be asked for something that can't be done anyway: then what stops it."""
    now, within = question.now, question.policy.approve_within
    last, free_at = None, now.wall
    # Not the first alone: behind a window that is about to open something may stand for good.
    for held in objections(question, as_if_approved=True):
        if held.guard not in _ONLY_TIME or held.release_at is None or held.release_at - now.wall >= within:
            return held
        if held.release_at >= free_at:
            last, free_at = held, held.release_at
    opens = next_window(question.policy, free_at)
    if last is not None and opens is not None and opens[0] - now.wall >= within:
        return last  # by then its windows are closed
    question.circumstances.approvals.ask(question.decision, within, now)
    return ask(question)
