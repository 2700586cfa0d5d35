"""A decision that waits for its guards, and the form in which the store keeps it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from watchtower_agent.model.decision import Decision, Held, Number, Target, TargetKind, Verb
from watchtower_agent.model.engine_event import EngineEvent, EventKind, Origin
from watchtower_agent.model.instant import Instant

CRON: Final = "cron"
"""Among the numbers of what a schedule wants, and of nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One decision on the agenda.

    Attributes:
        decision: As it is now; its id and correlation stay while it waits.
        event: The engine event that triggered it, for asking whether it is still true; None for others.
        held: What stopped it when it was last asked; None before.
        since: When it came, seconds since the epoch.
    """

    decision: Decision
    event: EngineEvent | None = None
    held: Held | None = None
    since: float


def key_of(decision: Decision) -> tuple[str, str]:
    """A policy has at most one action, one last resort and one notification waiting per target."""
    kind = "notify" if decision.verb is Verb.NOTIFY else "last" if decision.last_resort else "act"
    return decision.policy, f"{kind}:{decision.target.id}"


def keeps_to_the_wall_clock(decision: Decision) -> bool:
    """Whether a schedule wants it: then it is given up an hour after its time of day."""
    return CRON in decision.numbers


def moved(waiting: Waiting, step: float) -> Waiting:
    """The same once the wall clock was stepped by so many seconds: it waits for as long as before.

    What a schedule wants keeps to the clock on the wall.
    """
    decision = waiting.decision
    if keeps_to_the_wall_clock(decision):
        return waiting
    later = replace(decision, expires_at=decision.expires_at + step)
    return replace(waiting, decision=later, since=waiting.since + step)


def waiting_json(waiting: Waiting) -> dict[str, object]:
    """What the store keeps of a decision from an event, so that an agent that died remembers it."""
    decision, event = waiting.decision, waiting.event
    return {
        "id": decision.id,
        "policy": decision.policy,
        "target_id": decision.target.id,
        "target_name": decision.target.name,
        "target_kind": decision.target.kind.value,
        "verb": decision.verb.value,
        "reason": decision.reason,
        "numbers": dict(decision.numbers),
        "parameters": dict(decision.parameters),
        "correlation_id": decision.correlation_id,
        "cause_id": decision.cause_id,
        "last_resort": decision.last_resort,
        "decided_at": decision.decided_at,
        "expires_at": decision.expires_at,
        "since": waiting.since,
        "event_action": event.action if event else "",
        "event_detail": event.detail if event else "",
        "event_time_ns": event.time_ns if event else 0,
    }


def waiting_from_json(stored: Mapping[str, object]) -> Waiting:
    """The inverse of `waiting_json`.

    Raises:
        KeyError, ValueError, TypeError: What is stored is not such a decision.
    """
    numbers, parameters = stored["numbers"], stored["parameters"]
    if not isinstance(numbers, dict) or not isinstance(parameters, dict):
        raise TypeError("numbers and parameters are JSON objects")
    target = Target(
        kind=TargetKind(str(stored["target_kind"])),
        id=str(stored["target_id"]),
        name=str(stored["target_name"]),
    )
    decision = Decision(
        id=str(stored["id"]),
        policy=str(stored["policy"]),
        target=target,
        verb=Verb(str(stored["verb"])),
        reason=str(stored["reason"]),
        numbers=_numbers(numbers),
        parameters=_numbers(parameters),
        correlation_id=str(stored["correlation_id"]),
        cause_id=str(stored["cause_id"]),
        from_event=True,
        last_resort=stored.get("last_resort") is True,
        decided_at=float(str(stored["decided_at"])),
        expires_at=float(str(stored["expires_at"])),
    )
    event = None
    if stored["event_action"]:
        event = EngineEvent(
            id=decision.cause_id,
            kind=EventKind.CONTAINER,
            action=str(stored["event_action"]),
            detail=str(stored["event_detail"]),
            actor_id=target.id,
            attributes={"name": target.name},
            time_ns=int(str(stored["event_time_ns"])),
            origin=Origin.REPLAY,
        )
    return Waiting(decision=decision, event=event, since=float(str(stored["since"])))


def _numbers(values: Mapping[object, object]) -> dict[str, Number]:
    return {str(k): v for k, v in values.items() if v is None or isinstance(v, float | int | str | bool)}


def stored_forms(changed: Mapping[tuple[str, str], Waiting | None]) -> Iterator[tuple[str, dict[str, object] | None]]:
    """What the store has to write: decisions from events only, for conditions are seen again at the next tick."""
    for (policy, target), waiting in changed.items():
        if waiting is None:
            yield f"{policy}\0{target}", None
        elif waiting.decision.from_event:
            yield f"{policy}\0{target}", waiting_json(waiting)


def restored(stored: Mapping[str, object], now: Instant, then: float) -> Waiting | None:
    """What the store remembers of a decision; None when that can't be read.

    Args:
        stored: As `waiting_json` made it.
        now: The present.
        then: The present on the wall clock as it was when that was stored, as far as is known.
    """
    try:
        waiting = waiting_from_json(stored)
    except (KeyError, TypeError, ValueError):
        return None
    # It never waits for longer than it was to, even if the clock was stepped back and nobody knows by how much.
    decision = waiting.decision
    present = now.wall if keeps_to_the_wall_clock(decision) else then
    latest = min(decision.expires_at, present + max(0.0, decision.expires_at - waiting.since))
    return replace(waiting, decision=replace(decision, expires_at=latest), since=min(waiting.since, present))
