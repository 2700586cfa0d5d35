"""What the store remembers of containers comes back as it went, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from tests.support.core import Host, container
from watchtower_agent.model.container import Container, ContainerDetail, ContainerStatus, Health
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.service import CloneFacts
from watchtower_agent.state.attribution import EndCause, OperatorIntent
from watchtower_agent.state.own_action import OwnAction
from watchtower_agent.state.record import ContainerRecord
from watchtower_agent.state.remembered import record_from_json, record_json

moments = st.floats(0, 4e9, allow_nan=False)
maybe = st.none() | moments
texts = st.text(max_size=20)

details = st.builds(
    ContainerDetail,
    pid=st.integers(0, 2**22),
    started_at=maybe,
    finished_at=maybe,
    exit_code=st.none() | st.integers(0, 255),
    oom_killed=st.booleans(),
    failing_streak=st.none() | st.integers(0, 99),
    health_start_period=moments,
    health_interval=moments,
    restart_policy=st.sampled_from(["no", "always", "on-failure"]),
    stop_timeout=maybe,
    stop_signal=texts,
    cgroup_parent=texts,
    health_retries=st.integers(0, 9),
    cpu_granted=maybe,
    memory_limit=st.integers(0, 2**40),
    cloning=st.builds(
        CloneFacts,
        blockers=st.lists(texts, max_size=2).map(tuple),
        volumes=st.lists(texts, max_size=2).map(tuple),
        reservation=st.integers(0, 2**40),
    ),
    restart_count=st.integers(0, 9),
    exposed_ports=st.lists(st.integers(1, 65535), max_size=3).map(tuple),
)
containers = st.builds(
    Container,
    id=texts,
    name=texts,
    image=texts,
    image_id=texts,
    labels=st.dictionaries(texts, texts, max_size=3),
    status=st.sampled_from(ContainerStatus),
    health=st.sampled_from(Health),
    created_at=moments,
    network_mode=texts,
    networks=st.lists(texts, max_size=3).map(tuple),
    published_ports=st.lists(st.integers(1, 65535), max_size=3).map(tuple),
    detail=st.none() | details,
)
records = st.builds(
    ContainerRecord,
    container=containers,
    restarts=st.integers(0, 99),
    restarts_by_agent=st.integers(0, 99),
    started=maybe,
    ended=maybe,
    exit_code=st.none() | st.integers(0, 255),
    end_cause=st.sampled_from(EndCause),
    operator=st.none() | st.builds(OperatorIntent, action=texts, at=moments, until=moments),
    kill_at=maybe,
    kill_signal=texts,
    own=st.none()
    | st.builds(
        OwnAction,
        verb=st.sampled_from(Verb),
        begun=moments,
        ended=maybe,
        correlation_id=texts,
        begun_again=maybe,
        complete=st.booleans(),
        signal=texts,
        kill_after=maybe,
        signalled=maybe,
        seen=st.lists(texts).map(tuple),
        crossed=st.booleans(),
    ),
    settled_after_end=st.booleans(),
    oom_kills=st.integers(0, 99),
)


@given(records, st.integers(0, 99), maybe)
def test_a_record_comes_back_as_it_went(record: ContainerRecord, position: int, doubted: float | None) -> None:
    stored = json.dumps(record_json(replace(record, last_position=position, doubted=doubted)))

    assert record_from_json(json.loads(stored)) == record


def test_an_action_that_an_earlier_version_stored_is_read_back() -> None:
    own = OwnAction(verb=Verb.RESTART, begun=1.0, ended=2.0, correlation_id="c", begun_again=1.5, complete=True)
    stored = json.loads(json.dumps(record_json(ContainerRecord(container=container(), own=own))))
    known_then = {"verb", "begun", "ended", "correlation_id", "begun_again", "complete"}
    stored["own"] = {name: value for name, value in stored["own"].items() if name in known_then}

    read = record_from_json(stored)

    assert read is not None
    assert read.own == own


@pytest.mark.parametrize("missing", sorted(record_json(ContainerRecord(container=container()))))
def test_a_record_without_one_of_its_fields_is_forgotten(missing: str) -> None:
    stored = record_json(ContainerRecord(container=container()))
    del stored[missing]

    assert record_from_json(stored) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("container", None),
        ("container", {}),
        ("container", {"id": "a", "detail": None}),
        ("end_cause", "fate"),
        ("operator", {"action": "stop"}),
        ("own", {"verb": "dance"}),
        ("restarts", "many"),
    ],
)
def test_a_record_of_another_kind_is_forgotten(field: str, value: object) -> None:
    assert record_from_json({**record_json(ContainerRecord(container=container())), field: value}) is None


def test_what_a_run_knew_the_next_one_knows() -> None:
    agent = Host('  - {name: p, select: {name: "*"}, on: {container: oom}, then: {restart: {}}}')
    agent.docker.create("a", check=True, labels={"x": "y"}, ports=(80,))
    agent.docker.create("b", restart_policy="always")
    agent.docker.stop("b")
    agent.docker.create("c")
    agent.docker.restart("c")
    agent.docker.oom("a")
    agent.deliver()
    agent.carry_out()
    agent.tick(3)
    before = dict(agent.pipeline.state.containers)

    agent.comes_back()

    after = agent.pipeline.state.containers
    assert {key: replace(record, last_position=0) for key, record in before.items()} == {
        key: replace(record, last_position=0) for key, record in after.items()
    }


def test_a_record_of_a_version_that_knew_less_of_a_container_is_read() -> None:
    stored = record_json(ContainerRecord(container=container()))
    read = json.loads(json.dumps(stored))
    for unknown in ("exposed_ports", "cloning", "memory_limit", "cpu_granted", "health_retries"):
        read["container"]["detail"].pop(unknown, None)
    assert record_from_json(read) == ContainerRecord(container=container())
