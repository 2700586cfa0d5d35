"""The data of events about decisions: who wanted what of whom, why, and what came of it."""

from __future__ import annotations

from typing import Final

from watchtower_agent.model.approval import Approval, ApprovalState
from watchtower_agent.model.decision import Decision, Dropped, Edge, Held, Target
from watchtower_agent.model.outcome import Outcome
from watchtower_agent.publishing.encoding import clipped, rfc3339
from watchtower_agent.publishing.payloads import LONGEST_NAME, AllowedLabels, Json

PUBLIC_ATTRIBUTES: Final = frozenset({"name", "image", "exitCode", "signal", "oldName", "execDuration"})
"""Attributes of a container's event that the engine itself writes: no labels."""


def _target(target: Target) -> Json:
    return {"kind": target.kind.value, "id": target.id, "name": clipped(target.name, LONGEST_NAME)}


def decision_data(decision: Decision, allowed: AllowedLabels) -> Json:
    """A decision as it was made: `reason` and `numbers` are the policy's."""
    data: Json = {
        "decision_id": decision.id,
        "policy": decision.policy,
        "target": _target(decision.target),
        "verb": decision.verb.value,
        "reason": clipped(decision.reason),
        "numbers": allowed.numbers(decision.numbers, public=PUBLIC_ATTRIBUTES),
        "parameters": allowed.numbers(decision.parameters),
        "decided_at": rfc3339(decision.decided_at),
        "expires_at": rfc3339(decision.expires_at),
    }
    if decision.cause_id:
        data["cause_id"] = decision.cause_id
    if decision.approval:
        data["approval"] = decision.approval
    return data


def _since(decision: Decision, allowed: AllowedLabels, reason: str, numbers: Json | None) -> Json:
    """A decision and what became of it: `reason` and `numbers` are the newer, the policy's move to `decision_…`."""
    data = decision_data(decision, allowed)
    data["decision_reason"] = data["reason"]
    data["decision_numbers"] = data["numbers"]
    data["reason"] = clipped(reason)
    data["numbers"] = {} if numbers is None else numbers
    return data


def held_data(held: Held, allowed: AllowedLabels) -> Json:
    """A decision that a guard stopped."""
    data = _since(held.decision, allowed, held.reason, allowed.numbers(held.numbers, public=PUBLIC_ATTRIBUTES))
    data["guard"] = held.guard.value
    data["final"] = held.final
    if held.release_at is not None:
        data["release_at"] = rfc3339(held.release_at)
    return data


def dropped_data(dropped: Dropped, allowed: AllowedLabels) -> Json:
    """A pending decision that was given up."""
    return _since(dropped.decision, allowed, dropped.reason, None)


def outcome_data(outcome: Outcome, allowed: AllowedLabels) -> Json:
    """What was done, and how it ended."""
    data = _since(outcome.decision, allowed, outcome.reason, allowed.numbers(outcome.numbers))
    data["result"] = outcome.result.value
    data["started_at"] = rfc3339(outcome.started_at)
    data["finished_at"] = rfc3339(outcome.finished_at)
    data["duration"] = round(max(0.0, outcome.finished_at - outcome.started_at), 4)
    return data


def approval_data(approval: Approval, allowed: AllowedLabels) -> Json:
    """A decision that a person is asked about, or what became of the question; `expires_at` is the question's."""
    decision = approval.decision
    asked = approval.state is ApprovalState.ASKED
    data = decision_data(decision, allowed) if asked else _since(decision, allowed, approval.why, None)
    data["approval"] = approval.id
    data["expires_at"] = rfc3339(approval.expires_at)
    if approval.because:
        data["because"] = clipped(approval.because)
    return data


def edge_data(edge: Edge, allowed: AllowedLabels) -> Json:
    """A condition that began or ceased to hold."""
    data: Json = {
        "policy": edge.policy,
        "target": _target(edge.target),
        "firing": edge.firing,
        "reason": clipped(edge.reason),
        "numbers": allowed.numbers(edge.numbers, public=PUBLIC_ATTRIBUTES),
        "since": rfc3339(edge.since),
    }
    if edge.cause_id:
        data["cause_id"] = edge.cause_id
    return data
