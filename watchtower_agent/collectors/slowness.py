"""Collectors that come back, but so late that all others would wait for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

AGAIN_WITHIN: Final = 60.0
"""Seconds within which a second long reading counts as one more of the same kind."""
SHORTEST: Final = 1.0
"""Seconds that any reading may take: on a busy host the agent itself waits."""
FIRST_TRIAL: Final = 10.0
"""Seconds until a slow collector is tried again, twice as many after each trial that took long."""
LAST_TRIAL: Final = 300.0
"""At most so many."""


def longest_reading(interval: float, late_after: float) -> float:
    """Seconds that one collector's reading may take: two ticks, but not so long that it counts as hung."""
    return min(late_after, max(SHORTEST, 2 * interval))


def too_slow(who: str, seconds: float, longest: float, unknown: str) -> str:
    """What people are told of a collector that is slow."""
    return (
        f"{who} took {seconds:.1f} s, {longest:g} s are the most that one reading may take: {unknown} is unknown. "
        "It is tried again beside the ticks; the rest goes on."
    )


class Slowness:
    """Who took too long more than once. Once may be any short trouble of the host, which is over.

    Args:
        longest: Seconds that a reading may take.
    """

    def __init__(self, longest: float) -> None:
        self.longest = longest
        self._last: dict[str, float] = {}

    def again(self, took: Mapping[str, float], now: float) -> dict[str, float]:
        """Who took too long just now, and not long before: name -> seconds."""
        slow = {name: seconds for name, seconds in took.items() if seconds > self.longest}
        again = {
            name: slow[name] for name in slow if now - self._last.get(name, -AGAIN_WITHIN) < AGAIN_WITHIN + slow[name]
        }
        self._last.update(dict.fromkeys(slow, now))
        return again
