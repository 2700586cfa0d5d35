"""The host's own clocks."""

from __future__ import annotations

from tests.support.core import FakeClock
from watchtower_agent.clock import SystemClock


def test_one_boot_is_one_boot_however_often_the_agent_starts() -> None:
    first, second = SystemClock().now(), SystemClock().now()

    assert first.boot
    assert first.boot == second.boot
    assert second.since(first.wall - 3600, first.monotonic, first.boot) < 60


def test_how_long_the_agent_runs_goes_by_neither_a_clock_that_is_set_nor_one_that_sleeps() -> None:
    clock = FakeClock()
    started = clock.now()
    clock.advance(60)
    clock.step_wall(-5 * 3600)
    clock.suspend(600)
    clock.step_wall(9 * 3600)

    assert clock.now().passed_since(started) == 660


def test_a_host_that_was_not_suspended_meanwhile_has_slept_as_long_as_before() -> None:
    first, second = SystemClock().now(), SystemClock().now()

    assert first.asleep >= 0
    assert abs(second.asleep - first.asleep) < 1
