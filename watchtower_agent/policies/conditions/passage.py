"""The text of a condition, as what is wrong with it is told: where, what, and what would be right."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

from lark import Token, Tree as ParseTree

_LONGEST_SHOWN = 60
"""Characters: as much as a message can hold."""

_Read = TypeVar("_Read")


class ConditionProblem(Exception):  # noqa: N818 - a problem in an operator's file, not a fault of the program
    """What is wrong with a condition.

    Attributes:
        offset: Characters from the text's begin, from 0.
        line: In the text, from 1.
        column: In that line, from 1.
        message: What is wrong.
        remedy: What would be right.
        also: Further mistakes in the same text, in the order of their places.
        names: What the whole text is about all the same: names of the catalogue that are understood, or most likely
            meant, `labels` among them.
    """

    also: tuple[ConditionProblem, ...] = ()
    names: frozenset[str] = frozenset()

    def __init__(self, text: str, offset: int, message: str, remedy: str) -> None:
        super().__init__(f"{message}, {remedy}")
        self.offset = offset
        self.line = text.count("\n", 0, offset) + 1
        self.column = offset - text.rfind("\n", 0, offset)
        self.message = message
        self.remedy = remedy


class Senseless(Exception):  # noqa: N818 - as above
    """A part of a condition has no meaning; why is noted already."""


class Passage:
    """The text that is checked, and the mistakes that were found in it.

    Args:
        text: The whole condition.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._problems: list[ConditionProblem] = []
        self._names: set[str] = set()

    def mention(self, name: str) -> None:
        """The text is about that, whether all of it is right or not."""
        self._names.add(name)

    def of(self, node: ParseTree[Token]) -> str:
        """What a node was written as, on one line, cut where it is long."""
        text = " ".join(self._text[node.meta.start_pos : node.meta.end_pos].split())
        return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"

    def note(self, node: ParseTree[Token], message: str, remedy: str) -> None:
        """Say what is wrong at that node; what stands beside it can be judged all the same."""
        self.add(ConditionProblem(self._text, getattr(node.meta, "start_pos", 0), message, remedy))

    def add(self, problem: ConditionProblem) -> None:
        """Note a mistake that has its place already."""
        self._problems.append(problem)

    def fail(self, node: ParseTree[Token], message: str, remedy: str) -> NoReturn:
        """Say what is wrong at that node, which has no meaning then.

        Raises:
            Senseless: Always.
        """
        self.note(node, message, remedy)
        raise Senseless

    @staticmethod
    def attempt(reading: Callable[[], _Read]) -> _Read | None:
        """What is read; None when that has no meaning, which is noted then."""
        try:
            return reading()
        except Senseless:
            return None

    def settle(self) -> None:
        """Tell all mistakes, if there are any.

        Raises:
            ConditionProblem: The first by its place, and all others with it.
        """
        if self._problems:
            first, *others = sorted(self._problems, key=lambda problem: problem.offset)
            first.also = tuple(others)
            first.names = frozenset(self._names)
            raise first
