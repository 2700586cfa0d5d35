"""What follows from a condition's tree alone: whether it can be true at all, and whether another then is. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Final

from watchtower_agent.model.values import dataclass
from watchtower_agent.model.window import WindowFunction
from watchtower_agent.policies.catalogue import CATALOGUE, ValueType
from watchtower_agent.policies.conditions.tree import (
    NEGATED,
    And,
    Comparison,
    Flag,
    Literal,
    Membership,
    Name,
    Not,
    Or,
    Reference,
    Tree,
    Windowed,
    describe,
)

MOST_CASES: Final = 256
"""Of which one condition is taken apart; about one that has more nothing is claimed."""

_SIGNED: Final = frozenset({WindowFunction.DELTA, WindowFunction.RATE})
"""Functions whose answer may be less than zero, or more than their name's most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a condition that is not made of others, as it is written, or its opposite.

    Attributes:
        tree: A flag, a comparison or a membership.
        holds: False for the opposite.
    """

    tree: Flag | Comparison | Membership
    holds: bool = True

    @property
    def reference(self) -> Reference:
        """What it is about."""
        return self.tree.reference if isinstance(self.tree, Flag) else self.tree.left

    @property
    def sign(self) -> str:
        """Of a comparison, as it holds; empty for others."""
        if not isinstance(self.tree, Comparison):
            return ""
        return self.tree.sign if self.holds else NEGATED[self.tree.sign]

    def __str__(self) -> str:
        return describe(self.tree if self.holds else Not(self.tree))


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What a value may be.

    Attributes:
        low: At least that.
        high: At most that.
        above: More than `low`, not equal to it.
        below: Less than `high`, not equal to it.
        among: One of these; None for any.
        barred: None of these.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False
    among: frozenset[object] | None = None
    barred: frozenset[object] = frozenset()

    @property
    def any(self) -> bool:
        """Whether there is such a value."""
        if self.among is not None:
            return any(self._fits(value) for value in self.among - self.barred)
        if self.low < self.high:
            return True
        return self.low == self.high and not self.above and not self.below and self.low not in self.barred

    def narrowed(self, part: Part) -> Values:
        """Those of them of which the part is true; all of them where that can't be told."""
        tree = part.tree
        if isinstance(tree, Flag):
            return self._only(frozenset({part.holds}))
        if isinstance(tree, Membership):
            items = frozenset(item.value for item in tree.items)
            return self._without(items) if tree.negated is part.holds else self._only(items)
        if not isinstance(tree.right, Literal):
            return self
        return self._compared(part.sign, tree.right.value)

    def _compared(self, sign: str, limit: float | str) -> Values:
        if sign == "==":
            return self._only(frozenset({limit}))
        if sign == "!=" or isinstance(limit, str):  # texts have no order
            return self._without(frozenset({limit}))
        strictly = sign in {">", "<"}
        if sign in {">", ">="} and limit >= self.low:
            return replace(self, low=limit, above=strictly or (limit == self.low and self.above))
        if sign in {"<", "<="} and limit <= self.high:
            return replace(self, high=limit, below=strictly or (limit == self.high and self.below))
        return self

    def _only(self, items: frozenset[object]) -> Values:
        return replace(self, among=items if self.among is None else self.among & items)

    def _without(self, items: frozenset[object]) -> Values:
        return replace(self, barred=self.barred | items)

    def _fits(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return True
        low = value > self.low if self.above else value >= self.low
        return low and (value < self.high if self.below else value <= self.high)


def values_of(reference: Reference) -> Values:
    """What the catalogue says that it can be."""
    name = reference.name if isinstance(reference, Name) else ""
    if isinstance(reference, Windowed):
        if reference.window.function in _SIGNED:
            return Values()
        name = reference.window.name
    entry = CATALOGUE.get(name)
    if entry is None or name.endswith("exit_code"):
        return Values()
    if entry.type is ValueType.ENUM:
        return Values(among=frozenset(entry.values))
    if entry.type is ValueType.BOOLEAN:
        return Values(among=frozenset({True, False}))
    if entry.type is ValueType.TEXT:
        return Values()
    return Values(low=0.0, high=math.inf if entry.at_most is None else entry.at_most)


Case = tuple[Part, ...]
"""Parts that are all true: one of the ways in which a condition is."""


def cases(tree: Tree) -> tuple[Case, ...] | None:
    """The ways in which it is true; None when there are too many to look at."""
    try:
        return tuple(_cases(tree, holds=True))
    except _TooManyError:
        return None


class _TooManyError(Exception):
    pass


def _cases(tree: Tree, *, holds: bool) -> list[Case]:
    match tree:
        case Not(part):
            return _cases(part, holds=not holds)
        case And(parts) | Or(parts):
            below = [_cases(part, holds=holds) for part in parts]
            if isinstance(tree, Or) is holds:
                found = [case for each in below for case in each]
            else:
                if math.prod(map(len, below)) > MOST_CASES:
                    raise _TooManyError
                found = [tuple(part for case in each for part in case) for each in product(*below)]
            if len(found) > MOST_CASES:
                raise _TooManyError
            return found
        case _:
            return [(Part(tree=tree, holds=holds),)]


def clash(case: Iterable[Part]) -> tuple[Part, ...]:
    """The parts that can't be true together; empty when all of them can."""
    left: dict[Reference, Values] = {}
    about: dict[Reference, list[Part]] = {}
    for part in case:
        reference = part.reference
        left[reference] = left.get(reference, values_of(reference)).narrowed(part)
        about.setdefault(reference, []).append(part)
        if not left[reference].any:
            return tuple(dict.fromkeys(about[reference]))
    return ()


def possible(tree: Tree) -> bool:
    """Whether it can be true at all, as far as can be told."""
    every = cases(tree)
    return every is None or any(not clash(case) for case in every)


def implies(one: Tree | None, other: Tree | None) -> bool:
    """Whether the other is true whenever the one is; None is always true. False where that can't be told."""
    if other is None:
        return True
    both: Tree = Not(other) if one is None else And((one, Not(other)))
    return not possible(both)


def limits(case: Case, name: str) -> Values:
    """What that name is in that case."""
    found = values_of(Name(name))
    for part in about(case, name):
        found = found.narrowed(part)
    return found


def about(case: Case, name: str) -> Iterator[Part]:
    """The parts that look at that name."""
    return (part for part in case if part.reference == Name(name))
