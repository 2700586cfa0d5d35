"""Whom the sampler has to read, and what it has to know of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from watchtower_agent.model.container import Container, ContainerDetail
from watchtower_agent.model.sample import SampleTarget


def sample_targets(containers: Iterable[Container]) -> tuple[SampleTarget, ...]:
    """Those of the containers whose processes exist."""
    return tuple(_target(container) for container in containers if container.running)


def _target(container: Container) -> SampleTarget:
    detail = container.detail or ContainerDetail()
    return SampleTarget(
        container_id=container.id,
        started_at=detail.started_at,
        pid=detail.pid,
        cgroup_parent=detail.cgroup_parent,
        cpu_limit=math.inf if detail.cpu_limit is None else detail.cpu_limit,
        own_network=container.own_network,
    )
