"""A recommendation becomes a decision, in words."""

from __future__ import annotations

import math

from tests.support.policies import policy
from tests.support.resizing import MIB, RULES, Watched, mib
from watchtower_agent.model.decision import Target, TargetKind, Verb
from watchtower_agent.policies.resized import because, parameters_of, resize_decision, shortage
from watchtower_agent.policies.resizing.rules import Bounds
from watchtower_agent.policies.strategies.resize import ResizeStrategy

RESIZE = "select: {name: web}\n    resize: {memory: {min: 64MiB, max: 2GiB}, cpu: {min: 0.1, max: 4}, data: 12h}"


def said(web: Watched) -> str:
    return because(web.last.recommendation)


def test_a_policy_says_the_rules() -> None:
    trigger = policy(RESIZE).trigger
    assert isinstance(trigger, ResizeStrategy)

    assert trigger.rules.memory == Bounds(least=64 * MIB, most=2048 * MIB)
    assert trigger.rules.cpu == Bounds(least=0.1, most=4.0)
    assert trigger.rules.data == 12 * 3600.0
    assert ResizeStrategy().rules.memory is None
    assert ResizeStrategy().rules.cpu is None
    assert ResizeStrategy().rules.data == RULES.data


def test_a_decision_carries_what_changes_and_every_number() -> None:
    web = Watched(memory=500.0, cpu=1.0)
    web.sees(memory=480.0)

    decision = resize_decision(
        policy(RESIZE),
        Target(kind=TargetKind.CONTAINER, id="a" * 64, name="web"),
        web.last.recommendation,
        web.instant,
        expires_at=web.wall + 2.0,
    )

    assert decision.verb is Verb.RESIZE
    assert decision.parameters == {"memory": 600 * 2**20}
    assert isinstance(decision.parameters["memory"], int)
    assert decision.numbers == {**web.last.recommendation.numbers(), "lowers": False}
    assert decision.reason == "memory limit 500.0 MiB to 600.0 MiB: it used 480.0 MiB within 10 min"
    assert (decision.decided_at, decision.expires_at) == (web.wall, web.wall + 2.0)


def test_both_limits_are_one_change() -> None:
    web = Watched(memory=1024.0, cpu=2.0)
    web.uses(hours=30)

    web.sees()

    assert parameters_of(web.last.recommendation) == {"memory": 820 * 2**20, "cpu": 1.6}
    memory, cpu = said(web).split("; ")
    assert memory.startswith("memory limit 1.0 GiB to 820.0 MiB: it used ")
    assert memory.endswith("(a step at a time)")
    assert cpu.startswith("CPU limit 2 cores to 1.6 cores: it used ")


def test_a_kill_is_why() -> None:
    web = Watched(memory=1900.0)
    web.sees(memory=100.0, killed=True)

    assert said(web) == "memory limit 1.9 GiB to 2.0 GiB: OOM-killed (max)"
    web = Watched(memory=128.0)
    web.sees(memory=30.0, killed=True)
    assert said(web) == "memory limit 128.0 MiB to 228.0 MiB: OOM-killed"


def test_use_is_why_though_it_was_killed_too_often() -> None:
    web = Watched(memory=128.0, obeys=True)
    for _ in range(2):
        web.sees(memory=30.0, killed=True)
        web.sees(memory=30.0)
    web.obeys = False
    web.uses(memory=30.0, hours=11 / 60)

    web.sees(memory=320.0, killed=True)

    assert mib(web.of_memory.to) == 400.0
    assert said(web) == "memory limit 328.0 MiB to 400.0 MiB: it used 320.0 MiB within 10 min"


def test_bounds_are_why() -> None:
    web = Watched(memory=32.0, cpu=math.inf)
    web.sees(memory=10.0)
    assert said(web) == "memory limit 32.0 MiB to 64.0 MiB: it is below min 64.0 MiB"

    web.memory = 1024.0
    web.uses(hours=31)

    assert said(web).split("; ")[1] == "CPU limit none to 4 cores: it has none, and 4 cores (max) would do"
    web = Watched(memory=4096.0)
    web.uses(hours=31)
    assert said(web).split("; ")[0] == "memory limit 4.0 GiB to 2.0 GiB: it is above max, and 2.0 GiB (max) would do"


def test_that_it_was_recreated_is_why() -> None:
    web = Watched(memory=500.0)
    web.sees(memory=480.0)
    web.obey()
    web.sees(memory=200.0)
    web.container_id, web.memory = "b" * 64, 500.0

    web.sees(memory=200.0)

    assert said(web) == "memory limit 500.0 MiB to 600.0 MiB: it was recreated, and had 600.0 MiB before"


def test_nothing_is_said_where_nothing_changes() -> None:
    web = Watched()
    web.sees(known=False)

    assert said(web) == ""
    assert shortage(web.last.recommendation) == ""
    assert parameters_of(web.last.recommendation) == {}


def test_at_max_a_person_is_told() -> None:
    web = Watched(memory=2048.0)
    web.sees(memory=30.0, killed=True)

    assert said(web) == ""
    assert (
        shortage(web.last.recommendation)
        == "OOM-killed though its memory limit is the largest that it may have: 2.0 GiB (max)"
    )


def test_what_was_used_most_of_the_time_is_told() -> None:
    web = Watched(memory=500.0, cpu=0.5)
    for minute in range(120):
        web.sees(memory=200.0, cpu=0.49 if minute % 10 == 0 else 0.1)

    assert said(web) == "CPU limit 0.5 cores to 0.57 cores: it used about 0.491 cores at most in 95 % of the time"


def test_cpu_of_the_present_is_told() -> None:
    web = Watched(cpu=1.0)
    web.uses(cpu=1.0, hours=5 / 60)

    assert said(web) == "CPU limit 1 core to 1.25 cores: it used 1 core for 5 min"
