"""The text of a condition, as what is wrong with it is told: where, what, and what would be right."""

from __future__ import annotations

from typing import NoReturn

from lark import Token, Tree as ParseTree

_LONGEST_SHOWN = 60
"""Characters: as much as a message can hold."""


class ConditionProblem(Exception):  # noqa: N818 - a problem in an operator's file, not a fault of the program
    """What is wrong with a condition.

    Attributes:
        offset: Characters from the text's begin, from 0.
        line: In the text, from 1.
        column: In that line, from 1.
        message: What is wrong.
        remedy: What would be right.
        also: Further mistakes in other comparisons of the same text, in their order.
    """

    also: tuple[ConditionProblem, ...] = ()

    def __init__(self, text: str, offset: int, message: str, remedy: str) -> None:
        super().__init__(f"{message}, {remedy}")
        self.offset = offset
        self.line = text.count("\n", 0, offset) + 1
        self.column = offset - text.rfind("\n", 0, offset)
        self.message = message
        self.remedy = remedy


class Passage:
    """The text that is checked."""

    def __init__(self, text: str) -> None:
        self._text = text

    def of(self, node: ParseTree[Token]) -> str:
        """What a node was written as, on one line, cut where it is long."""
        text = " ".join(self._text[node.meta.start_pos : node.meta.end_pos].split())
        return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"

    def fail(self, node: ParseTree[Token], message: str, remedy: str) -> NoReturn:
        """Say what is wrong at that node.

        Raises:
            ConditionProblem: Always.
        """
        raise ConditionProblem(self._text, getattr(node.meta, "start_pos", 0), message, remedy)
