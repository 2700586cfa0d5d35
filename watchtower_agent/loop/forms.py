"""The parts of an explanation as JSON objects, every text in them cut. Pure."""

from __future__ import annotations

from typing import Final

from watchtower_agent.loop.readings import LONGEST_VALUE, comparison_json, cut, json_value
from watchtower_agent.policies.conditions.closeness import Closeness
from watchtower_agent.policies.conditions.condition import Condition
from watchtower_agent.policies.guards.account import Statement
from watchtower_agent.policies.policy import OnTrigger, Policy, ScheduleTrigger, WhenTrigger
from watchtower_agent.policies.strategies.resize import ResizeStrategy
from watchtower_agent.policies.strategies.scale import ScaleStrategy
from watchtower_agent.policies.waiting import Waiting

LONGEST_NAME: Final = 120
LONGEST_SENTENCE: Final = 300
"""Characters."""
_LONGEST_CONDITION: Final = 1000
_MOST_COMPARISONS, _MOST_EVENTS = 40, 20


def condition_of(policy: Policy) -> Condition | None:
    """The condition that it samples, or by which it filters its events; None where it has neither."""
    match policy.trigger:
        case WhenTrigger():
            return policy.trigger.condition
        case OnTrigger():
            return policy.trigger.where
        case _:
            return None


def policy_json(policy: Policy) -> dict[str, object]:
    """What the policy is, what sets it off and what it does."""
    trigger, condition = policy.trigger, condition_of(policy)
    told: dict[str, object] = {
        "name": policy.name,
        "mode": policy.mode.value,
        "does": policy.then.verb.value if policy.then.verb is not None else "notify",
        "notifies": policy.then.notify is not None,
        "place": str(policy.place),
        "condition": None if condition is None else cut(condition.text, _LONGEST_CONDITION),
    }
    match trigger:
        case WhenTrigger():
            return told | {"trigger": "when", "for": trigger.hold, "keep_for": trigger.keep}
        case OnTrigger():
            events = sorted(f"{kind} {action}" for kind, action in trigger.events)
            return told | {
                "trigger": "on",
                "on": events[:_MOST_EVENTS],
                "on_left_out": max(0, len(events) - _MOST_EVENTS),
            }
        case ScheduleTrigger():
            return told | {"trigger": "schedule", "schedule": str(trigger.schedule)}
        case ScaleStrategy():
            return told | {"trigger": "scale", "service": cut(trigger.target.name, LONGEST_NAME)}
        case ResizeStrategy():
            return told | {"trigger": "resize"}


def condition_json(close: Closeness) -> dict[str, object]:
    """How its condition stands for one target."""
    return {
        "true": close.truth,
        "firing": close.firing,
        "closeness": close.ratio,
        "held_for": round(close.held_for, 3),
        "for": close.hold,
        "comparisons": [comparison_json(each) for each in close.comparisons[:_MOST_COMPARISONS]],
        "comparisons_left_out": max(0, len(close.comparisons) - _MOST_COMPARISONS),
    }


def wanted_json(waiting: Waiting) -> dict[str, object]:
    """What waits for its guards."""
    return {
        "verb": waiting.decision.verb.value,
        "reason": cut(waiting.decision.reason, LONGEST_SENTENCE),
        "since": waiting.since,
        "expires_at": waiting.decision.expires_at if waiting.decision.from_event else None,
        "correlation_id": waiting.decision.correlation_id,
    }


def statement_json(said: Statement) -> dict[str, object]:
    """What one guard says."""
    return {
        "guard": said.guard.value,
        "answer": said.stance.value,
        "reason": cut(said.reason, LONGEST_SENTENCE),
        "numbers": {cut(name, LONGEST_VALUE): json_value(value) for name, value in said.numbers.items()},
        "release_at": said.release_at,
        "final": said.final,
    }
