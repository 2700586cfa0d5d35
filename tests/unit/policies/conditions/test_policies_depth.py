"""Conditions as deep as can be: taken up to 30 levels, refused in words beyond, never too deep for what reads them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.core import Host
from watchtower_agent.model.window import Window
from watchtower_agent.policies.conditions.closeness import closeness, rank
from watchtower_agent.policies.conditions.condition import Condition, ConditionProblem, ConditionScope, parse_condition
from watchtower_agent.policies.conditions.truth import Value
from watchtower_agent.policies.wording import because_no_longer, because_of_condition

DEEPEST = 30
LEAF = "pids > 1"


class Five:
    """A subject of which every name is 5."""

    def value(self, name: str) -> Value:  # noqa: ARG002 - whatever it is
        return 5

    def window(self, window: Window) -> Value:  # noqa: ARG002
        return 5

    def label(self, key: str) -> Value:  # noqa: ARG002
        return ""

    def attribute(self, key: str) -> Value:  # noqa: ARG002
        return ""


def parentheses(levels: int) -> str:
    return "(" * levels + LEAF + ")" * levels


def negations(levels: int) -> str:
    return "not " * levels + LEAF


def negated_groups(levels: int) -> str:
    """One `not` and one pair of parentheses make two levels."""
    return "not (" * (levels // 2) + "not " * (levels % 2) + LEAF + ")" * (levels // 2)


def by_turns(levels: int) -> str:
    """`and` and `or` in each other: every pair of parentheses is needed."""
    text = LEAF
    for level in range(levels):
        text = f"{LEAF} and ({text})" if level % 2 else f"pids < 1 or ({text})"
    return text


def all_at_once(levels: int) -> str:
    text = LEAF
    for level in range(levels // 2):
        text = f"pids < 1 or {LEAF} and not ({text})" if level % 2 else f"{LEAF} and not ({text})"
    return text if levels % 2 == 0 else f"({text})"


Shape = Callable[[int], str]
TRUE_OF_FIVE: dict[Shape, bool] = {
    parentheses: True,
    negations: True,
    negated_groups: False,
    by_turns: True,
    all_at_once: False,
}
"""What each is of five at thirty levels."""

SHAPES = pytest.mark.parametrize("shape", TRUE_OF_FIVE)


def when(text: str) -> Condition:
    return parse_condition(text, ConditionScope.WHEN)


@SHAPES
def test_thirty_levels_are_taken_and_everything_that_reads_them_answers(shape: Shape) -> None:
    condition = when(shape(DEEPEST))
    truth = TRUE_OF_FIVE[shape]
    assert condition.evaluate(Five()) is truth
    assert condition.numbers(Five()) == {"pids": 5}
    assert closeness(condition.tree, Five()).truth is truth
    assert (rank(condition.tree, Five()) >= 1) is truth
    assert because_of_condition(condition, {"pids": 5}, held_for=3, hold=3)
    assert because_no_longer(condition, known=True, keep=0)
    again = when(condition.describe())
    assert again.tree == condition.tree
    assert again.evaluate(Five()) is truth


@SHAPES
@pytest.mark.parametrize("levels", [DEEPEST + 1, DEEPEST + 2, 45])
def test_more_than_thirty_levels_are_refused_in_words_and_at_their_place(shape: Shape, levels: int) -> None:
    text = shape(levels)
    assert len(text) <= 1000
    with pytest.raises(ConditionProblem, match=r"nested more than 30 levels deep, split the policy in two") as caught:
        when(text)
    assert 0 < caught.value.offset < len(text)


@pytest.mark.parametrize(
    "text",
    [
        parentheses(490),
        negations(248),
        negated_groups(330),
        by_turns(60),
        "(" * 1000,
        "[" * 1000,
        "[" * 490 + "1" + "]" * 490,
        "not " + "[" * 490 + LEAF + "]" * 490,
        "not " * 250,
        "avg(" * 250,
        "exit_code in " + "[" * 490 + "1" + "]" * 490,
        "cpu.percent > " + "(" * 490 + "3" + ")" * 490,
        "(" * 490 + "cpu.percent" + ")" * 490 + " > 3%",
        "avg(" * 100 + "cpu.percent" + ", 5m)" * 100 + " > 3%",
        "labels" + "[" * 490 + "]" * 490,
    ],
)
def test_however_deep_it_is_a_problem_and_no_crash(text: str) -> None:
    assert len(text) <= 1000
    with pytest.raises(ConditionProblem) as caught:
        when(text)
    assert caught.value.remedy


@SHAPES
def test_a_policy_with_the_deepest_condition_fires(shape: Shape) -> None:
    text = shape(DEEPEST).replace("pids", "memory.percent").replace(" 1", " 1%")
    agent = Host(
        f"  - {{name: deep, select: {{name: web}}, when: '{text}', then: {{notify: {{}}}}}}\n", first_start=True
    )
    agent.docker.create(silent=True)
    agent.connect()
    agent.tick(2, memory_percent=5.0)
    assert len(agent.told) == (1 if TRUE_OF_FIVE[shape] else 0)
    (watcher,) = agent.top()["containers"][0]["watchers"]
    assert watcher["firing"] is bool(agent.told)
