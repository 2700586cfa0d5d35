"""The files of one container's cgroup in the v2 hierarchy."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

from watchtower_agent.collectors.cgroup_paths import Place
from watchtower_agent.collectors.files import NUMBER, TABLE, Descriptors, KeptFile, MissingError, NumberFile, read_once
from watchtower_agent.collectors.parsing import after, cpu_max, cpuset_size, limit

CPU_LIMIT = "cpu.max"
CPUSET = "cpuset.cpus.effective"
MEMORY_LIMIT = "memory.max"
_USED = after(b"\nusage_usec ")
_INACTIVE = after(b"\ninactive_file ")
_KILLS = after(b"\noom_kill ")


class CpuV2:
    """CPU time and limits.

    Attributes:
        used: CPU time used since the cgroup was made, in nanoseconds.
    """

    __slots__ = ("_cpuset", "_max", "used")

    def __init__(self, place: Place, descriptors: Descriptors) -> None:
        self.used = NumberFile(f"{place.accounting}/cpu.stat", NUMBER, descriptors, _used)
        self._max = KeptFile(f"{place.accounting}/{CPU_LIMIT}", NUMBER, descriptors)
        self._cpuset = KeptFile(f"{place.accounting}/{CPUSET}", TABLE, descriptors)

    def granted(self) -> float:
        """Cores that the quota and the cpuset grant, the smaller; infinite without either."""
        return _granted(self._max.read, self._cpuset.read)

    def close(self) -> None:
        """Let go of all descriptors."""
        for file in (self.used, self._max, self._cpuset):
            file.close()


class MemoryV2:
    """Memory.

    Attributes:
        usage: Bytes charged, page cache included.
        inactive_file: Bytes of page cache that the kernel would give up first.
        oom_kills: Processes that the kernel killed for want of memory, descendants included.
        kills_below: None: see above.
    """

    __slots__ = ("_max", "inactive_file", "kills_below", "oom_kills", "usage")

    def __init__(self, place: Place, descriptors: Descriptors) -> None:
        self.usage = NumberFile(f"{place.memory}/memory.current", NUMBER, descriptors)
        self.inactive_file = NumberFile(f"{place.memory}/memory.stat", TABLE, descriptors, _INACTIVE)
        self._max = KeptFile(f"{place.memory}/{MEMORY_LIMIT}", NUMBER, descriptors)
        self.oom_kills = NumberFile(f"{place.memory}/memory.events", NUMBER * 4, descriptors, _KILLS)
        self.kills_below = None

    def limit(self) -> float | None:
        """Its own limit in bytes, infinite for none."""
        return limit(self._max.read())

    def close(self) -> None:
        """Let go of all descriptors."""
        for file in (self.usage, self.inactive_file, self._max, self.oom_kills):
            file.close()


def _used(data: bytes) -> int:
    return _USED(data) * 1000


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
