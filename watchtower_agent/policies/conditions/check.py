"""Names, types and units of a parsed condition: what can be known at load is not a surprise at night.

Every mistake is told at once, unless it follows from another: of two sides that don't fit each other nothing is said
where one of them has no meaning by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from lark import Token, Tree as ParseTree

from watchtower_agent.policies.catalogue import ValueType
from watchtower_agent.policies.conditions.literals import EQUALITY, KINDS, Fixed
from watchtower_agent.policies.conditions.names import ConditionScope, Named
from watchtower_agent.policies.conditions.operands import Operands
from watchtower_agent.policies.conditions.passage import Passage, Senseless
from watchtower_agent.policies.conditions.tree import (
    MIRRORED,
    And,
    Comparison,
    Flag,
    Membership,
    Not,
    Or,
    Reference,
    Tree,
    quoted,
)
from watchtower_agent.policies.conditions.words import NOUNS, ORDERED, example_of, unchained
from watchtower_agent.policies.problem import nearest

DEEPEST: Final = 30
"""Levels of parentheses and `not`. `and` and `or` need no count: without parentheses they nest twice at most."""

_CAPITAL: Final = frozenset({"True", "TRUE", "False", "FALSE"})
_CONDITIONS: Final = frozenset({"group", "comparison", "disjunction", "conjunction", "negated"})

_Read = TypeVar("_Read")


class Checker:
    """Turns a parsed text into a typed tree, and notes all that is wrong with it.

    Args:
        passage: The text, where mistakes are noted.
        scope: Which names it can use.
    """

    def __init__(self, passage: Passage, scope: ConditionScope) -> None:
        self._passage = passage
        self._operands = Operands(passage, scope)

    def tree(self, node: ParseTree[Token], depth: int = 0) -> Tree:
        """A node that must be true or false.

        Raises:
            Senseless: It is not, or a name, type or unit in it is wrong.
        """
        if depth > DEEPEST:
            self._passage.fail(node, f"this is nested more than {DEEPEST} levels deep", "split the policy in two")
        parts = [child for child in node.children if isinstance(child, ParseTree)]
        match node.data:
            case "disjunction":
                return Or(self._every(lambda part: self.tree(part, depth), parts))
            case "conjunction":
                return And(self._every(lambda part: self.tree(part, depth), parts))
            case "negated":
                return Not(self.tree(parts[0], depth + 1))
            case "group":
                return self.tree(parts[0], depth + 1)
            case "comparison":
                return self._comparison(node, parts, depth)
            case _:
                return self._flag(node)

    def _every(self, read: Callable[[ParseTree[Token]], _Read], nodes: Sequence[ParseTree[Token]]) -> tuple[_Read, ...]:
        """What each node is read as; where one has no meaning the others are read all the same."""
        found = [self._passage.attempt(partial(read, node)) for node in nodes]
        values = tuple(each for each in found if each is not None)
        if len(values) < len(nodes):
            raise Senseless
        return values

    def _flag(self, node: ParseTree[Token]) -> Tree:
        if node.data == "name" and str(node.children[0]) in _CAPITAL:  # small ones would be no condition either
            self._passage.fail(node, f"{self._passage.of(node)} alone is no condition", "compare a name with it")
        operand = self._operands.read(node)
        if isinstance(operand, Fixed):
            self._passage.fail(node, f"{self._passage.of(node)} alone is no condition", "compare a name with it")
        reference, entry = operand
        if entry.type is not ValueType.BOOLEAN:
            self._passage.fail(
                node,
                f"{reference} is {NOUNS[entry.type]}, not true or false",
                f"compare it: {reference} {example_of(entry)}",
            )
        return Flag(reference)

    def _comparison(self, node: ParseTree[Token], parts: Sequence[ParseTree[Token]], depth: int) -> Tree:
        left, sign_node, right = parts[:3]
        sign = " ".join(str(token) for token in sign_node.children)
        if len(parts) > 3:  # noqa: PLR2004 - two operands and the sign between them
            self._passage.note(
                parts[3],
                "comparisons can't be chained",
                f"write {unchained(sign, *map(self._passage.of, (left, right, *parts[3:5])))}",
            )
            self._every(lambda part: self.alone(part, depth), parts[::2])
            raise Senseless
        if sign.endswith("in"):
            return self._membership(node, left, right, negated=sign.startswith("not"))
        if not {left.data, right.data}.isdisjoint(_CONDITIONS | {"list"}):
            self._every(lambda side: self._side(side, sign, depth), (left, right))
            raise Senseless
        one = self._passage.attempt(
            lambda: self._operands.read(left, right if self._operands.names.known(right) else None)
        )
        other = self._passage.attempt(lambda: self._operands.read(right, left))
        if one is None or other is None:
            raise Senseless
        if isinstance(one, Named):
            return self._compare(left, one, sign, right, other)
        if isinstance(other, Named):
            return self._compare(right, other, MIRRORED[sign], left, one)
        return self._passage.fail(node, "this compares two fixed values", "compare a name with one of them")

    def _side(self, side: ParseTree[Token], sign: str, depth: int) -> None:
        """One side of a comparison of which a side can't be compared at all."""
        if side.data == "list":
            self._passage.note(side, f"a list can't be compared with {sign}", 'use in: status in ["exited", "dead"]')
        elif side.data in _CONDITIONS:
            self._passage.note(
                side, "a condition in parentheses can't be compared", "combine conditions with and, or, not"
            )
        self.alone(side, depth)

    def alone(self, node: ParseTree[Token], depth: int = 0) -> bool:
        """Look for what is wrong with something by itself, as nothing can be said of its place."""
        while node.data == "group":
            node, depth = node.children[0], depth + 1  # type: ignore[assignment] # a group holds one tree
        if node.data == "list":
            self._every(self._value, [item for item in node.children if isinstance(item, ParseTree)])
        elif node.data in _CONDITIONS:
            self.tree(node, depth)
        else:
            self._operands.read(node)
        return True

    def _compare(
        self,
        left_node: ParseTree[Token],
        left: Named,
        sign: str,
        right_node: ParseTree[Token],
        right: Named | Fixed,
    ) -> Tree:
        reference, entry = left
        ordered = sign in EQUALITY or entry.type in ORDERED
        if not ordered:
            self._passage.note(left_node, f"{reference} has no order to compare with {sign}", "use == or != or in")
        beside = (
            self._operands.literals.beside(left, sign, right_node, right)
            if isinstance(right, Fixed)
            else self._like(left, right_node, right)
        )
        if not ordered:
            raise Senseless
        return Comparison(reference, sign, beside)

    def _like(self, named: Named, node: ParseTree[Token], other: Named) -> Reference:
        """Another name, of the same kind as the one."""
        reference, entry = named
        if other.reference == reference:
            self._passage.fail(node, f"this compares {reference} with itself", "compare it with something else")
        if (other.entry.type, other.entry.values) != (entry.type, entry.values):
            self._passage.fail(
                node,
                f"{reference} is {NOUNS[entry.type]} and {other.reference} is {NOUNS[other.entry.type]}",
                f"compare it with a fixed value, as in {reference} {example_of(entry)}",
            )
        return other.reference

    def _membership(
        self, node: ParseTree[Token], left: ParseTree[Token], right: ParseTree[Token], *, negated: bool
    ) -> Tree:
        named = self._passage.attempt(lambda: self._before_in(left))
        if right.data != "list":
            self._unlisted(left, named, "not in" if negated else "in", right)
            raise Senseless
        if named is not None and named.entry.type is ValueType.BOOLEAN:
            self._passage.fail(
                node, f"{named.reference} is true or false", f"write {named.reference} or not {named.reference}"
            )
        items = [child for child in right.children if isinstance(child, ParseTree)]
        if not items:
            self._passage.fail(right, "the list is empty", "name at least one value")
        if named is None:
            self._every(self._value, items)
            raise Senseless
        literals = self._every(lambda item: self._operands.literals.beside(named, "==", item, self._value(item)), items)
        return Membership(named.reference, literals, negated)

    def _before_in(self, node: ParseTree[Token]) -> Named:
        operand = self._operands.read(node)
        if isinstance(operand, Fixed):
            self._passage.fail(node, f"{self._passage.of(node)} is a fixed value", "write a name before in")
        return operand

    def _unlisted(self, left: ParseTree[Token], named: Named | None, sign: str, right: ParseTree[Token]) -> None:
        """What stands after `in` without brackets."""
        written, listed = self._passage.of(right), "…" if named is None else example_of(named.entry).split()[-1]
        if right.data == "name" and not self._operands.names.known(right):
            # `status in exited`: a text, of which nobody need be told that it is no name.
            if named is None or named.entry.type is ValueType.TEXT:
                listed = quoted(written)
            elif near := nearest(written, named.entry.values):
                listed = quoted(near)
        elif (operand := self._passage.attempt(lambda: self._operands.read(right))) is None:
            return
        elif isinstance(operand, Fixed):
            listed = written
        whose = self._passage.of(left) if named is None else named.reference
        self._passage.note(right, "after in comes a list", f"write it like {whose} {sign} [{listed}]")

    def _value(self, item: ParseTree[Token]) -> Fixed:
        """One of a list."""
        written = self._passage.of(item)
        if item.data == "name" and not self._operands.names.known(item):
            self._passage.fail(item, f"{written} is not a value", f"put text in quotes: {quoted(written)}")
        if item.data not in KINDS:
            self._passage.fail(item, "a list holds fixed values only", "compare with it by == and join with or")
        return self._operands.literals.read(item)
