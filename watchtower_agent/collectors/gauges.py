"""What is known of one container's CPU and memory: its open files, and what they said last."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from watchtower_agent.collectors.common_ground import CommonGround
from watchtower_agent.collectors.files import KeptFile, NumberFile, parent_of
from watchtower_agent.collectors.kills_below import KillsBelow
from watchtower_agent.errors import PermanentError

NEVER = -math.inf
"""When something was last read that was not read yet."""

_SHORT = 256
"""Bytes of what a file said that are kept for comparison."""


class Gauge(Protocol):
    """What a collector keeps open of one life of a container."""

    @property
    def totals(self) -> Sequence[float]:
        """What its counters stand at, as last read: one number for each that its collector tells, NaN for unknown."""
        ...

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


class RateGauge:
    """Counters in one file, as rates.

    Args:
        file: Where they are.
        parse: Takes them out of what it says, NaN for unknown.
        names: Of how many of them, the first ones, there are rates.
        more: How many come after these, of which only the totals are told.
        unknown: Whether an error only means that there is nothing to know here.
        most: No rate is more than this.
        ground: Tells whether the file of the same name above stands still: then so does this.
    """

    __slots__ = (
        "_above",
        "_at",
        "_before",
        "_file",
        "_ground",
        "_most",
        "_names",
        "_parse",
        "_read_at",
        "_said",
        "_still",
        "_unknown",
    )

    def __init__(
        self,
        file: KeptFile,
        parse: Callable[[bytes], Sequence[float]],
        *,
        names: int,
        unknown: Callable[[PermanentError], bool],
        most: float = math.inf,
        more: int = 0,
        ground: CommonGround | None = None,
    ) -> None:
        self._file = file
        self._parse = parse
        self._unknown = unknown
        self._most = most
        self._names = names
        self._before: Sequence[float] = (math.nan,) * (names + more)  # of the last reading of the file
        self._at = self._read_at = NEVER
        self._ground = ground
        directory, _, name = file.path.rpartition("/")
        self._above = f"{parent_of(directory)}/{name}"
        self._said: bytes | None = None
        self._still: Sequence[float] = (math.nan,) * names

    @property
    def totals(self) -> Sequence[float]:
        """What they stand at."""
        return self._before

    def read(self, now: float) -> Sequence[float]:
        """Δtotal / Δtime of each since the last call; unknown at the first one, and when it went down."""
        if self._ground is not None and self._read_at >= self._ground.still_since(self._above):
            self._at = now
            return self._still
        try:
            data = self._file.read()
        except PermanentError as error:
            if not self._unknown(error):
                raise
            data = b""
        self._read_at = now
        if data == self._said:  # most files of most containers: nothing moved, and nothing need be taken apart
            self._at = now
            return self._still
        before, passed = self._before, now - self._at
        totals = self._parse(data)
        self._before, self._at = totals, now
        self._said = data if len(data) <= _SHORT else None
        counted = totals[: self._names]
        self._still = [0.0 if total >= 0 else math.nan for total in counted]
        return [
            min((total - earlier) / passed, self._most) if total >= earlier and passed > 0 else math.nan
            for total, earlier in zip(counted, before, strict=False)
        ]

    def close(self) -> None:
        """Let go of the descriptor."""
        self._file.close()


class CpuFiles(Protocol):
    """CPU files of either cgroup version. Each call raises AbsentError or UnreadableError."""

    @property
    def used(self) -> NumberFile:
        """CPU time used since the cgroup was made, in nanoseconds."""
        ...

    def granted(self) -> float:
        """Cores granted by quota and cpuset, infinite without either."""
        ...

    def close(self) -> None:
        """Let go of all descriptors."""
        ...


class MemoryFiles(Protocol):
    """Memory files of either cgroup version. Each call raises AbsentError or UnreadableError."""

    @property
    def usage(self) -> NumberFile:
        """Bytes charged."""
        ...

    @property
    def inactive_file(self) -> NumberFile:
        """Bytes of inactive page cache."""
        ...

    def limit(self) -> float | None:
        """Its own limit in bytes."""
        ...

    @property
    def oom_kills(self) -> NumberFile:
        """Processes killed for want of memory."""
        ...

    @property
    def kills_below(self) -> KillsBelow | None:
        """Those in the cgroups below; None where the file counts them."""
        ...

    def close(self) -> None:
        """Let go of all descriptors."""
        ...


class CpuGauge:
    """CPU of one life of a container.

    Attributes:
        files: Its open files.
        directory: Its cgroup with the quota, whose ancestors may have one too; empty where there is none.
        granted: Cores granted by quotas and cpuset, its own and those above; infinite without any, NaN while unknown;
            None: not read yet.
    """

    __slots__ = ("directory", "files", "granted")

    def __init__(self, files: CpuFiles, directory: str) -> None:
        self.files = files
        self.directory = directory
        self.granted: float | None = None


class MemoryGauge:
    """Memory of one life of a container.

    Attributes:
        files: Its open files.
        directory: Its cgroup, whose ancestors may be limited.
        working_set: Bytes in use without inactive page cache, as last read, NaN while unknown.
        limit: Effective limit in bytes, NaN while unknown; None: not read yet.
        kills_below: OOM kills in the cgroups below it that its own count lacks.
        holds_until: CPU time in nanoseconds up to which what was last read of its usage holds; NaN: it does not.
    """

    __slots__ = ("directory", "files", "holds_until", "kills_below", "limit", "working_set")

    def __init__(self, files: MemoryFiles, directory: str) -> None:
        self.files = files
        self.directory = directory
        self.working_set = math.nan
        self.limit: float | None = None
        self.kills_below = 0
        self.holds_until = math.nan
