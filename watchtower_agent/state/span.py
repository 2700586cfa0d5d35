"""Running answers over the rows of one span of time, for every slot at once. Pure."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort

from watchtower_agent.model.window import WindowFunction

_ORDERED = frozenset({WindowFunction.MAX, WindowFunction.MIN, WindowFunction.P95})
_P95 = 0.95


class Span:
    """What is asked about the newest so many seconds.

    Sums are of 32-bit numbers in 64 bits: what enters leaves again without a trace.

    Args:
        seconds: How long it is.
        functions: What is asked.
        begin: Number of the first row that will enter.
        width: Slots.

    Attributes:
        tail: Number of the oldest row within.
        counts: Known values within, per slot.
    """

    __slots__ = ("_orders", "_sums", "counts", "functions", "seconds", "tail")

    def __init__(self, seconds: float, functions: frozenset[WindowFunction], begin: int, width: int) -> None:
        self.seconds = seconds
        self.functions = functions
        self.tail = begin
        self.counts = array("l", [0]) * width
        self._sums = array("d", [0.0]) * width if WindowFunction.AVG in functions else None
        self._orders: list[array[float]] | None = None
        if functions & _ORDERED:
            self._orders = [array("f") for _ in range(width)]

    def enter(self, row: array[float]) -> None:
        """A new row, the newest."""
        counts, sums, orders = self.counts, self._sums, self._orders
        for slot, number in enumerate(row):
            if number != number:  # noqa: PLR0124 - NaN is the one number that differs from itself
                continue
            counts[slot] += 1
            if sums is not None:
                sums[slot] += number
            if orders is not None:
                insort(orders[slot], number)

    def leave(self, row: array[float]) -> None:
        """The oldest row within, which is too old now."""
        self.tail += 1
        counts, sums, orders = self.counts, self._sums, self._orders
        for slot, number in enumerate(row):
            if number != number:  # noqa: PLR0124 - as above
                continue
            counts[slot] -= 1
            if sums is not None:
                sums[slot] -= number
            if orders is not None:
                order = orders[slot]
                del order[bisect_left(order, number)]

    def clear(self, slot: int) -> None:
        """Nothing that entered counts for this slot any more."""
        self.counts[slot] = 0
        if self._sums is not None:
            self._sums[slot] = 0.0
        if self._orders is not None:
            self._orders[slot] = array("f")

    def widen(self, width: int) -> None:
        """So many slots from now on."""
        more = width - len(self.counts)
        self.counts.extend([0] * more)
        if self._sums is not None:
            self._sums.extend([0.0] * more)
        if self._orders is not None:
            self._orders.extend(array("f") for _ in range(more))

    def answer(self, function: WindowFunction, slot: int) -> float:
        """Of a slot with at least one known value."""
        if function is WindowFunction.AVG:
            assert self._sums is not None  # it is among the functions
            return self._sums[slot] / self.counts[slot]
        assert self._orders is not None  # likewise
        order = self._orders[slot]
        if function is WindowFunction.MAX:
            return order[-1]
        return order[0] if function is WindowFunction.MIN else order[math.ceil(_P95 * len(order)) - 1]
