"""CPU of each container."""

from __future__ import annotations

import math
from array import array

from watchtower_agent.collectors.files import UnreadableError
from watchtower_agent.collectors.gauges import NEVER, CpuGauge
from watchtower_agent.collectors.host_facts import HostFacts
from watchtower_agent.collectors.request import SLOW_INTERVAL, Pace
from watchtower_agent.collectors.tick import Faults, Tick
from watchtower_agent.errors import AbsentError


class CpuCollector:
    """`cpu.cores` = Δusage / Δtime, `cpu.percent` = 100 * cores, `cpu.percent_of_limit` = 100 * cores / limit.

    The limit is min(quota / period, processors in the cpuset, online processors). It is read every 10 s, and at
    once when the engine reports an update.
    """

    name = "cpu"

    def __init__(self, facts: HostFacts) -> None:
        self._facts = facts

    def collect(self, tick: Tick) -> None:
        """Read every container's CPU time, and its limits where they are due."""
        online = self._facts.online_cpus
        unknown = array("d", [math.nan]) * len(tick.lives)
        cores, limits = unknown, unknown[:]
        now, monotonic = tick.at.monotonic, tick.monotonic
        slow = Pace(max(SLOW_INTERVAL, tick.interval), tick.interval)
        faults, anew = Faults(), tick.request.anew
        for slot, life in enumerate(tick.lives):
            gauge = life.cpu
            if gauge is None:
                continue
            try:
                if life.target.container_id in anew:
                    gauge.granted_at = NEVER
                cores[slot] = gauge.cores(monotonic)
                if slow.due(gauge.granted_at, now):
                    _read_limits(gauge, now)
            except AbsentError:
                life.end()
                continue
            except UnreadableError as error:
                faults.add(str(error))
            if slow.fresh(gauge.granted_at, now):
                limit = min(gauge.granted, online)  # granted, where the number online is not known (NaN)
                limits[slot] = limit if limit < math.inf else math.nan
        faults.tell(tick, self.name, "CPU is")
        tick.columns["cpu.cores"] = cores
        tick.columns["cpu.percent"] = array("d", [100 * used for used in cores])
        tick.columns["cpu.percent_of_limit"] = array(
            "d", [100 * used / limit for used, limit in zip(cores, limits, strict=True)]
        )

    def close(self) -> None:
        """Nothing is kept open here."""


def _read_limits(gauge: CpuGauge, now: float) -> None:
    gauge.granted = gauge.files.granted()
    gauge.granted_at = now
