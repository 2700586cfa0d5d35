"""Counters that become rates, alone and in a file, and what is kept open for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from watchtower_agent.collectors.files import Descriptors, KeptFile, UnreadableError
from watchtower_agent.collectors.gauges import Counter, RateGauge
from watchtower_agent.errors import PermanentError


def known(numbers: Sequence[float]) -> list[float | None]:
    return [None if math.isnan(number) else number for number in numbers]


def test_a_counter_that_goes_down_has_no_rate_and_begins_anew() -> None:
    counter = Counter()
    rates = [counter.rate(total, at) for at, total in enumerate([10.0, 14.0, 3.0, 5.0, None, 9.0])]
    assert known(rates) == [None, 4, None, 2, None, 2]


@pytest.fixture
def gauge(tmp_path: Path) -> RateGauge:
    (tmp_path / "f").write_text("10 100\n")
    return RateGauge(
        KeptFile(f"{tmp_path}/f", 64, Descriptors(10)),
        lambda data: [float(word) for word in data.split()] or [math.nan, math.nan],
        names=2,
        unknown=lambda error: "gone" in str(error),
        most=50.0,
    )


def test_rates_are_over_the_time_since_the_last_reading_also_while_nothing_moves(
    gauge: RateGauge, tmp_path: Path
) -> None:
    assert known(gauge.read(1.0)) == [None, None]
    assert known(gauge.read(2.0)) == [0, 0]
    assert known(gauge.read(10.0)) == [0, 0]
    (tmp_path / "f").write_text("14 100\n")
    assert known(gauge.read(12.0)) == [2, 0]
    (tmp_path / "f").write_text("13 900\n")
    assert known(gauge.read(13.0)) == [None, 50.0], "one went down; the other grew by more than can be"


class Broken(KeptFile):
    """A file that can't be read for a while."""

    error: PermanentError | None = None

    def read(self) -> bytes:
        if self.error is not None:
            raise self.error
        return super().read()


def test_what_there_is_nothing_to_know_of_is_unknown_and_anything_else_is_raised(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("1\n")
    file = Broken(f"{tmp_path}/f", 64, Descriptors(10))
    gauge = RateGauge(
        file,
        lambda data: [float(data)] if data else [math.nan],
        names=1,
        unknown=lambda error: "gone" in str(error),
    )
    assert known(gauge.read(0.0)) == [None]
    assert known(gauge.read(1.0)) == [0]
    file.error = PermanentError("gone")
    assert known(gauge.read(2.0)) == [None]
    assert known(gauge.read(3.0)) == [None]
    file.error = UnreadableError("broken")
    with pytest.raises(UnreadableError):
        gauge.read(4.0)
    file.error = None
    assert known(gauge.read(5.0)) == [None], "what was before is too long ago"
    assert known(gauge.read(6.0)) == [0]
