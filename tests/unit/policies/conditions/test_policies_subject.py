"""The value of every name, for a container, the host and an event; UNKNOWN where it is not known."""

from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from tests.support.core import INFO, NOW, container, container_id, event
from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.decision import Severity
from watchtower_agent.model.engine_event import EngineEvent, EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.sample import SampleBatch, SampleTarget
from watchtower_agent.policies.catalogue import CATALOGUE, Scope
from watchtower_agent.policies.conditions.subject import ContainerSubject, EventSubject, HostSubject, engine_values
from watchtower_agent.policies.conditions.truth import UNKNOWN, Value
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

MOMENT = Instant(wall=NOW, monotonic=10.0)


def state(*, connected: bool = True) -> HostState:
    made = HostState("h1")
    engine = made.engine
    engine.info, engine.connected, engine.listed, engine.responding = INFO, connected, connected, connected
    engine.latency, engine.event_lag, engine.restarts, engine.images = 0.02, 0.001, 2, 12
    statuses = ["running", "running", "paused", "exited", "created", "restarting"]
    for number, status in enumerate(statuses):
        each = container(f"c{number}", status=ContainerStatus(status))
        made.containers[each.id] = ContainerRecord(container=each)
    made.apply_samples(
        SampleBatch(
            at=MOMENT,
            interval=1.0,
            targets=(SampleTarget(container_id=container_id("web")),),
            columns={"memory.percent": array("d", [42.0]), "cpu.percent": array("d", [float("nan")])},
            host={"host.memory.percent": 60.0, "engine.memory": 2.0**27},
        )
    )
    return made


def record() -> ContainerRecord:
    made = replace(container(health=Health.UNHEALTHY, failing_streak=3, labels={"a": "b"}), image_id="sha256:ab")
    return ContainerRecord(container=made, started=NOW - 100, exit_code=3, restarts=5, restarts_by_agent=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "running"),
        ("health", "unhealthy"),
        ("health.failing_streak", 3),
        ("exit_code", 3),
        ("restarts", 5),
        ("restarts_by_agent", 2),
        ("age", 7200.0),
        ("uptime", 100.0),
        ("name", "web"),
        ("image", "web:1"),
        ("image.id", "sha256:ab"),
        ("memory.percent", 42.0),
        ("cpu.percent", UNKNOWN),
        ("memory.usage", UNKNOWN),
        ("host.memory.percent", 60.0),
        ("host.cpu.percent", UNKNOWN),
        ("engine.connected", True),
        ("engine.responding", True),
        ("engine.latency", 0.02),
        ("engine.event_lag", 0.001),
        ("engine.restarts", 2),
        ("engine.containers.running", 2),
        ("engine.containers.paused", 1),
        ("engine.containers.stopped", 3),
        ("engine.images", 12),
    ],
)
def test_every_name_of_a_container(name: str, value: Value) -> None:
    assert ContainerSubject(state(), MOMENT, record()).value(name) == value


def test_before_the_first_try_has_ended_nothing_is_known_of_the_engine() -> None:
    subject = HostSubject(HostState("h1"), MOMENT)
    for name in ("engine.connected", "engine.responding", "engine.latency", "engine.containers.running"):
        assert subject.value(name) is UNKNOWN


def test_no_name_of_the_catalogue_is_forgotten() -> None:
    made = state()
    made.samples = None
    subject = EventSubject(ContainerSubject(made, MOMENT, record()), event("kill", signal="9", exitCode="1"), MOMENT)

    unknown = {name for name, entry in CATALOGUE.items() if not entry.sampled and subject.value(name) is UNKNOWN}
    assert unknown == set()
    assert {entry.scope for entry in CATALOGUE.values()} == set(Scope)


@pytest.mark.parametrize(
    ("changed", "name", "value"),
    [
        ({"status": ContainerStatus.EXITED}, "uptime", UNKNOWN),
        ({"status": ContainerStatus.EXITED}, "health", "none"),
        ({"status": ContainerStatus.PAUSED}, "uptime", 100.0),
        ({"status": ContainerStatus.PAUSED}, "health", "unhealthy"),
        ({"detail": None}, "health.failing_streak", UNKNOWN),
        ({"image_id": ""}, "image.id", UNKNOWN),
        ({"created_at": NOW + 9}, "age", 0.0),
    ],
)
def test_what_a_container_does_not_have_is_unknown(changed: dict[str, object], name: str, value: Value) -> None:
    made = record()
    made.container = replace(made.container, **changed)  # type: ignore[arg-type] # fields of any type, given by name

    assert ContainerSubject(state(), MOMENT, made).value(name) == value


def test_what_the_record_does_not_know_is_unknown() -> None:
    made = ContainerRecord(container=container())
    subject = ContainerSubject(state(), MOMENT, made)

    assert subject.value("exit_code") is UNKNOWN
    assert subject.value("uptime") is UNKNOWN


def test_while_the_engine_is_lost_only_what_is_measured_is_known() -> None:
    subject = ContainerSubject(state(connected=False), MOMENT, record())

    values = {name: subject.value(name) for name in ("status", "health", "restarts", "engine.containers.running")}
    assert set(values.values()) == {UNKNOWN}
    assert subject.value("memory.percent") == 42.0
    assert subject.value("engine.connected") is False


def test_labels_and_attributes() -> None:
    subject = ContainerSubject(state(), MOMENT, record())
    host = HostSubject(state(), MOMENT)

    assert (subject.label("a"), subject.label("b")) == ("b", "")
    assert (host.label("a"), host.attribute("a")) == (UNKNOWN, UNKNOWN)
    assert subject.attribute("a") is UNKNOWN
    told = EventSubject(subject, event("die", team="x"), MOMENT)
    assert (told.attribute("team"), told.attribute("none"), told.label("a")) == ("x", "", "b")


@pytest.mark.parametrize(
    ("told", "name", "value"),
    [
        (event("die", at=NOW - 2), "event.kind", "container"),
        (event("die", at=NOW - 2), "event.action", "die"),
        (event("die", at=NOW - 2), "event.age", 2.0),
        (event("die", at=NOW + 2), "event.age", 0.0),
        (event("die"), "event.name", "web"),
        (event("die", exitCode="137"), "event.exit_code", 137),
        (event("die", exitCode="-1"), "event.exit_code", -1),
        (event("die", exitCode="--1"), "event.exit_code", UNKNOWN),
        (event("die", exitCode="1e3"), "event.exit_code", UNKNOWN),
        (event("die", exitCode="1" * 11), "event.exit_code", UNKNOWN),
        (event("die", exitCode="\u0661"), "event.exit_code", UNKNOWN),
        (event("die"), "event.exit_code", UNKNOWN),
        (event("kill", signal="15"), "event.signal", "15"),
        (event("kill"), "event.signal", UNKNOWN),
        (event("die"), "status", "running"),
        (event("die"), "event.colour", UNKNOWN),
    ],
)
def test_every_name_of_an_event(told: EngineEvent, name: str, value: Value) -> None:
    subject = EventSubject(ContainerSubject(state(), MOMENT, record()), told, MOMENT)

    assert subject.value(name) == value


@pytest.mark.parametrize(("name", "key"), [("event.exit_code", "exitCode"), ("event.signal", "signal")])
def test_a_label_does_not_pass_for_what_the_engine_says(name: str, key: str) -> None:
    made = record()
    made.container = replace(made.container, labels={key: "7"})
    subject = EventSubject(ContainerSubject(state(), MOMENT, made), event("die", labels={key: "7"}), MOMENT)

    assert subject.value(name) is UNKNOWN
    assert subject.attribute(key) == "7"


def test_the_agents_own_events() -> None:
    notice = Notice(
        kind=EventKind.AGENT,
        action="event_gap",
        subject="x",
        severity=Severity.WARNING,
        reason="",
        data={"cause": "audit", "count": 3},
        at=NOW - 5,
    )
    subject = EventSubject(HostSubject(state(), MOMENT), notice, MOMENT)

    assert [subject.value(f"event.{name}") for name in ("kind", "action", "name", "age")] == [
        "agent",
        "event_gap",
        "x",
        5.0,
    ]
    assert (subject.attribute("count"), subject.value("event.signal")) == ("3", UNKNOWN)


def test_every_container_is_counted_once_whatever_its_state() -> None:
    made = HostState("h1")
    made.engine.connected = made.engine.listed = True
    for number, status in enumerate(ContainerStatus):
        each = container(f"c{number}", status=status)
        made.containers[each.id] = ContainerRecord(container=each)
    counts = [engine_values(made)[f"engine.containers.{state}"] for state in ("running", "paused", "stopped")]
    assert counts == [1, 1, len(ContainerStatus) - 2]


def test_the_numbers_of_the_engine_in_a_batch_of_metrics() -> None:
    assert engine_values(state()) == {
        "engine.responding": 1.0,
        "engine.connected": 1.0,
        "engine.latency": 0.02,
        "engine.event_lag": 0.001,
        "engine.restarts": 2.0,
        "engine.images": 12.0,
        "engine.containers.running": 2.0,
        "engine.containers.paused": 1.0,
        "engine.containers.stopped": 3.0,
        "engine.memory": 2.0**27,
    }


@pytest.mark.parametrize("name", [e.name for e in CATALOGUE.values() if e.sampled and e.scope is not Scope.CONTAINER])
def test_what_is_sampled_of_the_host_and_its_engine_has_its_value(name: str) -> None:
    made = state()
    made.apply_samples(SampleBatch(at=MOMENT, interval=1.0, host={name: 7.0}))
    assert HostSubject(made, MOMENT).value(name) == 7
    assert HostSubject(made, replace(MOMENT, monotonic=14.0)).value(name) is UNKNOWN


@pytest.mark.parametrize("name", [e.name for e in CATALOGUE.values() if e.sampled and e.scope is Scope.CONTAINER])
def test_what_is_sampled_of_a_container_has_its_value(name: str) -> None:
    made = state()
    target = SampleTarget(container_id=container_id("web"))
    made.apply_samples(SampleBatch(at=MOMENT, interval=1.0, targets=(target,), columns={name: array("d", [7.0])}))
    assert ContainerSubject(made, MOMENT, ContainerRecord(container=container())).value(name) == 7
