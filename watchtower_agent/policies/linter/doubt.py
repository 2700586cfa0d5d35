"""What the linter has to say of a policy. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from watchtower_agent.policies.conditions.condition import Condition
from watchtower_agent.policies.conditions.tree import And, Comparison, Literal, Membership, Name, Tree
from watchtower_agent.policies.policy import OnTrigger, Policy, WhenTrigger
from watchtower_agent.policies.problem import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Why a policy can't do what it is for.

    Attributes:
        policy: Which.
        path: Keys and indexes from the policy to what is doubtful.
        message: What is wrong.
        remedy: What would be right.
        at_key: It is the key itself, not its value.
        offset: Characters into the value.
    """

    policy: Policy
    path: Path
    message: str
    remedy: str
    at_key: bool = False
    offset: int = 0


def condition_of(policy: Policy) -> Condition | None:
    """What the policy asks, all the time or of an event."""
    if isinstance(policy.trigger, WhenTrigger):
        return policy.trigger.condition
    return policy.trigger.where if isinstance(policy.trigger, OnTrigger) else None


def key_of(policy: Policy) -> str:
    """The key under which that is written."""
    return "when" if isinstance(policy.trigger, WhenTrigger) else "where"


def asked(policy: Policy) -> Tree | None:
    """When the policy fires: its condition, and the states that it selects; None when it has no `when`."""
    trigger = policy.trigger
    if not isinstance(trigger, WhenTrigger):
        return None
    statuses = sorted(policy.selector.statuses) if policy.selector is not None else []
    if not statuses:
        return trigger.condition.tree
    status, *others = (Literal(value=str(each), text=f'"{each}"') for each in statuses)
    one: Tree = Comparison(Name("status"), "==", status)
    return And(
        (one if not others else Membership(Name("status"), (status, *others), negated=False), trigger.condition.tree)
    )
