"""The grammar of `when` and `where`, as it stands in condition.lark."""

from __future__ import annotations

from functools import cache

from lark import Lark, Token, Tree as ParseTree


def parsed(text: str) -> ParseTree[Token]:
    """A condition's text as the grammar reads it; its names and values are not looked at.

    Raises:
        UnexpectedInput: lark's, where it can't be read on.
    """
    return _parser().parse(text)


class _Parser:
    """The grammar's LALR tables."""

    def __init__(self) -> None:
        self._lark = Lark.open_from_package(
            "watchtower_agent.policies.conditions",
            "condition.lark",
            search_paths=("",),
            parser="lalr",
            lexer="basic",  # a keyword is a keyword everywhere
            propagate_positions=True,
        )

    def parse(self, text: str) -> ParseTree[Token]:
        return self._lark.parse(text)


@cache
def _parser() -> _Parser:
    return _Parser()
