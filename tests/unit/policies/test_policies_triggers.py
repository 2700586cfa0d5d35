"""Events as triggers: which events set a policy off, and what it then wants."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core import INFO, NOW, container, container_id, event, policy_set
from watchtower_agent.model.container import Container, ContainerStatus, Health
from watchtower_agent.model.decision import Decision, Edge, Severity, Target, TargetKind, Verb
from watchtower_agent.model.engine_event import EngineEvent, EventKind, Origin
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.policies.triggers import still_true, triggered
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

MOMENT = Instant(wall=NOW, monotonic=10.0)
EXITED = container(status=ContainerStatus.EXITED)
RUNNING = container()


def wanted(
    policies: str, told: EngineEvent | Notice | Edge, made: Container | None = EXITED, **fields: object
) -> list[Decision]:
    state = HostState("h1")
    state.engine.info, state.engine.connected, state.engine.listed = INFO, True, True
    record = None
    if made is not None:
        record = replace(ContainerRecord(container=made, started=NOW - 3600), **fields)  # type: ignore[arg-type] # by name
        state.containers[made.id] = record
    return list(triggered(policy_set(policies), state, told, record, "corr", MOMENT))


def on(trigger: str, keys: str = "", select: str = '{name: "*"}', then: str = "{restart: {}}") -> str:
    selects = f"\n  select: {select}" if select else ""
    return f"- name: p{selects}\n  on: {trigger}\n  then: {then}\n  {keys}".rstrip()


@pytest.mark.parametrize(
    ("policies", "told", "sets_off"),
    [
        (on("{container: die}"), event("die"), True),
        (on("{container: die}"), event("start"), False),
        (on("{container: [oom, die]}"), event("die"), True),
        (on('{container: "*"}'), event("die"), True),
        (on("{container: die}", select="{name: web}"), event("die"), True),
        (on("{container: die}", select="{name: db}"), event("die"), False),
        (on("{container: die}", "where: event.exit_code != 0"), event("die", exitCode="1"), True),
        (on("{container: die}", "where: event.exit_code != 0"), event("die", exitCode="0"), False),
        (on("{container: die}", "where: event.exit_code != 0"), event("die"), False),
        (on("{container: die}", 'where: event.attributes["team"] == "x"'), event("die", team="x"), True),
        (on("{container: die}", "mode: off"), event("die"), False),
        (on("{container: die}", "mode: shadow"), event("die"), True),
        ('- {name: p, select: {name: "*"}, when: restarts > 3, then: {restart: {}}}', event("die"), False),
    ],
)
def test_which_events_set_a_policy_off(policies: str, told: EngineEvent, *, sets_off: bool) -> None:
    assert bool(wanted(policies, told)) is sets_off


def test_without_a_selector_it_is_about_whatever_happened() -> None:
    tells = on("{container: die}", select="", then="{notify: {}}")
    (decision,) = wanted(tells, event("die"))
    assert decision.target == Target(kind=TargetKind.CONTAINER, id=container_id("web"), name="web")

    pulled = on("{image: pull}", select="", then="{notify: {}}")
    (decision,) = wanted(pulled, event("pull", "web:2", kind=EventKind.IMAGE), None)
    assert decision.target == Target(kind=TargetKind.HOST, name="h1")


def test_what_is_wanted_says_why() -> None:
    told = event("die", exitCode="137")
    act, tell = wanted(on("{container: die}", then="{restart: {stop_timeout: 7s}, notify: {message: Look}}"), told)

    assert (act.verb, tell.verb) == (Verb.RESTART, Verb.NOTIFY)
    assert act.reason == tell.reason == "exit code 137"
    assert act.numbers == {"exit_code": 137}
    assert act.parameters == {"stop_timeout": 7.0}
    assert tell.parameters == {"severity": "warning", "message": "Look"}
    assert {act.correlation_id, tell.correlation_id} == {"corr"}
    assert {act.cause_id, tell.cause_id} == {told.id}
    assert act.from_event
    assert act.expires_at == tell.expires_at == NOW + 900
    assert act.id != tell.id


def test_the_same_event_always_makes_the_same_decision() -> None:
    told = event("die")

    assert [d.id for d in wanted(on("{container: die}"), told)] == [d.id for d in wanted(on("{container: die}"), told)]
    assert wanted(on("{container: die}"), event("die", at=NOW + 1))[0].id != wanted(on("{container: die}"), told)[0].id


@pytest.mark.parametrize(
    ("label", "timeout"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("999999", 3600.0),
        ("99999999999999999999", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
    ],
)
def test_the_stop_timeout_that_a_container_asks_for(label: str, timeout: float | None) -> None:
    made = replace(EXITED, labels={"autoheal.stop.timeout": label})
    (decision,) = wanted(on("{container: die}"), event("die"), made)
    assert decision.parameters["stop_timeout"] == timeout

    (decision,) = wanted(on("{container: die}", then="{restart: {stop_timeout: 7s}}"), event("die"), made)
    assert decision.parameters["stop_timeout"] == 7.0


# --- what was missed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "age", "made", "sets_off"),
    [
        (Origin.STREAM, 0, EXITED, True),
        (Origin.STREAM, 3600, EXITED, True),
        (Origin.STREAM, 0, RUNNING, True),
        (Origin.REPLAY, 0, EXITED, True),
        (Origin.REPLAY, 300, EXITED, True),
        (Origin.REPLAY, 300.1, EXITED, False),
        (Origin.REPLAY, 0, RUNNING, False),
        (Origin.SYNTHETIC, 300, EXITED, True),
        (Origin.SYNTHETIC, 301, EXITED, False),
        (Origin.SYNTHETIC, 0, RUNNING, False),
    ],
)
def test_what_was_missed_triggers_while_it_is_fresh_and_true(
    origin: Origin, age: float, made: Container, *, sets_off: bool
) -> None:
    assert bool(wanted(on("{container: die}"), event("die", at=NOW - age, origin=origin), made)) is sets_off


@pytest.mark.parametrize(
    ("told", "made", "started", "true"),
    [
        (event("die"), EXITED, None, True),
        (event("die"), RUNNING, None, False),
        (event("stop"), EXITED, None, True),
        (event("kill"), RUNNING, None, True),
        (event("kill"), EXITED, NOW, True),
        (event("kill"), RUNNING, NOW + 1, False),
        (event("health_status", detail="unhealthy"), replace(RUNNING, health=Health.UNHEALTHY), None, True),
        (event("health_status", detail="unhealthy"), replace(RUNNING, health=Health.HEALTHY), None, False),
        (event("health_status", detail="unhealthy"), replace(EXITED, health=Health.UNHEALTHY), None, False),
        (event("oom"), RUNNING, NOW - 1, True),
        (event("oom"), RUNNING, NOW, True),
        (event("oom"), RUNNING, NOW + 1, False),
        (event("oom"), RUNNING, None, True),
        (event("oom"), RUNNING, NOW + 3600, True),  # stamped before the clock was stepped back
        (event("kill"), RUNNING, NOW + 3600, True),
        (event("start"), RUNNING, None, True),
        (event("restart"), EXITED, None, False),
        (event("unpause"), replace(RUNNING, status=ContainerStatus.PAUSED), None, False),
        (event("pause"), replace(RUNNING, status=ContainerStatus.PAUSED), None, True),
        (event("pause"), RUNNING, None, False),
        (event("rename"), EXITED, None, True),
    ],
)
def test_whether_it_is_true_still(told: EngineEvent, made: Container, started: float | None, *, true: bool) -> None:
    assert still_true(told, ContainerRecord(container=made, started=started), MOMENT) is true


def test_of_a_container_that_is_gone_nothing_is_true_and_of_other_things_all_is() -> None:
    assert not still_true(event("die"), None, MOMENT)
    assert still_true(event("pull", kind=EventKind.IMAGE), None, MOMENT)


# --- the agent's own events -----------------------------------------------------------------------------------------


def notice(kind: EventKind, action: str, subject: str = "") -> Notice:
    return Notice(kind=kind, action=action, subject=subject, reason="because", at=NOW)


@pytest.mark.parametrize(
    ("trigger", "told", "sets_off"),
    [
        ("{engine: down}", notice(EventKind.ENGINE, "down"), True),
        ("{engine: down}", notice(EventKind.ENGINE, "up"), False),
        ("{agent: event_gap}", notice(EventKind.AGENT, "event_gap"), True),
        ("{policy: rejected}", notice(EventKind.POLICY, "rejected"), True),
    ],
)
def test_the_agents_own_events_trigger_too(trigger: str, told: Notice, *, sets_off: bool) -> None:
    found = wanted(on(trigger, select="", then="{notify: {}}"), told, None)

    assert bool(found) is sets_off
    assert all(decision.reason == "because" and decision.cause_id == "corr" for decision in found)


@pytest.mark.parametrize("firing", [True, False])
def test_edges_trigger_as_events_about_their_container(*, firing: bool) -> None:
    edge = Edge(
        policy="full",
        target=Target(kind=TargetKind.CONTAINER, id=container_id("web"), name="web"),
        firing=firing,
        severity=Severity.WARNING,
        reason="web: full",
        since=NOW,
        at=NOW,
        correlation_id="corr",
    )
    action = "firing" if firing else "resolved"
    where = 'where: event.name == "full" and event.attributes["target"] == "web"'
    (decision,) = wanted(on(f"{{policy: {action}}}", where, select="", then="{notify: {}}"), edge, RUNNING)

    assert decision.target.name == "web"
    assert wanted(on("{policy: loaded}", select="", then="{notify: {}}"), edge, RUNNING) == []
