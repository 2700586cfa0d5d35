"""The calls that delete what a plan named, blocking.

Each looks at it once more first, then asks without force: the engine itself refuses to delete what a container needs.
What it does not refuse (a network that a stopped container refers to, a service's image) is seen by that look alone.
"""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import quote

from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.container import parse_time
from watchtower_agent.engine.disk_calls import joining, list_containers, read_networks, read_services
from watchtower_agent.engine.disk_usage import (
    IDLE,
    containers_of,
    digests_of,
    lends_memory,
    mounted_images,
    network_of,
    service_images,
    service_volumes,
    tags_of,
)
from watchtower_agent.engine.fields import mapping, number, sequence, text
from watchtower_agent.errors import AbsentError, KeptError, PermanentError, UnansweredError, WatchtowerError
from watchtower_agent.model.disk_usage import Image, KeptContainer
from watchtower_agent.model.image_reference import means, parts

_SHOWN: Final = 3


def remove_image(calls: EngineCalls, image_id: str, *, tags: frozenset[str], timeout: float) -> None:
    """Delete an image and its tags, and no image below it.

    Args:
        calls: The blocking API.
        image_id: `sha256:…`.
        tags: Those that it had when it was looked at.
        timeout: Seconds for the deletion.

    Raises:
        KeptError: It is needed, or has other tags by now.
    """
    what = f"removing image {min(tags, default=image_id[:19])[:100]}"
    path = f"/images/{quote(image_id, safe=':')}"
    services = service_images(read_services(calls, what))
    listing = list_containers(calls, what)
    _refuse_users(what, "was made of it", [c for c in containers_of(listing, (), None) if c.image_id == image_id])
    # The engine guards what containers need, not tags: they are looked at last.
    raw = calls.get(f"{path}/json", what=what)
    image = Image(id=text(mapping(raw).get("Id")), tags=tags_of(raw), digests=digests_of(raw))
    if image.id != image_id:
        raise KeptError(what, "the engine knows another image by that id")
    if frozenset(image.tags) != tags:
        raise KeptError(what, f"its tags are {', '.join(image.tags[:_SHOWN]) or 'none'} by now")
    for reference in sorted(services):
        if means(reference, image):
            raise KeptError(what, f"a service of the Swarm names it ({reference[:100]})")
    for reference in sorted(mounted_images(listing)):
        if means(reference, image):
            raise KeptError(what, f"a container mounts it ({reference[:100]})")
    # By its id and without force the engine deletes an image with one tag at most, whose repository all digests are of.
    # A digest goes with the last tag of its repository, and does not come back: such a tag is taken last.
    known = {_repository(digest) for digest in image.digests}
    taken: list[str] = []
    try:
        for tag in sorted(tags, key=lambda tag: (_repository(tag) not in known, tag))[1:]:
            _expect_tag(calls, tag, image_id, what)
            taken.append(tag)  # before the engine is asked: without an answer, it may have done it
            _untag(calls, tag, what, timeout)
        _delete(calls, path, f"{path}/json", what=what, timeout=timeout, query={"noprune": "1"})
    except WatchtowerError:
        # What stands against the deletion is what is told, unless the image is left without a name that it had.
        tag_again(calls, image_id, tags=frozenset(taken), timeout=timeout)
        raise


def tag_again(calls: EngineCalls, image_id: str, *, tags: frozenset[str], timeout: float) -> None:
    """Give back tags that were taken from an image which turned out to be needed, those that nobody has by now.

    Args:
        calls: The blocking API.
        image_id: `sha256:…`.
        tags: With repository.
        timeout: Seconds for each.

    Raises:
        AbsentError: The image is gone.
    """
    for tag in sorted(tags):
        what = f"giving image {image_id[:19]} its tag {tag[:100]} back"
        repository, _, name = tag.rpartition(":")
        try:
            calls.get(f"/images/{quote(tag, safe='/:')}/json", what=what)
        except AbsentError:
            path = f"/images/{quote(image_id, safe=':')}/tag"
            calls.post(path, what=what, params={"repo": repository, "tag": name}, timeout=timeout)


def remove_container(calls: EngineCalls, container_id: str, *, finished_at: float | None, timeout: float) -> None:
    """Delete a container that does not run, and none of its volumes.

    Args:
        calls: The blocking API.
        container_id: Full id.
        finished_at: When it had ended when it was looked at, seconds since the epoch; None: it never ran.
        timeout: Seconds for the deletion.

    Raises:
        KeptError: It runs, or ran since.
    """
    what = f"removing container {container_id[:12]}"
    path = f"/containers/{quote(container_id, safe='')}"
    raw = mapping(calls.get(f"{path}/json", what=what))
    state = mapping(raw.get("State"))
    status = text(state.get("Status")).lower()
    if text(raw.get("Id")) != container_id:
        raise KeptError(what, "the engine knows another container by that id")
    if status not in IDLE or state.get("Running") is True:
        raise KeptError(what, f"it is {status[:20] or 'in a state that is not known'}")
    if parse_time(state.get("FinishedAt")) != finished_at:
        raise KeptError(what, "it ran since it was looked at")
    name = text(raw.get("Name")).removeprefix("/")
    users = containers_of(list_containers(calls, what), (), None)
    if lends_memory(raw):
        users = joining(calls, users, what)
    _refuse_users(what, "joins it", [each for each in users if {container_id, name} & set(each.joins)])
    _delete(calls, path, f"{path}/json", what=what, timeout=timeout, query={"v": "0"})


def remove_network(calls: EngineCalls, network_id: str, *, timeout: float) -> None:
    """Delete a network of this host.

    The engine deletes one that stopped containers refer to without a word, and they can't be started any more.

    Args:
        calls: The blocking API.
        network_id: Full id.
        timeout: Seconds for the deletion.

    Raises:
        KeptError: A container refers to it, running or not, or it is the engine's own or the Swarm's.
    """
    path = f"/networks/{quote(network_id, safe='')}"
    network = network_of(calls.get(path, what=f"removing network {network_id[:12]}"))
    if network is None or network.id != network_id:
        raise KeptError(f"removing network {network_id[:12]}", "the engine knows another network by that id")
    what = f"removing network {network.name[:100]}"
    if network.predefined:
        raise KeptError(what, "it is the engine's own")
    if network.swarm:
        raise KeptError(what, "it is the Swarm's: containers of other nodes may need it")
    containers = containers_of(list_containers(calls, what), read_networks(calls, what), None)
    _refuse_users(what, "refers to it", [each for each in containers if network_id in each.networks])
    _delete(calls, path, path, what=what, timeout=timeout)


def remove_volume(calls: EngineCalls, name: str, *, created_at: float, timeout: float) -> None:
    """Delete a volume of this host, and what is in it.

    Args:
        calls: The blocking API.
        name: Its name.
        created_at: When that volume was made, seconds since the epoch.
        timeout: Seconds for the deletion.

    Raises:
        KeptError: A container in any state or a service mounts it, it is another one, or other hosts have it, too.
    """
    what = f"removing volume {name[:100]}"
    path = f"/volumes/{quote(name, safe='')}"
    if name in service_volumes(read_services(calls, what)):
        raise KeptError(what, "a service of the Swarm mounts it")
    containers = containers_of(list_containers(calls, what), (), None)
    _refuse_users(what, "mounts it", [each for each in containers if name in each.volumes])
    raw = mapping(calls.get(path, what=what))
    if text(raw.get("Name")) != name:
        raise KeptError(what, "the engine knows another volume by that name")
    if text(raw.get("Scope")) != "local":
        raise KeptError(what, "other hosts have it, too")
    if parse_time(raw.get("CreatedAt")) != created_at:
        raise KeptError(what, "it was made anew since it was looked at")
    _delete(calls, path, path, what=what, timeout=timeout)


def remove_cache(calls: EngineCalls, record_id: str, *, unused_since: float, timeout: float) -> int:
    """Delete a record of the build cache.

    The engine looks at it itself, and answers a record that it leaves with success.

    Args:
        calls: The blocking API.
        record_id: Its id.
        unused_since: When it was looked at, seconds since the epoch on the engine's clock.
        timeout: Seconds for the deletion.

    Returns:
        Bytes that the engine says it freed.

    Raises:
        KeptError: The engine left it.
    """
    what = f"removing build cache {record_id[:25]}"
    filters = json.dumps({"id": [record_id], "until": [f"{max(0.0, unused_since):.6f}"]})
    answer = mapping(
        # A body, though an empty one: the answer counts.
        calls.post("/build/prune", what=what, params={"all": "1", "filters": filters}, body={}, timeout=timeout)
    )
    if record_id not in sequence(answer.get("CachesDeleted")):
        raise KeptError(what, "a later record builds upon it, or a build uses it or used it since, or it is gone")
    return max(0, int(number(answer.get("SpaceReclaimed")) or 0))


def _expect_tag(calls: EngineCalls, tag: str, image_id: str, what: str) -> None:
    """See that the tag is the image's still."""
    try:
        found = text(mapping(calls.get(f"/images/{quote(tag, safe='/:')}/json", what=what)).get("Id"))
    except AbsentError as error:
        raise _tag_is_gone(what, tag) from error
    if found != image_id:
        raise KeptError(what, f"its tag {tag[:100]} is another image's by now")


def _untag(calls: EngineCalls, tag: str, what: str, timeout: float) -> None:
    """Take a tag from the image that has it."""
    try:
        calls.delete(f"/images/{quote(tag, safe='/:')}", what=what, params={"noprune": "1"}, timeout=timeout)
    except AbsentError as error:
        raise _tag_is_gone(what, tag) from error


def _repository(reference: str) -> str:
    return parts(reference)[0]


def _tag_is_gone(what: str, tag: str) -> KeptError:
    return KeptError(what, f"its tag {tag[:100]} is gone by now")


def _refuse_users(what: str, need: str, users: list[KeptContainer]) -> None:
    if users:
        named = ", ".join(user.name[:100] for user in users[:_SHOWN])
        more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
        raise KeptError(what, f"it is needed: container {named}{more} {need}")


def _delete(
    calls: EngineCalls, path: str, inspection: str, *, what: str, timeout: float, query: dict[str, str] | None = None
) -> None:
    try:
        calls.delete(path, what=what, params=query, timeout=timeout)
    except AbsentError:
        raise
    except PermanentError as error:
        # Without force it refuses what is needed, and says by what.
        raise KeptError(what, str(error).removeprefix(f"{what}: ")) from error
    except UnansweredError:
        try:
            calls.get(inspection, what=what)
        except AbsentError:
            return
        raise
