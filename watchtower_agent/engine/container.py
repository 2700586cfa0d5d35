"""The engine's listings and inspections -> Container. Pure, and safe against junk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from watchtower_agent.engine.bounds import bounded, own_attributes
from watchtower_agent.engine.cloning import clone_facts
from watchtower_agent.engine.fields import mapping, number, sequence, text
from watchtower_agent.engine.limits import granted_cpu, least_cpu
from watchtower_agent.model.container import Container, ContainerDetail, ContainerStatus, Health
from watchtower_agent.model.engine_event import EventKind

MAX_LABELS = 1024
MAX_PORT = 65536
DEFAULT_HEALTH_INTERVAL = 30.0
"""Seconds; the engine's own where a health check names none."""
DEFAULT_HEALTH_RETRIES = 3
"""The engine's own."""

_STATUSES = {status.value: status for status in ContainerStatus} | {
    # Podman's words.
    "stopped": ContainerStatus.EXITED,
    "stopping": ContainerStatus.RUNNING,
    "configured": ContainerStatus.CREATED,
    "initialized": ContainerStatus.CREATED,
}
_HEALTHS = {health.value: health for health in Health}


def listed_container(raw: object) -> Container | None:
    """One entry of a listing; None for what is no container."""
    entry = mapping(raw)
    identity = text(entry.get("Id"))
    status = _STATUSES.get(text(entry.get("State")).lower(), ContainerStatus.DEAD)
    if not identity:
        return None
    host_config = mapping(entry.get("HostConfig"))
    return Container(
        id=identity,
        name=own_name(entry.get("Names")) or identity[:12],
        image=text(entry.get("Image")),
        image_id=text(entry.get("ImageID")),
        labels=_labels(entry.get("Labels")),
        status=status,
        health=_listed_health(entry),
        created_at=number(entry.get("Created")) or 0.0,
        network_mode=text(host_config.get("NetworkMode")),
        networks=_networks(entry),
        published_ports=_ports(mapping(port).get("PublicPort") for port in sequence(entry.get("Ports"))),
    )


def inspected_container(raw: object) -> Container | None:
    """One inspection; None for what is no container."""
    entry = mapping(raw)
    identity = text(entry.get("Id"))
    if not identity:
        return None
    config = mapping(entry.get("Config"))
    state = mapping(entry.get("State"))
    return Container(
        id=identity,
        name=text(entry.get("Name")).removeprefix("/") or identity[:12],
        image=text(config.get("Image")),
        image_id=text(entry.get("Image")),
        labels=_labels(config.get("Labels")),
        status=_STATUSES.get(text(state.get("Status")).lower(), ContainerStatus.DEAD),
        health=_health(state),
        created_at=parse_time(entry.get("Created")) or 0.0,
        network_mode=text(mapping(entry.get("HostConfig")).get("NetworkMode")),
        networks=_networks(entry),
        published_ports=_ports(_bound_ports(entry)),
        detail=_detail(entry, config, state),
    )


def parse_time(value: object) -> float | None:
    """RFC 3339 with nanoseconds -> seconds since the epoch; None for junk and for the engine's never, `0001-01-01`."""
    head, dot, rest = text(value).partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :] if dot else ""
    try:
        whole = datetime.fromisoformat(head + zone)
        fraction = float(f"0.{digits}") if digits else 0.0
        if whole.tzinfo is None:
            whole = whole.replace(tzinfo=UTC)
        seconds = whole.timestamp() + fraction
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


def _detail(
    entry: Mapping[object, object], config: Mapping[object, object], state: Mapping[object, object]
) -> ContainerDetail:
    host_config = mapping(entry.get("HostConfig"))
    check = mapping(config.get("Healthcheck"))
    has_check = _health(state) is not Health.NONE
    finished_at = parse_time(state.get("FinishedAt"))
    # The engine sets the exit code to 0 at a start: of a running container it says nothing.
    ended = finished_at is not None and text(state.get("Status")) not in {"running", "paused"}
    exit_code = number(state.get("ExitCode"))
    streak = number(mapping(state.get("Health")).get("FailingStreak"))
    return ContainerDetail(
        pid=max(0, int(number(state.get("Pid")) or 0)),
        started_at=parse_time(state.get("StartedAt")),
        finished_at=finished_at,
        exit_code=int(exit_code) if ended and exit_code is not None else None,
        oom_killed=state.get("OOMKilled") is True,
        failing_streak=int(streak or 0) if has_check else None,
        health_start_period=_nanoseconds(check.get("StartPeriod")) if has_check else 0.0,
        health_retries=(int(number(check.get("Retries")) or 0) or DEFAULT_HEALTH_RETRIES) if has_check else 0,
        health_interval=(_nanoseconds(check.get("Interval")) or DEFAULT_HEALTH_INTERVAL) if has_check else 0.0,
        restart_policy=text(mapping(host_config.get("RestartPolicy")).get("Name")) or "no",
        stop_timeout=number(config.get("StopTimeout")),
        stop_signal=text(config.get("StopSignal")) or "SIGTERM",
        cgroup_parent=text(host_config.get("CgroupParent")),
        cpu_limit=_cpu_limit(host_config),
        cpu_granted=granted_cpu(host_config),
        cpu_least=least_cpu(host_config),
        memory_limit=max(0, int(number(host_config.get("Memory")) or 0)),
        restart_count=int(number(entry.get("RestartCount")) or 0),
        start_failed=bool(text(state.get("Error"))),
        exposed_ports=_exposed_ports(config),
        cloning=clone_facts(entry),
    )


def _cpu_limit(host_config: Mapping[object, object]) -> float | None:
    """Cores granted by `--cpus`, or by quota and period, and by the cpuset; None without any."""
    quota = granted_cpu(host_config)
    granted = [] if quota is None else [quota]
    cpus = _cpus(text(host_config.get("CpusetCpus")))
    return min([*granted, cpus], default=None) if cpus else min(granted, default=None)


def _cpus(cpuset: str) -> int:
    """How many processors a list like `0-3,8` names; 0 when it is empty or none."""
    count = 0
    for part in cpuset.split(",") if cpuset else ():
        first, dash, last = part.strip().partition("-")
        if not (first.isascii() and first.isdecimal() and (not dash or (last.isascii() and last.isdecimal()))):
            return 0
        count += (int(last[:6]) - int(first[:6]) + 1) if dash else 1
    return max(0, count)


def _health(state: Mapping[object, object]) -> Health:
    # Podman's older word for it is Healthcheck.
    health = mapping(state.get("Health")) or mapping(state.get("Healthcheck"))
    return _HEALTHS.get(text(health.get("Status")).lower(), Health.NONE)


def _listed_health(entry: Mapping[object, object]) -> Health:
    """From the listing's own field (API 1.52), else from its words: `Up 2 minutes (healthy)`."""
    if own := _HEALTHS.get(text(mapping(entry.get("Health")).get("Status")).lower()):
        return own
    words = text(entry.get("Status"))
    if words.endswith("(healthy)"):
        return Health.HEALTHY
    if words.endswith("(unhealthy)"):
        return Health.UNHEALTHY
    return Health.STARTING if "(health: starting)" in words else Health.NONE


def own_name(names: object) -> str:
    """The name without its slash. A linked container is listed with its aliases too: `/other/alias`."""
    texts = [text(name).removeprefix("/") for name in sequence(names)]
    return next((each for each in texts if each and "/" not in each), texts[0] if texts else "")


def _networks(entry: Mapping[object, object]) -> tuple[str, ...]:
    networks = mapping(mapping(entry.get("NetworkSettings")).get("Networks"))
    return tuple(sorted(text(name) for name in networks))


def _ports(values: Iterable[object]) -> tuple[int, ...]:
    numbers = {int(known) for value in values if (known := number(value)) is not None}
    return tuple(sorted(each for each in numbers if 0 < each < MAX_PORT))


def _bound_ports(entry: Mapping[object, object]) -> Iterator[object]:
    """Host ports of an inspection: those in force while it runs, and those it asks for."""
    in_force = mapping(mapping(entry.get("NetworkSettings")).get("Ports"))
    asked_for = mapping(mapping(entry.get("HostConfig")).get("PortBindings"))
    for bindings in (*in_force.values(), *asked_for.values()):
        for binding in sequence(bindings):
            port = text(mapping(binding).get("HostPort"))
            if port.isascii() and port.isdigit() and len(port) <= len(str(MAX_PORT)):
                yield int(port)


def _exposed_ports(config: Mapping[object, object]) -> tuple[int, ...]:
    """Of the keys of Config.ExposedPorts, `1883/tcp`."""
    names = [text(port).partition("/")[0] for port in list(mapping(config.get("ExposedPorts")))[:MAX_PORT]]
    return _ports(int(name) for name in names if name.isascii() and name.isdigit() and len(name) <= len(str(MAX_PORT)))


def _labels(value: object) -> dict[str, str]:
    # A label that bears the name of an engine's attribute overwrites it in events: that it does has to be known.
    given = {text(key): text(content) for key, content in mapping(value).items()}
    return bounded(given, always=own_attributes(EventKind.CONTAINER), most=MAX_LABELS)


def _nanoseconds(value: object) -> float:
    return max(0.0, (number(value) or 0.0) / 1e9)
