"""The calls that look at all that the engine keeps on its disk, blocking."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from watchtower_agent.engine import disk_usage
from watchtower_agent.engine.ancestry import Ancestry
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.container import parse_time
from watchtower_agent.engine.fields import mapping, text
from watchtower_agent.errors import AbsentError, TemporaryError
from watchtower_agent.model.disk_usage import DiskUsage, KeptContainer, Network

LISTING_TIMEOUT: Final = 60.0
"""Seconds for a listing: an engine whose disk is nearly full is slow."""

_WHAT: Final = "asking for what is on the disk"
_RUNS: Final = frozenset({"running", "paused"})
"""The engine's words for a container that has joined all that it joins."""
_SETTLED: Final = frozenset({"", "inactive", "active"})
"""States of a node in which it is known what services there are, or that there are none."""


def read_disk_usage(calls: EngineCalls, ancestry: Ancestry, *, at: float, timeout: float) -> DiskUsage:
    """All that the engine keeps.

    What might be deleted is asked for first, then what may need it: who began to need it between the two is seen.

    Args:
        calls: The blocking API.
        ancestry: What is known of the images' layers.
        at: The present moment, seconds since the epoch.
        timeout: Seconds for the engine's disk usage: it walks through every volume and writable layer.
    """
    calls.not_podman("pruning")
    # From API 1.52 on an engine gives sums alone to who does not ask for more.
    usage = calls.get("/system/df", what=_WHAT, params={"verbose": "1"}, timeout=timeout)
    images = disk_usage.images_of(_list_images(calls), usage)
    networks = read_networks(calls, _WHAT)
    listing, services = list_containers(calls, _WHAT), read_services(calls, _WHAT)
    containers = disk_usage.containers_of(listing, networks, usage)
    return DiskUsage(
        at=at,
        images=ancestry.told(images, calls, _WHAT),
        containers=_inspected(calls, containers),
        cache=disk_usage.cache_of(usage),
        networks=networks,
        volumes=disk_usage.volumes_of(usage),
        service_images=disk_usage.service_images(services),
        service_volumes=disk_usage.service_volumes(services),
        mounted_images=disk_usage.mounted_images(listing),
    )


def read_disk_contents(calls: EngineCalls, ancestry: Ancestry, *, at: float) -> DiskUsage:
    """All that the engine keeps, without sizes, without the build cache, and without when containers ended: cheap.

    Args:
        calls: The blocking API.
        ancestry: What is known of the images' layers.
        at: The present moment, seconds since the epoch.
    """
    calls.not_podman("pruning")
    images = disk_usage.images_of(_list_images(calls), None)
    volumes = calls.get("/volumes", what=_WHAT, timeout=LISTING_TIMEOUT)
    networks = read_networks(calls, _WHAT)
    listing, services = list_containers(calls, _WHAT), read_services(calls, _WHAT)
    return DiskUsage(
        at=at,
        images=ancestry.told(images, calls, _WHAT, patient=False),  # it is asked for before each deletion
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


def _list_images(calls: EngineCalls) -> object:
    """The engine's listing of all images, those that others were built upon among them."""
    return calls.get("/images/json", what=_WHAT, params={"all": "1"}, timeout=LISTING_TIMEOUT)


def _inspected(calls: EngineCalls, containers: tuple[KeptContainer, ...]) -> tuple[KeptContainer, ...]:
    """Those that are there still, with what only an inspection tells: when they ended, and all that they join.

    Those that run can't join the processes of one that has ended, but its memory: they are asked only if one lends it.
    """
    found: dict[str, KeptContainer | None] = {}
    lends = False
    for each in (each for each in containers if each.status not in _RUNS):
        raw = _inspection(calls, each.id)
        found[each.id] = None if raw is None else _with_detail(each, raw)
        lends = lends or disk_usage.lends_memory(raw)
    for each in (each for each in containers if lends and each.status in _RUNS):
        raw = _inspection(calls, each.id)
        found[each.id] = each if raw is None else replace(each, joins=disk_usage.joined_by(raw))
    return tuple(known for each in containers if (known := found.get(each.id, each)) is not None)


def _with_detail(container: KeptContainer, raw: object) -> KeptContainer:
    ended = parse_time(mapping(mapping(raw).get("State")).get("FinishedAt"))
    finished_at = ended if container.status in disk_usage.IDLE else None
    return replace(container, finished_at=finished_at, joins=disk_usage.joined_by(raw))


def joining(calls: EngineCalls, containers: tuple[KeptContainer, ...], what: str) -> tuple[KeptContainer, ...]:
    """The containers with all that they join, which a listing does not tell; those that are gone left out."""
    raws = ((each, _inspection(calls, each.id, what)) for each in containers)
    return tuple(replace(each, joins=disk_usage.joined_by(raw)) for each, raw in raws if raw is not None)


def _inspection(calls: EngineCalls, container_id: str, what: str = _WHAT) -> object | None:
    """What the engine tells of a container; None of one that is gone."""
    with contextlib.suppress(AbsentError):
        return calls.get(f"/containers/{quote(container_id, safe='')}/json", what=what)
    return None
