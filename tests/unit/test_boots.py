"""How long ago what an earlier boot of the host stored was: as long as it was, whatever the clocks did in between."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.core import FakeClock
from watchtower_agent.model.boots import MOST, Boots
from watchtower_agent.model.instant import Instant

CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(0, 100_000)),
        st.tuples(st.just("step"), st.integers(-100_000, 100_000)),
        st.tuples(st.just("reboot"), st.integers(1, 100_000)),
        st.tuples(st.just("start"), st.just(0)),
    ),
    max_size=12,
)


class Runs:
    """An agent that looks at the clocks as the loop does, and remembers them, on a host whose true time is known."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.true = 0.0
        self.seen: Instant | None = None
        self.boots = Boots()
        self.stored: dict[str, dict[str, Any]] = {}
        self.start()

    def start(self) -> None:
        now = self.clock.now()
        self.seen = Instant.restored(self.stored.get("seen"))
        self.boots = Boots.restored(self.stored, now)
        if self.seen is None or self.seen.boot != now.boot:
            self.seen = now
            self.stored["boots"] = self.boots.stored()
        self.look()

    def look(self) -> None:
        now = self.clock.now()
        assert self.seen is not None
        if now.stepped_since(self.seen):
            self.seen = now
        self.stored["seen"] = self.seen.stored()
        self.stored["steps"] = {"boot": now.boot, "looked": now.monotonic}

    def change(self, what: str, seconds: float) -> None:
        match what:
            case "pass":
                self.clock.advance(seconds)
                self.true += seconds
            case "step":
                self.clock.step_wall(seconds)
            case "reboot":
                self.clock.reboot(seconds)
                self.true += seconds
                self.start()
            case _:
                self.start()
        self.look()

    def ago(self, stamp: Instant) -> float:
        now = self.clock.now()
        return now.monotonic - Boots.restored(self.stored, now).carried(stamp, now).monotonic


@given(before=CHANGES, after=CHANGES)
def test_a_stamp_is_as_old_as_it_is(before: list[tuple[str, float]], after: list[tuple[str, float]]) -> None:
    runs = Runs()
    for change in before:
        runs.change(*change)
    stamp, made = runs.clock.now(), runs.true
    for change in after:
        runs.change(*change)

        assert runs.ago(stamp) == pytest.approx(runs.true - made, abs=1e-3)


def test_a_board_without_a_clock_of_its_own_makes_nothing_older_than_it_is() -> None:
    runs = Runs()
    stamp = runs.clock.now()
    runs.change("pass", 100)
    wall = runs.clock.wall
    runs.clock.step_wall(-wall)  # 1970
    runs.change("reboot", 20)
    assert runs.ago(stamp) == pytest.approx(100, abs=1), "as long as it is known to be"
    runs.change("pass", 10)
    runs.change("step", wall)  # a time server was asked
    runs.change("start", 0)
    assert runs.ago(stamp) == pytest.approx(110, abs=1)


def test_that_the_clock_was_looked_at_late_is_told_to_the_next_boot_by_wall() -> None:
    stamp = Instant(wall=1000.0, monotonic=50.0, boot="a")
    now = Instant(wall=1500.0, monotonic=7.0, boot="b")

    carried = Boots(seen=stamp).in_boot_of(now).carried(stamp, now)

    assert (carried.wall, carried.monotonic, carried.boot) == (1000.0, 7.0 - 500.0, "b")


def test_the_newest_boots_are_remembered_and_of_older_ones_the_wall_clock_tells() -> None:
    runs = Runs()
    first = runs.clock.now()
    runs.change("reboot", 10)
    second = runs.clock.now()
    for _ in range(MOST):
        runs.change("reboot", 10)
    runs.change("step", 5000)

    assert len(runs.stored["boots"]["shifts"]) == MOST
    assert runs.ago(second) == pytest.approx(MOST * 10)
    assert runs.ago(first) == pytest.approx(5000 + MOST * 10 + 10)


@pytest.mark.parametrize(
    "broken",
    [
        {"seen": {"at": "x"}},
        {"boots": {"boot": 1, "shifts": {"a": 1.0}}},
        {"boots": {"shifts": []}},
        {"boots": {"boot": "b", "shifts": {"a": "x"}}},
        {"boots": {"boot": "b", "shifts": {"a": float("nan")}}},
        {"steps": {"boot": "b", "looked": None}},
        {},
    ],
)
def test_what_cannot_be_read_is_not_known_and_the_wall_clock_tells(broken: dict[str, dict[str, Any]]) -> None:
    stored = {"seen": Instant(wall=900.0, monotonic=5.0, boot="b").stored(), **broken}
    now = Instant(wall=1000.0, monotonic=3.0, boot="c")

    carried = Boots.restored(stored, now).carried(Instant(wall=800.0, monotonic=4.0, boot="a"), now)

    assert carried.monotonic == 3.0 - 200.0


def test_of_a_moment_that_this_boot_has_not_come_to_the_wall_clock_tells() -> None:
    now = Instant(wall=1000.0, monotonic=30.0, boot="a")
    stamp = Instant(wall=980.0, monotonic=5e9, boot="a")

    assert Boots(seen=now).carried(stamp, now).monotonic == 30.0 - 20.0


def test_without_a_boot_id_the_wall_clock_tells() -> None:
    stored = {"seen": Instant(wall=900.0, monotonic=5.0).stored()}
    now = Instant(wall=1000.0, monotonic=3.0)

    assert Boots.restored(stored, now) == Boots()
    assert Boots().carried(Instant(wall=800.0, monotonic=2.0), now).monotonic == 3.0 - 200.0
