"""Whether events come so fast that they are better gathered. Pure."""

from __future__ import annotations

from typing import Final

STORM_RATE: Final = 100.0
"""Events a second; more are a storm, if it lasts."""
STORM_AFTER: Final = 20
"""Handovers in a row at such a pace, after which it is one: a burst alone is not, and waits for nothing."""


class Storm:
    """Counts handovers of events that follow each other fast."""

    __slots__ = ("_in_a_row", "_last")

    def __init__(self) -> None:
        self._in_a_row = 0
        self._last = 0.0

    def rages(self, events: int, now: float) -> bool:
        """So many events are handed over now (monotonic seconds): whether the next ones are worth gathering."""
        self._in_a_row = self._in_a_row + 1 if events > STORM_RATE * (now - self._last) else 0
        self._last = now
        return self._in_a_row > STORM_AFTER
