"""Which patterns can match something."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.policies.globs import glob_problem, value_problem
from watchtower_agent.policies.selector import Patterns


@pytest.mark.parametrize(
    ("pattern", "offset"),
    [
        ("", 0),
        ("  ", 0),
        (" a", 0),
        ("a ", 1),
        ("a[", 1),
        ("[a", 0),
        ("[]", 0),
        ("[!]", 0),
        ("x[b-a]y", 1),
        ("[a][", 3),
    ],
)
def test_what_matches_no_name_is_told_with_its_place(pattern: str, offset: int) -> None:
    problem = glob_problem(pattern)
    assert problem is not None
    assert problem.offset == offset
    assert problem.remedy


@pytest.mark.parametrize("pattern", ["a", "*", "?", "[ab]", "[!ab]", "[a-z]*", "[[]a", "[]a]", "a]", "[a-]", "[!]]"])
def test_what_can_match_is_taken(pattern: str) -> None:
    assert glob_problem(pattern) is None
    assert value_problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "offset", "remedy"),
    [
        ("^web.*$", 0, "write web*:"),
        ("shop-.*$", 7, "write shop-*:"),
        ("web|db", 3, "write web*:"),
        (r"web\\d", 3, "write web*:"),
        ("!web", 0, "write not: {name: web}"),
        ("[!a]b$", 5, "write web*:"),
    ],
)
def test_what_is_written_in_another_language_is_told_in_this_one(pattern: str, offset: int, remedy: str) -> None:
    problem = glob_problem(pattern)
    assert problem is not None
    assert (problem.offset, problem.remedy[: len(remedy)]) == (offset, remedy)
    assert glob_problem(pattern, of="label") is None, "the key of a label may be anything"
    assert value_problem(pattern) is None


def test_the_value_of_a_label_may_be_empty_but_is_hardly_ever_only_blanks() -> None:
    assert value_problem("") is None
    assert value_problem(" a ") is None
    assert value_problem(" ") is not None
    assert value_problem("[a") is not None


def witness(pattern: str) -> str:
    """A text that a pattern means to match."""
    text, rest = "", pattern
    while rest:
        if rest[0] != "[":
            text += {"*": "", "?": "a"}.get(rest[0], rest[0])
            rest = rest[1:]
            continue
        negated = rest[1] == "!"
        text += "~" if negated else rest[1]
        rest = rest[rest.index("]", 2 + negated) + 1 :]
    return text


@given(st.text(alphabet="ab-[]!*? ", max_size=8))
def test_what_is_taken_matches_something(pattern: str) -> None:
    if glob_problem(pattern) is None:
        assert Patterns((pattern,)).match(witness(pattern))
