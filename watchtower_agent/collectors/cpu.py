"""CPU of each container."""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection

from watchtower_agent.collectors import cgroup_v1, cgroup_v2
from watchtower_agent.collectors.ancestors import AncestorLimits
from watchtower_agent.collectors.file_column import FileColumn
from watchtower_agent.collectors.files import Descriptors, NumberFile, UnreadableError
from watchtower_agent.collectors.gauges import NEVER
from watchtower_agent.collectors.host_facts import HostFacts
from watchtower_agent.collectors.request import LIMITS_INTERVAL, Pace
from watchtower_agent.collectors.roster import Life, Roster
from watchtower_agent.collectors.tick import Faults, Tick
from watchtower_agent.errors import AbsentError
from watchtower_agent.model.sample import Total

_NANOSECONDS = 1e-9


class CpuCollector:
    """`cpu.cores` = Δusage / Δtime, `cpu.percent` = 100 * cores, `cpu.percent_of_limit` = 100 * cores / limit.

    The limit is min(quota / period, processors in the cpuset, online processors), the quota being the smallest of its
    own and those of the cgroups above it. It is read every minute, and at once when the engine reports an update.
    """

    name = "cpu"

    def __init__(self, *, roster: Roster, facts: HostFacts, descriptors: Descriptors) -> None:
        self._roster = roster
        self._facts = facts
        self._ancestors = AncestorLimits()
        self._changes = -1
        self._used = FileColumn(_used, descriptors)
        self._online = math.nan
        self._limits = array("d")
        self._limits_at = NEVER
        self._limit_faults = Faults()

    def collect(self, tick: Tick) -> None:
        """Read every container's CPU time, and its limits where they are due."""
        changed = tick.changes() != self._changes
        if changed:
            self._changes = tick.changes()
            self._used.follow(tick.lives)
        self._used.read(tick.monotonic)
        tick.cpu_time = tick.totals[Total.CPU] = self._used.numbers()
        now, online = tick.at.monotonic, self._facts.online_cpus
        due = Pace(max(LIMITS_INTERVAL, tick.interval), tick.interval).due(self._limits_at, now)
        if due or changed or tick.request.anew or online != self._online:
            self._online = online
            self._read_limits(tick, None if due else tick.request.anew)
            self._limits_at = now if due else self._limits_at
        cores = self._used.rates(_NANOSECONDS)
        tick.columns["cpu.cores"] = cores
        tick.columns["cpu.percent"] = array("d", [100 * used for used in cores])
        tick.columns["cpu.percent_of_limit"] = array(
            "d", [100 * used / limit for used, limit in zip(cores, self._limits, strict=True)]
        )
        for faults in (self._limit_faults, self._used.faults):
            faults.tell(tick, self.name, "CPU is")

    def close(self) -> None:
        """Nothing is kept open here."""

    def _look_at_ancestors(self) -> None:
        tree = self._roster.tree
        if tree is not None and "cpuacct" in tree.v1:
            self._ancestors.look_in(tree.v1.get("cpu", ""), cgroup_v1.cpu_limit_of)
        elif tree is not None:
            self._ancestors.look_in(tree.unified, cgroup_v2.cpu_limit_of)

    def _read_limits(self, tick: Tick, anew: Collection[str] | None) -> None:
        """Read the limits of these containers, and those that were not read yet; None: of all."""
        self._look_at_ancestors()
        lives = tick.lives
        self._limits = array("d", [math.nan]) * len(lives)
        self._limit_faults = Faults()
        for slot, life in enumerate(lives):
            gauge = life.cpu
            if gauge is None:
                continue
            # one that could not be read is tried, and told, at each such look: it is not mended by others that come
            if gauge.granted is None or math.isnan(gauge.granted) or anew is None or life.target.container_id in anew:
                gauge.granted = math.nan
                try:
                    above = self._ancestors.least_above(gauge.directory, tick.at.monotonic)
                    gauge.granted = min(gauge.files.granted(), above)
                except AbsentError:
                    life.end()
                    continue
                except UnreadableError as error:
                    self._limit_faults.add(str(error))
            limit = min(gauge.granted, self._online)  # granted, where the number online is not known (NaN)
            self._limits[slot] = limit if limit < math.inf else math.nan


def _used(life: Life) -> NumberFile | None:
    return life.cpu.files.used if life.cpu else None
