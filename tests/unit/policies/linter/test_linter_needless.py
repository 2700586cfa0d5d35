"""The linter on actions that the engine has nothing to do for, and on schedules that no window of theirs meets."""

from __future__ import annotations

import pytest

from tests.unit.policies.linter.test_linter_doubts import ALL, said

NO_USE = "of no use"


def acts(verb: str, trigger: str, select: str = ALL) -> str:
    return f"{select}, {trigger}, then: {{{verb}: {{}}}}"


@pytest.mark.parametrize(
    "policy",
    [
        acts("start", 'when: health == "unhealthy"'),
        acts("start", 'when: health in ["unhealthy", "starting"] and age > 1h'),
        acts("start", "when: memory.percent > 90%"),
        acts("start", "when: uptime > 1h or cpu.percent > 300"),
        acts("start", 'when: age > 1h and status == "paused"'),
        acts("unpause", 'when: status == "exited"'),
        acts("pause", 'when: status == "exited" and restarts > 3'),
        acts("start", "on: {container: health_status}"),
        acts("start", "on: {container: [start, unpause]}"),
        acts("start", 'schedule: {cron: "0 3 * * *"}', 'select: {name: "*", status: running}'),
        acts("stop", 'schedule: {cron: "0 3 * * *"}', 'select: {name: "*", status: [exited, created]}'),
    ],
)
def test_what_the_engine_has_nothing_to_do_for(policy: str) -> None:
    (warning,) = said(policy)
    assert NO_USE in warning, warning


@pytest.mark.parametrize(
    "policy",
    [
        acts("start", 'when: status == "exited"'),
        acts("start", 'when: health != "healthy"'),
        acts("start", 'when: health == "unhealthy" or status == "exited"'),
        acts("start", "when: max(memory.percent, 10m) > 90%"),
        acts("start", "when: exit_code == 137"),
        acts("restart", 'when: health == "unhealthy"'),
        acts("unpause", "when: memory.percent > 90%"),
        acts("pause", "when: cpu.percent > 300"),
        acts("stop", 'when: health == "unhealthy"'),
        acts("start", "on: {container: die}"),
        acts("start", "on: {container: [die, start]}"),
        acts("restart", "on: {container: health_status}"),
        acts("start", 'schedule: {cron: "0 3 * * *"}', 'select: {name: "*", status: [exited, running]}'),
        acts("start", 'schedule: {cron: "0 3 * * *"}'),
    ],
)
def test_what_it_may_have_something_to_do_for(policy: str) -> None:
    assert not [each for each in said(policy) if NO_USE in each]


def scheduled(cron: str, window: str, more: str = "", zone: str = "UTC") -> str:
    windows = f"windows: [{{{window}, timezone: {zone}}}]"
    return f'{ALL}, schedule: {{cron: "{cron}"}}, {windows}{more}, then: {{restart: {{}}}}'


@pytest.mark.parametrize(
    "policy",
    [
        scheduled("0 12 * * *", 'cron: "0 3 * * *", for: 1h'),
        scheduled("0 12 * * mon", 'cron: "0 0 * * tue", for: 1d'),
        scheduled("30 1 1 * *", 'cron: "0 3 1 * *", for: 2h'),
        scheduled("0 12 * * *", 'cron: "0 9 * * *", for: 2h', zone="Asia/Tokyo"),
        scheduled("0 12 * * *", 'cron: "0 14 * * *", for: 1h', ", mode: approve, approve_within: 90m"),
    ],
)
def test_a_schedule_that_no_window_ever_meets(policy: str) -> None:
    (warning,) = said(policy)
    assert "none of these is ever open at a time of the schedule" in warning
    assert warning.startswith("a.yaml:3:"), warning


@pytest.mark.parametrize(
    "policy",
    [
        scheduled("0 12 * * *", 'cron: "0 3 * * *", for: 10h'),
        scheduled("30 2 * * *", 'cron: "0 3 * * *", for: 1h'),
        scheduled("0 12 1 * *", 'cron: "0 12 * * mon", for: 1m'),
        scheduled("*/5 * * * *", 'cron: "0 3 * * *", for: 1m'),
        scheduled("0 12 * * *", 'cron: "0 21 * * *", for: 1h', zone="Asia/Tokyo"),
        scheduled("0 12 * * *", 'cron: "0 14 * * *", for: 1h', ", mode: approve, approve_within: 3h"),
        scheduled("30 0 * * *", 'cron: "0 2 * * *", for: 10m', zone="Europe/Berlin"),  # in winter only
    ],
)
def test_a_schedule_that_a_window_may_meet(policy: str) -> None:
    assert said(policy) == []
