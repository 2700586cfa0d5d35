"""How often a policy may act on a target. Pure."""

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
