"""Conditions: the text after `when` and `where`, parsed, checked and compiled once, asked at every tick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Final

from lark.exceptions import UnexpectedInput

from watchtower_agent.model.decision import Number
from watchtower_agent.model.values import dataclass
from watchtower_agent.model.window import Window
from watchtower_agent.policies.catalogue import CATALOGUE
from watchtower_agent.policies.conditions.check import Checker
from watchtower_agent.policies.conditions.grammar import parsed
from watchtower_agent.policies.conditions.names import ConditionScope
from watchtower_agent.policies.conditions.passage import ConditionProblem, Passage
from watchtower_agent.policies.conditions.slip import Slip
from watchtower_agent.policies.conditions.tree import (
    Name,
    Reference,
    Tree,
    Windowed,
    compiled,
    describe,
    reader,
    references,
)
from watchtower_agent.policies.conditions.truth import Subject, Truth, Unknown, Value

__all__ = ["Condition", "ConditionProblem", "ConditionScope", "parse_condition"]

LONGEST: Final = 1000
"""Characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition that can be asked about a subject.

    Attributes:
        text: As the policy has it.
        tree: Its meaning.
        names: The catalogue's names that it uses, those in windows among them; `labels["k"]` and
            `event.attributes["k"]` are not.
        windows: What it asks of the recent past.
        of_one_life: Something that it asks is of a container's present life: a restart begins it anew.
    """

    text: str
    tree: Tree
    names: frozenset[str]
    windows: frozenset[Window] = frozenset()
    of_one_life: bool = False
    _test: Callable[[Subject], Truth] = field(repr=False, compare=False)
    _readers: tuple[tuple[str, Callable[[Subject], Value]], ...] = field(repr=False, compare=False)

    def evaluate(self, subject: Subject) -> Truth:
        """Whether it holds: three-valued, `UNKNOWN and false` is false, `UNKNOWN or true` is true."""
        return self._test(subject)

    def numbers(self, subject: Subject) -> dict[str, Number]:
        """The present values of what it looks at, None for unknown: the facts behind a decision."""
        values = ((name, read(subject)) for name, read in self._readers)
        return {name: None if isinstance(value, Unknown) else value for name, value in values}

    def describe(self) -> str:
        """The canonical text, which means the same."""
        return describe(self.tree)


def parse_condition(text: str, scope: ConditionScope) -> Condition:
    """Parse, check and compile a condition.

    Raises:
        ConditionProblem: It is too long, no condition, or uses a name, type or unit wrongly.
    """
    if len(text) > LONGEST:
        raise ConditionProblem(
            text,
            LONGEST,
            f"the condition has {len(text)} characters",
            f"{LONGEST} is the most, split the policy in two",
        )
    if not text.strip():
        raise ConditionProblem(text, 0, "the condition is empty", "write it like memory.percent > 90%")
    tree = _tree(text, scope)
    used = tuple(dict.fromkeys(references(tree)))
    names = frozenset(name for reference in used if (name := _catalogue_name(reference)))
    return Condition(
        text=text,
        tree=tree,
        names=names,
        windows=frozenset(reference.window for reference in used if isinstance(reference, Windowed)),
        of_one_life=any(CATALOGUE[name].of_one_life for name in names),
        _test=compiled(tree),
        _readers=tuple((str(reference), reader(reference)) for reference in used),
    )


def _tree(text: str, scope: ConditionScope) -> Tree:
    passage = Passage(text)
    checker = Checker(passage, scope)
    try:
        tree = passage.attempt(lambda: checker.tree(parsed(text)))
    except UnexpectedInput as error:
        Slip(text, error, passage, checker).tell()
        tree = None
    passage.settle()
    assert tree is not None, "what has no meaning was noted"
    return tree


def _catalogue_name(reference: Reference) -> str:
    match reference:
        case Name(name):
            return name
        case Windowed(window):
            return window.name
        case _:
            return ""
