"""Whatever a folder holds, the loader answers with policies or problems, in time, and never with an exception."""

from __future__ import annotations

import gc
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tests.support.policies import GOOD, problems
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.policy import PolicySet

SHIPPED = Path(__file__).resolve().parents[4] / "config" / "policies"


def test_ten_thousand_mistakes_are_all_told() -> None:
    item = "  - name: p{0}\n    kay{0}: 1\n    when: nam{0} > 3\n    for: {0}\n    mode: m{0}\n    then: {{no: {{}}}}\n"
    text = "version: 1\npolicies:\n" + "".join(item.format(i) for i in range(2000))
    assert len(problems(text)) == 12_000  # six of each: nam is meant to be name, and nothing is selected


def test_a_hostile_text_stays_on_one_line() -> None:
    policy = '  - name: "a\\nb\\e[31m"\n    "k\\n\\u2028": 1\n    on: {engine: up}\n    then: {notify: {}}\n'
    for each in problems("version: 1\npolicies:\n" + policy):
        assert str(each).isprintable()


# What follows is checked on random input: the loader answers with policies or problems, never with an exception.


def answered(content: bytes) -> None:
    answer = load_policies({"a.yaml": content})
    if isinstance(answer, PolicySet):
        return
    assert answer
    for each in answer:
        assert str(each).isprintable()
        assert each.line is not None
        assert each.column is not None
        assert each.line >= 1
        assert each.column >= 1
        assert each.line <= len(re.findall(rb"\r\n?|\n", content)) + 1


@given(content=st.binary(max_size=200))
def test_junk_is_answered(content: bytes) -> None:
    answered(content)


SHIPPED_TEXTS = [GOOD.encode(), *(path.read_bytes() for path in sorted(SHIPPED.iterdir()))]


@given(
    base=st.sampled_from(SHIPPED_TEXTS),
    cuts=st.lists(
        st.tuples(
            st.integers(0, 2000),
            st.integers(0, 12),
            st.sampled_from(
                [
                    b"",
                    b"\n",
                    b"  ",
                    b"- ",
                    b": ",
                    b"{",
                    b"]",
                    b'"',
                    b"'",
                    b"&a ",
                    b"*a",
                    b"!x ",
                    b"|",
                    b"\x00",
                    b"\xff",
                    b"#",
                    b"null",
                    b"99",
                ]
            )
            | st.binary(max_size=4),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_a_damaged_file_is_answered(base: bytes, cuts: list[tuple[int, int, bytes]]) -> None:
    for at, length, instead in cuts:
        begin = at % (len(base) + 1)
        base = base[:begin] + instead + base[begin + length :]
    answered(base)


WORDS = """version policies name description mode select when for on where then cooldown restart_stopped labels image
compose project service swarm_service networks status not restart start stop kill pause notify stop_timeout signal
severity message container engine die"""
KEYS = st.sampled_from(WORDS.split()) | st.text(max_size=5)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(["die", "*", "30s", "SIGTERM", "enforce", "running", 'health == "none"', "host.load1 > 3", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(policies=st.lists(st.dictionaries(KEYS, VALUES, max_size=8), max_size=3))
def test_any_shape_is_answered(policies: object) -> None:
    # JSON is YAML.
    answered(json.dumps({"version": 1, "policies": policies}).encode())


@pytest.mark.parametrize(
    "condition",
    [
        "cpu.prcent > 80% and memory.percent > 0.5",
        "cpu.percent add memory.percent",
        "cpu.percent > (",
        "memory.usage > 1Mo",
    ],
)
def test_what_a_refused_file_took_is_free_at_once(condition: str) -> None:
    policies = "".join(f"  - {{name: p{each}, when: '{condition}', then: {{notify: {{}}}}}}\n" for each in range(100))
    content = f"version: 1\npolicies:\n{policies}".encode()
    load_policies({"a.yaml": content})  # what is made once for all is made now
    gc.collect()
    gc.disable()
    try:
        problems = load_policies({"a.yaml": content})
        left = gc.collect()
    finally:
        gc.enable()
    assert isinstance(problems, tuple)
    assert len(problems) >= 100
    assert left < 100  # less than one object a problem waits for a full collection, which a quiet agent seldom has
