"""Memory of each container."""

from __future__ import annotations

import math
from array import array

from watchtower_agent.collectors import cgroup_v1, cgroup_v2
from watchtower_agent.collectors.ancestors import AncestorLimits
from watchtower_agent.collectors.cgroup_tree import MEMORY_OFF
from watchtower_agent.collectors.files import MissingError, UnreadableError
from watchtower_agent.collectors.gauges import NEVER, MemoryGauge
from watchtower_agent.collectors.host_facts import HostFacts
from watchtower_agent.collectors.request import SLOW_INTERVAL, Pace
from watchtower_agent.collectors.roster import Life, Roster
from watchtower_agent.collectors.tick import Faults, Tick
from watchtower_agent.errors import AbsentError

WORKING_SET = frozenset({"memory.working_set", "memory.percent"})
"""The names that need `memory.stat`, which costs the kernel more than all other files of a container together."""
NOT_ENABLED = "the memory controller is not enabled for it (a rootless engine needs it delegated: Delegate=memory)"
UNLIMITED = 1 << 62
"""v1's "no limit" is the largest multiple of the page size below 2^63: more than this, less than infinite."""


class MemoryCollector:
    """`memory.usage` at each tick; the working set where it is needed, else at the metrics interval.

    `memory.working_set` = usage - inactive page cache, 0 when negative; one that is carried over from an earlier tick
    is never more than the usage of this one. `memory.percent` = 100 * working set / limit.
    `memory.limit` is the smallest of the container's own, those of the cgroups above it, and what the host has.
    It and `memory.oom_kills` are read every 10 s, and at once when the engine reports an update or an OOM kill.
    """

    name = "memory"

    def __init__(self, *, roster: Roster, facts: HostFacts) -> None:
        self._roster = roster
        self._facts = facts
        self._ancestors = AncestorLimits()

    def collect(self, tick: Tick) -> None:
        """Read every container's memory, as much of it as is due."""
        tree = self._roster.tree
        if tree is not None and not tree.memory:
            tick.failures[self.name] = MEMORY_OFF
        elif tree is not None:
            version = cgroup_v1 if "memory" in tree.v1 else cgroup_v2
            self._ancestors.look_in(tree.memory, version.memory_limit_of)
        reading = _Reading(tick, self._ancestors, self._facts.memory_total)
        for slot, life in enumerate(tick.lives):
            if life.memory is not None:
                reading.read(slot, life, life.memory)
        reading.faults.tell(tick, self.name, "memory is")
        reading.write()

    def close(self) -> None:
        """Nothing is kept open here."""


class _Reading:
    """One tick's pass over all containers."""

    def __init__(self, tick: Tick, ancestors: AncestorLimits, host_total: float) -> None:
        unknown = array("d", [math.nan]) * len(tick.lives)
        self.faults = Faults()
        self._tick = tick
        self._now = tick.at.monotonic
        self._anew = tick.request.anew
        self._ancestors = ancestors
        self._host_total = host_total
        self._stat = Pace(tick.request.demand.interval(WORKING_SET, tick.interval), tick.interval)
        self._slow = Pace(max(SLOW_INTERVAL, tick.interval), tick.interval)
        self._usage, self._working_set = unknown, unknown[:]
        self._limit, self._oom_kills = unknown[:], unknown[:]

    def read(self, slot: int, life: Life, gauge: MemoryGauge) -> None:
        now = self._now
        try:
            self._read(slot, gauge, anew=life.target.container_id in self._anew)
        except AbsentError:
            life.end()
            return
        except MissingError as error:
            self.faults.add(f"{error}: {NOT_ENABLED}")
        except UnreadableError as error:
            self.faults.add(str(error))
        if self._stat.fresh(gauge.working_set_at, now):
            self._working_set[slot] = min(gauge.working_set, self._usage[slot])  # min(x, NaN) is x
        if self._slow.fresh(gauge.limit_at, now):
            self._limit[slot] = gauge.limit
        if self._slow.fresh(gauge.oom_kills_at, now):
            self._oom_kills[slot] = gauge.oom_kills

    def _read(self, slot: int, gauge: MemoryGauge, *, anew: bool) -> None:
        now = self._now
        if anew:
            gauge.limit_at = NEVER
        usage = gauge.files.usage()
        if usage is not None:
            self._usage[slot] = usage
            if self._stat.due(gauge.working_set_at, now):
                _read_working_set(gauge, usage, now)
        if self._slow.due(gauge.limit_at, now):
            self._read_limit(gauge)
        if anew or self._slow.due(gauge.oom_kills_at, now):
            _read_oom_kills(gauge, now)

    def write(self) -> None:
        columns = self._tick.columns
        columns["memory.usage"] = self._usage
        columns["memory.working_set"] = self._working_set
        columns["memory.limit"] = self._limit
        columns["memory.percent"] = array(
            "d",
            [
                100 * used / limit if limit else math.nan
                for used, limit in zip(self._working_set, self._limit, strict=True)
            ],
        )
        columns["memory.oom_kills"] = self._oom_kills

    def _read_limit(self, gauge: MemoryGauge) -> None:
        own = gauge.files.limit()
        if own is None:
            return
        least = min(own, self._ancestors.least_above(gauge.directory, self._now))
        # min(least, NaN) is least: a limit is known even where the host's memory is not
        gauge.limit = self._host_total if least >= UNLIMITED else min(least, self._host_total)
        gauge.limit_at = self._now


def _read_working_set(gauge: MemoryGauge, usage: int, now: float) -> None:
    inactive = gauge.files.inactive_file()
    if inactive is not None:
        gauge.working_set = max(0, usage - inactive)
        gauge.working_set_at = now


def _read_oom_kills(gauge: MemoryGauge, now: float) -> None:
    kills = gauge.files.oom_kills()
    if kills is not None:
        gauge.oom_kills = kills
    gauge.oom_kills_at = now
