from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.engine.services import replicas_of, swarm_services, version_of, with_replicas
from watchtower_agent.model.service import SwarmService, Task, TaskState

NAMES = frozenset({"web"})


def service(**changes: object) -> dict[str, Any]:
    return {
        "ID": "s1",
        "Version": {"Index": 42},
        "Spec": {"Name": "web", "Labels": {"a": "b"}, "Mode": {"Replicated": {"Replicas": 3}}},
    } | changes


def task(**changes: object) -> dict[str, Any]:
    return {
        "ID": "t1",
        "ServiceID": "s1",
        "Slot": 2,
        "NodeID": "n1",
        "DesiredState": "running",
        "Status": {
            "State": "running",
            "Timestamp": "2026-11-24T16:17:28.5Z",
            "ContainerStatus": {"ContainerID": "c" * 64, "PID": 7},
        },
    } | changes


def only(services: object, tasks: object = ()) -> SwarmService:
    (found,) = swarm_services(services, tasks, NAMES)
    return found


def test_a_service_with_its_tasks() -> None:
    found = only([service()], [task(), task(ID="t0", Slot=1, Status={"State": "preparing"})])
    assert found == SwarmService(
        id="s1",
        name="web",
        labels={"a": "b"},
        replicas=3,
        version=42,
        tasks=(
            Task(id="t0", slot=1, node_id="n1", state=TaskState.STARTING),
            Task(
                id="t1",
                slot=2,
                node_id="n1",
                container_id="c" * 64,
                state=TaskState.RUNNING,
                since=1_795_537_048.5,
            ),
        ),
    )
    assert found.running == 1


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        *((word, TaskState.STARTING) for word in ("new", "allocated", "pending", "assigned", "accepted")),
        *((word, TaskState.STARTING) for word in ("preparing", "ready", "starting")),
        ("running", TaskState.RUNNING),
        *((word, TaskState.ENDED) for word in ("complete", "shutdown", "failed", "rejected", "remove", "orphaned")),
        ("", TaskState.ENDED),
        ("no such word", TaskState.ENDED),
    ],
)
def test_every_state_of_a_task(state: str, expected: TaskState) -> None:
    (found,) = only([service()], [task(Status={"State": state})]).tasks
    assert found.state is expected


@pytest.mark.parametrize(
    ("status", "updating"),
    [
        (None, False),
        ({}, False),
        ({"State": ""}, False),
        ({"State": "completed"}, False),
        ({"State": "rollback_completed"}, False),
        ({"State": "updating"}, True),
        ({"State": "paused"}, True),
        ({"State": "rollback_started"}, True),
        ({"State": "rollback_paused"}, True),
    ],
)
def test_what_is_under_way(status: object, updating: bool) -> None:
    assert only([service(UpdateStatus=status)]).updating is updating


def test_only_replicated_services_of_exactly_these_names() -> None:
    spec = service()["Spec"]
    listing = [
        service(ID="longer", Spec=spec | {"Name": "web-2"}),
        service(ID="global", Spec=spec | {"Mode": {"Global": {}}}),
        service(ID="job", Spec=spec | {"Mode": {"ReplicatedJob": {"MaxConcurrent": 1}}}),
        service(ID="other", Spec=spec | {"Name": "other"}),
        service(ID="nameless", Spec={"Mode": spec["Mode"]}),
        service(ID="negative", Spec=spec | {"Mode": {"Replicated": {"Replicas": -1}}}),
        service(ID="true", Spec=spec | {"Mode": {"Replicated": {"Replicas": True}}}),
        service(ID="versionless", Version={}),
        service(ID=""),
    ]
    assert swarm_services(listing, [], NAMES) == ()
    assert only([*listing, service()]).id == "s1"


def test_the_number_that_is_left_out_is_one_and_none_is_none() -> None:
    spec = service()["Spec"]
    assert replicas_of(service(Spec=spec | {"Mode": {"Replicated": {}}})) == 1
    assert replicas_of(service(Spec=spec | {"Mode": {"Replicated": {"Replicas": 0}}})) == 0


def test_large_versions_are_exact() -> None:
    assert version_of(service(Version={"Index": 2**62 + 1})) == 2**62 + 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
FIELDS = ("ID", "Spec", "Version", "Index", "Name", "Labels", "Mode", "Replicated", "Replicas", "UpdateStatus", "State")
FIELDS_OF_TASKS = ("ServiceID", "Slot", "NodeID", "Status", "ContainerStatus", "ContainerID", "Timestamp", "PID")
odd = st.recursive(
    st.sampled_from(["web", "s1", "running", 7, True, None, -1, 2.5]) | json_values,
    lambda inner: st.dictionaries(st.sampled_from(FIELDS + FIELDS_OF_TASKS), inner, max_size=6),
    max_leaves=20,
)


@given(services=st.lists(odd, max_size=4) | odd, tasks=st.lists(odd, max_size=4) | odd)
def test_whatever_the_engine_says_it_is_read_or_left_out(services: object, tasks: object) -> None:
    for found in swarm_services(services, tasks, NAMES):
        assert found.name == "web"
        assert found.id
        assert found.replicas >= 0
        assert found.version >= 0
        assert 0 <= found.running <= len(found.tasks)
        assert all(each.id and each.slot >= 0 for each in found.tasks)


@given(more=st.dictionaries(st.text(max_size=8), json_values, max_size=5), replicas=st.integers(0, 10_000))
def test_what_is_written_differs_in_the_number_alone(more: dict[str, object], replicas: int) -> None:
    replicated = {"Replicas": 3, "Unknown": more}
    spec = more | {"Name": "web", "Mode": {"Replicated": replicated, "Odd": more}, "TaskTemplate": {"ForceUpdate": 7}}
    before = service(Spec=copy.deepcopy(spec))
    written = with_replicas(before, replicas)
    assert before["Spec"] == spec or json.dumps(before["Spec"]) == json.dumps(spec), "what was read is left as it was"
    expected = copy.deepcopy(spec)
    expected["Mode"]["Replicated"]["Replicas"] = replicas  # type: ignore[index] # it is a mapping, as made above
    assert json.dumps(written) == json.dumps(expected)
