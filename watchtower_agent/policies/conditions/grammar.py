"""The grammar of `when` and `where`, as it stands in condition.lark."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any, Final

import lark
from lark import Lark, Token, Tree as ParseTree
from lark.grammar import Rule
from lark.lexer import TerminalDef
from lark.load_grammar import FromPackageLoader

GRAMMAR: Final = "condition.lark"
TABLES: Final = "condition.json"
"""The grammar's LALR tables: 2 ms to load, where making them takes 30 to 40 of each start."""


def parsed(text: str) -> ParseTree[Token]:
    """A condition's text as the grammar reads it; its names and values are not looked at.

    Raises:
        UnexpectedInput: lark's, where it can't be read on.
    """
    return _parser().parse(text)


class _Parser:
    """The grammar's parser: of the tables, if they are of this grammar and this lark, else made anew."""

    def __init__(self) -> None:
        grammar = _content(GRAMMAR)
        self._lark = loaded(grammar, _content(TABLES)) or made(grammar)

    def parse(self, text: str) -> ParseTree[Token]:
        return self._lark.parse(text)


@cache
def _parser() -> _Parser:
    return _Parser()


def _content(file: str) -> str:
    """Of a file beside this one."""
    _, text = FromPackageLoader(__package__, ("",))(None, file)
    return text


def made(grammar: str) -> Lark:
    """The parser of that grammar."""
    return Lark(
        grammar,
        parser="lalr",
        lexer="basic",  # a keyword is a keyword everywhere
        propagate_positions=True,
    )


def tables(grammar: str) -> str:
    """The tables of that grammar, for `loaded`."""
    data, memo = made(grammar).memo_serialize([TerminalDef, Rule])
    return json.dumps({"of": _source(grammar), "data": data, "memo": memo}, separators=(",", ":")) + "\n"


def loaded(grammar: str, tables: str) -> Lark | None:
    """The parser of that grammar by its tables; None if they are another grammar's, or another lark's."""
    read = json.loads(tables)
    if read["of"] != _source(grammar):
        return None
    lalr = read["data"]["parser"]["parser"]
    lalr["tokens"] = _by_number(lalr["tokens"])
    lalr["states"] = {number: _by_number(state) for number, state in _by_number(lalr["states"]).items()}
    read["memo"] = _by_number(read["memo"])
    return Lark.load(read)  # a mapping, as lark's own standalone parsers have it


def _source(grammar: str) -> dict[str, str]:
    return {"lark": lark.__version__, "grammar": hashlib.sha256(grammar.encode()).hexdigest()}


def _by_number(named: dict[str, Any]) -> dict[int, Any]:
    """Keys that are numbers, which JSON has not."""
    return {int(number): value for number, value in named.items()}
