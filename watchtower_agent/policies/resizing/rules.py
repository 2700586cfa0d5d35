"""How a container's limits are chosen: bounds, margins, waits. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final, Self

from watchtower_agent.model.values import dataclass

DAY: Final = 86400.0
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How small and how large a limit may be.

    Attributes:
        least: `min`, bytes or cores.
        most: `max`.

    Raises:
        ValueError: They cross, or are no limits.
    """

    least: float
    most: float

    def __post_init__(self) -> None:
        if not 0.0 < self.least <= self.most < math.inf:
            raise ValueError(f"min is above 0 and not above max: {self}")

    def up_to(self, most: float) -> Self:
        """The same where no limit can be larger than that."""
        return self if most >= self.most else replace(self, least=min(self.least, most), most=most)

    def down_to(self, least: float) -> Self:
        """The same where no limit can be smaller than that."""
        return self if least <= self.least else replace(self, least=least, most=max(self.most, least))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All of them. A policy sets bounds and `data`; the rest is what was found to be good.

    Attributes:
        memory: Bounds of the memory limit, bytes; None: it is left alone.
        cpu: Bounds of the CPU limit, cores; None: it is left alone.
        data: Seconds that have to be measured before anything is lowered.
        margin: A limit is so many times what was used most of the time (P95 of seconds, or of the peaks of hours).
        recent_margin: A memory limit is so many times the largest working set of 10 minutes, too;
        cpu_recent_margin: and one of CPU so many times what was used in each of 5 minutes; 0: that does not count.
        worth_raising: A limit is raised when so many times as much is recommended.
        worth_lowering: It is lowered when so small a part is recommended.
        lowered_after: Seconds measured for which that has to be so throughout. Any change begins them anew: as many are
            between a change and a lower limit.
        step: Share of a limit that is taken away at once, at most.
        fullest: Share of a memory limit that the working set may be when it is lowered, now and at its peaks.
            A CPU limit leaves as much room above what was used for five minutes.
        peaks_for: Days whose largest working set a lower memory limit has to leave room for; 0: none.
        cpu_peaks_for: Days whose CPU of five minutes a lower limit has to leave room for; 0: none.
        raise_cooldown: Seconds between two raises.
        killed_factor: After an OOM kill the limit is so many times what it was,
        killed_bytes: or so many bytes more.
        killed_raises: Raises after OOM kills within an hour.
        budget: Changes within an hour, of both limits together.
        hands_off: Seconds for which limits are left alone that somebody else has changed.
    """

    memory: Bounds | None = None
    cpu: Bounds | None = None
    data: float = DAY
    margin: float = 1.15
    recent_margin: float = 1.25
    cpu_recent_margin: float = 1.25
    worth_raising: float = 1.10
    worth_lowering: float = 0.80
    lowered_after: float = 6 * HOUR
    step: float = 0.20
    fullest: float = 0.9
    peaks_for: int = 8
    cpu_peaks_for: int = 1
    raise_cooldown: float = 600.0
    killed_factor: float = 1.2
    killed_bytes: float = 100.0 * 2**20
    killed_raises: int = 2
    budget: int = 6
    hands_off: float = 900.0
