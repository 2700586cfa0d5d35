"""Whether enough is known to act on. Pure."""

from __future__ import annotations

from watchtower_agent.model.decision import Guard, Held, TargetKind
from watchtower_agent.policies.guards.question import Question


def engine_down(q: Question) -> Held | None:
    """An engine that does not answer is asked for nothing."""
    engine = q.state.engine
    if engine.connected and engine.responding is not False:
        return None
    return q.hold(
        Guard.ENGINE_DOWN,
        f"the engine does not answer: {engine.last_error or 'not connected yet'}",
        numbers={"down_since": engine.since},
    )


def stale(q: Question) -> Held | None:
    """What is out of date, or was never known, is nothing to act on."""
    if q.decision.target.kind is TargetKind.CONTAINER and q.record is None:
        return q.hold(Guard.STALE, f"{q.decision.target.name} is not there any more")
    engine = q.state.engine
    if not engine.listed:
        return q.hold(
            Guard.STALE, "the containers have not been listed since the engine was found, or events were lost"
        )
    silent_for = 0.0 if engine.alive_at is None else q.now.monotonic - engine.alive_at
    if silent_for > engine.silence_allowed:
        return q.hold(
            Guard.STALE,
            f"the engine gave no sign of life for {silent_for:.1f} s: what is known may be out of date",
            numbers={"silent_for": round(silent_for, 3), "silence_allowed": engine.silence_allowed},
        )
    if q.record is not None and q.record.container.detail is None:
        return q.hold(Guard.STALE, f"{q.decision.target.name} has not been inspected yet")
    if q.now.wall > q.decision.expires_at:
        return q.hold(
            Guard.STALE,
            "what it was decided on is out of date",
            numbers={"expired_for": round(q.now.wall - q.decision.expires_at, 3)},
        )
    return None
