"""What is known of one container's CPU and memory: its open files, and what they said last."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

NEVER = -math.inf
"""When something was last read that was not read yet."""


class Gauge(Protocol):
    """What a collector keeps open of one life of a container."""

    def read(self, now: float) -> Sequence[float]:
        """What it says now: one number for each name of its collector, NaN for unknown.

        Args:
            now: Monotonic seconds.

        Raises:
            AbsentError: The container has ended.
            UnreadableError: It can't be read.
        """
        ...

    def close(self) -> None:
        """Let go of all descriptors."""
        ...


class KeptGauge:
    """A gauge, and what it said last.

    Attributes:
        numbers: Of the last reading, all NaN when it failed.
    """

    __slots__ = ("_gauge", "_nothing", "numbers")

    def __init__(self, gauge: Gauge, nothing: Sequence[float]) -> None:
        self._gauge = gauge
        self._nothing = nothing
        self.numbers = nothing

    def read(self, now: float) -> Sequence[float]:
        """Read it now. Raises as `Gauge.read` does."""
        self.numbers = self._nothing
        self.numbers = self._gauge.read(now)
        return self.numbers

    def close(self) -> None:
        """Let go of all descriptors."""
        self._gauge.close()


class Counter:
    """A number that only grows within a life, as a rate."""

    __slots__ = ("_at", "_total")

    def __init__(self) -> None:
        self._total = math.nan
        self._at = NEVER

    def rate(self, total: float | None, now: float) -> float:
        """Δtotal / Δtime since the last call; NaN at the first one, and when it went down or is not known.

        Args:
            total: What it stands at, None when that is not known.
            now: Monotonic seconds.
        """
        if total is None:
            return math.nan
        grown, passed = total - self._total, now - self._at
        self._total, self._at = total, now
        return grown / passed if grown >= 0 and passed > 0 else math.nan


class CpuFiles(Protocol):
    """CPU files of either cgroup version. Each call raises AbsentError or UnreadableError."""

    def used(self) -> float | None:
        """CPU seconds used since the cgroup was made."""
        ...

    def granted(self) -> float:
        """Cores granted by quota and cpuset, infinite without either, NaN where that is not to be seen."""
        ...

    def close(self) -> None:
        """Let go of all descriptors."""
        ...


class MemoryFiles(Protocol):
    """Memory files of either cgroup version. Each call raises AbsentError or UnreadableError."""

    def usage(self) -> int | None:
        """Bytes charged."""
        ...

    def inactive_file(self) -> int | None:
        """Bytes of inactive page cache."""
        ...

    def limit(self) -> float | None:
        """Its own limit in bytes."""
        ...

    def oom_kills(self) -> int | None:
        """Processes killed for want of memory."""
        ...

    def close(self) -> None:
        """Let go of all descriptors."""
        ...


class CpuGauge:
    """CPU of one life of a container.

    Attributes:
        files: Its open files.
        directory: Its cgroup with the quota, whose ancestors may have one too; empty where there is none.
        granted: Cores granted by quotas and cpuset, its own and those above; infinite without any, NaN while unknown.
        granted_at: When that was read, monotonic seconds.
    """

    __slots__ = ("_used", "directory", "files", "granted", "granted_at")

    def __init__(self, files: CpuFiles, directory: str) -> None:
        self.files = files
        self.directory = directory
        self.granted = math.nan
        self.granted_at = NEVER
        self._used = Counter()

    def cores(self, monotonic: Callable[[], float]) -> float:
        """Δusage / Δtime since the last reading; NaN at the first one and when the counter went down.

        The time is taken at the reading: the thread may have waited since its tick began.
        """
        used = self.files.used()
        return self._used.rate(used, monotonic())


class MemoryGauge:
    """Memory of one life of a container.

    Attributes:
        files: Its open files.
        directory: Its cgroup, whose ancestors may be limited.
        working_set: Bytes in use without inactive page cache, NaN while unknown.
        working_set_at: When that was read, monotonic seconds.
        limit: Effective limit in bytes, NaN while unknown.
        limit_at: When that was read.
        oom_kills: Since the container's start, NaN while unknown.
        oom_kills_at: When that was read.
    """

    __slots__ = (
        "directory",
        "files",
        "limit",
        "limit_at",
        "oom_kills",
        "oom_kills_at",
        "working_set",
        "working_set_at",
    )

    def __init__(self, files: MemoryFiles, directory: str) -> None:
        self.files = files
        self.directory = directory
        self.working_set = self.limit = self.oom_kills = math.nan
        self.working_set_at = self.limit_at = self.oom_kills_at = NEVER
