from __future__ import annotations

import json
import math
from array import array
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.facts import (
    ALONE,
    CORRELATION,
    ID,
    LABELS,
    LEADER,
    NOW,
    container,
    decision,
    dropped,
    edge,
    engine_event,
    held,
    metrics_table,
    outcome,
    view,
)
from tests.support.schema import strict_json, validate_message
from watchtower_agent.loop.prune_notices import pruned
from watchtower_agent.model.decision import Severity, Verb
from watchtower_agent.model.engine_event import ENGINE_KINDS, SWARM_KINDS, EngineEvent, EventKind, Origin
from watchtower_agent.model.fact import AgentInfo, ContainerView, Fact
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.message import EventMessage
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import EngineInfo
from watchtower_agent.model.outcome import Intent, Result
from watchtower_agent.model.removal import Kind
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.policies.pruning.course import Course
from watchtower_agent.policies.pruning.item import Item
from watchtower_agent.policies.pruning.step import Result as StepResult, Step
from watchtower_agent.publishing.cloudevent import CloudEventComposer
from watchtower_agent.publishing.metrics_parts import parts


def composer(engine: EngineInfo | None = LEADER, **options: Any) -> CloudEventComposer:  # noqa: ANN401 - the constructor's own
    made = CloudEventComposer(host="h1", install_id="i1", **options)
    if engine is not None:
        made.engine_changed(engine)
    return made


def compose(
    fact: Fact, seen: ContainerView | None = None, made: CloudEventComposer | None = None
) -> tuple[EventMessage, Any]:
    message = (made or composer()).event(fact, sequence=123, correlation_id=CORRELATION, view=seen)
    assert message is not None
    return message, validate_message(message.topic, message.payload)


def topic_of(fact: Fact) -> str:
    return compose(fact)[0].topic.removeprefix("watchtower/v1/h1/event/")


def test_an_engine_event_as_the_reference_shows_it() -> None:
    message, event = compose(engine_event(exitCode="137"), view(), composer(labels=["team"]))
    assert message.topic == "watchtower/v1/h1/event/container/die/web"
    assert event == {
        "specversion": "1.0",
        "id": "e" * 32,
        "source": "/watchtower/hosts/h1/engines/engine-1",
        "type": "io.watchtower.container.die.v1",
        "subject": "container/web",
        "time": "2026-09-21T14:13:20.123456789Z",
        "datacontenttype": "application/json",
        "sequence": "000000000123",
        "severity": "warning",
        "correlationid": CORRELATION,
        "origin": "stream",
        "data": {
            "container": {
                "id": ID,
                "name": "web",
                "image": "web:1.2",
                "labels": {"team": "payments"},
                "compose": {"project": "shop", "service": "web"},
            },
            "exit_code": 137,
            "oom_kills": 1,
            "last_sample": {"cpu.percent": 12.3457, "memory.oom_kills": 1},
        },
    }
    assert dict(message.properties) == {name: event[name] for name in event if name != "data"}


STORE_RESET = Notice(
    kind=EventKind.AGENT,
    action="event_gap",
    reason="x",
    data={"cause": "store_reset"},
    at=NOW,
    severity=Severity.CRITICAL,
)

FACTS: list[tuple[Fact, str]] = [
    (engine_event("start"), "container/start/web"),
    (engine_event("health_status", detail="unhealthy"), "container/health_status/web"),
    (engine_event("rename", oldName="/old"), "container/rename/web"),
    (engine_event("kill", signal="15"), "container/kill/web"),
    (engine_event("prune", actor="", name="", reclaimed="12"), "container/prune/self"),
    (engine_event("pull", kind=EventKind.IMAGE, actor="web:1", name="web"), "image/pull/web_1_f1f5e2a4"),
    (engine_event("create", kind=EventKind.VOLUME, actor="data", driver="local"), "volume/create/data"),
    (engine_event("connect", kind=EventKind.NETWORK, actor="n1", name="shop", container=ID), "network/connect/shop"),
    (engine_event("reload", kind=EventKind.DAEMON, actor="engine-1", name="h1"), "daemon/reload/self"),
    (engine_event("enable", kind=EventKind.PLUGIN, actor="p1", name="p"), "plugin/enable/self"),
    (engine_event("update", kind=EventKind.SERVICE, actor="s1", name="shop_web"), "service/update/shop_web"),
    (engine_event("update", kind=EventKind.NODE, actor="n1", name="node"), "node/update/self"),
    (engine_event("create", kind=EventKind.SECRET, actor="x1", name="s"), "secret/create/self"),
    (engine_event("create", kind=EventKind.CONFIG, actor="x1", name="c"), "config/create/self"),
    (engine_event("prune", kind=EventKind.BUILDER, actor="", reclaimed="3"), "builder/prune/self"),
    (edge(), "policy/firing/heal"),
    (edge(firing=False), "policy/resolved/heal"),
    (decision(), "policy/decision/heal"),
    (held(), "policy/held/heal"),
    (dropped(), "policy/dropped/heal"),
    (Intent(decision=decision(), at=NOW), "action/started/web"),
    *((outcome(result), f"action/{result.value}/web") for result in Result),
    (outcome(verb=Verb.NOTIFY), "action/notify/web"),
    (
        Notice(kind=EventKind.ENGINE, action="down", reason="it does not answer", data={"error": "x"}, at=NOW),
        "engine/down/self",
    ),
    (
        Notice(kind=EventKind.AGENT, action="event_gap", reason="x", data={"cause": "audit", "count": None}, at=NOW),
        "agent/event_gap/self",
    ),
    (
        Notice(kind=EventKind.POLICY, action="loaded", reason="x", data={"policies": {}, "digest": "x"}, at=NOW),
        "policy/loaded/self",
    ),
]


@pytest.mark.parametrize(("fact", "topic"), FACTS, ids=[topic for _, topic in FACTS])
def test_every_fact_has_its_topic_and_fits_its_schema(fact: Fact, topic: str) -> None:
    wanted, found = topic.split("/"), topic_of(fact).split("/")
    assert found[:2] == wanted[:2]
    assert found[2] == wanted[2] or (found[2].startswith("web_1_") and wanted[2].startswith("web_1_"))
    compose(fact, view())
    compose(fact, None, composer(labels=["*"]))


def test_every_kind_of_the_engine_is_among_them() -> None:
    assert {fact.kind for fact, _ in FACTS if isinstance(fact, EngineEvent)} == ENGINE_KINDS


def test_ids() -> None:
    assert compose(engine_event())[1]["id"] == "e" * 32
    assert compose(edge())[1]["id"] == "i1-123"


def test_source_before_an_engine_is_known() -> None:
    notice = Notice(kind=EventKind.ENGINE, action="down", reason="x", data={"error": "x"}, at=NOW)
    assert compose(notice, made=composer(None))[1]["source"] == "/watchtower/hosts/h1"


def test_no_correlation_is_no_attribute() -> None:
    message = composer().event(engine_event("start"), sequence=1, correlation_id="", view=None)
    assert message is not None
    assert "correlationid" not in validate_message(message.topic, message.payload)


@pytest.mark.parametrize(
    ("fact", "severity"),
    [
        (engine_event("oom"), "critical"),
        (engine_event("die", exitCode="1"), "warning"),
        (engine_event("die", exitCode="0"), "info"),
        (engine_event("die"), "warning"),
        (engine_event("health_status", detail="unhealthy"), "warning"),
        (engine_event("health_status", detail="healthy"), "info"),
        (engine_event("start"), "info"),
        (edge(), "warning"),
        (edge(firing=False), "info"),
        (outcome(Result.FAILED), "warning"),
        (outcome(), "info"),
        (outcome(verb=Verb.NOTIFY), "warning"),
        (STORE_RESET, "critical"),
    ],
)
def test_severities(fact: Fact, severity: str) -> None:
    assert compose(fact)[1]["severity"] == severity


@pytest.mark.parametrize("seen", [view(), None])
@pytest.mark.parametrize(
    ("globs", "allowed"),
    [([], set()), (["tea*"], {"team"}), (["team", "secret"], {"team", "secret"}), (["TEAM", "eam"], set())],
)
def test_labels_leave_by_allow_list_only(seen: ContainerView | None, globs: list[str], allowed: set[str]) -> None:
    message, event = compose(engine_event(exitCode="1"), seen, composer(labels=globs))
    assert event["data"]["container"]["labels"] == {name: LABELS[name] for name in allowed}
    assert event["data"]["container"]["compose"] == {"project": "shop", "service": "web"}
    assert (b"hunter2" in message.payload) == ("secret" in allowed)


@pytest.mark.parametrize("kind", sorted(ENGINE_KINDS))
def test_no_attribute_leaves_that_the_engine_did_not_write(kind: EventKind) -> None:
    message, _ = compose(engine_event("update", kind=kind, actor="a1", name="n", secret="hunter2", signal="hunter 2"))
    assert b"hunter" not in message.payload


def test_a_label_that_poses_as_an_exit_code_is_not_believed() -> None:
    seen = view(labels={"exitCode": "0", "signal": "KILL"})
    assert "exit_code" not in compose(engine_event(exitCode="0", signal="KILL"), seen)[1]["data"]
    assert "exit_code" not in compose(engine_event(exitCode="hunter2"))[1]["data"]
    assert compose(engine_event(exitCode="0"), seen)[1]["severity"] == "warning"


def test_values_of_labels_do_not_leave_among_the_numbers() -> None:
    secret = {'labels["secret"]': "hunter2", 'event.attributes["secret"]': "hunter2"}
    kept = {'event.attributes["exitCode"]': "1", 'labels["team"]': "payments"}
    for fact in (edge(numbers=secret | kept), decision(Verb.STOP, secret | kept)):
        message, event = compose(fact, None, composer(labels=["team"]))
        assert b"hunter2" not in message.payload
        assert event["data"]["numbers"] == kept


def test_exec_events_are_published_on_demand_and_never_with_their_command() -> None:
    event = engine_event("exec_die", execID="x1", exitCode="1")
    assert composer().event(event, sequence=1, correlation_id="", view=None) is None
    data = compose(event, view(), composer(exec_events=True))[1]["data"]
    assert (data["exec_id"], data["exit_code"]) == ("x1", 1)


@pytest.mark.parametrize("kind", sorted(SWARM_KINDS))
def test_events_of_swarm_scope_are_the_leaders(kind: EventKind) -> None:
    event = engine_event("update", kind=kind, actor="a", name="n")
    assert composer(LEADER).event(event, sequence=1, correlation_id="", view=None) is not None
    for engine in (ALONE, None):
        assert composer(engine).event(event, sequence=1, correlation_id="", view=None) is None


def test_held_says_what_was_wanted_what_stopped_it_and_until_when() -> None:
    event = compose(held(), view())[1]
    data = event["data"]
    assert event["time"] == "2026-09-21T14:13:21.250000Z"
    assert (data["guard"], data["reason"], data["numbers"]) == (
        "operator_intent",
        "a person stopped it 3 s ago",
        {"stopped_for": 3.0},
    )
    assert data["decision_reason"] == "health was unhealthy for 60 s"
    assert data["release_at"] == "2026-09-21T14:28:20.250000Z"
    assert (data["verb"], data["policy"], data["target"]["name"]) == ("restart", "heal", "web")
    assert data["container"]["name"] == "web"


def test_decision_action_and_outcome_say_their_cause() -> None:
    for fact in (decision(), Intent(decision=decision(), at=NOW), outcome()):
        event = compose(fact)[1]
        assert (event["correlationid"], event["data"]["cause_id"]) == (CORRELATION, "e" * 32)
    assert compose(outcome())[1]["data"]["duration"] == pytest.approx(0.3)


HOSTILE = st.text(max_size=30) | st.sampled_from(["\x1b[2J", "a" * 65536, "\ud800", "\u202e", "+#/\0", "\x9b31m", "é…"])


@given(HOSTILE, st.dictionaries(HOSTILE, HOSTILE, max_size=5), HOSTILE)
def test_hostile_names_and_labels_stay_inside_their_places(name: str, labels: Mapping[str, str], other: str) -> None:
    made = composer(labels=["*"])
    event = EngineEvent(
        id="e" * 32,
        kind=EventKind.CONTAINER,
        action=name or "x",
        detail=other,
        actor_id=ID,
        attributes={**labels, "name": name, "image": other, "exitCode": other},
        time_ns=-1,
        origin=Origin.REPLAY,
    )
    for seen in (view(name, labels), None):
        message, _ = compose(event, seen, made)
        assert not any(ord(char) < 0x20 or 0x7F < ord(char) < 0xA0 for char in message.payload.decode())
        assert all(
            ("\0" not in value and value.isprintable()) or ord(max(value)) > 0x9F for _, value in message.properties
        )
        state = made.container_state(view(name, labels))
        validate_message(state.topic, state.payload)
    facts = {"error": other, "because": dict(labels)}
    found = composer().event(
        Notice(kind=EventKind.ENGINE, action="down", subject=name, reason=other, data=facts, at=NOW),
        sequence=1,
        correlation_id=CORRELATION,
        view=None,
    )
    assert found is not None
    assert set(strict_json(found.payload)["data"]) == {"reason", "error", "because"}


@pytest.mark.parametrize(
    "char", ["\0", "\x1f", "\x7f", "\x9f", "\ud800", "\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0010ffff"]
)
def test_a_name_with_what_brokers_do_not_take_in_a_text_is_shown_without(char: str) -> None:
    event = EngineEvent(
        id="e" * 32,
        kind=EventKind.NETWORK,
        action="create",
        detail="",
        actor_id=ID,
        attributes={"name": f"a{char}\ufffc\U0010fffdb", "type": "bridge"},
        time_ns=1,
        origin=Origin.STREAM,
    )
    message, _ = compose(event)
    assert dict(message.properties)["subject"] == "network/a\ufffd\ufffc\U0010fffdb"


def test_payloads_are_bounded() -> None:
    labels = {f"label.{number}": "x" * 65536 for number in range(1000)}
    message, event = compose(engine_event(), view(labels=labels), composer(labels=["*"]))
    assert len(message.payload) < 32 * 1024
    kept = event["data"]["container"]["labels"]
    assert len(kept) >= 10
    assert all(len(value) <= 1024 for value in kept.values())
    problems = Notice(
        kind=EventKind.POLICY, action="rejected", reason="x", data={"problems": ["y" * 3000] * 5000}, at=NOW
    )
    message, event = compose(problems)
    assert event["data"] == {"reason": "x", "truncated": True}


def test_what_is_not_known_is_never_a_number() -> None:
    nan = float("nan")
    data = compose(engine_event(), view(sample={"cpu.percent": nan, "memory.usage": math.inf, "pids": 3.0}))[1]["data"]
    assert data["last_sample"] == {"pids": 3}
    assert compose(edge(numbers={"x": nan}))[1]["data"]["numbers"] == {"x": None}
    notice = Notice(
        kind=EventKind.AGENT, action="x", reason="x", data={"a": nan, "b": [1.5, nan], "c": {"d": {1}}}, at=NOW
    )
    made = composer().event(notice, sequence=123, correlation_id=CORRELATION, view=None)
    assert made is not None
    assert strict_json(made.payload)["data"] == {"reason": "x", "b": [1.5, None], "c": {"d": [1]}}


def test_retained_state() -> None:
    made = composer(labels=["team"])
    message = made.container_state(view())
    state = validate_message(message.topic, message.payload)
    assert message.topic == made.container_topic("web") == "watchtower/v1/h1/state/container/web"
    assert (state["status"], state["running"], state["health"], state["exit_code"]) == ("running", True, "unhealthy", 1)
    assert (state["restarts"], state["restarts_by_agent"], state["labels"]) == (2, 1, {"team": "payments"})
    assert "operator" not in state
    left_alone = ContainerView(
        container=container(), operator_action="stop", operator_action_at=NOW, hands_off_until=NOW + 900
    )
    message = made.container_state(left_alone)
    assert validate_message(message.topic, message.payload)["operator"] == {
        "action": "stop",
        "at": "2026-09-21T14:13:20.250000Z",
        "hands_off_until": "2026-09-21T14:28:20.250000Z",
    }


def test_a_new_sample_does_not_change_the_retained_state() -> None:
    made = composer()
    assert made.container_state(view(sample={"cpu.percent": 1.0})) == made.container_state(view(sample={}))


def test_container_topics() -> None:
    made = composer()
    mine = made.container_topic("web")
    assert list(made.container_topics([mine, "watchtower/v1/h2/state/container/web", "watchtower/v1/h1/info"])) == [
        mine
    ]


def test_info() -> None:
    info = AgentInfo(
        policies={"heal": "shadow"}, policies_digest="p", settings_digest="s", last_sequence=7, mode="observe"
    )
    for engine in (LEADER, None):
        message = composer(engine).info(info)
        content = validate_message(message.topic, message.payload)
        assert (content["policies"], content["last_sequence"]) == ({"heal": "shadow"}, 7)
        assert content.get("engine", {}).get("id") == (engine.id if engine else None)


def batch() -> SampleBatch:
    return SampleBatch(
        at=Instant(wall=NOW, monotonic=1.0),
        interval=1.0,
        columns={"cpu.percent": array("d", [1.0])},
        host={"host.cpu.percent": 12.34567, "host.load1": float("nan")},
    )


def test_what_a_deletion_freed_is_told_as_not_known_where_the_engines_disk_can_not_be_measured() -> None:
    image = Item(kind=Kind.IMAGE, id="sha256:1", name="shop:1", size=7, unused=9.0, asked=5.0, tags=("shop:1",))
    step = Step.of(image, StepResult.DELETED)
    _, event = compose(
        pruned(decision(), Course(id="d1", steps=(step,)), step, image, Instant(wall=NOW, monotonic=5.0))
    )
    assert event["data"]["freed"] is None, "of an engine elsewhere, say: the contract promises the key"
    assert "free" not in event["data"]


def test_the_batch_of_metrics_in_the_schema_of_the_reference() -> None:
    task = "abcdefghij0123456789klmno"
    labels = {"com.docker.swarm.service.name": "shop_web"}
    views = [view(), view(f"shop_web.3.{task}", labels, {"cpu.percent": 1 / 3, "memory.usage": 4096.0})]
    (message,) = composer().metrics(
        batch(), metrics_table(*views), {"engine.latency": 0.001}, sequence=5, interval=10.0
    )
    assert (message.topic, message.expiry) == ("watchtower/v1/h1/metrics", 30)
    content = validate_message(message.topic, message.payload)
    assert {name: value for name, value in content.items() if name != "containers"} == {
        "schema": 1,
        "host": "h1",
        "node": "n1",
        "time": "2026-09-21T14:13:20.250000Z",
        "interval": 10.0,
        "sequence": 5,
        "host_metrics": {"host.cpu.percent": 12.3457},
        "engine": {"engine.latency": 0.001},
    }
    assert content["containers"][1] == {
        "name": f"shop_web.3.{task}",
        "id": ID,
        "service": "shop_web",
        "task_slot": 3,
        "health": "unhealthy",
        "uptime": 60.0,
        "cpu.percent": 0.3333,
        "memory.usage": 4096,
    }
    assert b"hunter2" not in message.payload


@pytest.mark.parametrize(("engine", "node"), [(LEADER, "n1"), (ALONE, ""), (None, None)])
def test_the_node_is_empty_outside_a_swarm_and_absent_while_that_is_not_known(
    engine: EngineInfo | None, node: str | None
) -> None:
    for message in composer(engine, per_container=True).metrics(
        batch(), metrics_table(view()), {}, sequence=1, interval=10.0
    ):
        assert validate_message(message.topic, message.payload).get("node") == node


def test_one_message_per_container_where_asked_for() -> None:
    messages = composer(per_container=True).metrics(batch(), metrics_table(view()), {}, sequence=1, interval=2.5)
    assert [message.topic for message in messages] == [
        "watchtower/v1/h1/metrics",
        "watchtower/v1/h1/metrics/container/web",
    ]
    for message in messages:
        validate_message(message.topic, message.payload)
        assert message.expiry == 8


def test_long_names_and_labels_of_one_container_do_not_make_the_batch_of_the_host_large() -> None:
    labels = {
        "com.docker.compose.project": "p" * 64_000,
        "com.docker.compose.service": "s" * 64_000,
        "com.docker.swarm.service.name": "w" * 64_000,
    }
    table = metrics_table(view("n" * 5000, labels), view())
    for message in composer(per_container=True).metrics(batch(), table, {}, sequence=1, interval=10.0):
        assert len(message.payload) < 3000
        validate_message(message.topic, message.payload)


def test_the_parts_of_a_batch_fit_the_schema_too() -> None:
    views = [view(f"web{number}") for number in range(30)]
    (whole,) = composer().metrics(batch(), metrics_table(*views), {}, sequence=1, interval=10.0)
    several, _ = parts(whole, len(whole.payload) // 2)
    assert len(several) > 1
    for message in several:
        validate_message(message.topic, message.payload)


def test_numbers_keep_what_their_unit_needs() -> None:
    sample = {"cpu.cores": 0.00001, "memory.limit": float(2**62), "memory.percent": 99.99999}
    (message,) = composer().metrics(batch(), metrics_table(view(sample=sample)), {}, sequence=1, interval=10.0)
    line = json.loads(message.payload)["containers"][0]
    assert (line["cpu.cores"], line["memory.limit"], line["memory.percent"]) == (0.0, 2**62, 100.0)


def test_labels_with_no_view_are_those_of_the_event() -> None:
    assert compose(engine_event(), None, composer(labels=["*"]))[1]["data"]["container"]["labels"] == LABELS
