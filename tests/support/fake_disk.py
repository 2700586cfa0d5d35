"""What an engine keeps on its disk, in memory, for what stands on the `Engine` port.

`tests/contract/test_engine_disk.py` asks the same of it and of a real engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from watchtower_agent.errors import AbsentError, KeptError
from watchtower_agent.model.disk_usage import (
    DiskUsage,
    Image,
    KeptContainer,
    Network,
)
from watchtower_agent.model.image_reference import means
from watchtower_agent.model.removal import Look, Removal, Retagging

T = TypeVar("T", Image, KeptContainer, Network)


class FakeDisk:
    """Images, containers, networks, volumes and the build cache as values.

    Attributes:
        disk: All that there is. A test puts in what it wants.
        calls: What was asked for, in order.
        fail: Raised by the next call of that name, once.
        on_remove: Called before each deletion with its verb and what is to go: what others do between a plan and it.
    """

    def __init__(self) -> None:
        self.disk = DiskUsage(at=0.0)
        self.calls: list[tuple[object, ...]] = []
        self.fail: dict[str, Exception] = {}
        self.on_remove: Callable[[str, str], None] = lambda _verb, _what: None

    async def disk_usage(self) -> DiskUsage:
        self._note("disk_usage")
        return self.disk

    async def disk_contents(self) -> DiskUsage:
        self._note("disk_contents")
        return without_sizes(self.disk)

    async def remove_image(self, image_id: str, *, tags: frozenset[str]) -> None:
        self._begin("remove_image", image_id, tags)
        image = _one(self.disk.images, image_id)
        what = f"removing image {image_id[:19]}"
        if set(image.tags) != set(tags):
            raise KeptError(what, f"it is tagged {', '.join(image.tags) or 'nothing'} by now")
        for container in self.disk.containers:
            if container.image_id == image_id:
                raise KeptError(what, f"container {container.name} was made of it")
        for reference in self.disk.service_images:
            if means(reference, image):
                raise KeptError(what, f"a service of the Swarm names it ({reference})")
        if any(other.parent == image_id for other in self.disk.images):
            raise KeptError(what, "another image was built upon it")
        self.disk = replace(self.disk, images=tuple(other for other in self.disk.images if other is not image))

    async def tag_again(self, image_id: str, *, tags: frozenset[str]) -> None:
        self._note("tag_again", image_id, tags)
        image = _one(self.disk.images, image_id)
        free = tags - {tag for each in self.disk.images for tag in each.tags}
        named = replace(image, tags=(*image.tags, *sorted(free)))
        self.disk = replace(self.disk, images=tuple(named if each is image else each for each in self.disk.images))

    async def remove_container(self, container_id: str, *, finished_at: float | None) -> None:
        self._begin("remove_container", container_id, finished_at)
        container = _one(self.disk.containers, container_id)
        what = f"removing container {container.name}"
        if container.status not in {"created", "exited", "dead"}:
            raise KeptError(what, f"it is {container.status}")
        if container.finished_at != finished_at:
            raise KeptError(what, "it ran since it was looked at")
        for other in self.disk.containers:
            if container_id in other.joins:
                raise KeptError(what, f"container {other.name} joins it")
        self.disk = replace(self.disk, containers=tuple(each for each in self.disk.containers if each is not container))

    async def remove_network(self, network_id: str) -> None:
        self._begin("remove_network", network_id)
        network = _one(self.disk.networks, network_id)
        what = f"removing network {network.name}"
        if network.predefined:
            raise KeptError(what, "it is the engine's own")
        if network.swarm:
            raise KeptError(what, "it is the Swarm's")
        for container in self.disk.containers:
            if network_id in container.networks:
                raise KeptError(what, f"container {container.name} refers to it")
        self.disk = replace(self.disk, networks=tuple(each for each in self.disk.networks if each is not network))

    async def remove_volume(self, name: str, *, created_at: float) -> None:
        self._begin("remove_volume", name, created_at)
        volume = next((each for each in self.disk.volumes if each.name == name), None)
        if volume is None:
            raise AbsentError(f"no such volume: {name[:64]}")
        what = f"removing volume {name[:64]}"
        if volume.created_at != created_at:
            raise KeptError(what, "it was made anew since it was looked at")
        if name in self.disk.service_volumes:
            raise KeptError(what, "a service of the Swarm mounts it")
        for container in self.disk.containers:
            if name in container.volumes:
                raise KeptError(what, f"container {container.name} mounts it")
        self.disk = replace(self.disk, volumes=tuple(each for each in self.disk.volumes if each is not volume))

    async def remove_cache(self, record_id: str, *, unused_since: float) -> int:
        self._begin("remove_cache", record_id, unused_since)
        what = f"removing build cache {record_id[:12]}"
        record = next((record for record in self.disk.cache if record.id == record_id), None)
        used_at = None if record is None else record.used_at
        built_upon = any(record_id in other.parents for other in self.disk.cache)
        if record is None or record.in_use or built_upon or (used_at is not None and used_at > unused_since):
            raise KeptError(what, "the engine left it")
        self.disk = replace(self.disk, cache=tuple(each for each in self.disk.cache if each is not record))
        return 0 if record.shared else record.size

    def _begin(self, verb: str, what: str, *details: object) -> None:
        self._note(verb, what, *details)
        self.on_remove(verb, what)

    def _note(self, verb: str, *details: object) -> None:
        self.calls.append((verb, *details))
        self._raise(verb)

    def _raise(self, verb: str) -> None:
        if (error := self.fail.pop(verb, None)) is not None:
            raise error


def _one(things: Iterable[T], key: str) -> T:
    for thing in things:
        if thing.id == key:
            return thing
    raise AbsentError(f"no such object: {key[:64]}")


def without_sizes(disk: DiskUsage) -> DiskUsage:
    """What a look tells that asks for no sizes."""
    return replace(
        disk,
        images=tuple(replace(image, shared=None) for image in disk.images),
        containers=tuple(replace(container, finished_at=None, size=None) for container in disk.containers),
        cache=(),
        volumes=tuple(replace(volume, size=None) for volume in disk.volumes),
    )


class UntouchedDisk:
    """Stands where the loop asks for looks and removals, in tests of which no policy prunes."""

    def look(self, look: Look) -> None:
        raise AssertionError(f"nobody looks at the disk here: {look}")

    def remove(self, removal: Removal) -> None:
        raise AssertionError(f"nobody deletes anything here: {removal}")

    def retag(self, retagging: Retagging) -> None:
        raise AssertionError(f"nobody names anything here: {retagging}")
