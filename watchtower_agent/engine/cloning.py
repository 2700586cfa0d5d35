"""From a container's inspection to what makes another one like it, and what stands against that. Pure.

The inspection is passed on as it is, fields unknown here among it: what is left out or changed is named one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import field
from itertools import count
from typing import Final

from watchtower_agent.engine.fields import mapping, number, sequence, text
from watchtower_agent.engine.limits import created_with, limits_of
from watchtower_agent.model.service import CLONE_OF, CLONED_BY, CLONED_FOR, CloneFacts
from watchtower_agent.model.values import dataclass

PROJECT: Final = "com.docker.compose.project"
SERVICE: Final = "com.docker.compose.service"
NUMBER: Final = "com.docker.compose.container-number"
_ONE_OFF: Final = "com.docker.compose.oneoff"
_REPLACES: Final = "com.docker.compose.replace"
"""Compose puts it on a container that it makes in the place of another one."""
_TASK: Final = "com.docker.swarm.task.id"

MOST_FACTS: Final = 32
"""Blockers that are named, and volumes: one is enough to stop it."""

_ANONYMOUS: Final = re.compile(r"[0-9a-f]{64}")
_DEFAULT_NETWORKS: Final = frozenset({"", "bridge", "default"})
_SHORT: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneWish:
    """What a clone is made for.

    Attributes:
        policy: The policy's name.
        decision: Id of the decision.
        memory: Bytes of its memory limit, 0 for none; None: as the original.
        cpu: Cores of its CPU limit, 0 for none; None: as the original.
    """

    policy: str
    decision: str
    memory: int | None = None
    cpu: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClonePlan:
    """What to ask the engine for.

    Attributes:
        name: The clone's.
        body: Of the call that makes it, with its first network.
        networks: The others: id or name -> the settings of its endpoint.
    """

    name: str
    body: Mapping[str, object]
    networks: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def clone_facts(inspection: object) -> CloneFacts:
    """What stands against making another container like this one."""
    entry = mapping(inspection)
    reserved = number(mapping(entry.get("HostConfig")).get("MemoryReservation"))
    blockers = [*_ownership(entry), *_naming(entry), *_networking(entry), *_addresses(entry)]
    return CloneFacts(
        blockers=tuple(blockers[:MOST_FACTS]),
        volumes=tuple(_shared_volumes(entry))[:MOST_FACTS],
        reservation=max(0, int(reserved or 0)),
    )


def clone_plan(
    inspection: object, *, names: Collection[str], numbers: Collection[str], image: str, wish: CloneWish
) -> ClonePlan:
    """What makes the clone.

    Args:
        inspection: Of the container that it is like; a clone itself or not.
        names: Of all containers that there are.
        numbers: Compose's numbers of the service's containers.
        image: What to run: the name that the original was made with, where that is the same image still.
        wish: What it is made for.
    """
    entry = mapping(inspection)
    identity, config = text(entry.get("Id")), mapping(entry.get("Config"))
    # Not shortened, unlike the labels that are looked at: the clone is to be found by whoever finds the original.
    labels = {str(key): str(value) for key, value in mapping(config.get("Labels")).items()}
    name, chosen = _name(entry, labels, names, numbers)
    labels |= chosen | {
        CLONE_OF: labels.get(CLONE_OF) or identity,
        CLONED_BY: wish.decision,
        CLONED_FOR: wish.policy,
    }
    labels.pop(_REPLACES, None)
    inherited = _inherited(entry)
    host_config: dict[object, object] = {
        **mapping(entry.get("HostConfig")),
        "ContainerIDFile": "",
        "Binds": [bind for bind in _binds(entry) if bind not in inherited.binds] or None,
    }
    host_config.update(created_with(limits_of(entry), memory=wish.memory, cpu=wish.cpu))
    if mounts := sequence(host_config.get("Mounts")):
        host_config["Mounts"] = [mount for mount in mounts if mount not in inherited.mounts]
    own: dict[object, object] = {
        **config,
        "Image": image,
        "Labels": labels,
        "Volumes": {**mapping(config.get("Volumes")), **_new(inherited.paths)} or None,
        "Hostname": "" if _from_id(text(config.get("Hostname")), identity) else text(config.get("Hostname")),
    }
    own.pop("MacAddress", None)
    first, others = _endpoints(entry, name)
    body = {**own, "HostConfig": host_config, "NetworkingConfig": {"EndpointsConfig": first}}
    return ClonePlan(name=name, body={str(key): value for key, value in body.items()}, networks=others)


def compose_pattern(name: str, labels: Mapping[str, str]) -> str | None:
    """What stands between the parts of a name that Compose chose, `-` or `_`; None where it did not choose it."""
    parts = [labels.get(label, "") for label in (PROJECT, SERVICE, NUMBER)]
    return next((each for each in "-_" if all(parts) and name == each.join(parts)), None)


# What stands against it.


def _labels(entry: Mapping[object, object]) -> dict[str, str]:
    given = mapping(mapping(entry.get("Config")).get("Labels"))
    return {label: text(given.get(label)) for label in (PROJECT, SERVICE, NUMBER, _ONE_OFF, _TASK) if label in given}


def _ownership(entry: Mapping[object, object]) -> Iterator[str]:
    labels = _labels(entry)
    if labels.get(_TASK):
        yield "it is a task of a Swarm's service: scale that service"
    elif labels.get(_ONE_OFF, "").lower() == "true":
        yield "it was made by `docker compose run`: it is no replica of its service"


def _naming(entry: Mapping[object, object]) -> Iterator[str]:
    labels, name = _labels(entry), _own_name(entry)
    if labels.get(SERVICE) and labels.get(_ONE_OFF, "").lower() != "true" and not compose_pattern(name, labels):
        yield f"it has a name of its own, {name}: take container_name out of its Compose file"


def _networking(entry: Mapping[object, object]) -> Iterator[str]:
    host_config = mapping(entry.get("HostConfig"))
    mode = text(host_config.get("NetworkMode"))
    if mode == "host":
        yield "it is in the host's network, where each port is there once: give it a network of its own"
        return
    if mode.startswith(("container:", "ns:")):
        yield f"it shares the network of another one ({mode[:64]}): give it a network of its own"
        return
    for port, bindings in mapping(host_config.get("PortBindings")).items():
        for binding in sequence(bindings):
            bound = text(mapping(binding).get("HostPort"))
            if bound.isdecimal() and int(bound[:6]) > 0:
                yield f"it has the host's port {bound[:6]} (for {text(port)}): publish a range, or no fixed port"


def _addresses(entry: Mapping[object, object]) -> Iterator[str]:
    for network, endpoint in _attached(entry).items():
        given = mapping(mapping(endpoint).get("IPAMConfig"))
        fixed = [text(given.get(family)) for family in ("IPv4Address", "IPv6Address")]
        fixed += [text(address) for address in sequence(given.get("LinkLocalIPs"))]
        if any(fixed):
            address = next(filter(None, fixed))
            yield f"it has the fixed address {address[:64]} in the network {network}: let the engine choose it"


def _shared_volumes(entry: Mapping[object, object]) -> Iterator[str]:
    for mount in map(mapping, sequence(entry.get("Mounts"))):
        if mount.get("RW") is not True or text(mount.get("Type")) == "tmpfs" or _is_anonymous(entry, mount):
            continue
        source = text(mount.get("Name")) or text(mount.get("Source"))
        yield f"{source} at {text(mount.get('Destination'))}"


# What it is made of.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inherited:
    """Anonymous volumes that are given by name: Compose hands them on to the container that replaces another one."""

    binds: tuple[str, ...]
    mounts: tuple[Mapping[object, object], ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """Where they are mounted: a clone has new ones there."""
        return (
            *(bind.split(":")[1] for bind in self.binds),
            *(text(mount.get("Target")) for mount in self.mounts),
        )


def _inherited(entry: Mapping[object, object]) -> _Inherited:
    mounts = [mapping(mount) for mount in sequence(mapping(entry.get("HostConfig")).get("Mounts"))]
    return _Inherited(
        binds=tuple(bind for bind in _binds(entry) if _ANONYMOUS.fullmatch(bind.partition(":")[0]) and ":" in bind),
        mounts=tuple(
            mount
            for mount in mounts
            if text(mount.get("Type")) == "volume" and _ANONYMOUS.fullmatch(text(mount.get("Source")))
        ),
    )


def _new(paths: Iterable[str]) -> dict[object, object]:
    """Anonymous volumes to be made at these paths."""
    return {path: {} for path in paths}


def _is_anonymous(entry: Mapping[object, object], mount: Mapping[object, object]) -> bool:
    """Another container's volumes (`--volumes-from`) would be shared, whatever their names."""
    taken = sequence(mapping(entry.get("HostConfig")).get("VolumesFrom"))
    volume = text(mount.get("Type")) == "volume"
    return volume and not taken and _ANONYMOUS.fullmatch(text(mount.get("Name"))) is not None


def _binds(entry: Mapping[object, object]) -> list[str]:
    return [text(bind) for bind in sequence(mapping(entry.get("HostConfig")).get("Binds"))]


def _name(
    entry: Mapping[object, object], labels: Mapping[str, str], names: Collection[str], numbers: Collection[str]
) -> tuple[str, dict[str, str]]:
    """A name that is free, and the label that goes with it."""
    own = _own_name(entry)
    if service := labels.get(SERVICE):
        project, between = labels.get(PROJECT, ""), compose_pattern(own, labels) or "-"
        number = _lowest(lambda n: n in numbers or between.join((project, service, n)) in names)
        return between.join((project, service, number)), {NUMBER: number}
    if CLONE_OF in labels:
        own = re.sub(r"-clone-\d+$", "", own)
    number = _lowest(lambda n: f"{own}-clone-{n}" in names)
    return f"{own}-clone-{number}", {}


def _lowest(taken: Callable[[str], bool]) -> str:
    return next(str(n) for n in count(1) if not taken(str(n)))


def _endpoints(
    entry: Mapping[object, object], name: str
) -> tuple[dict[str, dict[str, object]], dict[str, dict[str, object]]]:
    """The network that it is made in, and those that it is connected to afterwards, as any engine can do it."""
    mode = text(mapping(entry.get("HostConfig")).get("NetworkMode"))
    first: dict[str, dict[str, object]] = {}
    others: dict[str, dict[str, object]] = {}
    for network, raw in _attached(entry).items():
        endpoint = mapping(raw)
        identity = text(endpoint.get("NetworkID"))
        settings = _endpoint(entry, endpoint, name)
        if mode in {network, identity} or (len(mode) >= _SHORT and identity.startswith(mode)):
            first[mode] = settings
        elif network in _DEFAULT_NETWORKS and mode in _DEFAULT_NETWORKS:
            continue  # the engine's own network takes no settings, and is joined without being named
        else:
            others[identity or network] = settings
    return first, others


def _endpoint(entry: Mapping[object, object], endpoint: Mapping[object, object], name: str) -> dict[str, object]:
    """What was asked for, without what the engine chose."""
    identity, own = text(entry.get("Id")), _own_name(entry)
    aliases = [text(alias) for alias in sequence(endpoint.get("Aliases"))]
    kept = [name if alias == own else alias for alias in aliases if not _from_id(alias, identity)]
    settings: dict[str, object] = {
        key: endpoint[key] for key in ("Links", "DriverOpts", "GwPriority") if endpoint.get(key)
    }
    return settings | ({"Aliases": kept} if kept else {})


def _attached(entry: Mapping[object, object]) -> dict[str, object]:
    networks = mapping(mapping(entry.get("NetworkSettings")).get("Networks"))
    return {text(network): endpoint for network, endpoint in networks.items()}


def _from_id(word: str, identity: str) -> bool:
    return len(word) >= _SHORT and identity.startswith(word)


def _own_name(entry: Mapping[object, object]) -> str:
    return text(entry.get("Name")).removeprefix("/")
