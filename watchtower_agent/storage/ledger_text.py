"""Decisions and outcomes as JSON text, and back without a difference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from watchtower_agent.model.decision import Decision, Target, TargetKind, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Outcome, Result


def text_of(value: Mapping[str, object]) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def decision_text(decision: Decision) -> str:
    """The decision as a JSON object."""
    target = decision.target
    return text_of(
        {
            "id": decision.id,
            "policy": decision.policy,
            "target": {"kind": target.kind, "id": target.id, "name": target.name},
            "verb": decision.verb,
            "reason": decision.reason,
            "numbers": dict(decision.numbers),
            "parameters": dict(decision.parameters),
            "correlation_id": decision.correlation_id,
            "cause_id": decision.cause_id,
            "from_event": decision.from_event,
            **({"last_resort": True} if decision.last_resort else {}),
            **({"approval": decision.approval} if decision.approval else {}),
            **({"follows": decision.follows} if decision.follows else {}),
            "decided_at": decision.decided_at,
            "expires_at": decision.expires_at,
        }
    )


def decision_from(text: str) -> Decision:
    """The decision that `decision_text` wrote."""
    fields: dict[str, Any] = json.loads(text)
    target = fields.pop("target")
    return Decision(
        target=Target(kind=TargetKind(target["kind"]), id=target["id"], name=target["name"]),
        verb=Verb(fields.pop("verb")),
        **fields,
    )


def outcome_text(outcome: Outcome) -> str:
    """What the outcome adds to its decision, as a JSON object."""
    return text_of(
        {
            "reason": outcome.reason,
            "started_at": outcome.started_at,
            "finished_at": outcome.finished_at,
            "numbers": dict(outcome.numbers),
            **({} if outcome.verified_at is None else {"verified_at": outcome.verified_at}),
        }
    )


def outcome_from(decision: Decision, result: str, text: str, ended: str | None) -> Outcome:
    """The outcome that `outcome_text` and `moment_text` wrote, of that decision."""
    fields: dict[str, Any] = json.loads(text)
    return Outcome(decision=decision, result=Result(result), moment=moment_from(ended), **fields)


def is_verified(text: str) -> bool:
    """Whether it is known of an outcome that `outcome_text` wrote what came of the action."""
    return "verified_at" in json.loads(text)


def moment_text(moment: Instant | None) -> str | None:
    """A moment as a JSON object; None where both clocks are not known."""
    return None if moment is None else text_of(moment.stored())


def moment_from(text: str | None) -> Instant | None:
    """The moment that `moment_text` wrote."""
    return None if text is None else Instant.restored(json.loads(text))
