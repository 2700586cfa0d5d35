"""Whether events come so fast that they are better gathered. Pure."""

from __future__ import annotations

from typing import Final

STORM_RATE: Final = 100.0
"""Events a second; more are a storm, if it lasts."""
STORM_AFTER: Final = 20
"""Handovers in a row at such a pace, after which it is one: a burst alone is not, and waits for nothing."""


_OVER: Final = 0.1
"""Seconds of calm after which it is over, and the next event waits for nothing."""
_HICCUP: Final = 4
"""Handovers that a shorter calm takes back: a busy host has many of those in the middle of a storm."""
_SURE: Final = STORM_AFTER + 3 * _HICCUP
"""Handovers beyond which no more are counted."""


class Storm:
    """Counts handovers of events that follow each other fast."""

    __slots__ = ("_in_a_row", "_last")

    def __init__(self) -> None:
        self._in_a_row = 0
        self._last = 0.0

    def rages(self, events: int, now: float) -> bool:
        """So many events are handed over now (monotonic seconds): whether the next ones are worth gathering."""
        pause, self._last = now - self._last, now
        if events > STORM_RATE * pause:
            self._in_a_row = min(_SURE, self._in_a_row + 1)
        else:
            self._in_a_row = max(0, self._in_a_row - _HICCUP) if pause < _OVER else 0
        return self._in_a_row > STORM_AFTER
