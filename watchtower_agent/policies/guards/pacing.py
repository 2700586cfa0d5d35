"""How soon after an action the next one may follow. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watchtower_agent.model.decision import Decision, Guard, Held, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.guards.question import Passed, Question
from watchtower_agent.policies.policy import ENGINE_COOLDOWN, Policy
from watchtower_agent.policies.strategies.prune import COOLDOWN as PRUNE_COOLDOWN
from watchtower_agent.policies.waiting import is_by_hand
from watchtower_agent.policies.wording import as_written, lasting

_WITHOUT = (Verb.NOTIFY, Verb.SCALE, Verb.RESIZE)
DEFAULT_COOLDOWN: Mapping[Verb, float] = (
    dict.fromkeys(Verb, 30.0)
    | dict.fromkeys(_WITHOUT, 0.0)
    | {Verb.PRUNE: PRUNE_COOLDOWN, Verb.RESTART_ENGINE: ENGINE_COOLDOWN}
)
"""Seconds between two actions of a policy on one target, by the verb table of the design. Strategies have their own."""


def cooldown_of(decision: Decision, policy: Policy) -> float:
    """Seconds between two such actions of the policy on one target."""
    if policy.cooldown is not None and decision.verb is not Verb.NOTIFY:
        return policy.cooldown
    if policy.cooldown is not None and policy.then.verb is None:
        return policy.cooldown
    return DEFAULT_COOLDOWN[decision.verb]


def cooldown(q: Question) -> Held | None:
    """A policy leaves a target alone for a while after acting on it. A person who wants more deleted need not wait."""
    if _is_unpaced(q):
        return None
    wait = cooldown_of(q.decision, q.policy)
    since = q.cooldowns.since(q.decision, q.now)
    if since is None or since >= wait:
        return None
    return q.hold(
        Guard.COOLDOWN,
        f"acted {since:.1f} s ago (cooldown: {as_written(wait)})",
        numbers={"since_last_action": round(since, 3), "cooldown": wait},
        release_in=wait - since,
    )


def cooldown_passes(q: Question) -> Passed:
    """The policy has not acted, or that is long enough ago."""
    if _is_unpaced(q):
        return Passed(reason="a person wants it: no cooldown")
    wait, since = cooldown_of(q.decision, q.policy), q.cooldowns.since(q.decision, q.now)
    if wait <= 0:
        return Passed(reason="the policy has no cooldown", numbers={"cooldown": wait})
    if since is None:
        return Passed(
            reason=f"no action of this policy on it lately (cooldown: {as_written(wait)})",
            numbers={"since_last_action": None, "cooldown": wait},
        )
    return Passed(
        reason=f"acted {lasting(since)} ago (cooldown: {as_written(wait)})",
        numbers={"since_last_action": round(since, 3), "cooldown": wait},
    )


def _is_unpaced(q: Question) -> bool:
    return q.decision.verb is Verb.PRUNE and is_by_hand(q.decision)


def pass_budget(q: Question) -> Held | None:
    """A policy prunes only so often; a person as often as they like."""
    most, per, begun = q.policy.budget.most, q.policy.budget.per, _passes_of(q)
    if _is_unpaced(q) or len(begun) < most:
        return None
    left = per - q.now.passed_since(begun[len(begun) - most])
    return q.hold(
        Guard.BUDGET,
        f"pruned {len(begun)} times in {as_written(per)}, which is all that it may (budget)",
        numbers={"passes": len(begun), "budget": most, "per": per},
        release_in=left,
    )


def pass_budget_passes(q: Question) -> Passed:
    """It has not pruned as often as it may."""
    if _is_unpaced(q):
        return Passed(reason="a person wants it: no budget")
    most, per, begun = q.policy.budget.most, q.policy.budget.per, _passes_of(q)
    return Passed(
        reason=f"pruned {len(begun)} of {most} times in {as_written(per)}",
        numbers={"passes": len(begun), "budget": most, "per": per},
    )


def _passes_of(q: Question) -> Sequence[Instant]:
    return q.circumstances.passes.within(q.policy.name, q.policy.budget.per, q.now, other_than=q.decision.id)


def backoff(q: Question) -> Held | None:
    """Each attempt to bring a target back that did not last makes the next one wait longer."""
    attempts = q.ledger.attempts(q.decision.target.name, other_than=q.decision.id)
    if not attempts:
        return None
    last = attempts[0]
    wait = q.policy.backoff.delay(len(attempts), last.id)
    since = q.now.monotonic - last.at.monotonic
    if since >= wait:
        return None
    many = "once" if len(attempts) == 1 else f"{len(attempts)} times"
    return q.hold(
        Guard.BACKOFF,
        f"brought back {many} and not well for long since: the next attempt is {wait:.0f} s after the last (backoff)",
        numbers={"attempts": len(attempts), "since_last_attempt": round(since, 3), "delay": round(wait, 3)},
        release_in=wait - since,
    )


def backoff_passes(q: Question) -> Passed:
    """It was not brought back lately, or the wait is over."""
    attempts, wanted = q.ledger.attempts(q.decision.target.name, other_than=q.decision.id), q.policy.backoff
    if not attempts:
        return Passed(
            reason=f"not brought back lately (backoff: {as_written(wanted.initial)} after the first time)",
            numbers={"attempts": 0, "delay": None},
        )
    last = attempts[0]
    wait, since = wanted.delay(len(attempts), last.id), q.now.monotonic - last.at.monotonic
    many = "once" if len(attempts) == 1 else f"{len(attempts)} times"
    return Passed(
        reason=f"brought back {many}, the last time {lasting(since)} ago; the wait was {lasting(wait)}",
        numbers={"attempts": len(attempts), "since_last_attempt": round(since, 3), "delay": round(wait, 3)},
    )
