"""CPU of each container."""

from __future__ import annotations

import math
from array import array

from watchtower_agent.collectors import cgroup_v1, cgroup_v2
from watchtower_agent.collectors.ancestors import AncestorLimits
from watchtower_agent.collectors.files import UnreadableError
from watchtower_agent.collectors.gauges import NEVER, CpuGauge
from watchtower_agent.collectors.host_facts import HostFacts
from watchtower_agent.collectors.request import SLOW_INTERVAL, Pace
from watchtower_agent.collectors.roster import Roster
from watchtower_agent.collectors.tick import Faults, Tick
from watchtower_agent.errors import AbsentError


class CpuCollector:
    """`cpu.cores` = Δusage / Δtime, `cpu.percent` = 100 * cores, `cpu.percent_of_limit` = 100 * cores / limit.

    The limit is min(quota / period, processors in the cpuset, online processors), the quota being the smallest of its
    own and those of the cgroups above it. It is read every 10 s, and at once when the engine reports an update.
    """

    name = "cpu"

    def __init__(self, *, roster: Roster, facts: HostFacts) -> None:
        self._roster = roster
        self._facts = facts
        self._ancestors = AncestorLimits()

    def collect(self, tick: Tick) -> None:
        """Read every container's CPU time, and its limits where they are due."""
        self._look_at_ancestors()
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
                    self._read_limits(gauge, now)
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

    def _look_at_ancestors(self) -> None:
        tree = self._roster.tree
        if tree is not None and "cpuacct" in tree.v1:
            self._ancestors.look_in(tree.v1.get("cpu", ""), cgroup_v1.cpu_limit_of)
        elif tree is not None:
            self._ancestors.look_in(tree.unified, cgroup_v2.cpu_limit_of)

    def _read_limits(self, gauge: CpuGauge, now: float) -> None:
        gauge.granted = min(gauge.files.granted(), self._ancestors.least_above(gauge.directory, now))
        gauge.granted_at = now
