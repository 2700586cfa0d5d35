"""How long the turns of the event loop take, and what that means for who has to wait for one. Pure, times are given.

While a turn lasts, nothing else happens on the loop. What comes at some moment during it waits for its rest; what comes
between two turns does not wait. So the lengths of all turns tell how long anything that comes at any moment waits, and
nothing has to be sent in to find out: no timer that wakes the loop a hundred times a second.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import field
from typing import Final

from watchtower_agent.model.values import dataclass

_FINEST: Final = 1e-5
"""Seconds; shorter turns are not told apart."""
_OF_A_DOUBLING: Final = 4
_BUCKETS: Final = 96
"""The last one takes everything above two minutes."""


@dataclass(slots=True)
class Turns:
    """Turns so far, counted by length.

    Attributes:
        longest: Seconds.
    """

    longest: float = 0.0
    _counts: array[int] = field(default_factory=lambda: array("q", [0]) * _BUCKETS)
    _seconds: array[float] = field(default_factory=lambda: array("d", [0.0]) * _BUCKETS)

    def add(self, seconds: float) -> None:
        """One turn took so long."""
        bucket = math.ceil(_OF_A_DOUBLING * math.log2(seconds / _FINEST)) if seconds > _FINEST else 0
        bucket = min(bucket, _BUCKETS - 1)
        self._counts[bucket] += 1
        self._seconds[bucket] += seconds
        self.longest = max(self.longest, seconds)

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    @property
    def seconds(self) -> float:
        """How long they took together."""
        return sum(self._seconds)

    def copy(self) -> Turns:
        """The same, which does not change any more."""
        return Turns(self.longest, self._counts[:], self._seconds[:])

    def since(self, before: Turns) -> Turns:
        """Only those that came after an earlier copy was made. Their longest is known to a fifth of it."""
        counts = array("q", [now - then for now, then in zip(self._counts, before._counts, strict=True)])
        seconds = array("d", [now - then for now, then in zip(self._seconds, before._seconds, strict=True)])
        last = max((bucket for bucket, count in enumerate(counts) if count), default=0)
        longest = min(self.longest, _edge(last)) if any(counts) else 0.0
        return Turns(longest, counts, seconds)

    def lag(self, share: float, within: float) -> float:
        """Seconds that at most the rest of all moments would have to wait longer than.

        Never too low; too high by less than the distance of two buckets, a fifth.

        Args:
            share: Of the moments, 0 to 1: 0.999 for the 99.9th percentile.
            within: Seconds in which the turns were taken.
        """
        allowed = (1 - share) * within
        count, seconds = 0, 0.0  # of the turns that are longer than the edge at hand
        above, above_excess = self.longest, 0.0
        for bucket in range(_BUCKETS - 1, -1, -1):
            count += self._counts[bucket]
            seconds += self._seconds[bucket]
            edge = _edge(bucket - 1) if bucket else 0.0
            excess = seconds - count * edge
            if excess > allowed:
                # Between two edges the excess falls ever more slowly: the straight line lies above it.
                return edge + (excess - allowed) / (excess - above_excess) * (max(above, edge) - edge)
            above, above_excess = min(self.longest, edge), excess
        return 0.0


def _edge(bucket: int) -> float:
    """The longest turn that belongs into a bucket."""
    return math.inf if bucket >= _BUCKETS - 1 else _FINEST * 2 ** (bucket / _OF_A_DOUBLING)
