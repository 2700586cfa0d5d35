"""A decision that waits for its guards, and the form in which the store keeps it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from watchtower_agent.model.decision import Decision, Guard, Held, Number, Target, TargetKind, Verb
from watchtower_agent.model.engine_event import EngineEvent, EventKind, Origin
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass

CRON: Final = "cron"
"""Among the numbers of what a schedule wants, and of nothing else."""

BY_HAND: Final = "by_hand"
"""Among the numbers of what a person wants, and of nothing else."""


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
    """A policy has at most one action, one last resort, one restart after another's and one notification per target."""
    kind = "last" if decision.last_resort else "follow" if decision.follows else "act"
    kind = "notify" if decision.verb is Verb.NOTIFY else kind
    return decision.policy, f"{kind}:{decision.target.id}"


def beside(decision: Decision) -> tuple[str, str]:
    """Where a notification waits until the guards are asked, while another of its policy and target does, too."""
    policy, place = key_of(decision)
    return policy, f"{place}:{decision.id}"


def keeps_to_the_wall_clock(decision: Decision) -> bool:
    """Whether a schedule wants it: then it is given up an hour after its time of day."""
    return CRON in decision.numbers


def takes_turns(decision: Decision) -> bool:
    """Whether its policy acts on one target after the other: many may be wanted at once.

    A schedule or a person wants them, or they follow the same container.
    """
    return CRON in decision.numbers or BY_HAND in decision.numbers or bool(decision.follows)


def is_by_hand(decision: Decision) -> bool:
    """Whether a person wants it done, whatever a condition says."""
    return decision.from_event and BY_HAND in decision.numbers and decision.verb is not Verb.NOTIFY


def is_revert(decision: Decision) -> bool:
    """Whether a person wants limits back that the agent has changed: the opposite of what its policy wants."""
    return is_by_hand(decision) and decision.verb is Verb.RESIZE


def takes_the_place(decision: Decision, of: Decision) -> bool:
    """Whether a person wants what an event, a schedule or a condition wants already: then it does not end with that."""
    return is_by_hand(decision) and not is_by_hand(of)


def as_the_conditions(decision: Decision) -> Decision:
    """What a person wanted and can't be done, for as long as the condition wants the same."""
    return replace(decision, from_event=False)


def named(decision: Decision, name: str) -> Decision:
    """The same about its target as that is called now."""
    if decision.target.name == name:
        return decision
    return replace(decision, target=replace(decision.target, name=name))


def moved(waiting: Waiting, step: float) -> Waiting:
    """The same once the wall clock was stepped by so many seconds: it waits for as long as before.

    What a schedule wants keeps to the clock on the wall.
    """
    decision = waiting.decision
    waiting = replace(waiting, held=_held_moved(waiting.held, step))
    if keeps_to_the_wall_clock(decision):
        return waiting
    later = replace(decision, expires_at=decision.expires_at + step)
    return replace(waiting, decision=later, since=waiting.since + step)


def _held_moved(held: Held | None, step: float) -> Held | None:
    """So that a step of the clock is not taken for a guard that holds for longer; windows keep to the wall clock."""
    if held is None or held.release_at is None or held.guard is Guard.OUTSIDE_WINDOW:
        return held
    return replace(held, release_at=held.release_at + step, at=None if held.at is None else held.at + step)


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
        "follows": decision.follows,
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
        follows=str(stored.get("follows", "")),
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


def decision_json(decision: Decision) -> dict[str, object]:
    """A decision that does not wait (any more), for the store."""
    return waiting_json(Waiting(decision=decision, since=decision.decided_at))


def decision_from_json(stored: Mapping[str, object]) -> Decision:
    """The inverse of `decision_json`.

    Raises:
        KeyError, ValueError, TypeError: What is stored is not such a decision.
    """
    return waiting_from_json(stored).decision


def stored_forms(changed: Mapping[tuple[str, str], Waiting | None]) -> Iterator[tuple[str, dict[str, object] | None]]:
    """What the store has to write: decisions from events only, for conditions are seen again at the next tick."""
    for (policy, target), waiting in changed.items():
        if waiting is None or (not waiting.decision.from_event and BY_HAND in waiting.decision.numbers):
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
