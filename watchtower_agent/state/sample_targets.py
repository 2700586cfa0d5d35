"""Whom the sampler has to read, and what it has to know of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import field

from watchtower_agent.model.container import Container, ContainerDetail
from watchtower_agent.model.sample import SampleTarget
from watchtower_agent.model.values import dataclass


@dataclass(slots=True)
class SampleTargets:
    """Makes the targets anew of those containers only that changed: a full host has hundreds of others."""

    _known: dict[str, tuple[Container, SampleTarget]] = field(default_factory=dict)

    def of(self, containers: Iterable[Container]) -> tuple[SampleTarget, ...]:
        """Those of the containers whose processes exist."""
        before = self._known
        self._known = {}
        for container in containers:
            if container.running:
                known = before.get(container.id)
                if known is None or known[0] is not container:
                    known = (container, _target(container))
                self._known[container.id] = known
        return tuple(target for _, target in self._known.values())


def _target(container: Container) -> SampleTarget:
    detail = container.detail or ContainerDetail()
    return SampleTarget(
        container_id=container.id,
        started_at=detail.started_at,
        pid=detail.pid,
        cgroup_parent=detail.cgroup_parent,
        cpu_limit=math.inf if detail.cpu_limit is None else detail.cpu_limit,
        own_network=container.own_network,
        name=container.name,
    )
