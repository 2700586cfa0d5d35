"""What an engine keeps on its disk, as pruning looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from watchtower_agent.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image.

    Attributes:
        id: `sha256:…`.
        parent: Id of the one that it was built upon here; empty for none.
        tags: `web:1.2`, as the engine has them; none of a dangling one.
        digests: `web@sha256:…`: where it can be had again; none of one that was built here and never pushed.
        created_at: When it was made, wherever that was; seconds since the epoch.
        size: Bytes, those that it shares with others among them.
        shared: Bytes of them that others have, too; None: not known.
        labels: All of them.
        unread: The engine did not tell what it is made of: upon which it is built is not known.
    """

    id: str
    parent: str = ""
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    created_at: float = 0.0
    size: int = 0
    shared: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    unread: bool = False

    @property
    def dangling(self) -> bool:
        """Whether it has no name any more."""
        return not self.tags


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptContainer:
    """A container in any state, as far as it keeps something else from being deleted, or is to be deleted itself.

    Attributes:
        id: The full id.
        name: Without the leading slash.
        image_id: `sha256:…` of its image.
        status: The engine's word.
        finished_at: When it ended, seconds since the epoch; None: it runs, never ran, or that is not known.
        created_at: Seconds since the epoch.
        networks: Ids of the networks that it refers to, running or not.
        volumes: Names of the volumes that it mounts, running or not.
        joins: Ids or names of containers whose network, processes or memory it shares: it does not start without them.
        labels: All of them.
        size: Bytes of its writable layer; None: not known.
    """

    id: str
    name: str
    image_id: str
    status: str
    finished_at: float | None = None
    created_at: float = 0.0
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRecord:
    """A record of the build cache.

    Attributes:
        id: Its id.
        parents: Ids of records that it builds upon.
        size: Bytes.
        used_at: When it was last used, seconds since the epoch; None: never, as far as the engine says.
        created_at: Seconds since the epoch.
        in_use: A build uses it at present.
        shared: An image has it, too: to delete it frees nothing.
    """

    id: str
    parents: tuple[str, ...] = ()
    size: int = 0
    used_at: float | None = None
    created_at: float = 0.0
    in_use: bool = False
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network that somebody made.

    Attributes:
        id: The full id.
        name: Its name.
        created_at: Seconds since the epoch.
        predefined: `bridge`, `host`, `none`, `ingress`, `docker_gwbridge`: the engine's own.
        swarm: Of Swarm scope.
        labels: All of them.
    """

    id: str
    name: str
    created_at: float = 0.0
    predefined: bool = False
    swarm: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume.

    Attributes:
        name: Its name.
        created_at: Seconds since the epoch.
        anonymous: Nobody gave it a name.
        size: Bytes; None: not known.
        labels: All of them.
    """

    name: str
    created_at: float = 0.0
    anonymous: bool = False
    size: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """All that an engine keeps, of one moment.

    Attributes:
        at: When it was asked, seconds since the epoch.
        images: All, also those without a name.
        containers: In any state.
        cache: Records of the build cache.
        networks: All.
        volumes: All.
        service_images: What services of the Swarm name in their present and their previous specification: references,
            with digests where they have them.
        service_volumes: Names of the volumes that services mount by either.
        mounted_images: References of images that containers in any state mount.
    """

    at: float
    images: tuple[Image, ...] = ()
    containers: tuple[KeptContainer, ...] = ()
    cache: tuple[CacheRecord, ...] = ()
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    service_images: frozenset[str] = frozenset()
    service_volumes: frozenset[str] = frozenset()
    mounted_images: frozenset[str] = frozenset()
