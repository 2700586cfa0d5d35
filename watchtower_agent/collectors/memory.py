"""Memory of each container."""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Iterable, Sequence
from operator import add

from watchtower_agent.collectors import cgroup_v1, cgroup_v2
from watchtower_agent.collectors.ancestors import AncestorLimits
from watchtower_agent.collectors.cgroup_tree import MEMORY_OFF
from watchtower_agent.collectors.file_column import FileColumn
from watchtower_agent.collectors.files import Descriptors, KeptFile, MissingError, UnreadableError
from watchtower_agent.collectors.gauges import NEVER, MemoryGauge
from watchtower_agent.collectors.host_facts import HostFacts
from watchtower_agent.collectors.memory_usage import MemoryUsage
from watchtower_agent.collectors.parsing import value_after
from watchtower_agent.collectors.request import LIMITS_INTERVAL, SLOW_INTERVAL, Pace
from watchtower_agent.collectors.roster import Life, Roster
from watchtower_agent.collectors.tick import Faults, Tick
from watchtower_agent.errors import AbsentError, PermanentError
from watchtower_agent.model.sample import Total

WORKING_SET = frozenset({"memory.working_set", "memory.percent"})
"""The names that need `memory.stat`, which costs the kernel more than all other files of a container together."""
NOT_ENABLED = "the memory controller is not enabled for it (a rootless engine needs it delegated: Delegate=memory)"
VMSTAT = 1 << 14
"""Bytes that hold `/proc/vmstat`, which counts all kills since the boot."""
UNLIMITED = 1 << 62
"""v1's "no limit" is the largest multiple of the page size below 2^63: more than this, less than infinite."""


class MemoryCollector:
    """`memory.usage`, and the working set where it is needed, else at the metrics interval.

    What is carried of the usage, and for how long, `memory_usage.py` tells.
    `memory.working_set` = usage - inactive page cache, 0 when negative; one that is carried over from an earlier tick
    is never more than the usage of this one. `memory.percent` = 100 * working set / limit.
    `memory.limit` is the smallest of the container's own, those of the cgroups above it, and what the host has: it is
    read every minute, and at once when the engine reports an update. `memory.oom_kills` is read when the engine reports
    one, and every 10 s where the kernel has killed anything at all meanwhile. On v1 those below the container's own
    cgroup are added up then.
    """

    name = "memory"

    def __init__(self, *, proc_root: str, roster: Roster, facts: HostFacts, descriptors: Descriptors) -> None:
        self._roster = roster
        self._facts = facts
        self._ancestors = AncestorLimits()
        self._changes = -1
        self._usage = MemoryUsage(descriptors, _explained)
        self._inactive = FileColumn(lambda life: life.memory.files.inactive_file if life.memory else None, descriptors)
        self._oom_kills = FileColumn(lambda life: life.memory.files.oom_kills if life.memory else None, descriptors)
        self._vmstat = KeptFile(f"{proc_root}/vmstat", VMSTAT, descriptors)
        self._kernels_kills: int | None = None
        self._killed_below = False
        """Whether there may be kills below any container's own cgroup."""
        self._working_sets, self._limits = array("d"), array("d")
        self._host_total = math.nan
        self._inactive_at = self._oom_kills_at = self._limits_at = NEVER
        self._limit_faults = Faults()

    def collect(self, tick: Tick) -> None:
        """Read every container's memory, as much of it as is due."""
        tree = self._roster.tree
        if tree is not None and not tree.memory:
            tick.failures[self.name] = MEMORY_OFF
        elif tree is not None:
            version = cgroup_v1 if "memory" in tree.v1 else cgroup_v2
            self._ancestors.look_in(tree.memory, version.memory_limit_of)
        changed = tick.changes() != self._changes
        if changed:
            self._changes = tick.changes()
            for column in (self._usage, self._inactive, self._oom_kills):
                column.follow(tick.lives)
        usage = self._usage.read(tick)
        self._read_working_sets(tick, usage, changed=changed)
        self._read_oom_kills(tick)
        self._read_limits(tick, changed=changed)
        self._write(tick, usage)

    def close(self) -> None:
        """Let go of the host's file."""
        self._vmstat.close()

    def _read_working_sets(self, tick: Tick, usage: array[float], *, changed: bool) -> None:
        now, lives = tick.at.monotonic, tick.lives
        due = Pace(tick.request.demand.interval(WORKING_SET, tick.interval), tick.interval).due(self._inactive_at, now)
        read: Collection[int] = range(len(lives))
        if due:
            self._inactive_at = now
            self._inactive.read(tick.monotonic)
        else:
            read = self._inactive.read_new(tick.monotonic)
        if not read and not changed:
            return
        inactive = self._inactive.numbers()
        for slot in read:
            memory = lives[slot].memory
            if memory is not None:
                memory.working_set = max(usage[slot] - inactive[slot], 0.0)  # in this order NaN stays NaN
        self._working_sets = array("d", [life.memory.working_set if life.memory else math.nan for life in lives])

    def _read_oom_kills(self, tick: Tick) -> None:
        now = tick.at.monotonic
        if Pace(max(SLOW_INTERVAL, tick.interval), tick.interval).due(self._oom_kills_at, now):
            self._oom_kills_at = now
            if self._kernel_killed() or self._oom_kills.faults:
                self._oom_kills.read(tick.monotonic)
                self._look_below(tick.lives)
                return
        read = self._oom_kills.read_new(tick.monotonic, tick.request.anew)
        self._look_below([tick.lives[slot] for slot in read])

    def _look_below(self, lives: Iterable[Life]) -> None:
        for life in lives:
            if life.memory and life.memory.files.kills_below:
                life.memory.kills_below = life.memory.files.kills_below.count()
                self._killed_below = True

    def _all_oom_kills(self, lives: Sequence[Life]) -> array[float]:
        """Those of each container's own cgroup, and those below it."""
        numbers = self._oom_kills.numbers()
        if self._killed_below:
            below = [life.memory.kills_below if life.memory else 0 for life in lives]
            self._killed_below = any(below)
            numbers = array("d", map(add, numbers, below))
        return numbers

    def _kernel_killed(self) -> bool:
        """Whether the kernel killed any process on this host since this was last asked; also where it does not tell."""
        before = self._kernels_kills
        try:
            self._kernels_kills = value_after(self._vmstat.read(), b"\noom_kill ")
        except PermanentError:
            self._kernels_kills = None
        return self._kernels_kills is None or self._kernels_kills != before

    def _read_limits(self, tick: Tick, *, changed: bool) -> None:
        now, anew, total = tick.at.monotonic, tick.request.anew, self._facts.memory_total
        due = Pace(max(LIMITS_INTERVAL, tick.interval), tick.interval).due(self._limits_at, now)
        if total != self._host_total:
            due, self._host_total = True, total
        if not (due or changed or anew):
            return
        self._limits_at = now if due else self._limits_at
        if due or anew:
            self._usage.forget(tick.lives)
        self._limits = array("d", [math.nan]) * len(tick.lives)
        self._limit_faults = Faults()
        for slot, life in enumerate(tick.lives):
            gauge = life.memory
            if gauge is None:
                continue
            # one that could not be read is tried, and told, at each such look: it is not mended by others that come
            unknown = gauge.limit is None or math.isnan(gauge.limit)
            if due or unknown or life.target.container_id in anew:
                self._read_limit(life, gauge, now)
            if gauge.limit is not None:
                self._limits[slot] = gauge.limit

    def _read_limit(self, life: Life, gauge: MemoryGauge, now: float) -> None:
        gauge.limit = math.nan
        try:
            own = gauge.files.limit()
            if own is None:
                return
            least = min(own, self._ancestors.least_above(gauge.directory, now))
        except AbsentError:
            life.end()
            return
        except UnreadableError as error:
            self._limit_faults.add(_explained(error))
            return
        # min(least, NaN) is least: a limit is known even where the host's memory is not
        gauge.limit = self._host_total if least >= UNLIMITED else min(least, self._host_total)

    def _write(self, tick: Tick, usage: array[float]) -> None:
        columns = tick.columns
        working_sets = array(
            "d", [min(before, used) for before, used in zip(self._working_sets, usage, strict=True)]
        )  # written out, since `min` would be a call of a function for each
        columns["memory.usage"] = usage
        columns["memory.working_set"] = working_sets
        columns["memory.limit"] = self._limits
        columns["memory.percent"] = array(
            "d",
            [100 * used / limit if limit else math.nan for used, limit in zip(working_sets, self._limits, strict=True)],
        )
        columns["memory.oom_kills"] = tick.totals[Total.OOM_KILLS] = self._all_oom_kills(tick.lives)
        for faults in (self._oom_kills.faults, self._inactive.faults, self._limit_faults, self._usage.faults):
            faults.tell(tick, self.name, "memory is")


def _explained(error: PermanentError) -> str:
    return f"{error}: {NOT_ENABLED}" if isinstance(error, MissingError) else str(error)
