"""The files of one container's cgroup in the v2 hierarchy."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

from watchtower_agent.collectors.cgroup_paths import Place
from watchtower_agent.collectors.files import NUMBER, TABLE, Descriptors, KeptFile, MissingError, read_once
from watchtower_agent.collectors.parsing import cpu_max, cpuset_size, integer, limit, value_after

CPU_LIMIT = "cpu.max"
CPUSET = "cpuset.cpus.effective"
MEMORY_LIMIT = "memory.max"


class CpuV2:
    """CPU time and limits."""

    __slots__ = ("_cpuset", "_max", "_stat")

    def __init__(self, place: Place, descriptors: Descriptors) -> None:
        self._stat = KeptFile(f"{place.accounting}/cpu.stat", NUMBER * 8, descriptors)
        self._max = KeptFile(f"{place.accounting}/{CPU_LIMIT}", NUMBER, descriptors)
        self._cpuset = KeptFile(f"{place.accounting}/{CPUSET}", TABLE, descriptors)

    def used(self) -> float | None:
        """CPU seconds used since the cgroup was made."""
        used = value_after(self._stat.read(), b"\nusage_usec ")
        return None if used is None else used * 1e-6

    def granted(self) -> float:
        """Cores that the quota and the cpuset grant, the smaller; infinite without either."""
        return _granted(self._max.read, self._cpuset.read)

    def close(self) -> None:
        """Let go of all descriptors."""
        for file in (self._stat, self._max, self._cpuset):
            file.close()


class MemoryV2:
    """Memory."""

    __slots__ = ("_current", "_events", "_max", "_stat")

    def __init__(self, place: Place, descriptors: Descriptors) -> None:
        self._current = KeptFile(f"{place.memory}/memory.current", NUMBER, descriptors)
        self._stat = KeptFile(f"{place.memory}/memory.stat", TABLE, descriptors)
        self._max = KeptFile(f"{place.memory}/{MEMORY_LIMIT}", NUMBER, descriptors)
        self._events = KeptFile(f"{place.memory}/memory.events", NUMBER * 4, descriptors)

    def usage(self) -> int | None:
        """Bytes charged, page cache included."""
        return integer(self._current.read())

    def inactive_file(self) -> int | None:
        """Bytes of page cache that the kernel would give up first."""
        return value_after(self._stat.read(), b"\ninactive_file ")

    def limit(self) -> float | None:
        """Its own limit in bytes, infinite for none."""
        return limit(self._max.read())

    def oom_kills(self) -> int | None:
        """Processes that the kernel killed for want of memory, descendants included."""
        return value_after(self._events.read(), b"\noom_kill ")

    def close(self) -> None:
        """Let go of all descriptors."""
        for file in (self._current, self._stat, self._max, self._events):
            file.close()


def memory_limit_of(directory: str) -> float:
    """The limit of any cgroup, in bytes, infinite where there is none to read."""
    with suppress(MissingError):  # the root has none
        own = limit(read_once(f"{directory}/{MEMORY_LIMIT}", NUMBER))
        return math.inf if own is None else own
    return math.inf


def cpu_limit_of(directory: str) -> float:
    """The cores that quota and cpuset of any cgroup grant, the smaller; infinite without either."""
    return _granted(
        lambda: read_once(f"{directory}/{CPU_LIMIT}", NUMBER), lambda: read_once(f"{directory}/{CPUSET}", TABLE)
    )


def _granted(quota: Callable[[], bytes], cpuset: Callable[[], bytes]) -> float:
    cores = math.inf
    # each is missing where its controller is not enabled for this cgroup: then it sets no limit
    with suppress(MissingError):
        cores = cpu_max(quota()) or math.inf
    with suppress(MissingError):
        cores = min(cores, cpuset_size(cpuset()) or math.inf)
    return cores
