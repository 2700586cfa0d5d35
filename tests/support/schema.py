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
    if not payload and topic.endswith(("/status", "/info")) and "/event/" not in topic:
        return None  # of a host that has another name now
    if topic.endswith("/status"):
        assert payload in {b"online", b"offline"}, f"{topic}: {payload!r}"
        return payload.decode()
    name = schema_name(topic)
    assert name is not None, f"{topic} is not a topic of the agent"
    if name == "container-state" and not payload:
        return None
    assert payload, f"{topic}: empty"
    document = strict_json(payload)
    problems = [f"{error.json_path}: {error.message}" for error in _validator(name).iter_errors(document)]
    assert not problems, f"{topic}: " + "; ".join(problems)
    if name == "event":
        kind, action = topic.split("/")[-3:-1]
        assert document["type"] == f"io.watchtower.{kind}.{action}.v1", f"{topic} carries {document['type']}"
        assert len(payload) <= 128 * 1024, f"{topic}: {len(payload)} bytes"
    return document
