"""The calls that make a clone and remove one, blocking. What is asked for is worked out in `cloning.py`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from urllib.parse import quote

from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.cloning import NUMBER, PROJECT, SERVICE, CloneWish, clone_facts, clone_plan
from watchtower_agent.engine.fields import mapping, sequence, text
from watchtower_agent.engine.given_files import STAT, blocker, looked_at, was_put_in
from watchtower_agent.errors import AbsentError, PermanentError, TemporaryError, UnansweredError, WatchtowerError
from watchtower_agent.model.service import CLONED_BY


def create_clone(calls: EngineCalls, container_id: str, *, wish: CloneWish, shared: bool, timeout: float) -> str:
    """Make the clone, attached to every network of the original. It is not started; none is left when this fails.

    Args:
        calls: The blocking API.
        container_id: Full id of the container that it is to be like.
        wish: What it is made for.
        shared: It may share the original's writable volumes.
        timeout: Seconds for each call.

    Returns:
        Its full id.

    Raises:
        PermanentError: Something stands against it, or the engine refused.
    """
    what = f"cloning container {container_id[:12]}"
    calls.not_podman(what)
    original = calls.get(f"/containers/{quote(container_id, safe='')}/json", what=what)
    _refuse(original, what, shared=shared, put_in=_put_in(calls, original, what))
    names, numbers = _taken(calls, original, what)
    image = _image(calls, original, what)
    plan = clone_plan(original, names=names, numbers=numbers, image=image, wish=wish)
    try:
        made = calls.post("/containers/create", what=what, params={"name": plan.name}, body=plan.body, timeout=timeout)
    except UnansweredError:
        with contextlib.suppress(WatchtowerError):
            _remove_unanswered(calls, plan.name, wish, timeout)
        raise
    clone = text(mapping(made).get("Id"))
    if not clone:
        raise PermanentError(f"{what}: the engine's answer names no container")
    try:
        for network, settings in plan.networks.items():
            body = {"Container": clone, "EndpointConfig": settings}
            calls.post(f"/networks/{quote(network, safe='')}/connect", what=what, body=body, timeout=timeout)
    except WatchtowerError as error:
        raise discarded(calls, clone, error, timeout=timeout) from error
    return clone


def discarded(calls: EngineCalls, clone: str, error: WatchtowerError, *, timeout: float) -> WatchtowerError:
    """Remove a clone that could not be brought up, and give back the error, which says what became of it."""
    try:
        remove(calls, clone, force=True, timeout=timeout)
    except WatchtowerError as second:
        return type(error)(f"{error}; the clone {clone[:12]} was left behind: {second}")
    return type(error)(f"{error}; the clone was removed again")


def remove(calls: EngineCalls, container_id: str, *, force: bool = False, timeout: float) -> None:
    """Remove a container and its anonymous volumes. One that is gone, or about to be, is as good.

    Args:
        calls: The blocking API.
        container_id: Full id.
        force: Though it runs.
        timeout: Seconds.
    """
    query = {"v": "1"} | ({"force": "1"} if force else {})
    path = f"/containers/{quote(container_id, safe='')}"
    with contextlib.suppress(AbsentError):
        calls.delete(path, what=f"removing container {container_id[:12]}", params=query, timeout=timeout)


def _put_in(calls: EngineCalls, original: object, what: str) -> list[str]:
    """What Compose put into the container beside its mounts, as far as the engine tells in time.

    To compare a container that has written millions of files takes it long: that is no reason not to clone it.
    """
    entry: Mapping[object, object] = mapping(original)
    if not text(mapping(mapping(entry.get("Config")).get("Labels")).get(SERVICE)):
        return []
    path = f"/containers/{quote(text(entry.get('Id')), safe='')}"
    found: list[str] = []
    with contextlib.suppress(TemporaryError):
        for file in looked_at(calls.get(f"{path}/changes", what=what)):
            with contextlib.suppress(AbsentError):  # it has gone since
                stat = calls.head(f"{path}/archive", what=what, params={"path": file}).get(STAT, "")
                found += [file] * was_put_in(stat, entry.get("Created"))
    return found


def _refuse(original: object, what: str, *, shared: bool, put_in: list[str]) -> None:
    facts = clone_facts(original)
    reasons = list(facts.blockers)
    if facts.volumes and not shared:
        reasons.append(
            f"its clone would write to what it writes to ({', '.join(facts.volumes)}): "
            "say shared: true if its processes can share that"
        )
    if against := blocker(put_in):
        reasons.append(against)
    if reasons:
        raise PermanentError(f"{what}: {'; '.join(reasons)}")


def _taken(calls: EngineCalls, original: object, what: str) -> tuple[frozenset[str], frozenset[str]]:
    """Names of all containers, and the numbers that Compose gave to those of the original's service."""
    labels = mapping(mapping(mapping(original).get("Config")).get("Labels"))
    same = tuple(text(labels.get(key)) for key in (PROJECT, SERVICE))
    names: set[str] = set()
    numbers: set[str] = set()
    for entry in map(mapping, sequence(calls.get("/containers/json", what=what, params={"all": "1"}))):
        names |= {text(name).removeprefix("/") for name in sequence(entry.get("Names"))}
        theirs = mapping(entry.get("Labels"))
        if same[1] and tuple(text(theirs.get(key)) for key in (PROJECT, SERVICE)) == same:
            numbers.add(text(theirs.get(NUMBER)))
    return frozenset(names), frozenset(numbers)


def _image(calls: EngineCalls, original: object, what: str) -> str:
    """The name that the original was made with, as long as it means the same image; else that image's id."""
    entry: Mapping[object, object] = mapping(original)
    identity, name = text(entry.get("Image")), text(mapping(entry.get("Config")).get("Image"))
    if not identity:
        return name
    try:
        found = mapping(calls.get(f"/images/{quote(name, safe='/:@')}/json", what=what))
    except AbsentError:
        return identity
    return name if text(found.get("Id")) == identity else identity


def _remove_unanswered(calls: EngineCalls, name: str, wish: CloneWish, timeout: float) -> None:
    """The engine may have made it all the same."""
    query = {"all": "1", "filters": json.dumps({"label": [f"{CLONED_BY}={wish.decision}"]})}
    for entry in map(mapping, sequence(calls.get("/containers/json", what=f"looking for {name}", params=query))):
        if f"/{name}" in sequence(entry.get("Names")):
            remove(calls, text(entry.get("Id")), force=True, timeout=timeout)
