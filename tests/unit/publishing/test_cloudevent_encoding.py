from __future__ import annotations

import json
import math
from datetime import datetime

import pytest
from hypothesis import given, strategies as st

from tests.support.schema import strict_json
from watchtower_agent.publishing.encoding import bounded, clipped, rfc3339, rfc3339_ns, to_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["\ud800", "\x9b", "\u202e"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), VALUES))
def test_anything_becomes_json_that_the_strictest_reader_takes(value: dict[str, object]) -> None:
    text = to_json(value).decode("utf-8")
    assert not any(ord(char) < 0x20 or 0x7F < ord(char) < 0xA0 or char in "\u202e\u2028" for char in text)
    strict_json(text.encode())


def test_what_is_well_formed_stays_what_it_is() -> None:
    value = {"a": [1, 2.5, None, True], "b": {"c": "é…\u202e\n"}}
    assert json.loads(to_json(value)) == value


def test_unknown_numbers_are_left_out() -> None:
    assert json.loads(to_json({"a": math.nan, "b": [math.inf, 1.0]})) == {"b": [None, 1.0]}


def test_bounds() -> None:
    deep: object = "x"
    for _ in range(2000):
        deep = [deep]
    assert "…" in to_json({"deep": deep, "nan": math.nan}).decode()
    assert bounded(range(1000)) == list(range(200))
    assert len(str(bounded("x" * 5000))) == 2048
    assert (clipped("abc", 3), clipped("abcd", 3)) == ("abc", "ab…")


@given(st.integers(0, 4_102_444_800_000_000_000))
def test_stamps_are_exact(nanoseconds: int) -> None:
    text = rfc3339_ns(nanoseconds)
    whole = datetime.fromisoformat(text[:19] + "Z")
    assert int(whole.timestamp()) * 1_000_000_000 + int(text[20:29]) == nanoseconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_790_000_000.25, "2026-09-21T14:13:20.250000Z"),
        (-5.0, "1970-01-01T00:00:00.000000Z"),
        (1e30, "9999-12-31T23:59:59.000000Z"),
        (math.nan, "1970-01-01T00:00:00.000000Z"),
        (math.inf, "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_moments(seconds: float, text: str) -> None:
    assert rfc3339(seconds) == text
