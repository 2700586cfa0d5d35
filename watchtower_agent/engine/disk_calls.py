"""The calls that look at all that the engine keeps on its disk, blocking."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from watchtower_agent.engine import disk_usage
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.container import parse_time
from watchtower_agent.engine.fields import mapping, text
from watchtower_agent.errors import AbsentError, TemporaryError
from watchtower_agent.model.disk_usage import DiskUsage, KeptContainer, Network

LISTING_TIMEOUT: Final = 60.0
"""Seconds for a listing: an engine whose disk is nearly full is slow."""

_WHAT: Final = "asking for what is on the disk"
_SETTLED: Final = frozenset({"", "inactive", "active"})
"""States of a node in which it is known what services there are, or that there are none."""


def read_disk_usage(calls: EngineCalls, *, at: float, timeout: float) -> DiskUsage:
    """All that the engine keeps.

    What might be deleted is asked for first, then what may need it: who began to need it between the two is seen.

    Args:
        calls: The blocking API.
        at: The present moment, seconds since the epoch.
        timeout: Seconds for the engine's disk usage: it walks through every volume and writable layer.
    """
    # From API 1.52 on an engine gives sums alone to who does not ask for more.
    usage = calls.get("/system/df", what=_WHAT, params={"verbose": "1"}, timeout=timeout)
    images = calls.get("/images/json", what=_WHAT, params={"all": "1"}, timeout=LISTING_TIMEOUT)
    networks = read_networks(calls, _WHAT)
    listing, services = list_containers(calls, _WHAT), read_services(calls, _WHAT)
    containers = disk_usage.containers_of(listing, networks, usage)
    return DiskUsage(
        at=at,
        images=disk_usage.images_of(images, usage),
        containers=tuple(known for each in containers if (known := _ended(calls, each)) is not None),
        cache=disk_usage.cache_of(usage),
        networks=networks,
        volumes=disk_usage.volumes_of(usage),
        service_images=disk_usage.service_images(services),
        service_volumes=disk_usage.service_volumes(services),
        mounted_images=disk_usage.mounted_images(listing),
    )


def read_disk_contents(calls: EngineCalls, *, at: float) -> DiskUsage:
    """All that the engine keeps, without sizes, without the build cache, and without when containers ended: cheap.

    Args:
        calls: The blocking API.
        at: The present moment, seconds since the epoch.
    """
    images = calls.get("/images/json", what=_WHAT, params={"all": "1"}, timeout=LISTING_TIMEOUT)
    volumes = calls.get("/volumes", what=_WHAT, timeout=LISTING_TIMEOUT)
    networks = read_networks(calls, _WHAT)
    listing, services = list_containers(calls, _WHAT), read_services(calls, _WHAT)
    return DiskUsage(
        at=at,
        images=disk_usage.images_of(images, None),
        containers=disk_usage.containers_of(listing, networks, None),
        networks=networks,
        volumes=disk_usage.volumes_of(volumes),
        service_images=disk_usage.service_images(services),
        service_volumes=disk_usage.service_volumes(services),
        mounted_images=disk_usage.mounted_images(listing),
    )


def read_networks(calls: EngineCalls, what: str) -> tuple[Network, ...]:
    """All networks."""
    return disk_usage.networks_of(calls.get("/networks", what=what, timeout=LISTING_TIMEOUT))


def list_containers(calls: EngineCalls, what: str) -> object:
    """The engine's listing of all containers in any state."""
    return calls.get("/containers/json", what=what, params={"all": "1"}, timeout=LISTING_TIMEOUT)


def read_services(calls: EngineCalls, what: str) -> object:
    """The engine's listing of the Swarm's services; an empty one where there is no Swarm, or another node manages it.

    Raises:
        TemporaryError: The Swarm does not tell at present.
    """
    swarm = mapping(mapping(calls.get("/info", what=what)).get("Swarm"))
    state = text(swarm.get("LocalNodeState"))
    if state not in _SETTLED:
        raise TemporaryError(f"{what}: this node's Swarm is {state[:20]}, so what its services need is not known")
    if swarm.get("ControlAvailable") is not True:
        return []
    return calls.get("/services", what=what, timeout=LISTING_TIMEOUT)


def _ended(calls: EngineCalls, container: KeptContainer) -> KeptContainer | None:
    """With the time of its end and all that it joins, which only an inspection tells; None for one that is gone."""
    if container.status not in disk_usage.IDLE:
        return container
    with contextlib.suppress(AbsentError):
        raw = calls.get(f"/containers/{quote(container.id, safe='')}/json", what=_WHAT)
        ended = parse_time(mapping(mapping(raw).get("State")).get("FinishedAt"))
        return replace(container, finished_at=ended, joins=disk_usage.joined_by(raw))
    return None
