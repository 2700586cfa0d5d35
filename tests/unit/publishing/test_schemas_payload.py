from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import watchtower_agent.publishing
from tests.support.schema import validate_message
from watchtower_agent.model.decision import Guard, TargetKind, Verb
from watchtower_agent.model.outcome import Result
from watchtower_agent.publishing.payload_schema import schema, schema_name
from watchtower_agent.serving.command import ARGUMENTS

NAMES = sorted(path.stem for path in (Path(watchtower_agent.publishing.__file__).parent / "schemas").glob("*.json"))


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("watchtower/v1/h1/event/container/die/web", "event"),
        ("a/b/v1/h1/event/policy/held/heal", "event"),
        ("watchtower/v1/h1/state/container/web", "container-state"),
        ("watchtower/v1/h1/info", "info"),
        ("watchtower/v1/h1/metrics", "metrics"),
        ("watchtower/v1/h1/metrics/container/web", "container-metrics"),
        ("watchtower/v1/h1/status", "status"),
        ("watchtower/v1/h1/command/pause", "command"),
        ("watchtower/v1/h1/reply/r1", "reply"),
        ("homeassistant/device/watchtower_h1/config", "home-assistant"),
        ("ha/x/device/watchtower_h1_web/config", "home-assistant"),
        ("homeassistant/device/x/config", None),
        ("homeassistant/sensor/watchtower_h1/config", None),
        ("", None),
    ],
)
def test_every_topic_has_its_schema(topic: str, name: str | None) -> None:
    assert schema_name(topic) == name
    assert name is None or name in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"] == f"urn:watchtower-agent:schema:{name}:1"


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("watchtower/v1/h1/status", b"on"),
        ("watchtower/v1/h1/metrics", b"{}"),
        ("watchtower/v1/h1/metrics", b'{"schema": NaN}'),
        ("watchtower/v1/h1/metrics", b'{"schema": 1, "schema": 1}'),
        ("watchtower/v1/h1/metrics", b""),
        ("watchtower/v1/h1/other", b"{}"),
        ("watchtower/v1/h1/event/container/+/web", b"{}"),
        ("watchtower/v1/h1/event/container/die/web", json.dumps({"specversion": "1.0"}).encode()),
    ],
)
def test_what_does_not_fit_is_noticed(topic: str, payload: bytes) -> None:
    with pytest.raises(AssertionError):
        validate_message(topic, payload)


def test_the_schema_of_events_knows_every_verb_target_guard_and_result() -> None:
    known: Any = schema("event")["$defs"]

    assert known["verb"]["enum"] == list(Verb)
    assert known["target"]["properties"]["kind"]["enum"] == list(TargetKind)
    assert known["held"]["properties"]["guard"]["enum"] == list(Guard)
    assert known["outcome"]["properties"]["result"]["enum"] == list(Result)


def test_the_schema_of_commands_knows_each_with_what_it_may_be_given() -> None:
    known: Any = schema("command")
    named = {name: frozenset(known["$defs"][name]["properties"]) - {"id"} for name in known["$defs"] if name != "id"}

    assert named == dict(ARGUMENTS)
    assert [each["$ref"] for each in known["anyOf"]] == [f"#/$defs/{name}" for name in ARGUMENTS]
