"""What a person is told who approves or rejects something, or asks what waits for that. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from watchtower_agent.errors import PermanentError
from watchtower_agent.model.approval import Approval, ApprovalState
from watchtower_agent.model.decision import Guard, Held
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.agenda import Agenda
from watchtower_agent.policies.guards.approvals import OPEN, Approvals
from watchtower_agent.policies.waiting import key_of

_MOST_NAMED: Final = 5
_LONGEST_SHOWN: Final = 60
_MINUTE, _HOUR = 60.0, 3600.0


def meant(approvals: Approvals, text: str, now: Instant, *, approves: bool) -> Approval:
    """The approval that a command is about, by its id or the whole id of its decision.

    Args:
        approvals: All that are remembered.
        text: As a person typed it.
        now: The present.
        approves: Whether it is to be approved, else to be rejected: that can be done to an approved one that waits.

    Raises:
        PermanentError: There is none, or it can't be answered (any more).
    """
    typed = text.strip().lower()
    waiting = list(approvals.waiting())
    every = [*waiting, *approvals.live.values(), *reversed(approvals.over.values())]
    approval = next((each for each in every if typed in {each.id, each.decision.id}), None)
    if approval is None:
        raise PermanentError(f"there is no approval {text[:_LONGEST_SHOWN]!a} to give; {_those(waiting)}")
    open_for_this = {ApprovalState.ASKED} if approves else OPEN
    if approval.state in open_for_this and approval.left(now) > 0:
        return approval
    raise PermanentError(f"{approval.id} ({_what(approval)}) {_became(approval, now)}; {_those(waiting)}")


def told(approvals: Approvals, agenda: Agenda, now: Instant) -> Iterator[dict[str, object]]:
    """Those that wait for an answer, or for their guards, as JSON objects."""
    for approval in approvals.waiting():
        yield _told(approval, agenda, now)


def answered(approvals: Approvals, agenda: Agenda, approval_id: str, now: Instant) -> dict[str, object]:
    """What has come of an approval that was just answered, as a JSON object.

    Raises:
        PermanentError: It was approved and is not done, since it is not wanted any more, or its time was over.
    """
    live = (each for each in approvals.live.values() if each.id == approval_id)
    approval = next(live, None) or approvals.over[approval_id]
    if approval.state in {ApprovalState.WITHDRAWN, ApprovalState.EXPIRED}:
        raise PermanentError(f"{approval.id} ({_what(approval)}) is not done: {approval.why}")
    return _told(approval, agenda, now)


def _told(approval: Approval, agenda: Agenda, now: Instant) -> dict[str, object]:
    decision = approval.decision
    held = _held(approval, agenda)
    return {
        "id": approval.id,
        "state": approval.state.value,
        "decision_id": decision.id,
        "policy": decision.policy,
        "target": decision.target.name,
        "target_id": decision.target.id,
        "verb": decision.verb.value,
        "parameters": dict(decision.parameters),
        "reason": decision.reason,
        "because": approval.because,
        "from_event": decision.from_event,
        "asked_at": now.wall - (approval.length - approval.left(now)),
        "expires_at": now.wall + approval.left(now),
        "left": approval.left(now),
        "guard": held.guard.value if held else None,
        "guard_reason": held.reason if held else None,
        "release_at": held.release_at if held else None,
    }


def _held(approval: Approval, agenda: Agenda) -> Held | None:
    """What holds it though it is approved."""
    waiting = agenda.waiting.get(key_of(approval.decision))
    if approval.state is not ApprovalState.GIVEN or waiting is None or waiting.held is None:
        return None
    return None if waiting.held.guard is Guard.MODE else waiting.held


def _what(approval: Approval) -> str:
    decision = approval.decision
    return f"{decision.verb} {decision.target.name} by {decision.policy}"


def _those(waiting: list[Approval]) -> str:
    """Which could be meant."""
    asked = [f"{each.id} ({_what(each)})" for each in waiting if each.state is ApprovalState.ASKED]
    if not asked:
        return "none waits for an answer"
    more = f" and {len(asked) - _MOST_NAMED} more" if len(asked) > _MOST_NAMED else ""
    return f"waiting for an answer: {', '.join(asked[:_MOST_NAMED])}{more}"


def _became(approval: Approval, now: Instant) -> str:
    ago = _ago(now.monotonic - approval.at.monotonic)
    match approval.state:
        case ApprovalState.GIVEN if approval.left(now) > 0:
            return f"was approved already, {ago}, and waits for its guards (see: status)"
        case ApprovalState.BEGUN:
            return "was approved already, and is being done"
        case ApprovalState.USED:
            return f"was approved already: {approval.why}, {ago}"
        case ApprovalState.REJECTED:
            said = f": {approval.because}" if approval.because else ""
            return f"was rejected {ago}{said}"
        case ApprovalState.WITHDRAWN:
            return f"was withdrawn {ago}: {approval.why}"
        case _:
            return f"has expired{f' {ago}' if approval.state is ApprovalState.EXPIRED else ''}"


def _ago(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{max(0.0, seconds):.0f} s ago"
    return f"{seconds / _MINUTE:.0f} min ago" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.0f} h ago"
