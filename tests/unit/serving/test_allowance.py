from __future__ import annotations

from hypothesis import given, strategies as st

from watchtower_agent.serving.allowance import Allowance


def test_so_many_at_once_and_then_as_the_bucket_fills() -> None:
    allowance = Allowance(10, 3)
    assert [allowance.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [allowance.take(100.125), allowance.take(100.125)] == [True, False]
    assert [allowance.take(200.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_stands_or_goes_back_fills_nothing() -> None:
    allowance = Allowance(10, 1)
    assert [allowance.take(now) for now in (5.0, 5.0, 1.0)] == [True, False, False]


@given(steps=st.lists(st.floats(0, 2), max_size=60))
def test_never_more_than_its_rate_and_its_burst(steps: list[float]) -> None:
    allowance, now, taken = Allowance(10, 5), 0.0, 0
    for step in steps:
        now += step
        taken += allowance.take(now)
    assert taken <= 5 + now * 10 + 1e-6
