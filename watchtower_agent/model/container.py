"""A container as the engine describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from watchtower_agent.model.service import NOTHING_AGAINST, CloneFacts
from watchtower_agent.model.values import dataclass


class ContainerStatus(StrEnum):
    """The engine's states of a container."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Health(StrEnum):
    """The verdict of a container's own health check."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerDetail:
    """What only an inspection tells.

    Attributes:
        pid: The main process on the host, 0 when not running.
        started_at: When it last started, seconds since the epoch; None when it never did.
        finished_at: When it last ended, seconds since the epoch; None when it never did.
        exit_code: Of the last end; None while it never ended.
        oom_killed: The engine's flag; stays set until the next start.
        failing_streak: Failed health checks in a row; None without a health check.
        health_start_period: Seconds in which failing health checks do not count; 0 without a health check.
        health_interval: Seconds between health checks; 0 without one.
        health_retries: Failed health checks in a row that make it unhealthy; 0 without one.
        restart_policy: `no`, `always`, `unless-stopped` or `on-failure`.
        stop_timeout: Seconds the container asked for between its stop signal and KILL; None: the engine's default.
        stop_signal: Its stop signal as the engine names it (`SIGTERM`, `15`, …).
        cgroup_parent: HostConfig.CgroupParent, empty for the engine's default.
        cpu_limit: Cores that its quota and cpuset grant, the smaller; None without either.
        cpu_granted: Cores of its quota alone, which `docker update` changes; None without one.
        cpu_least: Cores of the smallest quota that the kernel takes with its period; 0: not known.
        memory_limit: Bytes that it was configured with; 0 without a limit.
        restart_count: The engine's own count of restarts by its restart policy, each from the moment on that it was
            decided; 0 again after any other start. With what events told since the inspection.
        start_failed: The engine could not start it the last time.
        exposed_ports: Ports that it says it listens on (`EXPOSE` of its image, `--expose`).
        cloning: What stands against making another like it.
    """

    pid: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    failing_streak: int | None = None
    health_start_period: float = 0.0
    health_interval: float = 0.0
    health_retries: int = 0
    restart_policy: str = "no"
    stop_timeout: float | None = None
    stop_signal: str = "SIGTERM"
    cgroup_parent: str = ""
    cpu_limit: float | None = None
    cpu_granted: float | None = None
    cpu_least: float = 0.0
    memory_limit: int = 0
    restart_count: int = 0
    start_failed: bool = False
    exposed_ports: tuple[int, ...] = ()
    cloning: CloneFacts = NOTHING_AGAINST


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container, as a listing shows it; `detail` is None until it was inspected.

    Attributes:
        id: The full 64-character id.
        name: Without the leading slash.
        image: As the user named it (`web:1.2`), not resolved.
        image_id: `sha256:…`, or empty where the engine did not say.
        labels: All labels. They leave the agent by allow-list only.
        status: The engine's state; None while all that was heard of the container tells nothing of it.
        health: `none` without a health check.
        created_at: Seconds since the epoch.
        network_mode: `bridge`, `host`, `none`, `container:<id>` or a network's name.
        networks: Names of the networks it is attached to.
        published_ports: Ports of the host that lead into it.
        detail: What only an inspection tells.
    """

    id: str
    name: str
    image: str
    image_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    status: ContainerStatus | None
    health: Health = Health.NONE
    created_at: float
    network_mode: str = ""
    networks: tuple[str, ...] = ()
    published_ports: tuple[int, ...] = ()
    detail: ContainerDetail | None = None

    @property
    def compose_project(self) -> str:
        """The Compose project, empty outside Compose."""
        return self.labels.get("com.docker.compose.project", "")

    @property
    def compose_service(self) -> str:
        """The Compose service, empty outside Compose."""
        return self.labels.get("com.docker.compose.service", "")

    @property
    def swarm_service(self) -> str:
        """The name of the Swarm service whose task it is, empty outside a Swarm."""
        return self.labels.get("com.docker.swarm.service.name", "")

    @property
    def host_ports(self) -> frozenset[int]:
        """Ports of the host behind which it is: published ones, and in the host's network those it says it has."""
        exposed = self.detail.exposed_ports if self.detail is not None and self.network_mode == "host" else ()
        return frozenset((*self.published_ports, *exposed))

    @property
    def own_network(self) -> bool:
        """Whether it is known to have a network that is neither the host's nor another container's."""
        mode = self.network_mode
        return mode not in {"", "host", "none"} and not mode.startswith(("container:", "ns:"))

    @property
    def running(self) -> bool:
        """Whether its processes are known to exist: running or paused."""
        # Asked of hundreds at a time: a set would be made, and an enum's hash computed in Python, for each.
        return self.status is ContainerStatus.RUNNING or self.status is ContainerStatus.PAUSED
