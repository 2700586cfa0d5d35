"""Whether what is held is done at last: when its windows are open, and for how long it is waited for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from watchtower_agent.model.decision import Guard, Mode, Verb
from watchtower_agent.policies.explanation import Case
from watchtower_agent.policies.guards.account import Stance, Statement
from watchtower_agent.policies.guards.permission import next_window
from watchtower_agent.policies.making import PACED, PENDING_FOR
from watchtower_agent.policies.policy import OnTrigger, Policy, ScheduleTrigger
from watchtower_agent.policies.timetable import LATE


def open_at(policy: Policy, moment: float) -> float:
    """The first moment from then on at which the policy may act as far as its windows go.

    Args:
        policy: Which.
        moment: Seconds since the epoch.
    """
    if policy.then.verb in {None, Verb.NOTIFY}:
        return moment  # notifications are told at any time
    opens = next_window(policy, moment)
    return moment if opens is None else opens[0]


def holding_at(case: Case, moment: float) -> list[Statement]:
    """The guards that hold it then, if nothing else changes: a window that is open now may be closed by then.

    Args:
        case: The policy and its target.
        moment: Seconds since the epoch.
    """
    holding = [each for each in case.holding if each.release_at is None or each.release_at > moment]
    opens = open_at(case.policy, moment)
    if opens == moment or any(each.guard is Guard.OUTSIDE_WINDOW for each in holding):
        return holding
    return [*holding, _closed_until(opens)]


def given_up_at(case: Case, holding: Sequence[Statement], wanted_at: float) -> float | None:
    """When it is given up for having waited too long; None: it is done before, or waits for as long as it is wanted.

    Args:
        case: The policy and its target.
        holding: The guards that hold it, in the order in which they are asked.
        wanted_at: When it is wanted, seconds since the epoch.
    """
    latest = _waits_until(case, wanted_at)
    if latest is None:
        return None
    moment = max(wanted_at, case.now.wall)
    while (first := _first(case, holding, moment)) is not None:
        if first.release_at is None:
            return latest
        if first.guard in PACED and case.policy.mode is not Mode.APPROVE:  # a person's yes has an end of its own
            latest = max(latest, first.release_at + PENDING_FOR)
        if first.release_at > latest:
            return latest
        moment = first.release_at
    return None


def _first(case: Case, holding: Sequence[Statement], moment: float) -> Statement | None:
    """What holds it at that moment."""
    for each in holding:
        if each.release_at is None or each.release_at > moment:
            return each
    opens = open_at(case.policy, moment)
    return _closed_until(opens) if opens > moment else None


def _closed_until(opens: float) -> Statement:
    reason = "its maintenance windows are closed by then"
    return Statement(guard=Guard.OUTSIDE_WINDOW, stance=Stance.HOLDS, reason=reason, release_at=opens)


def _waits_until(case: Case, wanted_at: float) -> float | None:
    """Until when it waits for its guards, whatever they say; None: what is wanted for as long as a condition holds."""
    if case.waiting is not None:
        return case.waiting.decision.expires_at if case.waiting.decision.from_event else None
    if case.by_hand:
        return wanted_at + PENDING_FOR
    match case.policy.trigger:
        case OnTrigger():
            return wanted_at + PENDING_FOR
        case ScheduleTrigger():
            return wanted_at + LATE
        case _:
            return None
