"""What ends a pass: the policy's `until`, asked of the file system as it was just measured."""

from __future__ import annotations

import pytest

from watchtower_agent.model.removal import Space
from watchtower_agent.policies.catalogue import CATALOGUE
from watchtower_agent.policies.conditions.condition import ConditionScope, parse_condition
from watchtower_agent.policies.conditions.truth import Truth
from watchtower_agent.policies.pruning.rules import ImageRules, Rules, VolumeRules
from watchtower_agent.policies.strategies.prune import Prune

GIB = 2**30


@pytest.mark.parametrize(
    ("until", "space", "reached"),
    [
        ("host.disk.percent < 75%", Space(total=100, free=25), False),
        ("host.disk.percent < 75%", Space(total=100, free=26), True),
        ("host.disk.percent <= 75%", Space(total=100, free=25), True),
        ("host.disk.free > 20GiB", Space(total=100 * GIB, free=20 * GIB), False),
        ("host.disk.free > 20GiB", Space(total=100 * GIB, free=20 * GIB + 1), True),
        ("host.disk.inodes_percent < 75%", Space(total=100, free=1, inodes=1000, free_inodes=250), False),
        ("host.disk.inodes_percent < 75%", Space(total=100, free=1, inodes=1000, free_inodes=251), True),
        # a file system without a fixed number of inodes: they are never short
        ("host.disk.inodes_percent < 75%", Space(total=100, free=90), True),
        ("host.disk.inodes_percent < 75%", Space(total=0, free=0), None),
        ("host.disk.percent < 75% and host.disk.inodes_percent < 75%", Space(total=100, free=90), True),
        ("host.disk.percent < 75% and host.disk.inodes_percent < 75%", Space(total=100, free=1), False),
        ("host.disk.percent < 75% or host.disk.inodes_percent < 75%", Space(total=100, free=90), True),
        ("host.disk.percent < 75%", None, None),
        ("host.disk.percent < 75%", Space(total=0, free=0), None),
    ],
)
def test_it_goes_by_what_was_measured(until: str, space: Space | None, reached: Truth) -> None:
    assert Prune(until=parse_condition(until, ConditionScope.DISK)).reached(space) is reached


def test_every_name_that_it_can_ask_for_is_measured() -> None:
    names = [name for name, entry in CATALOGUE.items() if entry.of_disk]
    assert len(names) == 3
    space = Space(total=100 * GIB, free=50 * GIB, inodes=100, free_inodes=50)
    for name in names:
        assert Prune(until=parse_condition(f"{name} > 0", ConditionScope.DISK)).reached(space) is True, name


def test_without_it_a_pass_ends_with_its_plan() -> None:
    assert Prune().reached(Space(total=100, free=1)) is False
    assert Prune().reached(None) is False


def test_volumes_are_deleted_only_where_the_settings_say_so() -> None:
    rules = Rules(images=ImageRules(), volumes=VolumeRules(only=("cache-*",)))
    assert Prune(rules=rules).permitted(volumes=True) == rules
    assert Prune(rules=rules).permitted(volumes=False) == Rules(images=ImageRules())
