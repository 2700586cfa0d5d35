"""The recent past of what conditions ask about: one row per tick, and running answers. Pure.

Kept is only what some condition's window asks for, as far back as the longest one: a row per metric and tick, with one
number per container, as exact as the present value that a condition compares with it. Each span of time has running
answers that are brought up to date with the row that comes and those that leave, so that asking costs the same for a
minute and for an hour.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field
from typing import Final

from watchtower_agent.model.values import dataclass
from watchtower_agent.model.window import Window, WindowFunction
from watchtower_agent.state.seats import Seats
from watchtower_agent.state.span import Span

COMPLETE = 0.7
"""Share of the ticks in a window that must be known, or the answer is not."""

CURRENT = 3
"""Ticks after which the newest known value is too old."""

_CHANGES: Final = frozenset({WindowFunction.DELTA, WindowFunction.RATE})

HOST = ""
"""Whose past it is that belongs to no container: the host's, and its engine's."""


@dataclass(slots=True)
class Ticks:
    """When the kept rows were taken.

    Attributes:
        times: Monotonic seconds, oldest first.
        first: Number of the oldest kept row; rows are numbered from 0 for ever.
        interval: Seconds between ticks.
    """

    times: deque[float] = field(default_factory=deque)
    first: int = 0
    interval: float = 1.0

    @property
    def next(self) -> int:
        """Number of the row that comes next."""
        return self.first + len(self.times)

    def at(self, number: int) -> float:
        """When a kept row was taken."""
        return self.times[number - self.first]


class History:
    """Rows over slots: a slot for each container, and one for the host."""

    def __init__(self) -> None:
        self._metrics: dict[str, _Metric] = {}
        self._ticks = Ticks()
        self._seats = Seats()

    @property
    def names(self) -> Collection[str]:
        """Catalogue names whose past is kept."""
        return self._metrics.keys()

    def ask(self, windows: Iterable[Window]) -> None:
        """Keep what these need and no more. What is kept already stays."""
        wanted: dict[str, set[Window]] = {}
        for window in windows:
            wanted.setdefault(window.name, set()).add(window)
        for name in self._metrics.keys() - wanted.keys():
            del self._metrics[name]
        for name, asked in wanted.items():
            metric = self._metrics.get(name)
            if metric is None:
                metric = self._metrics[name] = _Metric(self._ticks.next, self._seats.width)
            metric.ask(asked, self._ticks)

    def add(
        self, at: float, interval: float, present: Collection[str], values: Mapping[str, Mapping[str, float]]
    ) -> None:
        """One tick.

        Args:
            at: Monotonic seconds.
            interval: Seconds between ticks.
            present: Whose past is kept; that of all others is forgotten.
            values: Catalogue name -> whose -> number. What is not known is NaN or left out.
        """
        if not self._metrics:
            self._seats = Seats()
            return
        self._seat(present)
        ticks = self._ticks
        ticks.interval = interval
        ticks.times.append(at)
        for name, metric in self._metrics.items():
            metric.add(self._row(values.get(name, {})), ticks)
        oldest = min(metric.oldest_needed for metric in self._metrics.values())
        while ticks.first < oldest:
            ticks.times.popleft()
            ticks.first += 1
        for metric in self._metrics.values():
            metric.drop_before(ticks.first)

    def renew(self, whose: str, names: Iterable[str]) -> None:
        """A new life begins: these numbers of the one before tell nothing of it."""
        slot = self._seats.slots.get(whose)
        if slot is not None:
            self._clear(slot, names)

    def value(self, window: Window, whose: str, now: float) -> float | None:
        """The answer; None while too little is known.

        Args:
            window: One of those asked for.
            whose: A container's id, or `HOST`.
            now: Monotonic seconds.
        """
        metric, slot = self._metrics.get(window.name), self._seats.slots.get(whose)
        if metric is None or slot is None:
            return None
        return metric.value(window, slot, now, self._ticks)

    def _row(self, numbers: Mapping[str, float]) -> array[float]:
        row = array("d", [math.nan]) * self._seats.width
        slots = self._seats.slots
        for whose, number in numbers.items():
            slot = slots.get(whose)
            if slot is not None and math.isfinite(number):
                row[slot] = number
        return row

    def _seat(self, present: Collection[str]) -> None:
        seats = self._seats
        if seats.are(present):
            return
        here = set(present)
        for whose in seats.slots.keys() - here:
            slot = seats.leave(whose)
            if slot is not None:
                self._clear(slot, self._metrics)
        for whose in sorted(here - seats.slots.keys()):
            seats.take(whose)
        for metric in self._metrics.values():
            metric.widen(seats.width)

    def _clear(self, slot: int, names: Iterable[str]) -> None:
        for name in names:
            metric = self._metrics.get(name)
            if metric is not None:
                metric.clear(slot, self._ticks.next)


class _Metric:
    """The kept rows of one name, and what is asked of them; the newest number of each slot, and how often it came."""

    def __init__(self, begin: int, width: int) -> None:
        self._begin = begin
        self._rows: deque[array[float]] = deque()
        self._since = array("q", [begin]) * width
        self._newest_at = array("d", [-math.inf]) * width
        self._newest = array("d", [math.nan]) * width
        self._alike = array("q", [0]) * width
        self._spans: dict[float, Span] = {}

    @property
    def oldest_needed(self) -> int:
        """Number of the oldest row that some span still has."""
        return min(span.tail for span in self._spans.values())

    def ask(self, windows: Iterable[Window], ticks: Ticks) -> None:
        """Keep spans for these windows and no others; new ones begin with the rows that are kept already."""
        functions: dict[float, set[WindowFunction]] = {}
        for window in windows:
            functions.setdefault(window.seconds, set()).add(window.function)
        kept = {
            seconds: span for seconds, span in self._spans.items() if span.functions == functions.get(seconds, set())
        }
        for seconds in functions.keys() - kept.keys():
            span = kept[seconds] = Span(seconds, frozenset(functions[seconds]), self._begin, len(self._since))
            for offset, row in enumerate(self._rows):
                span.enter(self._own(self._begin + offset, row))
            self._leave(span, ticks)
        self._spans = kept

    def add(self, row: array[float], ticks: Ticks) -> None:
        """The row of the tick that was just taken."""
        self._rows.append(row)
        at = ticks.times[-1]
        newest, newest_at, alike = self._newest, self._newest_at, self._alike
        for slot, number in enumerate(row):
            if number == number:  # noqa: PLR0124 - NaN is the one number that differs from itself
                newest_at[slot] = at
                if number == newest[slot]:
                    alike[slot] += 1
                else:
                    newest[slot], alike[slot] = number, 1
        for span in self._spans.values():
            span.enter(row)
            self._leave(span, ticks)

    def drop_before(self, number: int) -> None:
        """No row before this one is kept."""
        while self._begin < number and self._rows:
            self._rows.popleft()
            self._begin += 1

    def clear(self, slot: int, number: int) -> None:
        """What rows before this one say of a slot is not its own."""
        self._since[slot] = number
        self._newest[slot], self._newest_at[slot], self._alike[slot] = math.nan, -math.inf, 0
        for span in self._spans.values():
            span.clear(slot)

    def widen(self, width: int) -> None:
        """So many slots from now on."""
        more = width - len(self._since)
        self._since.extend([0] * more)
        self._newest.extend([math.nan] * more)
        self._newest_at.extend([-math.inf] * more)
        self._alike.extend([0] * more)
        for span in self._spans.values():
            span.widen(width)

    def value(self, window: Window, slot: int, now: float, ticks: Ticks) -> float | None:
        """The answer for a slot; None while too little is known."""
        span = self._spans.get(window.seconds)
        if span is None or now - self._newest_at[slot] > CURRENT * ticks.interval:
            return None
        if span.counts[slot] < max(1.0, COMPLETE * window.seconds / ticks.interval):
            return None
        if window.function not in _CHANGES:
            if self._alike[slot] >= span.counts[slot]:
                return self._newest[slot]  # of equal numbers: their sum, divided again, may differ from them
            return span.answer(window.function, slot)
        first, first_at = self._oldest_in(span, slot, ticks)
        grown, passed = self._newest[slot] - first, self._newest_at[slot] - first_at
        if window.function is WindowFunction.DELTA:
            return grown
        return grown / passed if passed > 0 else None

    def _oldest_in(self, span: Span, slot: int, ticks: Ticks) -> tuple[float, float]:
        for number in range(max(span.tail, self._since[slot]), ticks.next):
            row = self._rows[number - self._begin]
            if slot < len(row) and row[slot] == row[slot]:
                return row[slot], ticks.at(number)
        return self._newest[slot], self._newest_at[slot]

    def _leave(self, span: Span, ticks: Ticks) -> None:
        until = ticks.times[-1] - span.seconds if ticks.times else -math.inf
        while span.tail < ticks.next and span.tail - self._begin < len(self._rows) and ticks.at(span.tail) <= until:
            span.leave(self._own(span.tail, self._rows[span.tail - self._begin]))

    def _own(self, number: int, row: array[float]) -> array[float]:
        """The row without what it says of containers that had a slot before its present owner."""
        since = self._since
        if number >= max(since, default=0):
            return row
        return array("d", [value if since[slot] <= number else math.nan for slot, value in enumerate(row)])
