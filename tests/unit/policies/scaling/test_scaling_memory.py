"""What is remembered of a service, and how it comes through a restart."""

from __future__ import annotations

import json

import pytest

from tests.support.scaling import Watched
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.scaling.memory import Memory
from watchtower_agent.policies.scaling.rules import Rules

NOW = Instant(wall=1.7e9, monotonic=5000.0, boot="b")


def lived(seconds: int = 200) -> Watched:
    """It has grown, shrunk, and regretted that."""
    web = Watched(8)
    web.needs(8.0, 500)
    web.needs(4.0, 160, obeys=True)
    web.needs(8.0, 20, obeys=True)
    web.needs(5.0, seconds, obeys=True)
    assert web.memory.regretted is not None
    return web


def test_it_comes_back_as_it_was() -> None:
    web = lived()

    stored = json.loads(json.dumps(web.memory.stored(web.instant)))

    assert Memory.restored(stored, web.instant) == web.memory


def test_a_clock_that_was_stepped_changes_nothing() -> None:
    one, other = lived(), lived()
    other.wall -= 90 * 86400.0

    for web in (one, other):
        memory = Memory.restored(web.memory.stored(web.instant), web.instant)
        assert memory is not None
        web.memory = memory
        web.needs(5.0, 200)

    assert one.last.recommendation == other.last.recommendation


def test_after_a_reboot_as_much_time_has_passed_as_the_wall_clock_says() -> None:
    web = lived()
    stored = web.memory.stored(web.instant)

    memory = Memory.restored(stored, Instant(wall=web.wall + 100.0, monotonic=7.0, boot="other"))

    assert memory is not None
    assert memory.regretted is not None
    assert web.memory.regretted is not None
    assert 7.0 - memory.regretted == pytest.approx(web.now + 100.0 - web.memory.regretted, abs=1e-3)


def test_a_step_that_was_seen_is_made_good_after_a_reboot() -> None:
    web = lived()
    stored = web.memory.stored(web.instant)
    seen = Instant(wall=web.wall - 3600.0, monotonic=web.now, boot="b")
    later = Instant(wall=web.wall - 3600.0 + 50.0, monotonic=7.0, boot="other")

    memory = Memory.restored(stored, later, Boots(seen=seen).in_boot_of(later))

    assert memory is not None
    assert memory.looked is not None
    assert memory.looked == pytest.approx(7.0 - 51.0)


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"at": 3},
        {"at": NOW.stored()},
        Memory().stored(NOW) | {"needs": "many"},
        Memory().stored(NOW) | {"needs": [[1.0]]},
        Memory().stored(NOW) | {"needs": [[1.0, float("nan")]]},
        Memory().stored(NOW) | {"needs": [[1.0, 2.0]] * 10_000},
        Memory().stored(NOW) | {"growths": [[True, 2.0]]},
        Memory().stored(NOW) | {"wanted": "8"},
        Memory().stored(NOW) | {"shrunk": {}},
    ],
)
def test_what_is_no_memory_is_none(stored: dict[str, object]) -> None:
    assert Memory.restored(stored, NOW) is None


def test_it_does_not_grow_without_end() -> None:
    rules, memory = Rules(), Memory()

    for moment in range(20_000):  # ever less is needed, ten times a second, and everybody changes the number
        at = moment / 10
        memory = memory.seen(2 + moment, 1e6 - moment, 1e6 - moment, at, rules)

    assert len(memory.needs) <= 501
    assert len(memory.growths) <= 32
    assert memory.added(30.0, 2000.0) >= 299  # none is forgotten before its time


def test_in_one_part_of_the_window_the_largest_need_is_kept() -> None:
    rules, memory = Rules(), Memory()
    for moment in range(4201):
        at = moment / 10
        memory = memory.seen(4, 9.0 if moment == 10 else 4.0, 9.0 if moment == 10 else 4.0, at, rules)

    assert memory.most(420.0, 420.0) == 9
    assert memory.most(418.0, 420.0) == 4


def test_the_same_moment_twice_or_an_earlier_one_does_no_harm() -> None:
    web = lived()
    before = web.last.recommendation
    web.now -= 1.0

    assert web.needs(5.0) == before
    web.now -= 500.0
    web.needs(5.0)
    assert web.memory.looked == web.now + 498.0  # as of the latest
