"""A text that is no condition: what it slips on, and what is wrong beside that and can be judged all the same.

Between `and` and `or` stand parts that are conditions by themselves. Of those that can be read all mistakes are told,
of the others their own slip. Where nobody knows what is meant, as behind a quote that is not closed, nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from lark import Token, Tree as ParseTree
from lark.exceptions import UnexpectedInput, UnexpectedToken

from watchtower_agent.policies.conditions.check import Checker
from watchtower_agent.policies.conditions.grammar import parsed
from watchtower_agent.policies.conditions.passage import ConditionProblem, Passage
from watchtower_agent.policies.conditions.syntax import OTHER_SIGNS, syntax_problem
from watchtower_agent.policies.problem import shown

_JOINT: Final = re.compile(
    r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'"""  # quoted text is passed over
    r"|(?P<joint>(?<![\w.])(?:and|or)(?![\w.])|&&|\|\|)"
    r"""|(?P<stop>["'#])""",  # behind these no word is known for what it is
    re.ASCII | re.IGNORECASE,
)
_OPENING: Final = re.compile(r"\s*(?:(?:not\b|!(?!=)|\()\s*)*", re.ASCII | re.IGNORECASE)
_OPPOSITE: Final = re.compile(r"not|!", re.IGNORECASE)
_NAME: Final = r"((?!(?:and|or|not|in|true|false)\b)[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"
_SIGN: Final = rf"[=<>!~≥≤≠]|(?:(?:not\s+)?in|{'|'.join(OTHER_SIGNS)})\b"
_LEADING: Final = re.compile(rf"{_NAME}\s*(?={_SIGN})|[A-Za-z_]\w*\s*\(\s*{_NAME}\s*(?=,)", re.ASCII)
"""What is a name whatever follows: to the left of a sign, or what a function is about."""
_ELSEWHERE: Final = MappingProxyType({"&&": "and", "||": "or", "!": "not"})


class Slip:
    """What is wrong with one text that can't be parsed.

    Args:
        text: The whole text.
        error: What the parser says of it.
        passage: Where mistakes are noted.
        checker: Of the same passage.
    """

    def __init__(self, text: str, error: UnexpectedInput, passage: Passage, checker: Checker) -> None:
        self._text = text
        self._passage = passage
        self._checker = checker
        self._first = syntax_problem(text, error)

    def tell(self) -> None:
        """Note the slip, and all else that is certain."""
        self._passage.add(self._first)
        for start, end in self._parts():
            self._judge(self._opened(start, end), end)

    def _parts(self) -> Iterator[tuple[int, int]]:
        """Where each part begins and ends."""
        start = 0
        for found in _JOINT.finditer(self._text):
            if found["stop"]:
                break
            if found["joint"]:
                yield start, found.start()
                start = found.end()
                self._operator(found)
        yield start, len(self._text)

    def _opened(self, start: int, end: int) -> int:
        """Where a part begins behind what only opens it."""
        opening = _OPENING.match(self._text, start, end)
        assert opening is not None, "it may be empty"
        for opposite in _OPPOSITE.finditer(self._text, start, opening.end()):
            self._operator(opposite)
        return opening.end()

    def _operator(self, found: re.Match[str]) -> None:
        """One of another language is told, if it is not what was slipped on: the parser may notice at the next word."""
        ours = _ELSEWHERE.get(found[0], found[0].lower())
        following = found.end() + len(self._text[found.end() :]) - len(self._text[found.end() :].lstrip())
        if found[0] != ours and not found.start() <= self._first.offset <= following:
            message = f"{shown(found[0])} is not an operator here"
            self._passage.add(ConditionProblem(self._text, found.start(), message, f"write {ours}"))

    def _judge(self, start: int, end: int) -> None:
        part = self._text[start:end].rstrip()
        while part.endswith(")") and part.count(")") > part.count("("):
            part = part[:-1].rstrip()
        if not part:
            return
        try:
            tree = parsed(self._in_place(start, part))
        except UnexpectedInput as error:
            self._fallen(start, part, error, slipped=start <= self._first.offset <= end)
            return
        if self._certain(tree, start, end):
            self._passage.attempt(lambda: self._checker.tree(tree))

    def _in_place(self, start: int, part: str) -> str:
        """A part alone, at the place that it has in the whole."""
        return re.sub(r"\S", " ", self._text[:start]) + part

    def _certain(self, tree: ParseTree[Token], start: int, end: int) -> bool:
        """Whether a part is a condition by itself, and not half of something: `between 10% and 20%`."""
        if tree.data == "comparison":
            return True
        listed = self._text.count("[", 0, start) > self._text.count("]", 0, start)
        return (end <= self._first.offset and not listed) or (tree.data == "name" and "." in str(tree.children[0]))

    def _fallen(self, start: int, part: str, error: UnexpectedInput, *, slipped: bool) -> None:
        """A part that can't be parsed either."""
        problem = syntax_problem(self._in_place(start, part), error)
        name = _LEADING.match(part)
        if name is not None and start + name.end() <= problem.offset:
            at = start + name.start(name.lastindex or 0)
            tree = parsed(self._in_place(at, name[name.lastindex or 0]))
            self._passage.attempt(lambda: self._checker.alone(tree))
        ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        whole = part.count("(") == part.count(")") and part.count("[") == part.count("]")
        if start > self._first.offset and not slipped and not ended and whole:
            self._passage.add(problem)
