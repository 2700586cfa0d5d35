"""What a policy says becomes rules."""

from __future__ import annotations

from tests.support.policies import policy
from tests.support.resizing import MIB, RULES
from watchtower_agent.policies.resizing.rules import Bounds
from watchtower_agent.policies.strategies.resize import ResizeStrategy


def test_a_policy_says_the_rules() -> None:
    trigger = policy(
        "select: {name: web}\n    resize: {memory: {min: 64MiB, max: 2GiB}, cpu: {min: 0.1, max: 4}, data: 12h}"
    ).trigger
    assert isinstance(trigger, ResizeStrategy)

    assert trigger.rules.memory == Bounds(least=64 * MIB, most=2048 * MIB)
    assert trigger.rules.cpu == Bounds(least=0.1, most=4.0)
    assert trigger.rules.data == 12 * 3600.0


def test_what_it_does_not_say_is_left_alone() -> None:
    assert ResizeStrategy().rules.memory is None
    assert ResizeStrategy().rules.cpu is None
    assert ResizeStrategy().rules.data == RULES.data


def test_bounds_of_cpu_are_raised_to_the_smallest_limit_that_the_kernel_takes() -> None:
    assert Bounds(least=0.01, most=2.0).down_to(0.1) == Bounds(least=0.1, most=2.0)
    assert Bounds(least=0.01, most=0.05).down_to(0.1) == Bounds(least=0.1, most=0.1)
    assert Bounds(least=0.2, most=2.0).down_to(0.1) == Bounds(least=0.2, most=2.0)
