"""When a cron expression comes in a time zone: moments of the real world, daylight saving told apart. Pure.

An expression that names hours means the hour of day. What the clock shows twice in autumn comes at its first showing;
what it skips in spring comes at the moment of the skip, once. One that leaves the hours open (`*/10 * * * *`) means the
passing of time: it comes whenever the clock shows it, in the repeated hour again.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.times.cron import Cron
from watchtower_agent.policies.times.zones import Zone

_SEARCHED: Final = 9 * 366
"""Days. 29 February comes again after eight years at the most (1896, 1904)."""
_DAY: Final = timedelta(days=1)
_HOP: Final = 86400
"""Seconds. No zone changes its clocks and changes them back within a day."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron expression and the zone whose clocks it reads.

    Attributes:
        cron: When.
        zone: On whose clocks.
    """

    cron: Cron
    zone: Zone

    def __str__(self) -> str:
        return f"{self.cron.text} {self.zone.name}"

    def shown(self, moment: float, now: float) -> str:
        """A moment as those clocks show it: `03:30 Europe/Berlin`, with the date unless it is today's."""
        there, today = (datetime.fromtimestamp(each, self.zone.rules) for each in (moment, now))
        day = "" if there.date() == today.date() else f"{there:%Y-%m-%d} "
        return f"{day}{there:%H:%M} {self.zone.name}"

    def after(self, moment: float) -> float | None:
        """When it comes next, seconds since the epoch; None when the calendar ends before (29 February, year 9999)."""
        day = _day(moment, self.zone) - _DAY
        for offset in range(_SEARCHED):
            come = _moments(self, day + offset * _DAY)
            if come and come[-1] > moment:
                return come[bisect_right(come, moment)]
        return None

    def latest(self, moment: float, within: float) -> float | None:
        """When it came last, that moment included; None when that is `within` seconds ago, or more."""
        day = _day(moment, self.zone) + _DAY
        last = _day(moment - within, self.zone) - _DAY
        found: float | None = None
        while day >= last and found is None:
            come = _moments(self, day)
            before = bisect_right(come, moment)
            found = come[before - 1] if before else None
            day -= _DAY
        return found if found is not None and moment - found < within else None


def moment_of(reading: datetime, rules: tzinfo) -> float:
    """When a clock shows that (first), or skips it: seconds since the epoch.

    Args:
        reading: What the clock shows, without a zone.
        rules: The clock's zone.
    """
    first = reading.replace(tzinfo=rules, fold=0)
    if _shown(first):
        return first.timestamp()
    # In a gap the reading with the offset of after it (fold=1) lies before the change, and the other one behind.
    before, behind = first.replace(fold=1).timestamp(), first.timestamp()
    change = change_after(before, behind, rules)
    return behind if change is None else change


def change_after(moment: float, until: float, rules: tzinfo) -> float | None:
    """When the zone's clocks are next changed, in (moment, until], seconds since the epoch; None when they are not."""
    offset = datetime.fromtimestamp(moment, rules).utcoffset()
    low, high = math.floor(moment), math.floor(min(moment + _HOP, until))
    while datetime.fromtimestamp(high, rules).utcoffset() == offset:
        if high >= math.floor(until):
            return None
        low, high = high, math.floor(min(high + _HOP, until))
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, rules).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return float(high)


def _shown(aware: datetime) -> bool:
    """Whether the zone's clocks ever show it."""
    return aware.astimezone(UTC).astimezone(aware.tzinfo).replace(tzinfo=None) == aware.replace(tzinfo=None)


def _day(moment: float, zone: Zone) -> date:
    return datetime.fromtimestamp(moment, zone.rules).date()


def _moments(schedule: Schedule, day: date) -> tuple[float, ...]:
    """When it comes on one day of the zone's calendar, ascending."""
    return _kept(schedule, day) if schedule.cron.on(day) else ()


@lru_cache(maxsize=256)
def _kept(schedule: Schedule, day: date) -> tuple[float, ...]:
    return tuple(sorted(set(_on(schedule, day))))


def _on(schedule: Schedule, day: date) -> Iterator[float]:
    rules = schedule.zone.rules
    for hour in schedule.cron.hours:
        for minute in schedule.cron.minutes:
            reading = datetime.combine(day, time(hour, minute))
            if not schedule.cron.every_hour:
                yield moment_of(reading, rules)
                continue
            for fold in (0, 1):
                aware = reading.replace(tzinfo=rules, fold=fold)
                if _shown(aware):
                    yield aware.timestamp()
