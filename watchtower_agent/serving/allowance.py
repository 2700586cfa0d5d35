"""How often something may be done: so many times a second, and some at once. Pure."""

from __future__ import annotations


class Allowance:
    """A bucket that fills by itself, and each time something is taken out of.

    Args:
        rate: Times a second.
        burst: Times at once.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._left = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Whether it may be done once more.

        Args:
            now: Seconds on the monotonic clock.
        """
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._left = min(self._burst, self._left + passed * self._rate)
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
