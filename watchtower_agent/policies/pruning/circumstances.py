"""What a plan has to know beside the engine's disk, and who refers to what on it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from enum import StrEnum
from typing import Final, Self

from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.pruning.project_names import present_projects
from watchtower_agent.policies.pruning.references import References
from watchtower_agent.policies.pruning.rules import DAY

ENGINE_UP: Final = DAY
"""Seconds for which the engine has to be up before a volume is deleted."""


_NEVER_SET: Final = 1.3e9
"""Seconds since the epoch: of 2011. No container is older; a host whose clock was not set yet stamps as if it were."""


class Cause(StrEnum):
    """Why there is a pass."""

    PRESSURE = "pressure"
    """Space or inodes are short, or another condition holds."""
    SCHEDULE = "schedule"
    HAND = "hand"
    """Somebody asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a plan has to know beside the engine's disk.

    Attributes:
        cause: Why there is a pass.
        own_containers: Ids, or their begins, of containers in which the agent runs.
        own_images: Ids of the images that it runs from.
        engine_up: Seconds for which the engine has been up; None: not known.
        stepped: Seconds by which the wall clock was put forward lately: stamps from before look older by so much.
        aged: How many seconds ago a stamp was made, by somebody who knows when the clock was stepped (None: not known);
            None: nobody does.
    """

    cause: Cause
    own_containers: tuple[str, ...] = ()
    own_images: frozenset[str] = frozenset()
    engine_up: float | None = None
    stepped: float = 0.0
    aged: Callable[[float, Instant], float | None] | None = None

    def age(self, stamp: float, now: Instant) -> float:
        """Seconds since a stamp of the engine's; none, where its clock was stepped back since, or was never set."""
        if stamp < _NEVER_SET:
            return 0.0
        if self.aged is not None:
            return max(0.0, self.aged(stamp, now) or 0.0)
        return max(0.0, now.wall - stamp - max(0.0, self.stepped))

    def is_own(self, container_id: str) -> bool:
        """Whether the agent itself runs in it."""
        return any(own and container_id.startswith(own) for own in self.own_containers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """Who refers to what: of several the first by name.

    Attributes:
        images: Id of an image -> name of a container of it.
        own_images: Ids of images that the agent's own containers are of.
        networks: Id of a network -> name of a container that refers to it.
        volumes: Name of a volume -> name of a container that mounts it.
        projects: Compose projects that are present here: of which there is a container, a network or a volume.
        services: What services call the images that they need.
        service_volumes: Names of volumes that services mount.
        mounted: What containers call the images that they mount.
    """

    images: dict[str, str] = field(default_factory=dict)
    own_images: frozenset[str] = frozenset()
    networks: dict[str, str] = field(default_factory=dict)
    volumes: dict[str, str] = field(default_factory=dict)
    projects: frozenset[str] = frozenset()
    services: References = field(default_factory=References)
    service_volumes: frozenset[str] = frozenset()
    mounted: References = field(default_factory=References)

    @classmethod
    def of(cls, disk: DiskUsage, circumstances: Circumstances) -> Self:
        """Those of a listing."""
        images: dict[str, str] = {}
        networks: dict[str, str] = {}
        volumes: dict[str, str] = {}
        for container in sorted(disk.containers, key=lambda each: each.name):
            images.setdefault(container.image_id, container.name)
            for network in container.networks:
                networks.setdefault(network, container.name)
            for volume in container.volumes:
                volumes.setdefault(volume, container.name)
        own = {each.image_id for each in disk.containers if circumstances.is_own(each.id)}
        return cls(
            images=images,
            own_images=circumstances.own_images | own,
            networks=networks,
            volumes=volumes,
            projects=present_projects(disk),
            services=References.of(disk.service_images),
            service_volumes=disk.service_volumes,
            mounted=References.of(disk.mounted_images),
        )
