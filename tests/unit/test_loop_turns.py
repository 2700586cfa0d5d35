"""What the lengths of turns tell of how long anything waits that comes at any moment."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.loop.turns import Turns

LENGTHS = st.lists(st.floats(1e-6, 200.0), max_size=60)


def taken(*lengths: float) -> Turns:
    turns = Turns()
    for seconds in lengths:
        turns.add(seconds)
    return turns


def waits_longer(lengths: list[float], than: float) -> float:
    """Seconds' worth of moments that wait longer than that: of a turn, all but its last so many seconds."""
    return sum(max(0.0, length - than) for length in lengths)


@given(lengths=LENGTHS, rest=st.floats(0.001, 10_000.0), share=st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_lag_is_never_told_too_low_and_hardly_too_high(lengths: list[float], rest: float, share: float) -> None:
    within = sum(lengths) + rest
    allowed = (1 - share) * within

    lag = taken(*lengths).lag(share, within)

    assert waits_longer(lengths, lag) <= allowed + 1e-6
    if lag > 1e-4:  # a fifth lower would be too low
        assert waits_longer(lengths, lag / 1.2) > allowed - 1e-6


def test_a_long_turn_counts_by_the_time_it_takes_from_others() -> None:
    # One turn of 30 ms in 10 s: the moments of its first 10 ms wait longer than 20 ms. That is one in a thousand.
    turns = taken(*[0.0001] * 90, 0.030)
    assert turns.lag(0.999, 10.0) == pytest.approx(0.020, rel=0.2)
    assert turns.lag(0.999, 100.0) == 0
    assert turns.longest == 0.030
    assert turns.count == 91
    assert turns.seconds == pytest.approx(0.039)


def test_a_loop_that_never_rests_makes_everything_wait() -> None:
    assert taken(*[0.1] * 100).lag(0.999, 10.0) == pytest.approx(0.1, rel=0.01)


def test_no_turn_no_lag() -> None:
    assert Turns().lag(0.999, 10.0) == 0
    assert Turns().since(Turns()).longest == 0


def test_what_was_before_is_left_out() -> None:
    turns = taken(5.0, 0.02)
    before = turns.copy()
    for _ in range(10):
        turns.add(0.001)
    later = turns.since(before)
    assert later.count == 10
    assert later.seconds == pytest.approx(0.01)
    assert later.longest == pytest.approx(0.001, rel=0.2)
    assert later.lag(0.999, 0.5) < 0.0012
    assert before.count == 2


def test_a_turn_of_hours_or_of_nothing_is_one_of_the_longest_or_shortest() -> None:
    turns = taken(0.0, -1e-9, 10_000.0)
    assert turns.count == 3
    assert turns.longest == 10_000.0
    assert turns.lag(0.999, 10_001.0) == pytest.approx(10_000.0, rel=0.01)
