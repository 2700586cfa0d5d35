"""A number out of what somebody else wrote, whatever that is."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.model.source import JsonPath
from watchtower_agent.sources.payload import DEEPEST, LARGEST, Number, UnreadableError, number_in, parsed, too_deep


def why(payload: bytes, path: JsonPath = ()) -> str:
    """Why there is no number."""
    with pytest.raises(UnreadableError) as caught:
        number_in(payload, path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"42", 42.0),
        (b"  4.2e1\r\n", 42.0),
        (b"-0.5", -0.5),
        (b"+7", 7.0),
        (b".5", 0.5),
        (b"5.", 5.0),
        (b"007", 7.0),
        (b'"12.5"', 12.5),
        (b'" 12.5 "', 12.5),
        (b"1" + b"0" * 300, 1e300),
        (b"18446744073709551616", 2.0**64),
    ],
)
def test_a_bare_number(payload: bytes, value: float) -> None:
    assert number_in(payload, ()) == Number(value=value)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "it is no JSON"),
        (b"fifty", "it is no JSON"),
        (b"4 2", "it is no JSON"),
        (b"0x10", "it is no JSON"),
        (b"1_000", "it is no JSON"),
        ("٤٢".encode(), "it is no JSON"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b'{"value": "\xff"}', "it is not UTF-8"),
        (b"NaN", "it is not a finite number"),
        (b"-Infinity", "it is not a finite number"),
        (b"1e999", "it is not a finite number"),
        (b"9" * 399, "it is not a finite number"),
        (b"true", "it is true or false, not a number"),
        (b"null", "it is null, not a number"),
        (b"[1]", "it is a list, not a number"),
        (b'{"value": 1}', "it is an object, not a number"),
        (b'"many"', "it is a text, not a number"),
        (b'"NaN"', "it is a text, not a number"),
        ('"٤٢"'.encode(), "it is a text, not a number"),
        (b'"' + b"1" * 401 + b'"', "it is a text, not a number"),
        (b" " * LARGEST + b"1", "it is larger than 1 MiB"),
        (b"1" * 5000, "it is no JSON"),  # more digits than Python takes for a whole number
        (b"[" * 33 + b"]" * 33, "it is nested more than 32 levels deep"),
        (b"[" * LARGEST, "it is nested more than 32 levels deep"),
    ],
)
def test_what_is_none_says_why(payload: bytes, reason: str) -> None:
    assert why(payload) == reason


PROMETHEUS = (
    b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1790000000.123,"12.5"]}]}}'
)


def test_the_place_of_a_number_in_json() -> None:
    assert number_in(PROMETHEUS, ("data", "result", 0, "value", 1)).value == 12.5
    assert number_in(b'{"0": {"1": 7}}', (0, 1)).value == 7.0
    assert number_in(b"[[1, 2], [3]]", (0, 1)).value == 2.0


@pytest.mark.parametrize(
    ("payload", "path", "reason"),
    [
        (b'{"data":{"result":[]}}', ("data", "result", 0, "value", 1), "there is no data.result.0"),
        (b"[1]", (1,), "there is no 1"),
        (b"[1]", ("length",), "there is no length"),
        (b'"text"', (0,), "there is no 0"),
        (b"1", ("value",), "there is no value"),
        (b'{"a": true}', ("a",), "a is true or false, not a number"),
        (b'{"a": {"b": "x"}}', ("a", "b"), "a.b is a text, not a number"),
        (b'{"a": NaN}', ("a",), "a is not a finite number"),
    ],
)
def test_a_place_that_is_not_there_is_named(payload: bytes, path: JsonPath, reason: str) -> None:
    assert why(payload, path) == reason


@pytest.mark.parametrize(
    ("member", "stamp"),
    [
        ('"time": 1790000000', 1_790_000_000.0),
        ('"timestamp": 1790000000.5', 1_790_000_000.5),
        ('"time": "2026-09-21T14:13:20Z"', 1_790_000_000.0),
        ('"time": "2026-09-21T16:13:20.250+02:00"', 1_790_000_000.25),
        ('"time": "2026-09-21T14:13:20.123456789Z"', 1_790_000_000.123456),
        ('"time": "2026-09-21T14:13:20"', None),  # of which zone?
        ('"time": "yesterday"', None),
        ('"time": true', None),
        ('"time": null, "timestamp": 5', 5.0),
        ('"time": 1e999', None),
        ('"time": 1' + "0" * 400, None),
        ('"time": "0001-01-01T00:00:00+23:59"', pytest.approx(-62135683140.0)),
        ('"other": 5', None),
        ('"in": {"time": 5}', None),
    ],
)
def test_a_stamp_at_the_top_beside_the_number(member: str, stamp: float | None) -> None:
    assert number_in(f'{{"value": 1, {member}}}'.encode(), ("value",)).stamp == stamp


def depth(document: object) -> int:
    """Levels of lists and objects in each other."""
    if isinstance(document, list | dict):
        children = document.values() if isinstance(document, dict) else document
        return 1 + max(map(depth, children), default=0)
    return 0


texts = (
    st.text(max_size=10)
    | st.sampled_from(['"', "\\", '\\"', "[[[[", "]]", "{", '"[', "\\\\", '["'])
    | st.text('[]{}"\\')
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(documents, st.integers(0, 40), texts, st.booleans(), st.booleans())
def test_how_deep_it_is_goes_by_brackets_outside_of_texts(
    document: Any,  # noqa: ANN401 - any JSON
    wrapped: int,
    text: str,
    in_objects: bool,
    ascii_only: bool,
) -> None:
    for _ in range(wrapped):
        document = {text: document} if in_objects else [text, document, text]
    payload = json.dumps(document, ensure_ascii=ascii_only).encode(errors="replace")

    assert too_deep(payload) == (depth(document) > DEEPEST)


def outcome(payload: bytes, path: JsonPath) -> Number | str:
    """The number, or why there is none."""
    try:
        return number_in(payload, path)
    except UnreadableError as error:
        return str(error)


@given(st.binary(max_size=200) | st.text('[]{}",:\\0123456789.eE+- ntfalsu', max_size=200).map(str.encode))
def test_anything_is_a_number_or_says_why_it_is_none(payload: bytes) -> None:
    for path in ((), ("a",), (0, "b")):
        found = outcome(payload, path)
        if isinstance(found, str):
            assert 0 < len(found) < 100
        else:
            assert math.isfinite(found.value)
            assert found.stamp is None or math.isfinite(found.stamp)


@given(documents)
def test_every_number_of_a_document_is_found_at_its_place(document: Any) -> None:  # noqa: ANN401 - any JSON
    payload = json.dumps(document).encode()
    for path, value in leaves(document, ()):
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
            assert number_in(payload, path).value == float(value)


def leaves(document: Any, path: JsonPath) -> list[tuple[JsonPath, object]]:  # noqa: ANN401 - any JSON
    if isinstance(document, dict):
        return [leaf for name, inner in document.items() for leaf in leaves(inner, (*path, name))]
    if isinstance(document, list):
        return [leaf for place, inner in enumerate(document) for leaf in leaves(inner, (*path, place))]
    return [(path, document)]


@pytest.mark.parametrize(
    "evil",
    [
        b"[" * LARGEST,
        b"[]" * (LARGEST // 2),
        b'"\\' * (LARGEST // 2),
        b'\\"' * (LARGEST // 2),
        b'"' * LARGEST,
        b'["' * (LARGEST // 2),
        (b"[" * 32 + b"]" * 32) * (LARGEST // 64),
        b'[{"a":' * (LARGEST // 6),
        b"{}" * 40 + b'"' + b"\\\\" * (LARGEST // 2 - 100),
    ],
)
def test_nothing_takes_long(evil: bytes) -> None:
    """In proportion to its size: what is quadratic would take minutes."""
    begun = time.perf_counter()
    with pytest.raises(UnreadableError):
        parsed(evil)
    assert time.perf_counter() - begun < 2
