from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.engine.bounds import bounded, own_attributes
from watchtower_agent.engine.event import (
    MAX_ATTRIBUTES,
    MAX_LINE,
    MAX_TOTAL,
    MAX_VALUE,
    Unreadable,
    normalise_event,
    parse_event,
    stamp_text,
)
from watchtower_agent.engine.feed import split_lines
from watchtower_agent.model.engine_event import ENGINE_KINDS, EngineEvent, EventKind, Origin

NS = 1_795_540_283_418_644_694


def raw(**changes: object) -> dict[str, Any]:
    return {
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": "c" * 64, "Attributes": {"name": "web", "exitCode": "137", "image": "web:1"}},
        "scope": "local",
        "time": NS // 10**9,
        "timeNano": NS,
    } | changes


def event(**changes: object) -> EngineEvent:
    found = normalise_event(raw(**changes), engine_id="e1")
    assert found is not None
    return found


def test_an_event_keeps_the_engines_words() -> None:
    die = event()
    assert (die.kind, die.action, die.detail, die.actor_id) == (EventKind.CONTAINER, "die", "", "c" * 64)
    assert (die.name, die.attributes["exitCode"], die.time_ns, die.swarm) == ("web", "137", NS, False)
    assert (die.origin, die.position) == (Origin.STREAM, 0)


def test_legacy_fields_are_never_read() -> None:
    assert normalise_event({"status": "die", "id": "c", "from": "i", "time": 1, "timeNano": 1}, engine_id="e") is None
    assert event(status="start", id="other", **{"from": "x"}) == event()


@pytest.mark.parametrize("kind", sorted(ENGINE_KINDS))
def test_every_kind_of_the_engine_is_known(kind: EventKind) -> None:
    assert event(Type=kind.value).kind is kind


@pytest.mark.parametrize("kind", ["engine", "policy", "action", "agent", "", "Container", None, 7, ["container"]])
def test_other_kinds_are_no_events(kind: object) -> None:
    assert normalise_event(raw(Type=kind), engine_id="e") is None


def test_what_follows_the_colon_is_the_detail() -> None:
    health = event(Action="health_status: unhealthy")
    assert (health.action, health.detail) == ("health_status", "unhealthy")
    assert event(Action="health_status: healthy").id != health.id


def test_podmans_bare_health_status_gets_its_detail_from_beside() -> None:
    assert event(Action="health_status", HealthStatus="unhealthy").detail == "unhealthy"
    attributes = {"name": "web", "health_status": "healthy"}
    assert event(Action="health_status", Actor={"ID": "c", "Attributes": attributes}).detail == "healthy"


@pytest.mark.parametrize("action", ["exec_create", "exec_start", "exec_die", "exec_detach"])
def test_command_lines_are_dropped_wherever_they_stand(action: str) -> None:
    secret = "mysql -phunter2 -e 'select 1'"
    attributes = {"name": "web", "execID": "x1", "command": secret, "extra": f"ran {secret}", "label": "kept"}
    found = event(Action=f"{action}: {secret}", Actor={"ID": "c", "Attributes": attributes})
    assert (found.action, found.detail) == (action, "")
    assert found.attributes == {"name": "web", "execID": "x1", "label": "kept"}
    assert "hunter2" not in repr(found)


def test_a_long_command_line_is_dropped_whole() -> None:
    assert event(Action="exec_start: " + "s3cret" * 50_000).detail == ""


def test_ids_are_deterministic_and_tell_events_apart() -> None:
    assert event().id == event().id
    others = [
        event(timeNano=NS + 1),
        event(Type="network"),
        event(Action="start"),
        event(Actor={"ID": "d", "Attributes": {}}),
        normalise_event(raw(), engine_id="e2"),
    ]
    assert len({event().id, *(other.id for other in others if other is not None)}) == 6


def test_a_large_label_passes_and_the_rest_is_bounded() -> None:
    large = event(Actor={"ID": "c", "Attributes": {"name": "web", "label": "x" * 65536}})
    assert len(large.attributes["label"]) == 65536
    many = event(Actor={"ID": "c", "Attributes": {f"k{i}": "v" for i in range(10_000)}})
    assert len(many.attributes) == MAX_ATTRIBUTES
    heavy = event(Actor={"ID": "c", "Attributes": {f"k{i}": "v" * 65536 for i in range(100)}})
    assert sum(map(len, heavy.attributes.values())) <= MAX_TOTAL


LABELS = st.dictionaries(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
    | st.sampled_from(["execDuration", "signal", "team"]),
    st.integers(0, MAX_VALUE).map("x".__mul__),
    max_size=12,
)
FACTS = {"exitCode": "137", "name": "web", "image": "web:1", "watchtower-agent.protect": "true", "autoheal": "false"}


@given(LABELS, st.integers(0, 600))
def test_no_label_pushes_out_what_the_engine_says_or_what_policies_go_by(labels: dict[str, str], more: int) -> None:
    given = dict(sorted((labels | {f"a{i}": "y" for i in range(more)} | {"a": "z" * MAX_VALUE} | FACTS).items()))
    kept = event(Actor={"ID": "c", "Attributes": given}).attributes
    assert {name: kept[name] for name in FACTS} == FACTS
    assert all(given[name] == value for name, value in kept.items())
    own = own_attributes(EventKind.CONTAINER)
    assert own & given.keys() <= kept.keys()
    others = {name: value for name, value in kept.items() if name not in own}
    assert len(others) <= MAX_ATTRIBUTES
    assert sum(len(name) + len(value) for name, value in others.items()) <= MAX_TOTAL
    size = sum(len(name) + len(value) for name, value in given.items())
    assert kept == given or len(given) > MAX_ATTRIBUTES or size > MAX_TOTAL, "nothing is left out without need"


def test_nine_large_labels_do_not_hide_the_exit_code() -> None:
    labels = {f"a{i}": "x" * 65000 for i in range(9)}
    kept = event(Actor={"ID": "c", "Attributes": labels | {"exitCode": "3", "name": "web"}}).attributes
    assert (kept["exitCode"], kept["name"], len(kept)) == ("3", "web", 10)


def test_what_is_always_kept_is_so_whatever_its_size() -> None:
    given = {"a": "x", "exitCode": "1" * 50, "name": "y" * 50, "z": "x"}
    kept = bounded(given, always=frozenset({"exitCode", "name"}), most=1, total=60)
    assert list(kept) == ["exitCode", "name"]


def test_control_characters_pass_and_lone_surrogates_are_replaced() -> None:
    line = json.dumps(raw(Actor={"ID": "c", "Attributes": {"name": "a\n\x00\x1b[31m", "bad": "\ud800"}})).encode()
    found = parse_event(line, engine_id="e")
    assert isinstance(found, EngineEvent)
    assert found.name == "a\n\x00\x1b[31m"
    found.attributes["bad"].encode()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"die"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"timeNano": ' + b"9" * 5000 + b"}",
        b'{"Type":"container","Action":"die","timeNano":-5}',
        b'{"Type":"container","Action":"die","timeNano":true}',
        b'{"Type":"container","Action":"die","timeNano":1e400}',
        b'{"Type":"container","Action":"","timeNano":5}',
        b'{"Type":"container","Action":"die","timeNano":5,"x":"' + b"y" * MAX_LINE + b'"}',
    ],
    ids=lambda line: repr(line[:30]),
)
def test_junk_is_no_event(line: bytes) -> None:
    assert not isinstance(parse_event(line, engine_id="e"), EngineEvent)


@pytest.mark.parametrize("line", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"Type":"container","Act', b"\0"])
def test_what_is_no_json_may_have_been_an_event(line: bytes) -> None:
    read = parse_event(line, engine_id="e")
    assert isinstance(read, Unreadable)
    assert read.id != "", "told apart"


def test_an_event_that_is_too_large_is_the_same_whole_or_cut() -> None:
    def line(action: str, time: int) -> bytes:
        labels = {f"a{i}": "x" * 65000 for i in range(80)}
        return json.dumps(raw(Action=action, Actor={"ID": "c", "Attributes": labels}, timeNano=time)).encode()

    def read(*chunks: bytes) -> list[Unreadable | EngineEvent | None]:
        return [parse_event(each, engine_id="e") for lines in split_lines(chunks) for each in lines]

    def cut(text: bytes, size: int) -> list[bytes]:
        return [text[at : at + size] for at in range(0, len(text), size)]

    small, large = json.dumps(raw()).encode(), line("die", NS)
    text = small + b"\n" + large + b"\n" + small + b"\n"
    told = [
        read(text),
        read(*cut(text, 65536)),
        read(*cut(text, 1_000_003)),
        read(small + b"\n", large, b"\n" + text)[:3],
    ]
    assert all(each == told[0] for each in told)
    assert [type(each) for each in told[0]] == [EngineEvent, Unreadable, EngineEvent]
    assert isinstance(told[0][1], Unreadable)
    assert told[0][1].cause == "event_too_large"
    assert parse_event(large, engine_id="e") == told[0][1]
    assert len({str(parse_event(each, engine_id="e")) for each in (large, line("kill", NS), line("die", NS + 1))}) == 3


def test_what_a_cut_connection_left_is_no_line() -> None:
    assert list(split_lines([b'{"a":1}\n{"b', b"\n{"])) == [[b'{"a":1}'], [b'{"b']]


def test_an_event_without_nanoseconds_uses_its_seconds() -> None:
    assert event(timeNano=None).time_ns == NS // 10**9 * 10**9


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "Type": st.sampled_from(["container", "image", "x"]) | JSON,
            "Action": st.sampled_from(["die", "exec_start: a b", "health_status"]) | JSON,
            "Actor": JSON | st.fixed_dictionaries({"ID": JSON, "Attributes": JSON}),
            "timeNano": st.integers() | JSON,
            "time": st.integers() | JSON,
            "HealthStatus": JSON,
            "scope": JSON,
        },
    )
)
def test_whatever_comes_is_an_event_or_none(value: dict[str, object]) -> None:
    found = normalise_event(value, engine_id="e")
    if found is not None:
        assert found.action
        assert 0 < found.time_ns < 2**63
        json.dumps(dict(found.attributes), ensure_ascii=False).encode()


@given(st.binary())
def test_any_bytes_are_survived(line: bytes) -> None:
    assert isinstance(parse_event(line, engine_id="e"), Unreadable) or json.loads(line) is not line


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_stamps_keep_every_nanosecond(time_ns: int) -> None:
    seconds, _, nanoseconds = stamp_text(time_ns).partition(".")
    assert int(seconds) * 10**9 + int(nanoseconds) == time_ns
    assert len(nanoseconds) == 9
