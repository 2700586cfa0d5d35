"""Podman's events, as version 5.4 wrote them."""

from __future__ import annotations

import json

import pytest

from watchtower_agent.engine.event import parse_event
from watchtower_agent.engine.podman import is_podman, podman_id
from watchtower_agent.model.engine_event import EngineEvent

ID = "bcc145c5cdf8eacae545068b49528b95192b648511af6d6750a9e34810fa6872"


def parsed(action: str, *, kind: str = "container", actor: str = ID, **attributes: str) -> EngineEvent | None:
    given = {"image": "", "name": "web", "podId": "", **attributes}
    raw = {"Type": kind, "Action": action, "Actor": {"ID": actor, "Attributes": given}, "timeNano": 1}
    read = parse_event(json.dumps(raw).encode(), engine_id="e", podman=True)
    assert read is None or isinstance(read, EngineEvent)
    return read


@pytest.mark.parametrize(
    ("kind", "theirs", "dockers"),
    [
        ("container", "start", "start"),
        ("container", "remove", "destroy"),
        ("container", "exec", "exec_start"),
        ("container", "exec_died", "exec_die"),
        ("image", "remove", "delete"),
        ("volume", "remove", "destroy"),
        ("network", "remove", "destroy"),
    ],
)
def test_words_are_dockers(kind: str, theirs: str, dockers: str) -> None:
    event = parsed(theirs, kind=kind)

    assert event is not None
    assert (event.action, event.podman) == (dockers, True)


@pytest.mark.parametrize("step", ["init", "cleanup", "mount", "sync"])
def test_steps_of_which_docker_tells_nothing_are_left_out(step: str) -> None:
    assert parsed(step) is None


def test_what_podman_adds_is_taken_for_no_label() -> None:
    event = parsed("die", image="busybox", containerExitCode="3", exitCode="3", a="b")

    assert event is not None
    assert dict(event.attributes) == {"name": "web", "image": "busybox", "exitCode": "3", "a": "b"}


def test_volumes_and_networks_are_named() -> None:
    volume = parsed("create", kind="volume", actor="", name="data")
    network = parsed("create", kind="network", name="", network="shop")

    assert volume is not None
    assert network is not None
    assert (volume.actor_id, volume.name, network.actor_id, network.name) == ("data", "data", ID, "shop")
    assert "image" not in volume.attributes


def test_a_docker_engine_is_taken_at_its_word() -> None:
    raw = {"Type": "container", "Action": "mount", "Actor": {"ID": ID, "Attributes": {"podId": "x"}}, "timeNano": 1}

    event = parse_event(json.dumps(raw).encode(), engine_id="e")

    assert isinstance(event, EngineEvent)
    assert (event.action, dict(event.attributes), event.podman) == ("mount", {"podId": "x"}, False)


@pytest.mark.parametrize(
    ("version", "podman"),
    [
        ({"Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}]}, True),
        ({"Components": [{"Name": "Engine"}, {"Name": "containerd"}]}, False),
        ({"Components": [3, {}, {"Name": 4}]}, False),
        ({"Components": "Podman"}, False),
        ({}, False),
    ],
)
def test_who_answers(version: dict[str, object], *, podman: bool) -> None:
    assert is_podman(version) is podman


def test_its_id_stays_the_same_and_differs_by_storage() -> None:
    assert podman_id("h", "/a") == podman_id("h", "/a")
    assert len({podman_id("h", "/a"), podman_id("h", "/b"), podman_id("i", "/a")}) == 3
