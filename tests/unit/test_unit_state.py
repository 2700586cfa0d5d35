"""Whether the engine's service is the agent's to restart, and what became of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from watchtower_agent.model.unit import YOUNG, UnitState

NOW = 10_000.0
RUNS = UnitState(
    name="docker.service", load="loaded", active="active", sub="running", active_since=9_000.0, invocation="a"
)


@pytest.mark.parametrize(
    "seen",
    [
        RUNS,
        replace(RUNS, system="degraded"),
        replace(RUNS, active_since=NOW - YOUNG),
        replace(RUNS, active_since=None),
        replace(RUNS, active_since=NOW + 5),  # of another clock: nothing is known of its age
        replace(RUNS, active="failed", sub="failed"),
        replace(RUNS, active="failed", sub="failed", active_since=NOW - 5),
    ],
)
def test_an_engine_that_is_the_agents_to_restart(seen: UnitState) -> None:
    assert seen.hands_off(NOW) == ""


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (replace(RUNS, active="inactive", sub="dead"), "docker.service was stopped (dead): whoever did that"),
        (replace(RUNS, active="deactivating", sub="stop-sigterm"), "is being stopped: that is somebody else's doing"),
        (replace(RUNS, active="activating", sub="auto-restart"), "systemd is at docker.service already"),
        (replace(RUNS, active="activating", sub="start"), "systemd is at docker.service already (activating, start)"),
        (replace(RUNS, active="reloading", sub="reload"), "systemd is at docker.service already"),
        (replace(RUNS, active="not known", sub=""), "systemd is at docker.service already (not known, )"),
        (replace(RUNS, job=True), "systemd is at docker.service already (active, running)"),
        (replace(RUNS, active="failed", job=True), "systemd is at docker.service already"),
        (replace(RUNS, system="stopping"), "this machine is shutting down"),
        (replace(RUNS, load="not-found", active="inactive"), "systemd has no unit docker.service (not-found)"),
        (replace(RUNS, load="masked", active="inactive"), "systemd has no unit docker.service (masked)"),
        (replace(RUNS, active_since=NOW - 7), "docker.service has been running for 7 s only: it gets 120 s"),
    ],
)
def test_an_engine_that_is_not(seen: UnitState, why: str) -> None:
    assert why in seen.hands_off(NOW)


def test_it_was_started_anew_once_it_runs_in_another_life() -> None:
    assert not RUNS.started_since(RUNS)
    assert replace(RUNS, invocation="b").started_since(RUNS)
    assert replace(RUNS, invocation="", active_since=9_500.0).started_since(replace(RUNS, invocation=""))
    assert not replace(RUNS, invocation="b", active="activating").started_since(RUNS)
    assert not replace(RUNS, invocation="b", job=True).started_since(RUNS)


def test_it_has_ended_once_nobody_starts_it() -> None:
    assert replace(RUNS, active="failed").has_ended()
    assert replace(RUNS, active="inactive").has_ended()
    assert not replace(RUNS, active="inactive", job=True).has_ended()
    assert not RUNS.has_ended()
    assert not replace(RUNS, active="activating").has_ended()
