"""The files of one container's cgroup in the v1 hierarchies."""

from __future__ import annotations

import math
from contextlib import suppress

from watchtower_agent.collectors.cgroup_paths import Place
from watchtower_agent.collectors.files import NUMBER, TABLE, Descriptors, KeptFile, MissingError, NumberFile, read_once
from watchtower_agent.collectors.kills_below import KillsBelow
from watchtower_agent.collectors.parsing import after, cfs_quota, cpuset_size, limit

CPU_QUOTA = "cpu.cfs_quota_us"
NO_QUOTA = b"-1\n"
CPU_PERIOD = "cpu.cfs_period_us"
MEMORY_LIMIT = "memory.limit_in_bytes"
OOM_COUNT = "memory.oom_control"
_INACTIVE = after(b"\ntotal_inactive_file ")
_KILLS = after(b"\noom_kill ")


class CpuV1:
    """CPU time and limits: `cpuacct`, `cpu` and `cpuset`, which may be three directories or one.

    Attributes:
        used: CPU time used since the cgroup was made, in nanoseconds.
    """

    __slots__ = ("_cpuset", "_hidden", "_period", "_quota", "used")

    def __init__(self, place: Place, descriptors: Descriptors) -> None:
        self._hidden = "cpu" in place.hidden
        self.used = NumberFile(f"{place.accounting}/cpuacct.usage", NUMBER, descriptors)
        self._quota = KeptFile(f"{place.cpu}/{CPU_QUOTA}", NUMBER, descriptors) if place.cpu else None
        self._period = KeptFile(f"{place.cpu}/{CPU_PERIOD}", NUMBER, descriptors) if place.cpu else None
        self._cpuset = KeptFile(f"{place.cpuset}/cpuset.cpus", TABLE, descriptors) if place.cpuset else None

    def granted(self) -> float:
        """Cores that the quota and the cpuset grant, the smaller; infinite without either, NaN where not to be seen."""
        if self._hidden:
            return math.nan
        cores = math.inf
        if self._quota and self._period:
            with suppress(MissingError):  # a kernel without CPU bandwidth control sets no limit
                quota = self._quota.read()
                cores = math.inf if quota == NO_QUOTA else cfs_quota(quota, self._period.read()) or math.inf
        if self._cpuset:
            cores = min(cores, cpuset_size(self._cpuset.read()) or math.inf)
        return cores

    def close(self) -> None:
        """Let go of all descriptors."""
        for file in (self.used, self._quota, self._period, self._cpuset):
            if file:
                file.close()


class MemoryV1:
    """Memory: the `memory` hierarchy.

    Attributes:
        usage: Bytes charged, page cache included.
        inactive_file: Bytes of page cache that the kernel would give up first.
        oom_kills: Processes that the kernel killed for want of memory; none before Linux 4.13.
        kills_below: Those in the cgroups below, which v1 does not count among them.
    """

    __slots__ = ("_limit", "inactive_file", "kills_below", "oom_kills", "usage")

    def __init__(self, place: Place, descriptors: Descriptors) -> None:
        self.usage = NumberFile(f"{place.memory}/memory.usage_in_bytes", NUMBER, descriptors)
        self.inactive_file = NumberFile(f"{place.memory}/memory.stat", TABLE, descriptors, _INACTIVE)
        self._limit = KeptFile(f"{place.memory}/{MEMORY_LIMIT}", NUMBER, descriptors)
        self.oom_kills = NumberFile(f"{place.memory}/{OOM_COUNT}", NUMBER * 2, descriptors, _KILLS)
        self.kills_below = KillsBelow(place.memory, OOM_COUNT, _KILLS)

    def limit(self) -> float | None:
        """Its own limit in bytes. v1 has no word for none: it is a number larger than any host's memory."""
        return limit(self._limit.read())

    def close(self) -> None:
        """Let go of all descriptors."""
        for file in (self.usage, self.inactive_file, self._limit, self.oom_kills):
            file.close()


def memory_limit_of(directory: str) -> float:
    """The limit of any cgroup of the `memory` hierarchy, in bytes, infinite where there is none to read."""
    with suppress(MissingError):
        own = limit(read_once(f"{directory}/{MEMORY_LIMIT}", NUMBER))
        return math.inf if own is None else own
    return math.inf


def cpu_limit_of(directory: str) -> float:
    """The cores that the quota of any cgroup of the `cpu` hierarchy grants, infinite without one.

    The cpuset of an ancestor needs no look: v1 has a cgroup's own contain no processor that its parent's does not.
    """
    with suppress(MissingError):  # the root has none
        quota = read_once(f"{directory}/{CPU_QUOTA}", NUMBER)
        return cfs_quota(quota, read_once(f"{directory}/{CPU_PERIOD}", NUMBER)) or math.inf
    return math.inf
