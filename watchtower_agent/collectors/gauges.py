"""What is known of one container's CPU and memory: its open files, and what they said last."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

NEVER = -math.inf
"""When something was last read that was not read yet."""


class CpuFiles(Protocol):
    """CPU files of either cgroup version. Each call raises AbsentError or UnreadableError."""

    def used(self) -> float | None:
        """CPU seconds used since the cgroup was made."""
        ...

    def granted(self) -> float:
        """Cores granted by quota and cpuset, infinite without either."""
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
        granted: Cores granted by quota and cpuset, infinite without either, NaN while unknown.
        granted_at: When that was read, monotonic seconds.
    """

    __slots__ = ("_used", "_used_at", "files", "granted", "granted_at")

    def __init__(self, files: CpuFiles) -> None:
        self.files = files
        self.granted = math.nan
        self.granted_at = NEVER
        self._used = math.nan
        self._used_at = NEVER

    def cores(self, monotonic: Callable[[], float]) -> float:
        """Δusage / Δtime since the last reading; NaN at the first one and when the counter went down.

        The time is taken at the reading: the thread may have waited since its tick began.
        """
        used = self.files.used()
        now = monotonic()
        if used is None:
            return math.nan
        grown, passed = used - self._used, now - self._used_at
        self._used, self._used_at = used, now
        return grown / passed if grown >= 0 and passed > 0 else math.nan


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
