"""Whether enough is known to act on. Pure."""

from __future__ import annotations

from watchtower_agent.model.decision import Guard, Held, TargetKind
from watchtower_agent.policies.guards.question import Passed, Question
from watchtower_agent.policies.wording import as_written


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


def engine_down_passes(q: Question) -> Passed:
    """The engine answers."""
    engine = q.state.engine
    took = "" if engine.latency is None else f", the last time after {engine.latency * 1000:.0f} ms"
    return Passed(reason=f"the engine answers{took}", numbers={"since": engine.since, "latency": engine.latency})


def stale(q: Question) -> Held | None:
    """What is out of date, or was never known, is nothing to act on."""
    if q.decision.target.kind is TargetKind.CONTAINER and q.record is None:
        return q.hold(Guard.STALE, f"{q.decision.target.name} is not there any more")
    if (unlisted := _unlisted(q)) is not None:
        return unlisted
    engine = q.state.engine
    silent_for = _silent_for(q)
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


def _unlisted(q: Question) -> Held | None:
    """What there is has to be known, and how much of it is unhealthy."""
    engine = q.state.engine
    if not engine.listed:
        return q.hold(
            Guard.STALE, "the containers have not been listed since the engine was found, or events were lost"
        )
    if engine.counted_by is not None and (left := engine.counted_by - q.now.monotonic) > 0:
        return q.hold(
            Guard.STALE,
            "the containers were listed for the first time: how many are unhealthy is known once all were inspected",
            release_in=left,
        )
    return None


def stale_passes(q: Question) -> Passed:
    """What is known is new enough."""
    silent_for, allowed = max(0.0, _silent_for(q)), q.state.engine.silence_allowed
    return Passed(
        reason=f"last sign of life from the engine {silent_for:.1f} s ago (allowed: {as_written(allowed)})",
        numbers={"silent_for": round(silent_for, 3), "silence_allowed": allowed},
    )


def _silent_for(q: Question) -> float:
    """Seconds since the engine's last sign of life."""
    alive_at = q.state.engine.alive_at
    return 0.0 if alive_at is None else q.now.monotonic - alive_at
