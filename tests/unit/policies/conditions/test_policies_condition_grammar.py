"""The tables of the grammar that come with the agent are those of its grammar, and are used for no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lark import Lark
from lark.exceptions import UnexpectedInput

from watchtower_agent.policies.conditions import grammar
from watchtower_agent.policies.conditions.grammar import GRAMMAR, TABLES, loaded, made, tables

FOLDER = Path(grammar.__file__).parent
TEXT = (FOLDER / GRAMMAR).read_text()
SHIPPED = (FOLDER / TABLES).read_text()


@pytest.fixture(scope="module")
def anew() -> Lark:
    return made(TEXT)


@pytest.fixture(scope="module")
def shipped() -> Lark:
    found = loaded(TEXT, SHIPPED)
    assert found is not None, "condition.json is not of this grammar and this lark: run scripts/grammar.py"
    return found


def everything(parser: Lark) -> tuple[object, ...]:
    """All that a parser goes by, its states numbered in the order in which one comes to them."""
    inside: Any = parser.parser
    table = inside.parser._parse_table
    order = list(table.start_states.values())
    for state in order:  # which grows
        steps = [into for _, (act, into) in sorted(table.states[state].items()) if str(act) == "Shift"]
        order += [into for into in dict.fromkeys(steps) if into not in order]
    number = {state: order.index(state) for state in order}

    def move(act: object, into: Any) -> tuple[object, ...]:  # noqa: ANN401 - a state or a rule
        if str(act) == "Shift":
            return ("Shift", number[into])
        return ("Reduce", into.origin, into.expansion, into.alias, into.order, json.dumps(vars(into.options)))

    states = [{token: move(*does) for token, does in table.states[state].items()} for state in order]
    terminals = sorted((each.name, repr(each.pattern), each.priority) for each in parser.terminals)
    lexer: Any = parser.lexer_conf
    ends = [number[state] for state in table.end_states.values()]
    return states, ends, len(order) == len(table.states), terminals, lexer.lexer_type, sorted(lexer.ignore)


def read(parser: Lark, text: str) -> str:
    """The tree that it makes of a text, with all places, or what is wrong with the text."""
    try:
        tree = parser.parse(text)
    except UnexpectedInput as error:
        return f"{sorted(str(error).splitlines())} at {error.pos_in_stream}"  # what it expected is a set
    return tree.pretty() + "".join(str(sorted(vars(part.meta).items())) for part in tree.iter_subtrees())


def test_they_are_what_the_grammar_says(anew: Lark, shipped: Lark) -> None:
    assert everything(shipped) == everything(anew)


@pytest.mark.parametrize(
    "text",
    [
        'not (avg(memory.percent, 5m) > 90% or labels["a"] not in ["x", \'y\']) and health == true',
        "memory.percent >",
        "90% 90%",
        "a = 1",
        "é",
        "",
    ],
)
def test_texts_are_read_as_by_the_grammar(anew: Lark, shipped: Lark, text: str) -> None:
    assert read(shipped, text) == read(anew, text)


def test_tables_that_are_written_are_read(anew: Lark) -> None:
    again = loaded(TEXT, tables(TEXT))
    assert again is not None
    assert everything(again) == everything(anew)


@pytest.mark.parametrize("what", ["lark", "grammar"])
def test_tables_of_another_grammar_or_lark_are_not_used(what: str) -> None:
    others = json.loads(SHIPPED)
    others["of"][what] += "1"
    assert loaded(TEXT, json.dumps(others)) is None
    assert loaded(TEXT + "\n", SHIPPED) is None
