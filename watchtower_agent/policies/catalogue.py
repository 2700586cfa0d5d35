"""Every name that a policy can use: the only source of these names, their types and their meaning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.values import dataclass


class ValueType(StrEnum):
    """What a value is, and so what it can be compared with."""

    PERCENT = "percent"
    """80 % is 80."""
    BYTES = "bytes"
    DURATION = "duration"
    """In seconds."""
    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    ENUM = "enum"
    """Text out of a closed set."""


class Scope(Enum):
    """What a name tells about."""

    CONTAINER = "container"
    HOST = "host"
    ENGINE = "engine"
    EVENT = "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name.

    Attributes:
        name: As a condition writes it.
        type: What its value is.
        unit: Of the value as the agent holds it: `%`, `B`, `B/s`, `s`, or empty.
        meaning: One phrase for people.
        scope: What it tells about.
        sampled: True when it is measured at every tick, False when the engine or an event tells it.
        values: The closed set of an enum, else empty.
    """

    name: str
    type: ValueType
    unit: str
    meaning: str
    scope: Scope
    sampled: bool
    values: tuple[str, ...] = ()

    @property
    def at_most(self) -> int | None:
        """The largest value that it can have; None when there is none."""
        return 100 if self.type is ValueType.PERCENT and self.name not in _BEYOND_100 else None

    @property
    def of_disk(self) -> bool:
        """Whether it tells how full the file system of the engine's data is."""
        return self.name.startswith("host.disk.")

    @property
    def of_one_life(self) -> bool:
        """Whether it tells of the container's present life: after a restart it says nothing of the one before."""
        return self.scope is Scope.CONTAINER and (self.sampled or self.name in _OF_A_LIFE)

    @property
    def scales(self) -> bool:
        """Whether a service can be scaled by it: the more replicas there are, the less each of them has of it."""
        measured = self.type in {ValueType.PERCENT, ValueType.BYTES, ValueType.NUMBER}
        return self.scope is Scope.CONTAINER and self.sampled and measured and self.name not in _NOT_SHARED

    @property
    def windowed(self) -> bool:
        """Whether functions of its recent past can be asked for (`avg(cpu.percent, 5m)`)."""
        if self.scope is Scope.EVENT or self.name == "exit_code":
            return False
        measured = self.type in {ValueType.PERCENT, ValueType.BYTES, ValueType.NUMBER}
        return measured or (self.type is ValueType.DURATION and self.scope is Scope.ENGINE)


_OF_A_LIFE: Final = frozenset({"health", "health.failing_streak", "uptime"})
"""What the engine tells of the container's present life alone."""

_BEYOND_100: Final = frozenset({"cpu.percent", "cpu.percent_of_limit", "engine.cpu.percent"})
"""Percentages that are no share of a whole: of one core, and of a limit that bursts may exceed."""

_NOT_SHARED: Final = frozenset({"memory.limit", "memory.oom_kills", "network.errors", "pids.limit"})
"""Limits, counters and faults: more replicas make none of them less."""

_UNITS: Final = {ValueType.PERCENT: "%", ValueType.BYTES: "B", ValueType.DURATION: "s"}

_PER_SECOND: Final = frozenset({"io.read", "io.write", "network.receive", "network.transmit"})
"""Compared with bytes: `network.receive > 10MiB` is 10 MiB a second."""


def _entries(
    scope: Scope, rows: Iterable[tuple[str, ValueType, str]], *, sampled: bool, values: Mapping[str, tuple[str, ...]]
) -> Iterable[Entry]:
    for name, kind, meaning in rows:
        yield Entry(
            name=name,
            type=kind,
            unit="B/s" if name in _PER_SECOND else _UNITS.get(kind, ""),
            meaning=meaning,
            scope=scope,
            sampled=sampled,
            values=values.get(name, ()),
        )


_CONTAINER_SAMPLED: Final = (
    ("cpu.cores", ValueType.NUMBER, "CPU time used per time passed: 1 is one full core"),
    ("cpu.percent", ValueType.PERCENT, "100 times cpu.cores, as docker stats shows it: one full core is 100 %"),
    ("cpu.percent_of_limit", ValueType.PERCENT, "CPU used, of the least that quotas, cpuset and online CPUs grant"),
    ("cpu.throttled", ValueType.PERCENT, "of the quota's periods, those that used it up; unknown without a quota"),
    ("memory.usage", ValueType.BYTES, "memory used, page cache included"),
    ("memory.working_set", ValueType.BYTES, "memory used, less the file cache that can be dropped"),
    ("memory.limit", ValueType.BYTES, "the least of its own limit, those around it and the host's memory"),
    ("memory.percent", ValueType.PERCENT, "working set, of memory.limit"),
    ("memory.oom_kills", ValueType.NUMBER, "processes killed for lack of memory since the container started"),
    ("pressure.cpu", ValueType.PERCENT, "time in which some task waited for CPU"),
    ("pressure.memory", ValueType.PERCENT, "time in which some task waited for memory"),
    ("pressure.memory_full", ValueType.PERCENT, "time in which all tasks waited for memory"),
    ("pressure.io", ValueType.PERCENT, "time in which some task waited for disks"),
    ("pressure.io_full", ValueType.PERCENT, "time in which all tasks waited for disks"),
    ("io.read", ValueType.BYTES, "read from block devices per second"),
    ("io.write", ValueType.BYTES, "written to block devices per second"),
    ("network.receive", ValueType.BYTES, "received per second; unknown in the host's or another container's network"),
    ("network.transmit", ValueType.BYTES, "sent per second; unknown in the host's or another container's network"),
    ("network.errors", ValueType.NUMBER, "errors and drops per second, receiving and sending"),
    ("pids", ValueType.NUMBER, "processes and threads"),
    ("pids.limit", ValueType.NUMBER, "of processes and threads; unknown without one"),
)
_CONTAINER_KNOWN: Final = (
    ("status", ValueType.ENUM, "the engine's state of the container"),
    ("health", ValueType.ENUM, "verdict of its own health check; none without one"),
    ("health.failing_streak", ValueType.NUMBER, "failed health checks in a row"),
    ("exit_code", ValueType.NUMBER, "of the last end; unknown while it never ended"),
    ("restarts", ValueType.NUMBER, "starts that followed an end, by whomever, since the container was created"),
    ("restarts_by_agent", ValueType.NUMBER, "those of them that the agent made"),
    ("age", ValueType.DURATION, "since it was created"),
    ("uptime", ValueType.DURATION, "since it started; unknown when not running"),
    ("name", ValueType.TEXT, "the container's name"),
    ("image", ValueType.TEXT, "the image as it was named at creation"),
    ("image.id", ValueType.TEXT, "the image's id, sha256:…"),
)
_HOST: Final = (
    ("host.cpu.percent", ValueType.PERCENT, "CPU used, of the whole host"),
    ("host.memory.percent", ValueType.PERCENT, "memory used, of the whole host"),
    ("host.memory.available", ValueType.BYTES, "memory that new processes can have without swapping"),
    ("host.swap.percent", ValueType.PERCENT, "swap used"),
    ("host.load1", ValueType.NUMBER, "load average of 1 minute per online CPU"),
    ("host.load5", ValueType.NUMBER, "load average of 5 minutes per online CPU"),
    ("host.pressure.cpu", ValueType.PERCENT, "time in which some task of the host waited for CPU"),
    ("host.pressure.memory", ValueType.PERCENT, "time in which some task of the host waited for memory"),
    ("host.pressure.io", ValueType.PERCENT, "time in which some task of the host waited for disks"),
    ("host.disk.percent", ValueType.PERCENT, "space used on the file system of the engine's data-root"),
    ("host.disk.inodes_percent", ValueType.PERCENT, "inodes used on the file system of the engine's data-root"),
    ("host.disk.free", ValueType.BYTES, "space free on the file system of the engine's data-root"),
)
_ENGINE: Final = (
    ("engine.responding", ValueType.BOOLEAN, "the engine answered its last ping in time"),
    ("engine.latency", ValueType.DURATION, "round trip of a ping"),
    ("engine.event_lag", ValueType.DURATION, "from the engine's stamp of an event to its handling"),
    ("engine.connected", ValueType.BOOLEAN, "the event stream is open"),
    ("engine.restarts", ValueType.NUMBER, "restarts of the daemon that the agent saw"),
    ("engine.containers.running", ValueType.NUMBER, "containers running"),
    ("engine.containers.paused", ValueType.NUMBER, "containers paused"),
    ("engine.containers.stopped", ValueType.NUMBER, "all others: created, exited, dead, to be restarted"),
    ("engine.images", ValueType.NUMBER, "images, counted twice a minute"),
)
_ENGINE_SAMPLED: Final = (
    ("engine.cpu.percent", ValueType.PERCENT, "CPU of the engine's process: one full core is 100 %"),
    ("engine.memory", ValueType.BYTES, "resident memory of the engine's process"),
    ("engine.threads", ValueType.NUMBER, "threads of the engine's process"),
    ("engine.open_files", ValueType.NUMBER, "files that the engine's process has open, counted once a minute"),
)
_EVENT: Final = (
    ("event.kind", ValueType.ENUM, "what the event is about"),
    ("event.action", ValueType.TEXT, "what happened, in the engine's word"),
    ("event.name", ValueType.TEXT, "name of the object it is about"),
    ("event.exit_code", ValueType.NUMBER, "of a die; unknown for other events"),
    ("event.signal", ValueType.TEXT, "signal of a kill, as the engine writes it (15); unknown for other events"),
    ("event.age", ValueType.DURATION, "since it happened"),
)
_VALUES: Final = {
    "status": tuple(str(status) for status in ContainerStatus),
    "health": tuple(str(health) for health in Health),
    "event.kind": tuple(str(kind) for kind in EventKind),
}

CATALOGUE: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        entry.name: entry
        for scope, rows, sampled in (
            (Scope.CONTAINER, _CONTAINER_SAMPLED, True),
            (Scope.CONTAINER, _CONTAINER_KNOWN, False),
            (Scope.HOST, _HOST, True),
            (Scope.ENGINE, _ENGINE, False),
            (Scope.ENGINE, _ENGINE_SAMPLED, True),
            (Scope.EVENT, _EVENT, False),
        )
        for entry in _entries(scope, rows, sampled=sampled, values=_VALUES)
    }
)
"""Name -> entry. `labels["k"]` and `event.attributes["k"]` are text and stand beside this table."""

LABELS: Final = "labels"
"""`labels["k"]`: a label of the container; a missing one is the empty text."""
ATTRIBUTES: Final = "event.attributes"
"""`event.attributes["k"]`: an attribute of the event; a missing one is the empty text."""

ANY_ACTION: Final = "*"

_COMMON_IN_SWARM: Final = frozenset({"create", "remove", "update"})

ACTIONS: Final[Mapping[EventKind, frozenset[str]]] = MappingProxyType(
    {
        EventKind.CONTAINER: frozenset(
            {"archive-path", "attach", "commit", "copy", "create", "destroy", "detach", "die", "export"}
            | {"exec_create", "exec_detach", "exec_die", "exec_start", "extract-to-dir", "health_status", "kill", "oom"}
            | {"pause", "prune", "rename", "resize", "restart", "start", "stop", "top", "unpause", "update"}
        ),
        EventKind.IMAGE: frozenset(
            {"create", "delete", "import", "load", "prune", "pull", "push", "save", "tag", "untag"}
        ),
        EventKind.VOLUME: frozenset({"create", "destroy", "mount", "prune", "unmount"}),
        EventKind.NETWORK: frozenset({"connect", "create", "destroy", "disconnect", "prune", "remove", "update"}),
        EventKind.DAEMON: frozenset({"reload"}),
        EventKind.PLUGIN: frozenset(
            {"create", "disable", "enable", "install", "pull", "push", "remove", "set", "upgrade"}
        ),
        EventKind.SERVICE: _COMMON_IN_SWARM,
        EventKind.NODE: _COMMON_IN_SWARM,
        EventKind.SECRET: _COMMON_IN_SWARM,
        EventKind.CONFIG: _COMMON_IN_SWARM,
        EventKind.BUILDER: frozenset({"prune"}),
        EventKind.ENGINE: frozenset({"down", "up"}),
        EventKind.POLICY: frozenset(
            {"firing", "resolved", "rejected", "loaded", "scheduled", "missed", "triggered"}
            | {"breaker_open", "breaker_half_open", "breaker_closed", "paused", "resumed"}
            | {"approval_asked", "approval_given", "approval_rejected", "approval_expired", "approval_withdrawn"}
        ),
        EventKind.AGENT: frozenset(
            {"event_gap", "started", "stopping", "sampling_degraded", "sampling_restored", "paused", "resumed"}
            | {"shared_cause", "shared_cause_over", "container_hangs", "container_answers"}
            | {"settings_changed", "settings_rejected"}
        ),
    }
)
"""Kind -> the actions that `on` can name. The agent's own actions are no trigger: a policy would answer itself."""
