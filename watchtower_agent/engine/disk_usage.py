"""What the engine says of its disk -> the values of `model/disk_usage.py`. Pure, and safe against junk.

Junk among what might be deleted is left out: what is not known is not deleted. Junk among what keeps something from
being deleted (containers, services) is an error: what it keeps is not known, so nothing may be deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from watchtower_agent.engine.bounds import bounded
from watchtower_agent.engine.container import MAX_LABELS, own_name, parse_time
from watchtower_agent.engine.fields import mapping, number, sequence, text
from watchtower_agent.errors import PermanentError
from watchtower_agent.model.disk_usage import CacheRecord, Image, KeptContainer, Network, Volume

MAX_OBJECTS: Final = 100_000
"""How many of a kind are read of one answer."""

IDLE: Final = frozenset({"created", "exited", "dead"})
"""The engine's words for a container that does not run, and that nothing but a start would let run."""

_PREDEFINED: Final = frozenset({"bridge", "host", "none", "ingress", "docker_gwbridge"})
_NAMELESS: Final = "<none>"
"""Older engines list it for a tag or a digest that there is not."""
_ANONYMOUS: Final = "com.docker.volume.anonymous"
_MADE_UP: Final = re.compile(r"[0-9a-f]{64}")
"""The names that the engine makes up for volumes. Those before 23.0 have no label that says so."""
_JOINS: Final = "container:"
_VOLUME_FOLDER: Final = re.compile(r"/volumes/([^/]+)/_data(?:/|$)")
"""Where the engine keeps what is in a volume, below its data-root."""
_PARENTS: Final = ("Parents", " Parents")
"""The blank is the engine's own, in 26.1 at least."""


class UnreadableError(PermanentError):
    """The engine's answer does not tell what is in use."""


def images_of(listing: object, usage: object) -> tuple[Image, ...]:
    """All images, each once.

    Args:
        listing: Of all images, those that others were built upon among them, which `usage` leaves out.
        usage: The engine's disk usage.
    """
    shared = {text(entry.get("Id")): entry.get("SharedSize") for entry in _counted(usage, "Images", "ImageUsage")}
    found: dict[str, Image] = {}
    for entry in _entries(listing):
        if identity := text(entry.get("Id")):
            found[identity] = Image(
                id=identity,
                parent=text(entry.get("ParentId")),
                tags=tags_of(entry),
                digests=digests_of(entry),
                created_at=number(entry.get("Created")) or 0.0,
                size=_bytes(entry.get("Size")) or 0,
                shared=_bytes(shared.get(identity)),
                labels=_labels(entry),
            )
    return tuple(found.values())


def tags_of(image: object) -> tuple[str, ...]:
    """An image's tags, as a listing or an inspection has them."""
    tags = map(text, sequence(mapping(image).get("RepoTags"))[:MAX_OBJECTS])
    return tuple(tag for tag in tags if tag and _NAMELESS not in tag)


def digests_of(image: object) -> tuple[str, ...]:
    """Where an image can be had again, as a listing or an inspection has it.

    An engine that keeps its images in containerd gives each a digest, its own id, also those that were built here and
    never pushed: that is no sign that any registry has it. One without a tag has its name by a digest alone, which a
    build gives to none.
    """
    identity = text(mapping(image).get("Id")) if tags_of(image) else ""
    digests = map(text, sequence(mapping(image).get("RepoDigests"))[:MAX_OBJECTS])
    return tuple(
        digest
        for digest in digests
        if "@" in digest and _NAMELESS not in digest and digest.partition("@")[2] != identity
    )


def cache_of(usage: object) -> tuple[CacheRecord, ...]:
    """The records of the build cache, each once, from the engine's disk usage."""
    found: dict[str, CacheRecord] = {}
    for entry in _counted(usage, "BuildCache", "BuildCacheUsage"):
        if identity := text(entry.get("ID")):
            parents = (text(parent) for key in _PARENTS for parent in sequence(entry.get(key))[:MAX_OBJECTS])
            # Before API 1.42 there was one, as a text.
            single = text(entry.get("Parent"))
            found[identity] = CacheRecord(
                id=identity,
                parents=tuple(dict.fromkeys(parent for parent in (*parents, single) if parent)),
                size=_bytes(entry.get("Size")) or 0,
                used_at=parse_time(entry.get("LastUsedAt")),
                created_at=parse_time(entry.get("CreatedAt")) or 0.0,
                # What is not known to be free counts as in use.
                in_use=entry.get("InUse") is not False,
                shared=entry.get("Shared") is True,
            )
    return tuple(found.values())


def networks_of(listing: object) -> tuple[Network, ...]:
    """All networks, each once."""
    found: dict[str, Network] = {}
    for entry in _entries(listing):
        if (network := network_of(entry)) is not None:
            found[network.id] = network
    return tuple(found.values())


def network_of(raw: object) -> Network | None:
    """One network, as a listing or an inspection has it; None for what is none."""
    entry = mapping(raw)
    identity, name = text(entry.get("Id")), text(entry.get("Name"))
    if not identity or not name:
        return None
    return Network(
        id=identity,
        name=name,
        created_at=parse_time(entry.get("Created")) or 0.0,
        predefined=name in _PREDEFINED or entry.get("Ingress") is True,
        # What a network of the Swarm is like on this node, other nodes and no container tell.
        swarm=text(entry.get("Scope")) == "swarm" or entry.get("ConfigOnly") is True,
        labels=_labels(entry),
    )


def volumes_of(usage: object) -> tuple[Volume, ...]:
    """The volumes on this host's disk, each once, from the engine's disk usage: it leaves out those of plugins."""
    found: dict[str, Volume] = {}
    for entry in _counted(usage, "Volumes", "VolumeUsage"):
        if name := text(entry.get("Name")):
            labels = _labels(entry)
            found[name] = Volume(
                name=name,
                created_at=parse_time(entry.get("CreatedAt")) or 0.0,
                anonymous=_ANONYMOUS in labels or _MADE_UP.fullmatch(name) is not None,
                size=_bytes(mapping(entry.get("UsageData")).get("Size")),
                labels=labels,
            )
    return tuple(found.values())


def containers_of(listing: object, networks: Iterable[Network], usage: object) -> tuple[KeptContainer, ...]:
    """All containers. When they ended is not in a listing.

    Args:
        listing: Of the containers in any state.
        networks: Those that there are, listed before: a container that never ran names its networks without their ids.
        usage: The engine's disk usage, for their sizes.

    Raises:
        UnreadableError: An entry does not tell what it uses.
    """
    sizes = {text(entry.get("Id")): entry.get("SizeRw", 0) for entry in _counted(usage, "Containers", "ContainerUsage")}
    known: dict[str, set[str]] = {}
    for network in networks:
        for reference in (network.id, network.name):
            known.setdefault(reference, set()).add(network.id)
    found = []
    for entry in _all_entries(listing, "containers"):
        identity, image = text(entry.get("Id")), text(entry.get("ImageID"))
        if not identity or not image:
            raise UnreadableError("listing containers: the engine does not tell of each of them what it was made of")
        found.append(
            KeptContainer(
                id=identity,
                name=own_name(entry.get("Names")) or identity[:12],
                image_id=image,
                status=text(entry.get("State")).lower(),
                created_at=number(entry.get("Created")) or 0.0,
                networks=_network_ids(entry, known),
                volumes=_volume_names(entry),
                joins=joined_by(entry),
                labels=_labels(entry),
                size=_bytes(sizes.get(identity)),
            )
        )
    return tuple(found)


def joined_by(container: object) -> tuple[str, ...]:
    """Ids or names of the containers whose namespaces one shares; a listing tells of the network alone."""
    config = mapping(mapping(container).get("HostConfig"))
    modes = [text(config.get(key)) for key in ("NetworkMode", "PidMode", "IpcMode")]
    return tuple(dict.fromkeys(mode.removeprefix(_JOINS) for mode in modes if mode.startswith(_JOINS)))


def lends_memory(container: object) -> bool:
    """Whether others may share its memory (`ipc: shareable`), from its inspection: those run on when it has ended."""
    return text(mapping(mapping(container).get("HostConfig")).get("IpcMode")) == "shareable"


def service_images(listing: object) -> frozenset[str]:
    """References that services name in their present and their previous specification.

    Raises:
        UnreadableError: This is no listing.
    """
    specs = (_container_spec(spec) for spec in _specs(listing))
    return frozenset(image for spec in specs if (image := text(spec.get("Image"))))


def service_volumes(listing: object) -> frozenset[str]:
    """Names of the volumes that services mount by their present and their previous specification.

    Raises:
        UnreadableError: This is no listing.
    """
    mounts = (mapping(each) for spec in _specs(listing) for each in sequence(_container_spec(spec).get("Mounts")))
    return frozenset(name for each in mounts if each.get("Type") != "bind" and (name := text(each.get("Source"))))


def mounted_images(listing: object) -> frozenset[str]:
    """What containers in any state name as images that they mount, from their listing.

    Raises:
        UnreadableError: This is no listing.
    """
    mounts = (mapping(each) for entry in _all_entries(listing, "containers") for each in sequence(entry.get("Mounts")))
    images = [each for each in mounts if each.get("Type") == "image"]
    return frozenset(text(each.get(key)) for each in images for key in ("Name", "Source")) - {""}


def _counted(usage: object, former: str, present: str) -> Sequence[Mapping[object, object]]:
    """One kind of what the engine's disk usage counts: from API 1.52 on it is elsewhere in the answer."""
    whole = mapping(usage)
    return _entries(whole.get(former)) or _entries(mapping(whole.get(present)).get("Items"))


def _specs(listing: object) -> Sequence[Mapping[object, object]]:
    entries = _all_entries(listing, "services")
    return [mapping(entry.get(key)) for entry in entries for key in ("Spec", "PreviousSpec")]


def _container_spec(spec: Mapping[object, object]) -> Mapping[object, object]:
    return mapping(mapping(spec.get("TaskTemplate")).get("ContainerSpec"))


def _network_ids(container: Mapping[object, object], known: Mapping[str, set[str]]) -> tuple[str, ...]:
    """Ids of the networks that it refers to; `known` has those that there are by their ids and names."""
    endpoints = mapping(mapping(container.get("NetworkSettings")).get("Networks"))
    references = {text(name) for name in endpoints}
    references.add(text(mapping(container.get("HostConfig")).get("NetworkMode")))
    ids = {text(mapping(endpoint).get("NetworkID")) for endpoint in endpoints.values()}
    for reference in references - {""}:
        # Like the engine: what is nobody's id or name may be the begin of an id.
        ids |= known.get(reference) or {
            each for named in known.values() for each in named if each.startswith(reference)
        }
    return tuple(sorted(ids - {""}))


def _volume_names(container: Mapping[object, object]) -> tuple[str, ...]:
    mounts = [mapping(mount) for mount in sequence(container.get("Mounts"))]
    names = [text(mount.get("Name")) for mount in mounts]
    # Some containers mount the folder of a volume by its path, which the engine does not count.
    inside = (_VOLUME_FOLDER.search(text(mount.get("Source"))) for mount in mounts if mount.get("Type") == "bind")
    return tuple(dict.fromkeys(name for name in (*names, *(found[1] for found in inside if found)) if name))


def _entries(value: object) -> Sequence[Mapping[object, object]]:
    return [mapping(entry) for entry in sequence(value)[:MAX_OBJECTS]]


def _all_entries(value: object, what: str) -> Sequence[Mapping[object, object]]:
    """Every one of them, or none may be relied upon."""
    if not isinstance(value, list):
        raise UnreadableError(f"listing {what}: the engine's answer is no list")
    if len(value) > MAX_OBJECTS:
        raise UnreadableError(f"listing {what}: there are {len(value)}, more than the {MAX_OBJECTS} that can be read")
    if not all(isinstance(entry, Mapping) for entry in value):
        raise UnreadableError(f"listing {what}: the engine's answer has entries that are none")
    return value


def _labels(entry: Mapping[object, object]) -> dict[str, str]:
    given = {text(key): text(value) for key, value in mapping(entry.get("Labels")).items()}
    return bounded(given, always=frozenset(), most=MAX_LABELS)


def _bytes(value: object) -> int | None:
    """A size; None where the engine says -1, or nothing."""
    known = number(value)
    return None if known is None or known < 0 else int(known)
