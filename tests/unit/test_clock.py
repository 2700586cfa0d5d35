"""The host's own clocks."""

from __future__ import annotations

from watchtower_agent.clock import SystemClock


def test_one_boot_is_one_boot_however_often_the_agent_starts() -> None:
    first, second = SystemClock().now(), SystemClock().now()

    assert first.boot
    assert first.boot == second.boot
    assert second.since(first.wall - 3600, first.monotonic, first.boot) < 60
