"""What is remembered of a container, and how it comes through a restart of the agent."""

from __future__ import annotations

import json

import pytest

from tests.support.resizing import DAY, HOUR, RULES, Watched, limits, verdict
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.resizing.past import Past
from watchtower_agent.policies.resizing.recommendation import Limit, Verdict
from watchtower_agent.policies.resizing.situation import Situation
from watchtower_agent.policies.resizing.sizing import look

NOW = Instant(wall=1.7e9, monotonic=5000.0, boot="b")


def lived(hours: float = 29.0) -> Watched:
    """It was killed, raised, and is nearly lowered."""
    web = Watched(memory=400.0, cpu=1.0)
    web.sees(memory=100.0, killed=True)
    web.obey()
    web.uses(memory=100.0, cpu=0.2, hours=hours)
    return web


def test_it_comes_back_as_it_was() -> None:
    web = lived()

    stored = json.loads(json.dumps(web.past.stored(web.instant), allow_nan=False))

    assert Past.restored(stored, web.instant) == web.past


def test_one_without_limits_comes_back_as_it_was() -> None:
    web = Watched(memory=float("inf"), cpu=float("inf"), obeys=True)
    web.uses(hours=31)
    assert web.past.originals == (float("inf"), float("inf"))

    stored = json.loads(json.dumps(web.past.stored(web.instant), allow_nan=False))

    assert Past.restored(stored, web.instant) == web.past
    assert Past.restored(Past().stored(NOW), NOW) == Past()


def test_a_restart_in_the_middle_changes_nothing() -> None:
    one, other = Watched(obeys=True), Watched(obeys=True)

    for hour in range(60):
        other.restarts_agent()
        for minute in range(60):
            cpu = 1.5 if minute == 30 else 0.2 + hour % 24 / 50
            memory = 100.0 + 10.0 * (hour % 24)
            one.sees(memory, cpu)
            other.sees(memory, cpu)
            assert one.last == other.last

    assert one.memory < 1024.0


def test_the_agent_was_away_for_five_minutes() -> None:
    web = lived(29.0)
    web.passes(300.0)
    web.restarts_agent()

    web.uses(memory=100.0, cpu=0.2, hours=1)
    web.uses(memory=100.0, cpu=0.2, hours=2 / 60)

    assert verdict(web.of_cpu) is Verdict.LOWER


def test_a_clock_that_was_stepped_changes_nothing() -> None:
    one, other = lived(), lived()
    other.wall -= 90 * DAY

    for web in (one, other):
        web.restarts_agent()
        web.uses(memory=100.0, cpu=0.2, hours=1.5)

    assert one.last.recommendation == other.last.recommendation
    assert one.of_cpu.verdict is Verdict.LOWER


def test_after_a_reboot_as_much_time_has_passed_as_the_wall_clock_says() -> None:
    web = lived()
    stored = web.past.stored(web.instant)

    past = Past.restored(stored, Instant(wall=web.wall + 600.0, monotonic=7.0, boot="other"))

    assert past is not None
    assert past.looked == pytest.approx(7.0 - 600.0, abs=1e-3)
    web.past, web.now, web.wall = past, 7.0, web.wall + 600.0
    web.uses(memory=100.0, cpu=0.2, hours=1 + 2 / 60)
    assert verdict(web.of_cpu) is Verdict.LOWER


def test_a_step_that_was_seen_is_made_good_after_a_reboot() -> None:
    web = lived()
    stored = web.past.stored(web.instant)
    seen = Instant(wall=web.wall - 3600.0, monotonic=web.now, boot="b")
    later = Instant(wall=web.wall - 3600.0 + 50.0, monotonic=7.0, boot="other")

    past = Past.restored(stored, later, Boots(seen=seen).in_boot_of(later))

    assert past is not None
    assert past.looked == pytest.approx(7.0 - 50.0)


def test_an_earlier_moment_does_no_harm() -> None:
    web = lived()
    before = web.now
    web.now -= 500.0

    web.sees(memory=100.0, cpu=0.2)

    assert web.past.looked == before
    web.sees(memory=100.0, cpu=0.2)
    assert web.past.looked == before


def test_who_only_wants_to_know_changes_nothing() -> None:
    web = lived(31.0)
    situation = Situation(
        container_id=web.container_id, memory=web.memory * 2**20, cpu=web.cpu, working_set=100 * 2**20, cores=0.2
    )

    asked = look(RULES, situation, web.past, web.instant)

    assert asked.recommendation.cpu is not None
    assert asked.recommendation.cpu.verdict is verdict(web.of_cpu) is Verdict.LOWER
    assert asked.recommendation.cpu.to == web.of_cpu.to


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_no_limit_is_infinite_and_never_zero(limit: float) -> None:
    with pytest.raises(ValueError, match="infinite where there is none"):
        Situation(container_id="a", memory=limit)
    with pytest.raises(ValueError, match="infinite where there is none"):
        Situation(container_id="a", cpu=limit)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("at", 3),
        ("at", None),
        ("container_id", 7),
        ("looked", "then"),
        ("cpu", None),
        ("cpu", {}),
        ("cpu", {"histogram": {}}),
        ("memory", []),
        ("memory_limit", {"known": True}),
        ("cpu_limit", 4),
        ("kills", {"need": float("nan")}),
        ("changes", [1.0] * 1000),
        ("changes", "many"),
        ("changes", [None]),
    ],
)
def test_what_is_no_past_is_none(key: str, value: object) -> None:
    stored = json.loads(json.dumps(lived(1.0).past.stored(NOW)))

    assert Past.restored(stored | {key: value}, NOW) is None
    del stored[key]
    assert Past.restored(stored, NOW) is None


@pytest.mark.parametrize(
    ("resource", "key", "value"),
    [
        ("cpu", "minute", [1.0, 2.0]),
        ("cpu", "minutes", [[1.0, 2.0]] * 6),
        ("cpu", "days", [[1.0, 2.0]] * 65),
        ("memory", "recent", [[1.0, 2.0]] * 13),
        ("memory", "hour", [[1.0, 2.0]] * 2),
        ("memory", "measured", True),
        ("memory_limit", "expected", [1.0]),
        ("memory_limit", "low", None),
        ("kills", "raises", [1.0] * 33),
    ],
)
def test_no_part_of_it_is_longer_than_it_was_written(resource: str, key: str, value: object) -> None:
    stored = json.loads(json.dumps(lived(1.0).past.stored(NOW)))
    stored[resource][key] = value

    assert Past.restored(stored, NOW) is None


def test_use_that_falls_for_hours_comes_back_too() -> None:
    web = Watched()
    for many in range(300):
        web.sees(memory=900.0 - many, seconds=30.0)
        web.restarts_agent()

    assert web.of_memory.needed.recent == (900 - 299 + 19) * 2**20


def test_what_is_looked_at_for_months_comes_back_too() -> None:
    web = Watched()

    for _ in range(200):
        web.uses(hours=6 / 60)
        web.passes(DAY / 2)
    web.restarts_agent()

    assert len(web.past.memory.days) <= 10
    assert len(web.past.cpu.days) <= 3


@pytest.mark.long
def test_it_does_not_grow_without_end() -> None:
    web = Watched()
    draw = 1.0
    largest = 0
    for many in range(60 * 24 * 10):
        draw = (draw * 16807) % 2147483647
        web.sees(memory=1.0 + draw % 900, cpu=10.0 ** (draw % 1000 / 200 - 3.0), killed=many % 7 == 0)
        if many % 1440 == 0:
            largest = max(largest, len(json.dumps(web.past.stored(web.instant))))

    assert largest < 16_384
    assert len(web.past.cpu.histogram.weights) <= 285


def test_what_has_to_be_stored_at_once() -> None:
    web = Watched(memory=500.0)
    web.sees(memory=200.0)
    before = web.past
    web.uses(memory=200.0, hours=28)
    assert not web.past.has_to_be_stored(before)  # though six hours have begun

    seen = list[bool]()
    for memory, limit, killed, recreated in (
        (480.0, 500.0, False, False),  # recommended, which can wait
        (480.0, 600.0, False, False),
        (480.0, 600.0, True, False),
        (480.0, 600.0, False, True),
    ):
        before, web.memory = web.past, limit
        web.container_id = "b" * 64 if recreated else web.container_id
        web.sees(memory=memory, killed=killed)
        seen.append(web.past.has_to_be_stored(before))

    assert seen == [False, True, True, True]
    assert web.past.begun(memory=700.0, cpu=None).has_to_be_stored(web.past)


def test_every_number_has_its_name() -> None:
    web = lived(31.0)

    numbers = web.last.recommendation.numbers()

    assert json.dumps(dict(numbers), allow_nan=False)
    assert numbers["memory limit"] == 500 * 2**20
    assert numbers["cpu to"] == web.of_cpu.to
    assert numbers["cpu verdict"] == "lower"
    assert numbers["cpu held_by"] == "step"
    assert numbers["cpu measured"] == pytest.approx(31 * HOUR + 60.0)
    assert numbers["budget"] == 6
    assert limits(web.of_cpu) == [Limit.STEP]
