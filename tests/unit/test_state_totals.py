"""Counters over the lives of containers: they go on where the kernel begins anew."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

from hypothesis import given, strategies as st

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.sample import SampleBatch, SampleTarget, Total
from watchtower_agent.state.totals import Totals

_CPU, _SENT = Total.CPU, Total.SENT


def _target(container_id: str, started_at: float | None = 1.0) -> SampleTarget:
    return SampleTarget(container_id=container_id, started_at=started_at)


def _tick(targets: tuple[SampleTarget, ...], **totals: list[float]) -> SampleBatch:
    return SampleBatch(
        at=Instant(wall=0.0, monotonic=0.0),
        interval=1.0,
        targets=targets,
        totals={Total(name): array("d", numbers) for name, numbers in totals.items()},
    )


def _totals() -> Totals:
    return Totals(exists=lambda container_id: container_id != "gone")


def _cpu(totals: Totals, *ids: str) -> list[float]:
    return list(totals.of(ids)[_CPU])


def test_what_was_read_is_told() -> None:
    totals = _totals()
    targets = (_target("a"), _target("b"))
    totals.take(_tick(targets, cpu=[5.0, 7.0]))
    totals.take(_tick(targets, cpu=[6.0, math.nan]))
    assert _cpu(totals, "b", "a") == [7.0, 6.0], "what can't be read stands where it stood"


def test_what_was_never_read_is_unknown() -> None:
    totals = _totals()
    totals.take(_tick((_target("a"),), cpu=[math.nan], sent=[3.0]))
    told = totals.of(["a", "never seen"])
    assert math.isnan(told[_CPU][0])
    assert told[_SENT][0] == 3.0
    assert all(math.isnan(column[1]) for column in told.values())


def test_another_life_goes_on_from_the_last_one() -> None:
    totals = _totals()
    totals.take(_tick((_target("a", 1.0),), cpu=[50.0]))
    totals.take(_tick((_target("a", 2.0),), cpu=[math.nan]))
    assert _cpu(totals, "a") == [50.0], "before anything of it is read"
    totals.take(_tick((_target("a", 2.0),), cpu=[60.0]))
    assert _cpu(totals, "a") == [110.0], "a new life may have used more than the last one by its first reading"


def test_another_life_is_known_by_its_start_once_that_is_told() -> None:
    totals = _totals()
    totals.take(_tick((_target("a", 1.0),), cpu=[50.0], sent=[5.0]))
    totals.take(_tick((_target("a", None),), cpu=[60.0], sent=[5.0]))
    totals.take(_tick((_target("a", 2.0),), cpu=[70.0], sent=[1.0]))
    assert _cpu(totals, "a") == [120.0], "the 60 were the new life's"
    assert totals.of(["a"])[_SENT][0] == 6.0


def test_a_start_that_is_told_again_is_no_other_life() -> None:
    totals = _totals()
    totals.take(_tick((_target("a", 1.0),), cpu=[50.0]))
    totals.take(_tick((_target("a", None),), cpu=[60.0]))
    totals.take(_tick((_target("a", 1.0),), cpu=[70.0]))
    assert _cpu(totals, "a") == [70.0]


def test_another_life_is_known_by_cpu_time_that_fell() -> None:
    totals = _totals()
    same = (_target("a", None), _target("b", None))
    totals.take(_tick(same, cpu=[50.0, 1.0], sent=[5.0, 1.0]))
    totals.take(_tick(same, cpu=[2.0, 2.0], sent=[1.0, 1.0]))
    assert _cpu(totals, "a", "b") == [52.0, 2.0]
    assert list(totals.of(["a", "b"])[_SENT]) == [6.0, 1.0]
    totals.take(_tick((_target("a", 2.0), _target("b", 1.0)), cpu=[3.0, 3.0]))
    assert _cpu(totals, "a", "b") == [53.0, 3.0], "its start is told later, and is no second one"


def test_a_network_that_a_container_left_takes_nothing_back() -> None:
    totals = _totals()
    same = (_target("a"),)
    totals.take(_tick(same, cpu=[1.0], sent=[500.0]))
    totals.take(_tick(same, cpu=[2.0], sent=[300.0]))
    assert totals.of(["a"])[_SENT][0] == 500.0


def test_one_that_stopped_goes_on_when_it_is_started_and_one_that_was_removed_is_forgotten() -> None:
    totals = _totals()
    totals.take(_tick((_target("a", 1.0), _target("gone", 1.0)), cpu=[50.0, 40.0]))
    totals.take(_tick((_target("b"),), cpu=[1.0]))
    assert _cpu(totals, "a") == [50.0]
    assert math.isnan(_cpu(totals, "gone")[0])
    totals.take(_tick((_target("a", 2.0), _target("b")), cpu=[10.0, 2.0]))
    assert _cpu(totals, "a", "b") == [60.0, 2.0]


def test_a_tick_without_containers_changes_nothing() -> None:
    totals = _totals()
    totals.take(_tick((_target("a"),), cpu=[5.0]))
    totals.take(_tick(()))
    totals.take(_tick((_target("a"),), cpu=[]))
    assert _cpu(totals, "a") == [5.0]


@given(
    lives=st.lists(st.lists(st.floats(0, 1e6), max_size=5), max_size=6),
    told=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_it_never_goes_down_and_never_tells_more_than_there_was(lives: list[list[float]], told: list[bool]) -> None:
    totals = _totals()
    before, most = 0.0, 0.0
    for number, steps in enumerate(lives):
        used = 0.0
        for step, grown in enumerate([0.0, *steps]):
            used += grown
            started = None if step == 0 and told[number] else float(number + 1)
            totals.take(_tick((_target("a", started),), cpu=[used]))
            now = _cpu(totals, "a")[0]
            assert now >= before
            assert now <= most + used + 1e-6 * (most + used)
            before = now
        most += used


def test_a_tick_in_which_nobody_came_compares_columns_alone() -> None:
    """What is carried is the same object, and is not looked at again."""
    totals, carried = _totals(), array("d", [3.0])
    targets = (_target("a"),)

    def tick(cpu: float) -> SampleBatch:
        columns: Mapping[Total, array[float]] = {_CPU: array("d", [cpu]), _SENT: carried}
        return SampleBatch(at=Instant(wall=0.0, monotonic=0.0), interval=1.0, targets=targets, totals=columns)

    totals.take(tick(1.0))
    carried[0] = 9.0  # nobody does this: it shows that the column is not read again
    totals.take(tick(2.0))
    assert _cpu(totals, "a") == [2.0]
    assert totals.of(["a"])[_SENT][0] == 3.0
