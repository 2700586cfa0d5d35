"""What follows when the kernel kills a process for want of memory."""

from __future__ import annotations

import pytest

from tests.support.resizing import MIB, MINUTE, Watched, limits, mib, verdict
from watchtower_agent.policies.resizing.recommendation import Limit, Verdict


@pytest.mark.parametrize(("limit", "to"), [(128.0, 228.0), (500.0, 600.0), (1000.0, 1200.0)])
def test_a_kill_raises_by_a_fifth_and_by_no_less_than_100_mib(limit: float, to: float) -> None:
    web = Watched(memory=limit)

    web.sees(memory=30.0, killed=True)

    assert verdict(web.of_memory) is Verdict.RAISE
    assert mib(web.of_memory.to) == to
    assert web.of_memory.kill_need == to * MIB
    assert not web.last.killed_at_max


def test_it_is_raised_though_nothing_is_known_of_what_it_uses() -> None:
    web = Watched(memory=500.0)

    web.sees(killed=True, known=False)

    assert mib(web.of_memory.to) == 600.0


def test_it_does_not_wait_for_the_last_raise_but_there_are_two_an_hour() -> None:
    web = Watched(memory=128.0, obeys=True)

    web.sees(memory=30.0, killed=True)
    assert web.memory == 228.0
    web.sees(memory=30.0)
    web.sees(memory=30.0, killed=True)
    assert web.memory == 328.0
    web.sees(memory=30.0)
    web.sees(memory=30.0, killed=True)

    assert web.memory == 328.0
    assert limits(web.of_memory)[0] is Limit.KILLS
    web.uses(memory=30.0, hours=1)
    assert web.memory == 428.0  # its turn came


def test_a_kill_that_was_not_answered_for_two_hours_is_forgotten() -> None:
    web = Watched(memory=128.0)
    web.sees(memory=30.0, killed=True)
    web.uses(memory=30.0, hours=2 - 1 / 60)
    assert verdict(web.of_memory) is Verdict.RAISE

    web.sees(memory=30.0)

    assert verdict(web.of_memory) is Verdict.KEEP


def test_a_kill_is_answered_once() -> None:
    web = Watched(memory=128.0, obeys=True)
    web.sees(memory=30.0, killed=True)

    web.uses(memory=30.0, hours=2)

    assert web.memory == 228.0
    assert web.of_memory.kill_need is None


def test_a_person_who_raised_it_has_answered() -> None:
    web = Watched(memory=128.0)
    web.sees(memory=30.0, killed=True)
    web.memory = 512.0

    web.sees(memory=30.0)

    assert verdict(web.of_memory) is Verdict.KEEP
    assert web.of_memory.kill_need is None


def test_near_max_it_is_raised_to_max() -> None:
    web = Watched(memory=2000.0, obeys=True)

    web.sees(memory=30.0, killed=True)
    assert web.memory == 2048.0
    web.sees(memory=30.0)

    assert web.of_memory.kill_need is None
    assert not web.last.recommendation.at_max


def test_at_max_only_a_person_can_help() -> None:
    web = Watched(memory=2048.0)

    web.sees(memory=30.0, killed=True)

    assert verdict(web.of_memory) is Verdict.AT_MAX
    assert web.last.killed_at_max
    assert web.last.recommendation.at_max
    assert not web.sees(memory=30.0).killed_at_max  # it is news once
    assert web.last.recommendation.at_max
    web.uses(memory=30.0, hours=1)
    assert verdict(web.of_memory) is Verdict.KEEP


def test_a_kill_without_a_limit_of_its_own_asks_for_nothing() -> None:
    web = Watched(memory=float("inf"))

    web.sees(memory=30.0, killed=True)

    assert verdict(web.of_memory) is Verdict.KEEP
    assert web.past.memory.days[-1][1] == 30 * MIB


def test_where_memory_was_too_little_it_is_not_lowered_below_that_for_days() -> None:
    web = Watched(memory=400.0, obeys=True)
    web.uses(memory=30.0, hours=20)
    web.sees(memory=30.0, killed=True)
    assert web.memory == 500.0

    web.uses(memory=30.0, hours=24 * 7)

    assert web.memory == 500.0  # 400 / 0.9 is not worth it
    web.uses(memory=30.0, hours=24 * 2.5)
    assert web.memory < 400.0


def test_a_kill_begins_the_six_hours_anew() -> None:
    web = Watched(memory=float("inf"), obeys=True)
    web.uses(memory=30.0, hours=29)
    web.sees(memory=30.0, killed=True)  # the host's memory was too little

    web.uses(memory=30.0, hours=6 - 1 / 60)
    assert web.memory == float("inf")
    web.uses(memory=30.0, hours=2 / 60)

    assert web.memory == 2048.0


def test_a_person_who_gives_more_than_max_has_helped() -> None:
    web = Watched(memory=2048.0)
    web.sees(memory=30.0, killed=True)
    web.memory = 3000.0

    web.sees(memory=30.0)

    assert verdict(web.of_memory) is Verdict.KEEP


def test_kills_raise_no_cpu() -> None:
    web = Watched()

    web.sees(killed=True)

    assert verdict(web.of_cpu) is Verdict.KEEP
    assert web.of_cpu.kill_need is None


def test_kills_count_towards_the_budget() -> None:
    web = Watched(memory=64.0, cpu=0.1, obeys=True)
    for minute in range(60):
        web.sees(memory=30.0, killed=minute % 4 == 0, seconds=MINUTE)

    assert web.memory == 64.0 + 2 * 100.0
    assert web.last.recommendation.changes <= web.last.recommendation.budget
