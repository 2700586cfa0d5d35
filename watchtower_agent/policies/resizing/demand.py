"""What a container needed of its CPU and its memory, as far back as it counts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Self

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.resizing.histogram import BYTES, CORES, Histogram
from watchtower_agent.policies.resizing.meter import Measured
from watchtower_agent.policies.resizing.rules import DAY, HOUR, Rules
from watchtower_agent.policies.resizing.storing import aged, items, mapping, number, pairs

EPSILON: Final = 1e-6
"""Of a second: less is nothing, so that rounding decides nothing."""
P95: Final = 0.95
RECENT: Final = 600.0
"""Seconds whose largest working set counts as present."""
_MINUTE: Final = 60.0
MINUTES: Final = 5
"""Minutes through which CPU has to be used to count as present: a burst is shorter."""
_KNOWN: Final = 0.7
"""Share of a minute that has to be measured."""
_RECENTS: Final = int(RECENT / _MINUTE) + 2
_LONGEST: Final = 64
"""Days of peaks that are taken back at most."""
_NOTHING_OF_CPU: Final = Histogram(scale=CORES)
_NOTHING_OF_MEMORY: Final = Histogram(scale=BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What one resource needs, as far as is known.

    Attributes:
        p95: What is not exceeded in 95 % of the seconds (CPU) or hours (memory); None: nothing is known.
        recent: What is used at present; None: not known.
        peak: The largest working set of some days; None: not known, or not asked.
        measured: Seconds that were measured.
        limit: The limit that this takes: margins are in it, bounds are not; None: nothing is known.
        present: It is what is used at present that takes so much.
    """

    p95: float | None
    recent: float | None
    peak: float | None
    measured: float
    limit: float | None
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuDemand:
    """The past of a container's CPU.

    Attributes:
        histogram: Cores, weighed by seconds.
        measured: Seconds that were measured.
        minute: The one that goes on: when it began, seconds of it measured, CPU time used in them.
        minutes: The last that were over: when they ended, and their mean; none since one was not known.
        days: When each day began, and the most that was used throughout five minutes of it; the last one goes on.
    """

    histogram: Histogram = _NOTHING_OF_CPU
    measured: float = 0.0
    minute: tuple[float, float, float] | None = None
    minutes: tuple[tuple[float, float], ...] = ()
    days: tuple[tuple[float, float], ...] = ()

    def seen(self, measured: Measured, rules: Rules, at: float) -> Self:
        """The same after one more look."""
        histogram = self.histogram.add_all(measured.cores, at) if measured.cores else self.histogram
        start, seconds, used = self.minute if self.minute is not None else (at - measured.cpu_seconds, 0.0, 0.0)
        seconds, used = seconds + measured.cpu_seconds, used + measured.core_seconds
        minute, minutes = (start, seconds, used), self.minutes
        if at - start >= _MINUTE - EPSILON:
            known = seconds >= _KNOWN * (at - start)
            minutes = (*minutes[1 - MINUTES :], (at, used / seconds)) if known else ()
            minute = (at, 0.0, 0.0)
        total = self.measured + measured.cpu_seconds
        after = replace(self, histogram=histogram, measured=total, minute=minute, minutes=minutes)
        recent = after.sustained
        return after if recent is None else replace(after, days=_peaked(self.days, recent, rules.cpu_peaks_for, at))

    def needed(self, rules: Rules, at: float) -> Needed:
        """What it needs at the moment that was seen last."""
        p95, recent = self.histogram.percentile(P95), self.sustained
        # Of less than an hour P95 tells how it started.
        usual = p95 if p95 is not None and self.measured >= HOUR - EPSILON else None
        limit, present = _limit(rules.margin, usual, rules.cpu_recent_margin, recent)
        peak = _peak(self.days, rules.cpu_peaks_for, at)
        return Needed(p95=p95, recent=recent, peak=peak, measured=self.measured, limit=limit, present=present)

    @property
    def sustained(self) -> float | None:
        """What was used in each of the last five minutes; None: not known."""
        return min(mean for _, mean in self.minutes) if len(self.minutes) == MINUTES else None

    def stored(self, now: float) -> dict[str, object]:
        """As a JSON object for the next run."""
        return {
            "histogram": self.histogram.stored(now),
            "measured": self.measured,
            "minute": None if self.minute is None else [now - self.minute[0], *self.minute[1:]],
            "minutes": aged(self.minutes, now),
            "days": aged(self.days, now),
        }

    @classmethod
    def restored(cls, stored: object, origin: float) -> Self:
        """The inverse of `stored`; raises KeyError, TypeError or ValueError for what is no such object."""
        known = mapping(stored)
        minute = None
        if known["minute"] is not None:
            age, seconds, used = (number(each) for each in items(known["minute"], 3))
            minute = (origin - age, seconds, used)
        return cls(
            histogram=Histogram.restored(known["histogram"], origin, CORES),
            measured=number(known["measured"]),
            minute=minute,
            minutes=pairs(known["minutes"], origin, MINUTES),
            days=pairs(known["days"], origin, _LONGEST),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDemand:
    """The past of a container's working set.

    Attributes:
        hours: The peak of each hour that is over.
        measured: Seconds that were measured.
        hour: The one that goes on: when it began, and its peak; None before the first sample.
        days: When each day began, and its peak; the last one goes on.
        recent: When so much was used lately, oldest first. Kept are those that no later one reaches.
    """

    hours: Histogram = _NOTHING_OF_MEMORY
    measured: float = 0.0
    hour: tuple[float, float] | None = None
    days: tuple[tuple[float, float], ...] = ()
    recent: tuple[tuple[float, float], ...] = ()

    def seen(self, measured: Measured, rules: Rules, at: float) -> Self:
        """The same after one more look."""
        hours, hour = self.hours, self.hour
        if hour is not None and at - hour[0] >= HOUR - EPSILON:
            hours, hour = hours.add(hour[1], 1.0, at), None
        recent = tuple(each for each in self.recent if at - each[0] < RECENT - EPSILON)
        after = replace(self, hours=hours, hour=hour, recent=recent, measured=self.measured + measured.memory_seconds)
        peak = measured.peak
        if peak is None:
            return after
        hour = (at, peak) if hour is None else (hour[0], max(hour[1], peak))
        return replace(after.peaked(peak, rules, at), hour=hour, recent=_with(recent, peak, at))

    def peaked(self, peak: float, rules: Rules, at: float) -> Self:
        """The same with a peak that no sample need have seen: a container that was OOM-killed was at its limit."""
        return replace(self, days=_peaked(self.days, peak, rules.peaks_for, at))

    def needed(self, rules: Rules, at: float) -> Needed:
        """What it needs at the moment that was seen last."""
        hours = self.hours if self.hour is None else self.hours.add(self.hour[1], 1.0, at)
        p95 = hours.percentile(P95)
        recent = max((peak for _, peak in self.recent), default=None)
        peak = _peak(self.days, rules.peaks_for, at)
        limit, present = _limit(rules.margin, p95, rules.recent_margin, recent)
        return Needed(p95=p95, recent=recent, peak=peak, measured=self.measured, limit=limit, present=present)

    def stored(self, now: float) -> dict[str, object]:
        """As a JSON object for the next run."""
        return {
            "hours": self.hours.stored(now),
            "measured": self.measured,
            "hour": aged((self.hour,), now) if self.hour is not None else [],
            "days": aged(self.days, now),
            "recent": aged(self.recent, now),
        }

    @classmethod
    def restored(cls, stored: object, origin: float) -> Self:
        """The inverse of `stored`; raises KeyError, TypeError or ValueError for what is no such object."""
        known: Mapping[str, object] = mapping(stored)
        hour = pairs(known["hour"], origin, 1)
        return cls(
            hours=Histogram.restored(known["hours"], origin, BYTES),
            measured=number(known["measured"]),
            hour=hour[0] if hour else None,
            days=pairs(known["days"], origin, _LONGEST),
            recent=pairs(known["recent"], origin, _RECENTS),
        )


def _limit(margin: float, usual: float | None, recent_margin: float, recent: float | None) -> tuple[float | None, bool]:
    by_usual = None if usual is None else margin * usual
    by_recent = None if recent is None else recent_margin * recent
    if by_recent is not None and (by_usual is None or by_recent >= by_usual):
        return by_recent, True
    return by_usual, False


def _peaked(
    days: tuple[tuple[float, float], ...], peak: float, many: int, at: float
) -> tuple[tuple[float, float], ...]:
    kept = tuple(each for each in days if at - each[0] < (many + 1) * DAY)
    if kept and at - kept[-1][0] < DAY - EPSILON:
        return (*kept[:-1], (kept[-1][0], max(kept[-1][1], peak)))
    return (*kept, (at, peak))


def _peak(days: tuple[tuple[float, float], ...], many: int, at: float) -> float | None:
    """The largest of so many days and of the one that goes on."""
    return max((peak for began, peak in days if many and at - began < (many + 1) * DAY), default=None)


def _with(recent: tuple[tuple[float, float], ...], peak: float, at: float) -> tuple[tuple[float, float], ...]:
    kept = list(recent)
    while kept and kept[-1][1] <= peak:
        kept.pop()
    if kept and kept[-1][0] // _MINUTE == at // _MINUTE:
        return (*kept[:-1], (at, kept[-1][1]))  # one a minute: the larger, for as long as the later
    return (*kept, (at, peak))
