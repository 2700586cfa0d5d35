"""What the sampler is asked for, and when a reading is due again."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum

from watchtower_agent.model.sample import LocalEngine, SampleTarget
from watchtower_agent.model.values import dataclass

SLOW_INTERVAL = 10.0
"""Seconds between readings of what changes seldom: OOM kills, the number of processors."""
LIMITS_INTERVAL = 60.0
"""Seconds between readings of limits: what the engine changes it tells, and it is read at once."""
CARRIED_INTERVALS = 3
"""A reading is carried until it is this many of its own intervals old; then it is unknown."""


class Source(StrEnum):
    """Where the containers' numbers come from."""

    AUTO = "auto"
    """cgroup files; the stats API while there is no cgroup of any container to be found."""
    CGROUP = "cgroup"
    STATS_API = "stats-api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What the policies need.

    Attributes:
        every_tick: Catalogue names that are needed at each tick. What no policy needs is read at the metrics interval.
        metrics_interval: Seconds between two messages with all metrics.
    """

    every_tick: frozenset[str] = frozenset()
    metrics_interval: float = 10.0

    def interval(self, names: frozenset[str], tick: float) -> float:
        """Seconds between two readings of what these names are computed from, never less than between two ticks."""
        return max(tick, self.metrics_interval) if names.isdisjoint(self.every_tick) else tick


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the sampler is asked for, as it stands when a tick begins.

    Attributes:
        targets: The containers to read.
        demand: What is needed of them, and how often.
        engine: What of the engine is on this host; empty when it is elsewhere or not known yet.
        anew: Ids of containers of which the engine told, since the last tick, that what is read of them seldom has
            changed: an OOM kill, other limits.
    """

    targets: tuple[SampleTarget, ...] = ()
    demand: Demand = field(default_factory=Demand)
    engine: LocalEngine = field(default_factory=LocalEngine)
    anew: frozenset[str] = frozenset()


class Pace:
    """When something is read again.

    Ticks are never quite on time: a reading that would be due before half a tick has passed is due now.
    """

    __slots__ = ("_early", "interval")

    def __init__(self, interval: float, tick: float) -> None:
        self.interval = interval
        self._early = tick / 2

    def due(self, read_at: float, now: float) -> bool:
        """Whether it is time to read again what was last read then."""
        return now - read_at >= self.interval - self._early
