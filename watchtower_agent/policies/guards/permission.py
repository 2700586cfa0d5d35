"""Whether the policy may act at all, and now. Pure."""

from __future__ import annotations

from watchtower_agent.model.decision import Guard, Held, Mode
from watchtower_agent.policies.guards.question import Question
from watchtower_agent.policies.wording import as_written


def mode(q: Question) -> Held | None:
    """The agent's mode, and the policy's."""
    if q.protection.observe:
        return q.hold(Guard.MODE, "observe mode: the agent decides and acts on nothing", final=True)
    if q.policy.mode is Mode.SHADOW:
        return q.hold(Guard.MODE, "shadow mode: it decides and does not act", final=True)
    return None


def paused(q: Question) -> Held | None:
    """A person told the agent, the policy, or all policies about the container to keep still for a while."""
    pause = q.circumstances.pauses.of(q.decision)
    if pause is None or (left := pause.left(q.now)) <= 0:
        return None
    why = f": {pause.reason}" if pause.reason else ""
    return q.hold(
        Guard.PAUSED,
        f"{pause.what.words} is paused for {as_written(pause.length)}{why} (end it: resume {pause.what.arguments})",
        numbers={
            "paused": pause.what.scope.value,
            "paused_at": pause.since.wall,
            "paused_for": pause.length,
            "paused_because": pause.reason,
        },
        release_in=left,
    )


def outside_window(q: Question) -> Held | None:
    """Maintenance windows hold an action back until one opens; what has begun ends, though its window closes."""
    windows = q.policy.windows
    now = q.now.wall
    if not windows or any(window.opens.latest(now, window.open_for) is not None for window in windows):
        return None
    opens = min(((at, each) for each in windows if (at := each.opens.after(now)) is not None), key=lambda pair: pair[0])
    at, window = opens
    return q.hold(
        Guard.OUTSIDE_WINDOW,
        f"outside its maintenance windows: the next opens at {window.opens.shown(at, now)}"
        f" for {as_written(window.open_for)}",
        numbers={
            "windows": len(windows),
            "cron": window.opens.cron.text,
            "for": window.open_for,
            "timezone": window.opens.zone.name,
            "opens_in": round(at - now, 3),
        },
        release_in=at - now,
    )
