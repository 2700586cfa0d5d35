"""Values to put into a store."""

from __future__ import annotations

import json

from watchtower_agent.model.decision import Decision, Target, TargetKind, Verb
from watchtower_agent.model.message import EventMessage, StateMessage
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.storage import OutboxDrop

BASE_TOPIC = "parcels"
"""Not that of agents: payloads here are short texts."""
BASE = f"{BASE_TOPIC}/v1/h1"


def event(sequence: int, *, topic: str = "container/die/web", payload: bytes | None = None) -> EventMessage:
    """An event whose payload is its sequence unless told otherwise."""
    return EventMessage(
        sequence=sequence,
        topic=f"{BASE}/event/{topic}",
        payload=str(sequence).encode() if payload is None else payload,
        properties=(("id", f"e{sequence}"), ("severity", "info")),
    )


def gap(sequence: int, drop: OutboxDrop | None = None, *, cause: str = "outbox_overflow") -> EventMessage:
    """The event that tells of a loss, as far as the store reads it."""
    data: dict[str, object] = {"cause": cause}
    if drop is not None:
        data |= {"since": drop.since, "until": drop.until, "count": drop.count}
    return event(sequence, topic="agent/event_gap/self", payload=json.dumps({"data": data}).encode())


def state(name: str, payload: bytes) -> StateMessage:
    """The retained state of a container."""
    return StateMessage(topic=f"{BASE}/state/container/{name}", payload=payload)


def decision(number: int, *, policy: str = "heal", name: str = "web", verb: Verb = Verb.RESTART) -> Decision:
    """A decision with every kind of value in it."""
    return Decision(
        id=f"d{number}",
        policy=policy,
        target=Target(kind=TargetKind.CONTAINER, id=f"{name}-id", name=name),
        verb=verb,
        reason="unhealthy for 30 s, naïve “quotes” \x00\n",
        numbers={"failing_streak": 3, "memory.percent": 99.5, "oom": True, "since": None, "text": "a", "one": 1.0},
        parameters={"stop_timeout": 10.0, "signal": "TERM"},
        correlation_id=f"c{number}",
        cause_id="cause",
        from_event=True,
        decided_at=1000.25,
        expires_at=1900.125,
    )


def intent(number: int, *, policy: str = "heal", name: str = "web", verb: Verb = Verb.RESTART) -> Intent:
    """The intent of that decision."""
    made = decision(number, policy=policy, name=name, verb=verb)
    return Intent(decision=made, at=1001.5, started_at_before=990.75 if number % 2 else None)


def outcome(of: Intent, result: Result = Result.SUCCEEDED) -> Outcome:
    """How that intent ended."""
    return Outcome(
        decision=of.decision,
        result=result,
        reason="running again",
        started_at=1002.0,
        finished_at=1003.5,
        numbers={"seconds": 1.5, "exit_code": 0},
    )
