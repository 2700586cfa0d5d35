"""What the linter has to say of a policy. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.conditions.condition import Condition
from watchtower_agent.policies.conditions.tree import And, Comparison, Literal, Membership, Name, Tree
from watchtower_agent.policies.policy import OnTrigger, Policy, WhenTrigger
from watchtower_agent.policies.problem import Path
from watchtower_agent.policies.strategies.scale import OwnMetricRule, ScaleStrategy


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


def names_of(policy: Policy) -> Iterator[tuple[str, Path, int]]:
    """Catalogue names that the policy goes by, each with where it is written: a path, and characters into the value."""
    condition = condition_of(policy)
    for name in sorted(condition.names if condition is not None else ()):
        yield name, (key_of(policy),), place_in(condition.text if condition is not None else "", name)
    if policy.prune is not None and policy.prune.until is not None:
        until = policy.prune.until
        yield from ((name, ("prune", "until"), place_in(until.text, name)) for name in sorted(until.names))
    if isinstance(policy.trigger, ScaleStrategy):
        for index, metric in enumerate(policy.trigger.metrics):
            if isinstance(metric, OwnMetricRule):
                yield metric.name, ("scale", "metrics", index, "metric"), 0


def place_in(text: str, name: str) -> int:
    """Where in a condition's text a name stands: characters from its begin."""
    found = re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", text)
    return found.start() if found else 0


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
