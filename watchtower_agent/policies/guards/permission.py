"""Whether the policy may act at all, and now. Pure."""

from __future__ import annotations

from watchtower_agent.model.approval import ApprovalState
from watchtower_agent.model.decision import Guard, Held, Mode, Verb
from watchtower_agent.policies.guards.question import Passed, Question
from watchtower_agent.policies.policy import MaintenanceWindow, Policy
from watchtower_agent.policies.wording import as_written, lasting


def mode(q: Question) -> Held | None:
    """The agent's mode, and the policy's."""
    if q.protection.observe:
        return q.hold(Guard.MODE, "observe mode: the agent decides and acts on nothing", final=True)
    if q.policy.mode is Mode.SHADOW:
        return q.hold(Guard.MODE, "shadow mode: it decides and does not act", final=True)
    if q.policy.mode is Mode.APPROVE and q.decision.verb is not Verb.NOTIFY:
        return _not_approved(q)
    return None


def _not_approved(q: Question) -> Held | None:
    """A person has not (yet) approved exactly this; None once one has."""
    approvals = q.circumstances.approvals
    if approvals.allows(q.decision, q.now):
        return None
    approval = approvals.of(q.decision)
    if approval is None:
        return q.hold(Guard.MODE, "approve mode: it is done only once a person has approved it")
    if approval.state is ApprovalState.REJECTED:
        why = f"approve mode: {approval.why} ({approval.id})"
        return q.hold(Guard.MODE, why, numbers={"approval": approval.id}, final=True)
    return q.hold(
        Guard.MODE,
        f"approve mode: a person is asked for {as_written(approval.length)} (approve {approval.id})",
        numbers={"approval": approval.id, "approve_within": approval.length},
    )


def mode_passes(q: Question) -> Passed:
    """The policy may act, or a person has allowed it."""
    if q.policy.mode is Mode.APPROVE:
        approval = q.circumstances.approvals.of(q.decision)
        said = "a person has approved it" if approval is not None else f"a {q.decision.verb} needs no approval"
        number = None if approval is None else approval.id
        return Passed(reason=f"approve mode: {said}", numbers={"mode": q.policy.mode.value, "approval": number})
    return Passed(reason=f"policy and agent are in mode {q.policy.mode}", numbers={"mode": q.policy.mode.value})


def paused(q: Question) -> Held | None:
    """A person told the agent, the policy, or all policies about the container to keep still for a while."""
    pause = q.circumstances.pauses.of(q.decision, q.now)
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


def paused_passes(_: Question) -> Passed:
    """No pause is about it."""
    return Passed(reason="neither agent, policy nor container is paused")


def outside_window(q: Question) -> Held | None:
    """Maintenance windows hold an action back until one opens; what has begun ends, though its window closes."""
    windows = q.policy.windows
    now = q.now.wall
    opens = next_window(q.policy, now)
    if opens is None:
        return None
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


def next_window(policy: Policy, moment: float) -> tuple[float, MaintenanceWindow] | None:
    """When the policy's next window opens, and which that is; None where one is open, or it has none.

    Args:
        policy: Which.
        moment: From when on, seconds since the epoch.
    """
    windows = policy.windows
    if not windows or any(window.opens.latest(moment, window.open_for) is not None for window in windows):
        return None
    comes = ((at, each) for each in windows if (at := each.opens.after(moment)) is not None)
    return min(comes, key=lambda pair: pair[0])


def outside_window_passes(q: Question) -> Passed:
    """There are no windows, or one is open: the one that closes last."""
    now, found = q.now.wall, []
    for window in q.policy.windows:
        opened = window.opens.latest(now, window.open_for)
        if opened is not None:
            found.append((opened + window.open_for, window))
    if not found:
        return Passed(reason="the policy has no maintenance windows", numbers={"windows": 0})
    closes, window = max(found, key=lambda pair: pair[0])
    return Passed(
        reason=f"a maintenance window is open until {window.opens.shown(closes, now)} ({lasting(closes - now)})",
        numbers={
            "windows": len(q.policy.windows),
            "cron": window.opens.cron.text,
            "for": window.open_for,
            "timezone": window.opens.zone.name,
            "closes_in": round(closes - now, 3),
        },
    )
