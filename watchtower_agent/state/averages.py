"""The past for people who look back: averages of ten seconds, for an hour or what the settings say. Pure.

Nothing is decided by them: conditions ask the history, which has every tick. So nothing here is taken back either: a
container's averages go on through its lives, since what it did before it crashed is what one looks for, until it is
removed. Ticks are kept as they come and added up ten at a time, column by column: a tick costs a few list appends.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Final

from watchtower_agent.model.sample import SampleBatch, SampleTarget
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.history import HOST
from watchtower_agent.state.seats import Seats

AVERAGED: Final = ("cpu.percent", "cpu.throttled", "memory.working_set", "memory.percent", "pids")
"""Of containers: what runs full before a container is slow or dead. Each costs 4 bytes a container and average, 1.4 KiB
an hour; of the host, where it costs nothing, all that is sampled is averaged."""

USUAL: Final = 3600.0
"""Seconds of the past that are kept unless the settings say otherwise."""

_STEP = 10.0
"""Seconds of one average; of slow sampling two ticks, so that one that comes a little late leaves none empty."""

_AT_ONCE = 10
"""Ticks that are added up together."""

_NOTHING: Final = array("f")
"""A row in which nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Averages of one number, over stretches of time that follow one another.

    Attributes:
        begin: When the first stretch begins, monotonic seconds.
        step: Seconds of each.
        values: One for each, None where nothing was known. That of the present stretch is of its ticks so far.
    """

    begin: float
    step: float
    values: tuple[float | None, ...]


class Averages:
    """Rows of averages over slots: a slot for each container that was ever sampled, one for each number of the host.

    Args:
        keep: Seconds of the past that are kept; 0 for none.
        interval: Seconds between ticks.

    Attributes:
        keep: As given.
    """

    def __init__(self, keep: float = USUAL, interval: float = 1.0) -> None:
        self.keep = keep
        self._step = max(_STEP, 2 * interval)
        self._stretch = -1
        self._stretches: deque[int] = deque()
        self._containers = {name: _Rows() for name in AVERAGED}
        self._host = _Rows()
        self._seats, self._host_seats = Seats(), Seats()
        self._since: array[int] = array("q")
        self._targets: tuple[SampleTarget, ...] | None = None
        self._slots: list[int] = []
        self._told: list[Mapping[str, float]] = []

    def add(self, batch: SampleBatch, known: Container[str]) -> None:
        """One tick.

        Args:
            batch: What it measured. Its columns are kept for a while, and never changed.
            known: Ids of the containers that exist: one that went while the tick was read gets no slot any more.
        """
        if self.keep <= 0:
            return
        stretch = int(batch.at.monotonic // self._step)
        if stretch != self._stretch:
            self._end(batch.at.monotonic)
            self._stretch = stretch
        if batch.targets is not self._targets:
            self._fold()
            self._seat(batch.targets, known)
        for name, rows in self._containers.items():
            column = batch.columns.get(name)
            if column is not None and len(column) == len(self._slots):
                rows.columns.append(column)
        self._told.append(batch.host)
        if len(self._told) >= _AT_ONCE:
            self._fold()

    def forget(self, whose: str) -> None:
        """That container was removed."""
        slot = self._seats.leave(whose)
        if slot is None:
            return
        self._fold()
        for rows in self._containers.values():
            rows.clear(slot)
        self._targets = None  # until the sampler knows, too, its numbers go nowhere

    def series(self, name: str, whose: str, now: float, last: float) -> Series | None:
        """The averages of one number, from the first that is kept to the present.

        Args:
            name: A name out of `AVERAGED`; of the host any that is sampled.
            whose: A container's id, or `HOST`.
            now: Monotonic seconds.
            last: How many seconds back.

        Returns:
            None where nothing of it was ever sampled.
        """
        self._fold()
        of_host = whose == HOST
        rows = self._host if of_host else self._containers.get(name)
        slot = self._host_seats.slots.get(name) if of_host else self._seats.slots.get(whose)
        if rows is None or slot is None:
            return None
        first, present = int((now - min(last, self.keep)) // self._step), int(now // self._step)
        if not of_host:
            first = max(first, self._since[slot])
        first = max(first, self._stretches[0] if self._stretches else self._stretch)
        found = dict(self._newest(rows, slot, first))
        values = [found.get(stretch) for stretch in range(first, present + 1)]
        if len(values) > 1 and self._stretch < present:
            values.pop()  # it has only just begun
        return Series(begin=first * self._step, step=self._step, values=tuple(values))

    def _newest(self, rows: _Rows, slot: int, first: int) -> Iterator[tuple[int, float]]:
        """Stretches and what is known of them, the newest first."""
        number = rows.present(slot)
        if number == number:  # noqa: PLR0124 - NaN is the one number that differs from itself
            yield self._stretch, number
        for stretch, row in zip(reversed(self._stretches), reversed(rows.kept), strict=True):
            if stretch < first:
                return
            number = row[slot] if slot < len(row) else math.nan
            if number == number:  # noqa: PLR0124 - as above
                yield stretch, number

    def _seat(self, targets: tuple[SampleTarget, ...], known: Container[str]) -> None:
        seats = self._seats
        self._slots = []
        for target in targets:
            whose = target.container_id
            slot = seats.slots.get(whose)
            if slot is None and whose in known:
                slot = seats.take(whose)
                self._since.extend([0] * (seats.width - len(self._since)))
                self._since[slot] = self._stretch
            self._slots.append(-1 if slot is None else slot)
        self._targets = targets

    def _fold(self) -> None:
        if not self._told:
            return
        for rows in self._containers.values():
            rows.fold(self._slots, self._seats.width)
        told, self._told = self._told, []
        seats = self._host_seats
        for name in {name: None for host in told for name in host}:
            if name not in seats.slots:
                seats.take(name)
        self._host.columns = [[host.get(name, math.nan) for name in seats.slots] for host in told]
        self._host.fold(list(seats.slots.values()), seats.width)

    def _end(self, now: float) -> None:
        """The stretch is over: its row is made, and those that are too old go."""
        self._fold()
        everything = (self._host, *self._containers.values())
        if self._stretch >= 0:
            self._stretches.append(self._stretch)
            for rows in everything:
                rows.end()
        oldest = int((now - self.keep) // self._step)
        while self._stretches and self._stretches[0] < oldest:
            self._stretches.popleft()
            for rows in everything:
                rows.kept.popleft()


class _Rows:
    """Of one name, or of the host: a row for each stretch, and what the present one adds up to.

    Attributes:
        kept: A row for each stretch that is over, oldest first; shorter ones are of a time with fewer slots.
        columns: Of ticks that are not added up yet, all of the same targets.
    """

    __slots__ = ("_counts", "_sums", "columns", "kept")

    def __init__(self) -> None:
        self.kept: deque[array[float]] = deque()
        self.columns: list[Sequence[float]] = []
        self._sums, self._counts = array("d"), array("l")

    def fold(self, slots: Sequence[int], width: int) -> None:
        """Add up what came.

        Args:
            slots: Where the number at each place of the columns belongs; -1 for nowhere.
            width: Slots.
        """
        more = width - len(self._sums)
        if more:
            self._sums.extend([0.0] * more)
            self._counts.extend([0] * more)
        columns, self.columns = self.columns, []
        if not columns:
            return
        weight, first = 1, columns[0]
        if all(column is first for column in columns):  # what is read seldom is carried from tick to tick
            weight, columns = len(columns), [first]
        totals = first if len(columns) == 1 else list(map(sum, zip(*columns, strict=True)))
        sums, counts, finite, times = self._sums, self._counts, math.isfinite, weight * len(columns)
        for place, (slot, total) in enumerate(zip(slots, totals, strict=True)):
            if slot < 0:
                continue
            if finite(total):
                sums[slot] += total * weight
                counts[slot] += times
            elif len(columns) > 1:
                known = [column[place] for column in columns if finite(column[place])]
                sums[slot] += sum(known)
                counts[slot] += len(known)

    def present(self, slot: int) -> float:
        """The average so far, NaN while nothing is known."""
        return self._sums[slot] / self._counts[slot] if slot < len(self._sums) and self._counts[slot] else math.nan

    def end(self) -> None:
        """Make the row of what was added up, and begin anew."""
        width = len(self._sums)
        row = _NOTHING
        if any(self._counts):
            pairs = zip(self._sums, self._counts, strict=True)
            row = array("f", [total / count if count else math.nan for total, count in pairs])
        # Much stays as it is for hours: one row then stands for all of them. NaN equals nothing, so bytes are compared.
        same = bool(self.kept) and self.kept[-1].tobytes() == row.tobytes()
        self.kept.append(self.kept[-1] if same else row)
        self._sums, self._counts = array("d", bytes(8 * width)), array("l", [0]) * width

    def clear(self, slot: int) -> None:
        """What was added up for a slot is nobody's any more."""
        if slot < len(self._sums):
            self._sums[slot], self._counts[slot] = 0.0, 0
