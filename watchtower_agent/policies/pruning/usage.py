"""When everything that can be pruned was last used: by the engine's events, and by listings. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Self

from watchtower_agent.model.boots import UNKNOWN, Boots
from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.engine_event import EngineEvent, EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.labels import COMPOSE_PROJECT
from watchtower_agent.policies.pruning.idleness import Idleness
from watchtower_agent.policies.pruning.image_use import MOST_CANDIDATES, ImageUse
from watchtower_agent.policies.pruning.references import ID
from watchtower_agent.policies.pruning.rows import Row, Rows

_USES: Final = frozenset({"create", "start", "restart", "unpause", "die", "destroy", "commit"})
"""What happens to a container and is a use of its image."""
MOST_CONTAINERS: Final = 20_000
"""Containers of which it is remembered what image they are of; of others the names in their events have to do."""
_NAMES_STAY: Final = frozenset({"untag", "push", "save"})
"""What happens to an image and gives it no name. What an engine of another time calls otherwise, may."""
_USES_OF_VOLUMES: Final = frozenset({"create", "mount", "unmount"})
_USES_OF_NETWORKS: Final = frozenset({"create", "connect", "disconnect", "update"})


class Usage:
    """Uses of images, volumes and networks. An event counts from when it was handled: that is never too early.

    Attributes:
        images: When each was last used.
        volumes: Since when no container has referred to them.
        networks: The same.
    """

    def __init__(self) -> None:
        self.images = ImageUse()
        self.volumes = Idleness("volume")
        self.networks = Idleness("network")
        # Which image each container is of, or may be.
        self._containers: dict[str, tuple[str, ...]] = {}
        self._asked = -math.inf
        self._asked_wall = -math.inf

    @property
    def asked(self) -> float:
        """When the newest listing was asked for, monotonic; minus infinity before the first."""
        return self._asked

    def event(self, event: EngineEvent, now: Instant, image_id: str = "") -> None:
        """Take one event of the engine, of whatever kind; those that are no use change nothing.

        Args:
            event: As it came, also replayed or concluded from two listings.
            now: The present.
            image_id: Of the event's container, where that is known. Else its name has to do.
        """
        at = now.monotonic
        match event.kind:
            case EventKind.CONTAINER if event.action in _USES:
                self._container_event(event, at, image_id)
            case EventKind.IMAGE:
                self._image_event(event, at)
            case EventKind.VOLUME if event.action == "destroy":
                self.volumes.gone(event.actor_id)
            case EventKind.VOLUME if event.action in _USES_OF_VOLUMES:
                self.volumes.used(event.actor_id, at)
            case EventKind.NETWORK if event.action in {"destroy", "remove"}:
                self.networks.gone(event.actor_id)
            case EventKind.NETWORK if event.action in _USES_OF_NETWORKS:
                self.networks.used(event.actor_id, at)
            case _:
                pass

    def listed(self, disk: DiskUsage, now: Instant) -> None:
        """Take a listing. Sizes are not looked at: one without them does.

        It has to be taken before a plan is made of it, and now and then besides: an image counts as used when it was
        first seen. One that is no newer than the last one tells nothing.

        Args:
            disk: All that the engine keeps; an empty part of it says that there is nothing of the kind.
            now: The present.
        """
        asked = now.monotonic - max(0.0, now.wall - disk.at)
        if asked <= self._asked or disk.at == self._asked_wall:
            return
        self._asked, self._asked_wall = asked, disk.at
        self._containers = {each.id: (each.image_id,) for each in disk.containers[:MOST_CONTAINERS]}
        self.images.listed(disk, asked, now.monotonic)
        volumes = {volume.name for volume in disk.volumes}
        networks = {network.id for network in disk.networks}
        attached = {name for container in disk.containers for name in container.volumes}
        connected = {identity for container in disk.containers for identity in container.networks}
        self.volumes.listed(volumes, attached, asked, now.monotonic)
        self.networks.listed(networks, connected, asked, now.monotonic)

    def missed(self, now: Instant) -> None:
        """Events were lost, up to now: everything counts as used now."""
        self.images.missed(now.monotonic)
        self.engine_away(now)

    def engine_away(self, now: Instant) -> None:
        """The engine does not answer, or did not up to now, and its events tell all the same what it did meanwhile.

        For images they are enough. For volumes nothing is.
        """
        self.volumes.missed(now.monotonic)
        self.networks.missed(now.monotonic)

    def changes(self, now: Instant) -> Rows:
        """What has to be stored since the last time: key -> row, or None for one that is to be removed.

        They belong into one transaction with the cursor of the events that caused them.
        """
        rows: dict[str, Row | None] = self.images.rows(now)
        rows |= self.volumes.rows(now)
        rows |= self.networks.rows(now)
        return rows

    def keys(self) -> Iterator[str]:
        """Of all rows that are stored."""
        for each in (self.images, self.volumes, self.networks):
            yield from each.keys()

    def remember_again(self) -> None:
        """The store has lost everything: `changes` tells all of it."""
        for each in (self.images, self.volumes, self.networks):
            each.remember_again()

    def projects_alone(self) -> Self:
        """What is still true after a time in which nobody looked: which images Compose projects mean, and no use.

        It is `self` no more afterwards. All that is first listed then counts as used then.
        """
        alone = type(self)()
        alone.images.projects = self.images.projects_alone()
        return alone

    @classmethod
    def restored(cls, rows: Rows, now: Instant, boots: Boots = UNKNOWN) -> Self:
        """Take back all rows that earlier runs stored. Where events were missed since, `missed` has to be told.

        Args:
            rows: Key -> row. What can't be read is left out, and so not known.
            now: The present.
            boots: Earlier ones of the host.
        """
        usage = cls()
        usage.images.restore(rows, now, boots)
        usage.volumes.restore(rows, now, boots)
        usage.networks.restore(rows, now, boots)
        return usage

    def _container_event(self, event: EngineEvent, at: float, image_id: str) -> None:
        """A container's events name its image as it was called when the container was created."""
        project, name = event.attributes.get(COMPOSE_PROJECT, ""), event.attributes.get("image", "")
        self.images.projects.called(name, project, at)
        known = (image_id,) if image_id else self._containers.get(event.actor_id, ())
        for each in known:
            self.images.used(each, at, project)
        if len(known) != 1:
            old = event.action != "create" or event.time <= self._asked_wall
            known = (*known, *self.images.used_by_name(name, at, project, old=old))
        if event.action == "destroy":
            self._containers.pop(event.actor_id, None)
        elif event.actor_id in self._containers or len(self._containers) < MOST_CONTAINERS:
            self._containers[event.actor_id] = tuple(dict.fromkeys(known))[:MOST_CANDIDATES]

    def _image_event(self, event: EngineEvent, at: float) -> None:
        """Image events name an image by its id, or by a name of which nobody knows whose it is by now."""
        known = event.actor_id.startswith(ID)
        name = event.attributes.get("name", "")
        if event.action == "delete":
            if known:
                self.images.gone(event.actor_id)
            return
        if event.action == "prune" or not event.actor_id:
            return
        if known:
            self.images.used(event.actor_id, at)
            if event.action == "tag" and name:
                self.images.moved(name, at, event.actor_id)
            elif event.action not in _NAMES_STAY:
                self.images.may_be_named(event.actor_id, at)
            return
        if event.action not in _NAMES_STAY:
            self.images.moved(event.actor_id, at)
        self.images.used_by_name(event.actor_id, at)
