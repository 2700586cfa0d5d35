"""How often each container's CPU quota stops it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from watchtower_agent.collectors.files import NUMBER, Descriptors, KeptFile, MissingError
from watchtower_agent.collectors.gauges import NEVER
from watchtower_agent.collectors.paced import PacedCollector
from watchtower_agent.collectors.parsing import value_after
from watchtower_agent.collectors.request import LIMITS_INTERVAL
from watchtower_agent.collectors.roster import Life
from watchtower_agent.model.sample import Total

NAMES = ("cpu.throttled",)
TOTALS = (Total.PERIODS, Total.THROTTLED)
_UNLIMITED = (math.nan,)


def throttling(descriptors: Descriptors) -> PacedCollector:
    """`cpu.throttled` = 100 * Δthrottled periods / Δperiods; unknown without a quota."""

    def opened(life: Life) -> ThrottlingGauge | None:
        place = life.place
        if place is None:
            return None
        if place.cpu:
            return ThrottlingGauge(place.cpu, "cpu.cfs_quota_us", b"-1", descriptors)
        return ThrottlingGauge(place.unified, "cpu.max", b"max", descriptors) if place.unified else None

    return PacedCollector(
        "throttling", NAMES, opened, unknown="how much their CPU is throttled is", totals=TOTALS, of_limits=True
    )


class ThrottlingGauge:
    """`cpu.stat` counts the periods in which a container with a quota ran, and those in which it was stopped.

    The quota itself is read every minute.

    Args:
        directory: The cgroup with the `cpu` controller's files.
        quota: The file with the quota.
        none: How that file begins when there is no quota.
        descriptors: Counts what is kept open.
    """

    __slots__ = ("_limit", "_limit_at", "_none", "_periods", "_quota", "_stat", "_throttled")

    def __init__(self, directory: str, quota: str, none: bytes, descriptors: Descriptors) -> None:
        self._stat = KeptFile(f"{directory}/cpu.stat", NUMBER * 8, descriptors)
        self._quota = KeptFile(f"{directory}/{quota}", NUMBER, descriptors)
        self._none = none
        self._limit = b""
        self._limit_at = NEVER
        self._periods = self._throttled = math.nan

    @property
    def totals(self) -> Sequence[float]:
        """Periods in which it ran, and those of them that used the quota up."""
        return self._periods, self._throttled

    def read(self, now: float) -> Sequence[float]:
        """One number: the share of the periods since the last reading, 0 when none passed in which it ran."""
        try:
            limit = self._limit
            if now - self._limit_at >= LIMITS_INTERVAL:
                limit, self._limit_at = self._quota.read(), now
            if limit.startswith(self._none):  # as most containers' does: nothing more to be read
                self._limit, self._periods, self._throttled = limit, math.nan, math.nan
                return _UNLIMITED
            data = self._stat.read()
        except MissingError:  # the controller is not enabled here, or the kernel has no bandwidth control: no quota
            self._limit = b""
            self._periods = self._throttled = math.nan
            return _UNLIMITED
        if limit != self._limit:  # what was throttled before says nothing about this quota
            self._limit, self._periods, self._throttled = limit, math.nan, math.nan
        periods, throttled = value_after(data, b"\nnr_periods "), value_after(data, b"\nnr_throttled ")
        if periods is None or throttled is None:
            self._periods = self._throttled = math.nan
            return _UNLIMITED
        passed, stopped = periods - self._periods, throttled - self._throttled
        self._periods, self._throttled = periods, throttled
        if not (passed >= 0 and stopped >= 0):
            return (math.nan,)
        return (min(100.0, 100 * stopped / passed) if passed else 0.0,)

    def close(self) -> None:
        """Let go of all descriptors."""
        self._stat.close()
        self._quota.close()
