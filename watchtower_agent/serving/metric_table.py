"""Every metric on /metrics: the only source of these names, their types and their meaning.

Those named `container_…` have cAdvisor's names and meaning, so that dashboards made for it work.
"""

from __future__ import annotations

from typing import Final

from watchtower_agent.model.exposition import Metric, MetricKind
from watchtower_agent.model.sample import Total

CONTAINER_LABELS: Final = ("id", "name", "image")
"""Beside every metric of a container."""

_UNITS: Final = ("seconds", "bytes", "ratio")


def _metric(kind: MetricKind, name: str, meaning: str, labels: tuple[str, ...], otel: str) -> Metric:
    unit = name.rpartition("_")[2]
    return Metric(
        name=name,
        kind=kind,
        meaning=meaning,
        unit=unit if unit in _UNITS else "",
        labels=labels,
        otel=otel,
        cadvisor=name.startswith("container_"),
    )


def _counter(name: str, meaning: str, *labels: str, otel: str = "") -> Metric:
    return _metric(MetricKind.COUNTER, name, meaning, labels, otel)


def _gauge(name: str, meaning: str, *labels: str, otel: str = "") -> Metric:
    return _metric(MetricKind.GAUGE, name, meaning, labels, otel)


def _pressure(resource: str, who: str, word: str, what: str) -> Metric:
    return _counter(f"container_pressure_{resource}_{word}_seconds", f"time in which {who} waited for {what}")


_CPU: Final = "container.cpu.time"
_DISK: Final = "container.disk.io"
_NETWORK: Final = "container.network.io"
_OWN_NETWORK: Final = "over all of its networks; none in the host's or another container's network"

TOTALS: Final[tuple[tuple[Metric, Total, float], ...]] = (
    (_counter("container_cpu_usage_seconds", "CPU time used", otel=_CPU), Total.CPU, 1e-9),
    (_counter("container_cpu_cfs_periods", "periods of its CPU quota in which it ran"), Total.PERIODS, 1),
    (_counter("container_cpu_cfs_throttled_periods", "those of them that used it up"), Total.THROTTLED, 1),
    (_counter("container_oom_events", "processes killed for lack of memory"), Total.OOM_KILLS, 1),
    (_pressure("cpu", "some task", "waiting", "CPU"), Total.CPU_WAITING, 0.01),
    (_pressure("cpu", "all tasks", "stalled", "CPU"), Total.CPU_STALLED, 0.01),
    (_pressure("memory", "some task", "waiting", "memory"), Total.MEMORY_WAITING, 0.01),
    (_pressure("memory", "all tasks", "stalled", "memory"), Total.MEMORY_STALLED, 0.01),
    (_pressure("io", "some task", "waiting", "disks"), Total.IO_WAITING, 0.01),
    (_pressure("io", "all tasks", "stalled", "disks"), Total.IO_STALLED, 0.01),
    (_counter("container_fs_reads_bytes", "read from block devices", otel=_DISK), Total.READ, 1),
    (_counter("container_fs_writes_bytes", "written to block devices", otel=_DISK), Total.WRITTEN, 1),
    (_counter("container_network_receive_bytes", f"received {_OWN_NETWORK}", otel=_NETWORK), Total.RECEIVED, 1),
    (_counter("container_network_transmit_bytes", f"sent {_OWN_NETWORK}", otel=_NETWORK), Total.SENT, 1),
    (_counter("watchtower_container_network_errors", "errors and drops, both ways"), Total.NETWORK_ERRORS, 1),
)
"""Counters of containers: what is counted, and by what that is multiplied."""

_USAGE: Final = "container.memory.usage"
_WORKING_SET: Final = "container.memory.working_set"
_LEAST_LIMIT: Final = "the least of its own limit, those around it and the host's memory"
_CORES: Final = "CPU time used per time passed, by the newest sample: 1 is one full core"

COLUMNS: Final[tuple[tuple[Metric, str], ...]] = (
    (_gauge("container_memory_usage_bytes", "memory used, page cache included", otel=_USAGE), "memory.usage"),
    (
        _gauge(
            "container_memory_working_set_bytes",
            "memory used, less the file cache that can be dropped",
            otel=_WORKING_SET,
        ),
        "memory.working_set",
    ),
    (_gauge("container_threads", "processes and threads"), "pids"),
    (_gauge("watchtower_container_memory_limit_bytes", _LEAST_LIMIT), "memory.limit"),
    (_gauge("watchtower_container_cpu_cores", _CORES, otel="container.cpu.usage"), "cpu.cores"),
)
"""Levels of containers, and the names of the catalogue under which they are sampled."""

MEMORY_LIMIT: Final = _gauge(
    "container_spec_memory_limit_bytes", "memory limit that it was configured with; 0 without one"
)
STARTED: Final = _gauge("container_start_time_seconds", "when it was started, since the epoch")
RESTARTS: Final = _counter(
    "watchtower_container_restarts",
    "starts that followed an end, by whomever, since it was created",
    otel="k8s.container.restart.count",
)
UNHEALTHY: Final = _gauge(
    "watchtower_container_unhealthy", "1 while its own health check fails, else 0; none without one"
)

OF_CONTAINERS: Final[tuple[Metric, ...]] = (
    *(metric for metric, _, _ in TOTALS),
    *(metric for metric, _ in COLUMNS),
    *(MEMORY_LIMIT, STARTED, RESTARTS, UNHEALTHY),
)
"""Of each running container, in the order in which they are told."""

_AVAILABLE: Final = "system.memory.linux.available"
_SWAP: Final = "system.paging.utilization"
_DISK_USED: Final = "system.filesystem.utilization"
_DATA: Final = "on the file system of the engine's data"
_WAITED: Final = "share of time in which some task of the host waited for"

HOST: Final[tuple[tuple[Metric, str, float], ...]] = (
    (_gauge("watchtower_host_cpu_ratio", "CPU used", otel="system.cpu.utilization"), "host.cpu.percent", 0.01),
    (
        _gauge("watchtower_host_memory_ratio", "memory used", otel="system.memory.utilization"),
        "host.memory.percent",
        0.01,
    ),
    (
        _gauge("watchtower_host_memory_available_bytes", "memory to be had without swapping", otel=_AVAILABLE),
        "host.memory.available",
        1,
    ),
    (_gauge("watchtower_host_swap_ratio", "swap used", otel=_SWAP), "host.swap.percent", 0.01),
    (_gauge("watchtower_host_load1", "load average of 1 minute per online CPU"), "host.load1", 1),
    (_gauge("watchtower_host_load5", "load average of 5 minutes per online CPU"), "host.load5", 1),
    (_gauge("watchtower_host_pressure_cpu_ratio", f"{_WAITED} CPU"), "host.pressure.cpu", 0.01),
    (_gauge("watchtower_host_pressure_memory_ratio", f"{_WAITED} memory"), "host.pressure.memory", 0.01),
    (_gauge("watchtower_host_pressure_io_ratio", f"{_WAITED} disks"), "host.pressure.io", 0.01),
    (_gauge("watchtower_host_disk_ratio", f"space used {_DATA}", otel=_DISK_USED), "host.disk.percent", 0.01),
    (_gauge("watchtower_host_disk_inodes_ratio", f"inodes used {_DATA}"), "host.disk.inodes_percent", 0.01),
    (_gauge("watchtower_host_disk_free_bytes", f"space free {_DATA}"), "host.disk.free", 1),
    (_gauge("watchtower_engine_responding", "1 when the last ping was answered in time"), "engine.responding", 1),
    (_gauge("watchtower_engine_latency_seconds", "round trip of a ping"), "engine.latency", 1),
    (_gauge("watchtower_event_stream_connected", "1 while the event stream is open"), "engine.connected", 1),
    (
        _gauge("watchtower_event_lag_seconds", "from the engine's stamp of its newest event to its handling"),
        "engine.event_lag",
        1,
    ),
    (_counter("watchtower_engine_restarts", "restarts of the engine that the agent saw"), "engine.restarts", 1),
    (_gauge("watchtower_engine_images", "images"), "engine.images", 1),
    (
        _gauge("watchtower_engine_cpu_ratio", "CPU of its process: 1 is one full core", otel="process.cpu.utilization"),
        "engine.cpu.percent",
        0.01,
    ),
    (
        _gauge("watchtower_engine_memory_bytes", "resident memory of its process", otel="process.memory.usage"),
        "engine.memory",
        1,
    ),
    (_gauge("watchtower_engine_threads", "threads of its process", otel="process.thread.count"), "engine.threads", 1),
    (
        _gauge(
            "watchtower_engine_open_files",
            "files that its process has open",
            otel="process.unix.file_descriptor.count",
        ),
        "engine.open_files",
        1,
    ),
)
"""Of the host and its engine: a name of the catalogue, and by what it is multiplied."""

CONTAINERS: Final = _gauge("watchtower_containers", "containers that are running, paused or stopped", "state")
AGENT: Final = _gauge("watchtower_agent_info", "1, with the agent's version, host and mode", "version", "host", "mode")
AGENT_STARTED: Final = _gauge("watchtower_agent_start_time_seconds", "when the agent was started, since the epoch")
EVENTS: Final = _counter("watchtower_events", "events of the engine that were handled")
EVENT_GAPS: Final = _counter("watchtower_event_gaps", "times at which events may have been lost")
RECONNECTS: Final = _counter("watchtower_event_stream_reconnects", "times at which the event stream was opened anew")
OUTBOX_DEPTH: Final = _gauge("watchtower_outbox_depth", "events on disk that the broker has not acknowledged")
OUTBOX_BYTES: Final = _gauge("watchtower_outbox_bytes", "their size")
OUTBOX_OLDEST: Final = _gauge("watchtower_outbox_oldest_seconds", "age of the oldest of them, 0 when there is none")
OUTBOX_DROPPED: Final = _counter(
    "watchtower_outbox_dropped", "events dropped to stay within outbox.max_size, since the state folder was made"
)
OUTBOX_DEAD: Final = _gauge(
    "watchtower_outbox_dead_letters", "events that the broker refused for good and that are kept, at most 1,000"
)
OUTBOX_BURIED: Final = _counter(
    "watchtower_outbox_buried", "events that the broker refused for good, since the state folder was made"
)
MQTT_CONNECTED: Final = _gauge("watchtower_mqtt_connected", "1 while the broker is connected; none without a broker")
MQTT_DELIVERED: Final = _counter("watchtower_mqtt_delivered", "events that the broker acknowledged")
MQTT_IN_FLIGHT: Final = _gauge("watchtower_mqtt_in_flight", "messages that wait for its acknowledgement")
MQTT_PARKED: Final = _gauge("watchtower_mqtt_parked_topics", "topics that it refuses for now")
MQTT_PUBACK: Final = _metric(
    MetricKind.HISTOGRAM,
    "watchtower_mqtt_puback_seconds",
    "from the sending of an event to the broker's acknowledgement",
    (),
    "",
)
SAMPLES: Final = _counter("watchtower_samples", "samples taken")
SAMPLE_DURATION: Final = _gauge("watchtower_sample_duration_seconds", "that the newest sample took")
SAMPLE_OVERRUNS: Final = _counter(
    "watchtower_sample_overruns", "samples left out: the one before took too long, or the host was suspended"
)
COLLECTOR_DURATION: Final = _gauge(
    "watchtower_collector_duration_seconds", "that a collector took for the newest sample", "collector"
)
COLLECTOR_SUCCESS: Final = _gauge(
    "watchtower_collector_success", "1 when a collector could read everything for the newest sample", "collector"
)
DECISIONS: Final = _counter(
    "watchtower_decisions",
    "decisions: wanted, passed (by all guards), held, refused (for good), dropped",
    "policy",
    "verdict",
)
ACTIONS: Final = _counter(
    "watchtower_actions",
    "actions: succeeded, failed, interrupted, abandoned, ineffective (it did not help)",
    "action",
    "result",
)
ACTIONS_RUNNING: Final = _gauge("watchtower_actions_running", "actions under way")
PENDING: Final = _gauge("watchtower_decisions_pending", "decisions that wait for their guards")
POLICIES: Final = _gauge("watchtower_policies", "policies in force", "mode")
POLICY_FIRING: Final = _gauge("watchtower_policy_firing", "targets of which a policy's condition is true", "policy")
POLICY_RELOAD: Final = _gauge("watchtower_policy_reload_success", "1 when the policy folder was taken as it is now")
POLICY_PROBLEMS: Final = _gauge("watchtower_policy_problems", "mistakes in the policy folder")
BREAKERS: Final = _gauge("watchtower_breakers_open", "circuit breakers that are not closed")
STORE: Final = _gauge("watchtower_store_working", "1 while the state folder can be written")

OWN: Final[tuple[Metric, ...]] = (
    *(metric for metric, _, _ in HOST),
    *(CONTAINERS, AGENT, AGENT_STARTED, EVENTS, EVENT_GAPS, RECONNECTS),
    *(OUTBOX_DEPTH, OUTBOX_BYTES, OUTBOX_OLDEST, OUTBOX_DROPPED, OUTBOX_DEAD, OUTBOX_BURIED),
    *(MQTT_CONNECTED, MQTT_DELIVERED, MQTT_IN_FLIGHT, MQTT_PARKED, MQTT_PUBACK),
    *(SAMPLES, SAMPLE_DURATION, SAMPLE_OVERRUNS, COLLECTOR_DURATION, COLLECTOR_SUCCESS),
    *(DECISIONS, ACTIONS, ACTIONS_RUNNING, PENDING, POLICIES, POLICY_FIRING, POLICY_RELOAD, POLICY_PROBLEMS),
    *(BREAKERS, STORE),
)
"""Of the host, the engine and the agent itself."""
