"""Every message that a test sees on the broker is checked here against its published schema."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator

from watchtower_agent.publishing.payload_schema import schema, schema_name


@lru_cache
def _validator(name: str) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema(name))
    return Draft202012Validator(schema(name))


@lru_cache
def _event_validator(kind: str) -> Draft202012Validator:
    """The schema of events with those conditions alone that hold for this type: the others can say nothing."""
    whole: dict[str, Any] = dict(schema("event"))
    holding = [each for each in whole["allOf"] if Draft202012Validator(each["if"]).is_valid({"type": kind})]
    return Draft202012Validator({**whole, "allOf": [each["then"] for each in holding]})


def problems_of(name: str, document: Any) -> list[str]:  # noqa: ANN401 - JSON is any of its types
    """What does not fit the schema of that name, each with its place."""
    kind = document.get("type") if name == "event" and isinstance(document, dict) else None
    validator = _event_validator(kind) if isinstance(kind, str) else _validator(name)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"a key is there twice: {names}"
    return dict(pairs)


def strict_json(payload: bytes) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Decode JSON as the strictest consumer would: UTF-8, no NaN, no key twice."""
    return json.loads(payload.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_distinct)


def validate_message(topic: str, payload: bytes) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Check a message of the agent: its topic is known, its payload fits the schema, and the two agree.

    Returns:
        The decoded payload; None for what was cleared; the text for `status`.
    """
    assert not set(topic) & set("+#\0"), f"{topic!r} is no topic"
    name = schema_name(topic)
    assert name is not None, f"{topic} is not a topic of the agent"
    if not payload and name in {"container-state", "status", "info", "home-assistant"}:
        return None  # a container that is gone, or a host that has another name now, or is not to be shown
    assert payload, f"{topic}: empty"
    document: Any = payload.decode() if name == "status" else strict_json(payload)
    problems = problems_of(name, document)
    assert not problems, f"{topic}: " + "; ".join(problems)
    if name == "event":
        kind, action = topic.split("/")[-3:-1]
        assert document["type"] == f"io.watchtower.{kind}.{action}.v1", f"{topic} carries {document['type']}"
        assert len(payload) <= 128 * 1024, f"{topic}: {len(payload)} bytes"
    return document
