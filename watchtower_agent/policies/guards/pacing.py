"""How soon after an action the next one may follow. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from watchtower_agent.model.decision import Decision, Guard, Held, Verb
from watchtower_agent.policies.guards.question import Question
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.wording import as_written

DEFAULT_COOLDOWN: Mapping[Verb, float] = dict.fromkeys(Verb, 30.0) | {Verb.NOTIFY: 0.0}
"""Seconds between two actions of one policy on one target, by the verb table of the design."""


def cooldown_of(decision: Decision, policy: Policy) -> float:
    """Seconds between two such actions of the policy on one target."""
    if policy.cooldown is not None and decision.verb is not Verb.NOTIFY:
        return policy.cooldown
    if policy.cooldown is not None and policy.then.verb is None:
        return policy.cooldown
    return DEFAULT_COOLDOWN[decision.verb]


def cooldown(q: Question) -> Held | None:
    """A policy leaves a target alone for a while after acting on it."""
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
