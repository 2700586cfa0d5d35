"""All mistakes of one condition are told in one go, each at its place, and nothing that only follows from another."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.numbers import examples
from watchtower_agent.policies.conditions.condition import ConditionProblem, ConditionScope, parse_condition


def mistakes(text: str, scope: ConditionScope = ConditionScope.WHEN) -> list[ConditionProblem]:
    try:
        parse_condition(text, scope)
    except ConditionProblem as first:
        return [first, *first.also]
    return []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # Both sides; nothing is said of the pair where one side has no meaning.
        ("cpu.percnt > memory.usge", {1: 'unknown name "cpu.percnt"', 14: 'unknown name "memory.usge"'}),
        ("cpu.percnt > 3Mi", {1: 'unknown name "cpu.percnt"', 14: 'unknown unit "Mi"'}),
        ("cpu.percnt > 3s", {1: 'unknown name "cpu.percnt"'}),
        ("helth == unhealthy", {1: 'unknown name "helth"', 10: "unhealthy is not a name"}),
        ("unhealthy == helth", {1: 'unknown name "unhealthy"', 14: 'unknown name "helth"'}),
        ('health > "helthy"', {1: "health has no order", 10: 'health is never "helthy"'}),
        (
            "health > memory.percent",
            {1: "health has no order", 10: "health is one of a few words and memory.percent is"},
        ),
        # Lists.
        ('exit_code in [1, "a", 3s]', {18: 'exit_code is a number and "a" is', 23: "exit_code is a number and 3s is"}),
        (
            "name in [1, 2, helth]",
            {10: "name is a text and 1 is", 13: "name is a text and 2 is", 16: "helth is not a value"},
        ),
        (
            "exit_cod in [1, x, 5Mi, [2]]",
            {1: "unknown name", 17: "x is not a value", 20: 'unknown unit "Mi"', 25: "a list holds fixed values only"},
        ),
        ("3 in [1, x]", {1: "3 is a fixed value", 10: "x is not a value"}),
        ("exit_cod in 3", {1: "unknown name", 13: "after in comes a list"}),
        ("status in exitd", {11: "after in comes a list"}),
        ("exit_code in 3Mi", {14: 'unknown unit "Mi"'}),
        ("engine.connected in [1, x]", {1: "engine.connected is true or false"}),
        (
            "status == [exitd, 3Mi]",
            {11: "a list can't be compared", 12: "exitd is not a value", 19: 'unknown unit "Mi"'},
        ),
        # Windows: each of their three parts.
        ("avg(cpu.percnt, 5) > 3%", {5: 'unknown name "cpu.percnt"', 17: "5 is not a duration"}),
        ("agv(cpu.percnt, 2h) > 3%", {1: "unknown function", 5: "unknown name", 17: "a window of 2h"}),
        ("max(health, 5) > 3Mi", {5: "health has no past", 13: "5 is not a duration", 18: 'unknown unit "Mi"'}),
        ("mean(cpu.percnt) > 3%", {1: "unknown function", 6: "unknown name"}),
        ("avg(cpu.percnt) > 3%", {1: "avg takes a name and a duration", 5: "unknown name"}),
        ("avg(5m, cpu.percent) > 3%", {5: "avg is about a measured name"}),
        ("avg(5m, cpu.percnt) > 3%", {5: "avg is about a measured name", 9: "unknown name"}),
        ('avg(labels["a"], 5) > 3', {5: "avg is about a measured name", 18: "5 is not a duration"}),
        # What can't be compared at all.
        ("1 < cpu.percnt < 3Mi", {5: "unknown name", 16: "comparisons can't be chained", 18: 'unknown unit "Mi"'}),
        ("(cpu.percnt > 1) == memory.usge", {1: "a condition in par", 2: "unknown name", 21: "unknown name"}),
        ("(cpu.percnt) > 3", {1: "a condition in parentheses", 2: "unknown name"}),
    ],
)
def test_a_comparison_tells_everything_that_can_be_judged_by_itself(text: str, told: dict[int, str]) -> None:
    found = mistakes(text)
    assert [problem.column for problem in found] == list(told)
    for problem, message in zip(found, told.values(), strict=True):
        assert problem.message.startswith(message)


def test_on_the_disk_a_window_is_one_mistake() -> None:
    (problem,) = mistakes("avg(host.disk.percent, 5) > 3%", ConditionScope.DISK)
    assert "the disk is measured at one moment" in problem.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('helth == "x" and labels[x] == "y"', {1: 'unknown name "helth"', 25: '"x" is not in quotes'}),
        ("cpu.percnt = 3", {1: 'unknown name "cpu.percnt"', 12: '"=" is not'}),
        ("avg(cpu.percnt, 5 m) > 3%", {5: 'unknown name "cpu.percnt"', 19: '"5 m" has a blank'}),
        ("cpu.percnt >", {1: "unknown name", 13: "the condition ends too early"}),
        ("(cpu.percnt > 3 or cpu.cores > 3Mi", {2: "unknown name", 32: "unknown unit", 35: "the condition ends"}),
        ("cpu.percnt > 3) and cpu.cores > 3Mi", {1: "unknown name", 15: '")" closes nothing', 33: "unknown unit"}),
        # Several slips.
        ('memory.percent is 90% and name is "web"', {16: '"is" is not', 32: '"is" is not'}),
        (
            "age > 5 m && cpu.percnt > 3 || pids = 3",
            {9: '"5 m"', 11: '"&&"', 14: "unknown name", 29: '"||"', 37: '"="'},
        ),
        ("NOT engine.dwn AND NOT engine.dwn", {5: '"NOT"', 5.5: "unknown", 16: '"AND"', 20: '"NOT"', 24: "unknown"}),
        ("!engine.dwn and !(cpu.percnt > 3)", {1: '"!"', 2: "unknown name", 17: '"!"', 19: "unknown name"}),
        # The right place in a text of several lines.
        ("pids = 3\n  and pids = 4\n  and cpu.percnt > 3", {6: '"="', 12: '"="', 7: "unknown name"}),
        # Nothing where it is not certain.
        ("cpu.percent between 10% and 20%", {13: '"between" is not'}),
        ("cpu.percent > 10% foo bar and baz", {19: '"foo" is not expected'}),
        ('name == "web and cpu.percnt > 3', {9: "this string has no end"}),
        ('pids = 3 and name == "web and cpu.percnt > 3', {6: '"="', 22: "this string has no end"}),
        ("cpu.percent > 3 # and cpu.percnt > 3", {17: '"#"'}),
        ("status in [exited or dead or paused] && pids > 3", {38: '"&&"'}),
        ('name == "a and b.c = 3" && pids > 3', {25: '"&&"'}),
        ("if cpu.percent > 3 then restart", {4: '"if"'}),
        ("in = 3", {1: '"in" is not'}),
    ],
)
def test_beside_a_slip_all_is_told_that_is_certain(text: str, told: dict[float, str]) -> None:
    found = mistakes(text)
    assert [problem.column for problem in found] == [int(column) for column in told]
    for problem, message in zip(found, told.values(), strict=True):
        assert problem.message.startswith(message)


# --- any number of them ----------------------------------------------------------------------------------------------

# Parts of a comparison, each with the place of its mistake, if it has one.
RIGHT_NAME = st.sampled_from([("pids", None), ("restarts", None), ("delta(pids, 5m)", None)])
WRONG_NAME = st.sampled_from(
    [("pidz", 0), ("event.exit_code", 0), ("delta(pidz, 5m)", 6), ("delta(pids, 5)", 12), ("dleta(pids, 5m)", 0)]
)
RIGHT_NUMBER = st.sampled_from([("7", None), ("-1.5", None)])
WRONG_NUMBER = st.sampled_from([("7Mi", 0), ("1e999", 0)])
SLIP = st.sampled_from([("=", 0), ("~", 0), ("is", 0), ("equals", 0), (">>", 1)])

Piece = tuple[str, int | None]


def joined(*pieces: Piece | str) -> tuple[str, list[int]]:
    text, places = "", list[int]()
    for piece in pieces:
        written, place = (piece, None) if isinstance(piece, str) else piece
        if place is not None:
            places.append(len(text) + place)
        text += written
    return text, places


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[str, list[int]]:
    name = draw(RIGHT_NAME | WRONG_NAME)
    kind = draw(st.sampled_from(["compared", "mirrored", "listed", "two names", "slipped"]))
    if kind == "listed":
        items = draw(st.lists(RIGHT_NUMBER | WRONG_NUMBER | st.just(("[1]", 0)), min_size=1, max_size=3))
        commas = [each for item in items for each in (item, ", ")][:-1]
        return joined(name, draw(st.sampled_from([" in [", " not in ["])), *commas, "]")
    if kind == "two names":
        return joined(name, " > ", draw(st.sampled_from([("exit_code", None), ("exit_cod", 0)])))
    if kind == "slipped":  # which leaves nothing to judge behind it
        return joined(draw(st.sampled_from([("pids", None), ("pidz", 0)])), " ", draw(SLIP), " 7")
    number = draw(RIGHT_NUMBER | WRONG_NUMBER)
    return joined(number, " <= ", name) if kind == "mirrored" else joined(name, " > ", number)


@settings(max_examples=examples(300))
@given(data=st.data())
def test_as_many_mistakes_as_there_are_are_told_each_at_its_place(data: st.DataObject) -> None:
    parts = data.draw(st.lists(comparisons(), min_size=1, max_size=8))
    text, expected = "", list[int]()
    for number, (part, places) in enumerate(parts):
        joint = data.draw(st.sampled_from([" and ", " or ", "\nand not "])) if number else ""
        opened = data.draw(st.sampled_from(["", "(", "not ("]))
        text += joint + opened
        expected += [len(text) + place for place in places]
        text += part + ")" * bool(opened)
    found = mistakes(text)
    assert [problem.offset for problem in found] == expected
    for problem in found:
        assert problem.line == text.count("\n", 0, problem.offset) + 1
        assert problem.remedy
