"""Deletions on engines that answer strangely: nothing is deleted of which the last look was not clear."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing

import pytest

from tests.support.engine_watch import engine_calls
from tests.support.http_server import HttpServer, body, http_server, silent
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.errors import KeptError, PermanentError, TemporaryError

ID, OTHER = "a" * 64, "b" * 64
AT = "2026-11-26T05:28:30Z"
SECONDS = 1_795_670_910.0
UNUSED: Mapping[str, object] = {
    "/info": {"Swarm": {"LocalNodeState": "inactive"}},
    "/containers/json": [],
    "/networks": [{"Id": ID, "Name": "front", "Scope": "local"}],
}
IMAGE: Mapping[str, object] = {"Id": f"sha256:{ID}", "RepoTags": ["web:1"]}
CONTAINER: Mapping[str, object] = {"Id": ID, "State": {"Status": "exited", "Running": False, "FinishedAt": AT}}
NETWORK: Mapping[str, object] = {"Id": ID, "Name": "front", "Scope": "local"}
VOLUME: Mapping[str, object] = {"Name": "files", "Scope": "local", "CreatedAt": AT}
NEEDY: Mapping[str, object] = {
    "Id": OTHER,
    "Names": ["/needy"],
    "ImageID": f"sha256:{ID}",
    "Mounts": [{"Name": "files"}],
    "HostConfig": {"NetworkMode": "front"},
}
JOINING: Mapping[str, object] = {**NEEDY, "HostConfig": {"NetworkMode": f"container:{ID}"}}
JUNK: Sequence[object] = (None, [], {}, "x", 7)
PATHS = {
    "image": f"/images/sha256:{ID}/json",
    "container": f"/containers/{ID}/json",
    "network": f"/networks/{ID}",
    "volume": "/volumes/files",
}
ANSWERS = {"image": IMAGE, "container": CONTAINER, "network": NETWORK, "volume": VOLUME}
REMOVALS: Mapping[str, Callable[[DockerEngine], Awaitable[None]]] = {
    "image": lambda docker: docker.remove_image(f"sha256:{ID}", tags=frozenset({"web:1"})),
    "container": lambda docker: docker.remove_container(ID, finished_at=SECONDS),
    "network": lambda docker: docker.remove_network(ID),
    "volume": lambda docker: docker.remove_volume("files", created_at=SECONDS),
}


@contextlib.contextmanager
def answering(answers: Mapping[str, object]) -> Iterator[tuple[DockerEngine, HttpServer]]:
    """An engine that answers each path with this; deletions with success."""

    def behave(line: socket.socket, over: threading.Event) -> None:
        method, target = server.asked[-1].split(" ")[:2]
        path = target.partition("?")[0].removeprefix("/v1.45")
        answer = {"ApiVersion": "1.45"} if path == "/version" else answers.get(path)
        found = method == "DELETE" or path == "/version" or path in answers
        body(json.dumps(answer), status="200 OK" if found else "404 Not Found", headers="Connection: close\r\n")(
            line, over
        )

    with http_server(silent) as server:
        server.behave = behave
        url = f"tcp://127.0.0.1:{server.port}"
        with (
            closing(engine_calls(url, timeout=5)) as calls,
            closing(DockerEngine(calls, clock=SystemClock())) as docker,
        ):
            yield docker, server


async def test_of_an_image_that_could_not_be_inspected_the_layers_are_asked_for_again() -> None:
    app, base = f"sha256:{ID}", f"sha256:{OTHER}"
    answers: dict[str, object] = {
        **UNUSED,
        "/images/json": [{"Id": app, "RepoTags": ["app:1"]}, {"Id": base, "RepoTags": ["base:1"]}],
        "/volumes": {},
        f"/images/{base}/json": {"Id": base, "RootFS": {"Layers": ["a"]}},
    }
    with answering(answers) as (docker, server):
        assert {each.id: each.parent for each in (await docker.disk_contents()).images} == {app: "", base: ""}
        answers[f"/images/{app}/json"] = {"Id": app, "RootFS": {"Layers": ["a", "b"]}}
        assert {each.id: each.parent for each in (await docker.disk_contents()).images} == {app: base, base: ""}
        assert len([head for head in server.asked if f"/images/{base}/json" in head]) == 1


def deletions(server: HttpServer) -> list[str]:
    return [head for head in server.asked if not head.startswith("GET ")]


@pytest.mark.parametrize("kind", REMOVALS)
async def test_what_is_clear_is_deleted_once_and_never_by_force(kind: str) -> None:
    with answering({**UNUSED, PATHS[kind]: ANSWERS[kind]}) as (docker, server):
        await REMOVALS[kind](docker)
        (deletion,) = deletions(server)
    assert deletion.startswith(f"DELETE /v1.45{PATHS[kind].removesuffix('/json')}")
    assert "force" not in deletion
    assert "v=1" not in deletion


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        *((kind, junk) for kind in REMOVALS for junk in JUNK),
        ("image", {**IMAGE, "Id": f"sha256:{OTHER}"}),
        ("image", {**IMAGE, "RepoTags": None}),
        ("container", {**CONTAINER, "Id": OTHER}),
        ("container", {"Id": ID}),
        ("container", {"Id": ID, "State": {"Status": "exited", "Running": True, "FinishedAt": AT}}),
        *(
            ("container", {"Id": ID, "State": {"Status": status, "FinishedAt": AT}})
            for status in ("running", "paused", "restarting", "removing", "stopping", "")
        ),
        ("network", {**NETWORK, "Id": OTHER}),
        ("network", {**NETWORK, "Scope": "swarm"}),
        ("network", {**NETWORK, "Name": "ingress"}),
        ("volume", {**VOLUME, "Name": "other"}),
        ("volume", {**VOLUME, "Scope": "global"}),
        ("volume", {"Name": "files", "CreatedAt": AT}),
        ("volume", {**VOLUME, "CreatedAt": "2026-11-26T05:28:31Z"}),
    ],
)
async def test_what_is_not_what_was_meant_is_kept(kind: str, answer: object) -> None:
    with answering({**UNUSED, PATHS[kind]: answer}) as (docker, server):
        with pytest.raises(KeptError, match="left as it is") as kept:
            await REMOVALS[kind](docker)
        assert deletions(server) == []
    assert kept.value.reason


@pytest.mark.parametrize("kind", ["image", "network", "volume"])
@pytest.mark.parametrize("containers", [None, {}, ["x"], [{"Id": OTHER}], [NEEDY]])
async def test_where_it_is_not_clear_who_needs_it_nothing_is_deleted(kind: str, containers: object) -> None:
    answers = {**UNUSED, PATHS[kind]: ANSWERS[kind], "/containers/json": containers}
    with answering(answers) as (docker, server):
        with pytest.raises(PermanentError):
            await REMOVALS[kind](docker)
        assert deletions(server) == []


@pytest.mark.parametrize("containers", [None, ["x"], [JOINING]])
async def test_a_container_that_another_one_may_join_is_kept(containers: object) -> None:
    answers = {**UNUSED, PATHS["container"]: CONTAINER, "/containers/json": containers}
    with answering(answers) as (docker, server):
        with pytest.raises(PermanentError):
            await REMOVALS["container"](docker)
        assert deletions(server) == []


@pytest.mark.parametrize("mount", [{"Name": "web:1"}, {"Source": f"sha256:{ID}"}])
async def test_an_image_that_a_container_mounts_is_kept(mount: dict[str, str]) -> None:
    container = {"Id": OTHER, "ImageID": f"sha256:{OTHER}", "Mounts": [{"Type": "image", **mount}]}
    with answering({**UNUSED, PATHS["image"]: IMAGE, "/containers/json": [container]}) as (docker, server):
        with pytest.raises(KeptError, match="mounts it"):
            await REMOVALS["image"](docker)
        assert deletions(server) == []


@pytest.mark.parametrize("kind", ["image", "volume"])
@pytest.mark.parametrize("state", ["locked", "pending", "error"])
async def test_where_the_swarm_does_not_tell_nothing_is_deleted(kind: str, state: str) -> None:
    answers = {**UNUSED, PATHS[kind]: ANSWERS[kind], "/info": {"Swarm": {"LocalNodeState": state}}}
    with answering(answers) as (docker, server):
        with pytest.raises(TemporaryError, match=f"Swarm is {state}"):
            await REMOVALS[kind](docker)
        assert deletions(server) == []


@pytest.mark.parametrize(
    "answer", [None, [], {"CachesDeleted": None}, {"CachesDeleted": ["other"]}, {"CachesDeleted": 7}]
)
async def test_a_record_that_the_engine_does_not_name_was_kept(answer: object) -> None:
    with answering({"/build/prune": answer}) as (docker, _), pytest.raises(KeptError):
        await docker.remove_cache("record", unused_since=SECONDS)


@pytest.mark.parametrize(("said", "freed"), [(12, 12), (None, 0), (-1, 0), ("x", 0)])
async def test_what_the_engine_says_was_freed(said: object, freed: int) -> None:
    with answering({"/build/prune": {"CachesDeleted": ["record"], "SpaceReclaimed": said}}) as (docker, _):
        assert await docker.remove_cache("record", unused_since=SECONDS) == freed


async def test_only_tags_that_were_taken_are_given_back() -> None:
    tags = ["web:1", "web:2", "web:3"]
    answers = {
        **UNUSED,
        PATHS["image"]: {**IMAGE, "RepoTags": tags},
        "/images/web:2/json": IMAGE,  # and web:3 somebody has taken away since
    }
    with answering(answers) as (docker, server):
        with pytest.raises(KeptError, match="its tag web:3 is gone by now"):
            await docker.remove_image(f"sha256:{ID}", tags=frozenset(tags))
        asked = [head for head in server.asked if "web:3/json" in head]
        assert len(asked) == 1
        assert [head.split(" ")[0] for head in deletions(server)] == ["DELETE"]
