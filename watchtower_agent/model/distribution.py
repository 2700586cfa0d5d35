"""How long something took, counted by length: a histogram as Prometheus knows it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from watchtower_agent.model.values import dataclass


@dataclass(slots=True)
class Distribution:
    """Counts of durations.

    Attributes:
        edges: Seconds, ascending: the longest of each count. The last count, of what is longer than all, has none.
        counts: One more than edges.
        seconds: All of them together.
    """

    edges: tuple[float, ...]
    counts: list[int]
    seconds: float = 0.0

    @classmethod
    def by(cls, *edges: float) -> Distribution:
        """Of nothing so far."""
        return cls(edges, [0] * (len(edges) + 1))

    def add(self, seconds: float) -> None:
        """One took so long."""
        self.counts[bisect_left(self.edges, seconds)] += 1
        self.seconds += seconds

    def up_to(self) -> Iterator[tuple[str, int]]:
        """Each edge, as text, and how many took no longer; the last one is `+Inf`."""
        count = 0
        for edge, here in zip((*map(str, self.edges), "+Inf"), self.counts, strict=True):
            count += here
            yield edge, count
