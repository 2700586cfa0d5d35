"""What one container used since somebody last looked: fed at every sample, so it is cheap. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.resizing.histogram import CORES, GROWTH

_PER_BUCKET = 1.0 / math.log(GROWTH)
_FIRST = CORES.first
_LAST = CORES.last
_OFFSET = 1.0 - 1e-9 - math.log(CORES.first) * _PER_BUCKET


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was used between two looks.

    Attributes:
        cores: Bucket of `histogram.CORES` -> seconds for which it was used.
        cpu_seconds: Seconds of which the CPU's use is known.
        core_seconds: CPU time used in them.
        memory_seconds: Seconds of which the working set is known.
        peak: The largest working set, bytes; None: not known.
    """

    cores: Mapping[int, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    core_seconds: float = 0.0
    memory_seconds: float = 0.0
    peak: float | None = None


class Meter:
    """Counts seconds per bucket, so that P95 over the seconds stays P95.

    Attributes:
        alarm: Bytes of working set above which it is worth to look at once (`Look.alarm`).
    """

    __slots__ = ("_core_seconds", "_cores", "_cpu_seconds", "_memory_seconds", "_peak", "alarm")

    def __init__(self) -> None:
        self.alarm = math.inf
        self._cores: dict[int, float] = {}
        self._cpu_seconds = self._core_seconds = self._memory_seconds = 0.0
        self._peak = -1.0

    def see(self, cores: float, working_set: float, seconds: float) -> bool:
        """Take one sample.

        Args:
            cores: CPU time used per time passed; NaN: not known.
            working_set: Bytes; NaN: not known.
            seconds: For how long it stands: the sampling interval.

        Returns:
            Whether it is worth to look at once.
        """
        if 0.0 <= cores <= _LAST:  # not so of NaN, nor of what no machine has
            # Scale.bucket, without a call: this runs for every container, every second
            bucket = int(math.log(cores) * _PER_BUCKET + _OFFSET) if cores > _FIRST else 0
            counted = self._cores
            counted[bucket] = counted.get(bucket, 0.0) + seconds
            self._cpu_seconds += seconds
            self._core_seconds += cores * seconds
        if 0.0 <= working_set < math.inf:
            self._memory_seconds += seconds
            if working_set > self._peak:  # noqa: PLR1730 - max() takes three times as long, at every sample
                self._peak = working_set
            return working_set > self.alarm
        return False

    def take(self) -> Measured:
        """What was seen since the last time, which is forgotten by this."""
        measured = Measured(
            cores=self._cores,
            cpu_seconds=self._cpu_seconds,
            core_seconds=self._core_seconds,
            memory_seconds=self._memory_seconds,
            peak=self._peak if self._peak >= 0.0 else None,
        )
        self._cores = {}
        self._cpu_seconds = self._core_seconds = self._memory_seconds = 0.0
        self._peak = -1.0
        return measured
