"""How many processes and threads each container has."""

from __future__ import annotations

import math
from collections.abc import Sequence

from watchtower_agent.collectors.files import NUMBER, Descriptors, KeptFile, MissingError
from watchtower_agent.collectors.gauges import NEVER
from watchtower_agent.collectors.paced import PacedCollector
from watchtower_agent.collectors.parsing import integer
from watchtower_agent.collectors.request import LIMITS_INTERVAL
from watchtower_agent.collectors.roster import Life

NAMES = ("pids", "pids.limit")


def processes(descriptors: Descriptors) -> PacedCollector:
    """`pids` counts processes and threads; `pids.limit` is unknown without one."""

    def opened(life: Life) -> PidsGauge | None:
        directory = (life.place.pids or life.place.unified) if life.place else ""
        return PidsGauge(directory, descriptors) if directory else None

    return PacedCollector(
        "processes", NAMES, opened, unknown="the number of processes is", of_limits=True, of_processes=True
    )


class PidsGauge:
    """`pids.current` and `pids.max`, the same in both cgroup versions. The limit is read every minute."""

    __slots__ = ("_current", "_limit", "_limit_at", "_max")

    def __init__(self, directory: str, descriptors: Descriptors) -> None:
        self._current = KeptFile(f"{directory}/pids.current", NUMBER, descriptors)
        self._max = KeptFile(f"{directory}/pids.max", NUMBER, descriptors)
        self._limit = math.nan
        self._limit_at = NEVER

    @property
    def totals(self) -> Sequence[float]:
        """None: it reads no counters."""
        return ()

    def read(self, now: float) -> Sequence[float]:
        """Both numbers; unknown where the controller is not enabled."""
        try:
            if now - self._limit_at >= LIMITS_INTERVAL:
                self._limit, self._limit_at = _number(self._max.read()), now
            return _number(self._current.read()), self._limit
        except MissingError:
            return math.nan, math.nan

    def close(self) -> None:
        """Let go of all descriptors."""
        self._current.close()
        self._max.close()


def _number(data: bytes) -> float:
    value = integer(data)
    return math.nan if value is None else float(value)
