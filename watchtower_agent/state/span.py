"""Running answers over the rows of one span of time, for every slot at once. Pure."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable
from operator import neg

from watchtower_agent.model.window import WindowFunction

_ORDERED = frozenset({WindowFunction.MAX, WindowFunction.MIN, WindowFunction.P95})
_P95 = 0.95


class Span:
    """What is asked about the newest so many seconds.

    Sums are kept in 106 bits, a number and what was lost in rounding it: what enters leaves again without a trace, were
    it a terabyte among thousandths of a byte.

    Args:
        seconds: How long it is.
        functions: What is asked.
        begin: Number of the first row that will enter.
        width: Slots.

    Attributes:
        tail: Number of the oldest row within.
        counts: Known values within, per slot.
    """

    __slots__ = ("_orders", "_rests", "_sums", "counts", "functions", "seconds", "tail")

    def __init__(self, seconds: float, functions: frozenset[WindowFunction], begin: int, width: int) -> None:
        self.seconds = seconds
        self.functions = functions
        self.tail = begin
        self.counts = array("l", [0]) * width
        self._sums = array("d", [0.0]) * width if WindowFunction.AVG in functions else None
        self._rests = array("d", [0.0]) * width
        self._orders: list[array[float]] | None = None
        if functions & _ORDERED:
            self._orders = [array("d") for _ in range(width)]

    def enter(self, row: array[float]) -> None:
        """A new row, the newest."""
        counts, orders = self.counts, self._orders
        for slot, number in enumerate(row):
            if number == number:  # noqa: PLR0124 - NaN is the one number that differs from itself
                counts[slot] += 1
                if orders is not None:
                    insort(orders[slot], number)
        if self._sums is not None:
            _add(self._sums, self._rests, row)

    def leave(self, row: array[float]) -> None:
        """The oldest row within, which is too old now."""
        self.tail += 1
        counts, orders = self.counts, self._orders
        for slot, number in enumerate(row):
            if number == number:  # noqa: PLR0124 - as above
                counts[slot] -= 1
                if orders is not None:
                    order = orders[slot]
                    del order[bisect_left(order, number)]
        if self._sums is not None:
            _add(self._sums, self._rests, map(neg, row))

    def clear(self, slot: int) -> None:
        """Nothing that entered counts for this slot any more."""
        self.counts[slot] = 0
        if self._sums is not None:
            self._sums[slot] = self._rests[slot] = 0.0
        if self._orders is not None:
            self._orders[slot] = array("d")

    def widen(self, width: int) -> None:
        """So many slots from now on."""
        more = width - len(self.counts)
        self.counts.extend([0] * more)
        if self._sums is not None:
            self._sums.extend([0.0] * more)
        self._rests.extend([0.0] * more)
        if self._orders is not None:
            self._orders.extend(array("d") for _ in range(more))

    def answer(self, function: WindowFunction, slot: int) -> float:
        """Of a slot with at least one known value."""
        orders = self._orders
        if function is WindowFunction.AVG:
            assert self._sums is not None  # it is among the functions
            mean = (self._sums[slot] + self._rests[slot]) / self.counts[slot]
            return mean if orders is None else _within(orders[slot], mean)
        assert orders is not None  # likewise
        order = orders[slot]
        if function is WindowFunction.MAX:
            return order[-1]
        return order[0] if function is WindowFunction.MIN else order[math.ceil(_P95 * len(order)) - 1]


def _within(order: array[float], mean: float) -> float:
    """The mean, which was rounded twice, not beyond the least and the most, which were not rounded."""
    if mean > order[-1]:
        return order[-1]
    return max(mean, order[0])


def _add(sums: array[float], rests: array[float], row: Iterable[float]) -> None:
    """Add what is known, and to the rests what is lost of it in rounding (Knuth's sum of two numbers)."""
    for slot, number in enumerate(row):
        if number:
            before = sums[slot]
            total = before + number
            if total == total:  # noqa: PLR0124 - the number was not NaN
                sums[slot] = total
                part = total - before
                lost = (before - (total - part)) + (number - part)
                if lost:
                    rests[slot] += lost
