"""Schedules whose times are never within the policy's own windows. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from watchtower_agent.model.decision import Mode, Verb
from watchtower_agent.policies.linter.doubt import Doubt
from watchtower_agent.policies.policy import MaintenanceWindow, Policy, ScheduleTrigger
from watchtower_agent.policies.times.moments import Schedule
from watchtower_agent.policies.timetable import LATE
from watchtower_agent.policies.wording import as_written

_BEGIN: Final = 1_704_067_200.0
"""2024-01-01. Two years see each day of a month on each weekday, or nearly, and each change of the clocks."""
_END: Final = _BEGIN + 731 * 86_400.0
_MOST: Final = 1_000
"""Times a window opens that are looked at; of one that opens more often in that time nothing is claimed."""


def never_in_window(policy: Policy) -> Iterator[Doubt]:
    """What a schedule wants waits for a window for an hour, and is given up then."""
    trigger, verb = policy.trigger, policy.then.verb
    if not isinstance(trigger, ScheduleTrigger) or not policy.windows or verb in {None, Verb.NOTIFY}:
        return
    waits = max(LATE, policy.approve_within) if policy.mode is Mode.APPROVE else LATE
    if any(_may_meet(trigger.schedule, window, waits) for window in policy.windows):
        return
    yield Doubt(
        policy=policy,
        path=("windows",),
        message=f"none of these is ever open at a time of the schedule, or within {as_written(waits)} after it, which "
        "is all that it is waited for",
        remedy="let one open when the schedule comes, or leave windows out: a schedule has its time",
    )


def _may_meet(schedule: Schedule, window: MaintenanceWindow, waits: float) -> bool:
    """Whether the schedule comes while the window is open, or waits until it opens, as far as can be told."""
    moment = _BEGIN
    for _ in range(_MOST):
        opens = window.opens.after(moment)
        if opens is None or opens > _END:
            return False
        due = schedule.after(opens - waits)
        if due is not None and due < opens + window.open_for:
            return True
        moment = opens
    return True
