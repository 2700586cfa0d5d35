"""One tick's measurements, as columns over slots: one array per metric, one slot per container."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass

_CURRENT = 3
"""Intervals for which a batch tells of the present."""


class Total(StrEnum):
    """Counters of a container's present life. Each begins at 0 with it."""

    CPU = "cpu"
    """CPU time used, in nanoseconds."""
    PERIODS = "periods"
    """Of its CPU quota, in which it ran."""
    THROTTLED = "throttled"
    """Of these, those that used the quota up."""
    CPU_WAITING = "cpu_waiting"
    """Percent of seconds in which some task waited for CPU; so are the five after it."""
    CPU_STALLED = "cpu_stalled"
    """All tasks did."""
    MEMORY_WAITING = "memory_waiting"
    MEMORY_STALLED = "memory_stalled"
    IO_WAITING = "io_waiting"
    IO_STALLED = "io_stalled"
    READ = "read"
    """Bytes from block devices."""
    WRITTEN = "written"
    """Bytes to block devices."""
    RECEIVED = "received"
    """Bytes over all networks of its own."""
    SENT = "sent"
    """Bytes over all networks of its own."""
    NETWORK_ERRORS = "network_errors"
    """Errors and drops, receiving and sending."""
    OOM_KILLS = "oom_kills"
    """Processes killed for lack of memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTarget:
    """A running container that the sampler is asked to read.

    Samples belong to (container id, started_at): a restart is another life with other counters.

    Attributes:
        container_id: The full id.
        started_at: When this life began, seconds since the epoch; None until the container was inspected.
        pid: The main process, 0 until the container was inspected.
        cgroup_parent: The container's own cgroup parent, empty for the engine's default.
        cpu_limit: Cores that its quota and cpuset grant, as far as the engine told; infinite without either.
        own_network: It has a network of its own: neither the host's nor another container's.
        name: Its name, for people; empty while it is not known.
    """

    container_id: str
    started_at: float | None = None
    pid: int = 0
    cgroup_parent: str = ""
    cpu_limit: float = math.inf
    own_network: bool = False
    name: str = ""

    @property
    def called(self) -> str:
        """What people call it."""
        return self.name or self.container_id[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEngine:
    """What of the engine can be watched on this host.

    Attributes:
        data_root: Where it keeps its data; empty for an engine on another host.
        pid: The process behind its socket, 0 when the kernel did not tell.
    """

    data_root: str = ""
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleBatch:
    """Everything that one tick measured. Unknown is NaN in a column and absent in `host`; never zero.

    Attributes:
        at: When the tick began.
        interval: Seconds between ticks, as configured.
        duration: Seconds the tick took.
        targets: Slot i of every column is the container `targets[i]`.
        columns: Catalogue name of a container metric -> one number per slot.
        host: Catalogue name (`host.…`) -> number.
        failures: Collector -> what went wrong at this tick; empty when all went well.
        anew: Ids of containers of which all was read that is else carried from tick to tick.
        totals: Counter -> what it stands at in each slot's present life, in the
            kernel's unit. Like the columns, a counter that is read seldom is carried from tick to tick.
    """

    at: Instant
    interval: float
    duration: float = 0.0
    targets: tuple[SampleTarget, ...] = ()
    columns: Mapping[str, array[float]] = field(default_factory=dict)
    host: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    anew: frozenset[str] = frozenset()
    totals: Mapping[Total, array[float]] = field(default_factory=dict)

    def out_of_date(self, now: Instant) -> bool:
        """Whether it is older than three intervals: of ticks, or of its own where the tick took longer than one."""
        return now.monotonic - self.at.monotonic > _CURRENT * max(self.interval, self.duration)
