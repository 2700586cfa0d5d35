"""Names, types and units of a parsed condition: what can be known at load is not a surprise at night."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lark import Token, Tree as ParseTree

from watchtower_agent.model.window import WindowFunction
from watchtower_agent.policies.catalogue import CATALOGUE, Entry, ValueType
from watchtower_agent.policies.conditions.operands import ConditionScope, Fixed, Named, Operands
from watchtower_agent.policies.conditions.passage import ConditionProblem, Passage
from watchtower_agent.policies.conditions.tree import (
    MIRRORED,
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
    quoted,
)
from watchtower_agent.policies.conditions.words import (
    COMPARABLE,
    NOUNS,
    ORDERED,
    amount_problem,
    example_of,
    rewritten,
    unchained,
)
from watchtower_agent.policies.problem import nearest, one_of, shown

DEEPEST: Final = 30
"""Levels of parentheses and `not`. `and` and `or` need no count: without parentheses they nest twice at most."""

_CONTINUOUS: Final = frozenset({ValueType.PERCENT, ValueType.DURATION})
_EQUALITY: Final = frozenset({"==", "!="})
_COMPUTED: Final = frozenset({WindowFunction.AVG, WindowFunction.P95, WindowFunction.RATE})
"""Functions whose answers are hardly ever exactly a fixed value, whatever they are about."""
_CAPITAL: Final = frozenset({"True", "TRUE", "False", "FALSE"})
_PLAIN_NAMES: Final = frozenset({Name("name"), Name("image")})
"""What never has a * in it."""


class Checker:
    """Turns one parsed text into a typed tree, or raises its problems, one a comparison at most."""

    def __init__(self, text: str, scope: ConditionScope) -> None:
        self._passage = Passage(text)
        self._operands = Operands(self._passage, scope)

    def tree(self, node: ParseTree[Token], depth: int = 0) -> Tree:
        """A node that must be true or false.

        Raises:
            ConditionProblem: It is not, or a name, type or unit in it is wrong.
        """
        if depth > DEEPEST:
            self._passage.fail(node, f"this is nested more than {DEEPEST} levels deep", "split the policy in two")
        parts = [child for child in node.children if isinstance(child, ParseTree)]
        match node.data:
            case "disjunction":
                return Or(self._trees(parts, depth))
            case "conjunction":
                return And(self._trees(parts, depth))
            case "negated":
                return Not(self.tree(parts[0], depth + 1))
            case "group":
                return self.tree(parts[0], depth + 1)
            case "comparison":
                return self._comparison(node, parts)
            case _:
                return self._flag(node)

    def _trees(self, nodes: Sequence[ParseTree[Token]], depth: int) -> tuple[Tree, ...]:
        trees: list[Tree] = []
        problems: list[ConditionProblem] = []
        for node in nodes:
            try:
                trees.append(self.tree(node, depth))
            except ConditionProblem as problem:
                problems += (problem, *problem.also)
        if problems:
            first, *others = problems
            first.also = tuple(others)
            raise first
        return tuple(trees)

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

    def _comparison(self, node: ParseTree[Token], parts: Sequence[ParseTree[Token]]) -> Tree:
        left, sign_node, right = parts[:3]
        sign = " ".join(str(token) for token in sign_node.children)
        if len(parts) > 3:  # noqa: PLR2004 - two operands and the sign between them
            self._passage.fail(
                parts[3],
                "comparisons can't be chained",
                f"write {unchained(sign, *map(self._passage.of, (left, right, *parts[3:5])))}",
            )
        if sign.endswith("in"):
            return self._membership(node, left, right, negated=sign.startswith("not"))
        for side in (left, right):
            if side.data == "list":
                self._passage.fail(
                    side, f"a list can't be compared with {sign}", 'use in: status in ["exited", "dead"]'
                )
            if side.data in {"group", "comparison", "disjunction", "conjunction", "negated"}:
                self._passage.fail(
                    side, "a condition in parentheses can't be compared", "combine conditions with and, or, not"
                )
        one, other = self._sides(left, right)
        if isinstance(one, Named):
            return self._compare(left, one, sign, right, other)
        if isinstance(other, Named):
            return self._compare(right, other, MIRRORED[sign], left, one)
        return self._passage.fail(node, "this compares two fixed values", "compare a name with one of them")

    def _sides(self, left: ParseTree[Token], right: ParseTree[Token]) -> tuple[Named | Fixed, Named | Fixed]:
        try:
            one = self._operands.read(left)
        except ConditionProblem:
            self._unquoted(left, right)
            raise
        try:
            return one, self._operands.read(right)
        except ConditionProblem:
            self._unquoted(right, left)
            raise

    def _unquoted(self, word: ParseTree[Token], beside: ParseTree[Token]) -> None:
        """`health == unhealthy`: say that text is quoted, rather than that there is no such name."""
        name = str(beside.children[0]) if beside.data == "name" else ""
        entry = CATALOGUE.get(name)
        wants_text = beside.data == "entry" or (entry is not None and entry.type in {ValueType.TEXT, ValueType.ENUM})
        if word.data == "name" and wants_text and str(word.children[0]) not in CATALOGUE:
            self._passage.fail(
                word, f"{self._passage.of(word)} is not a name", f"put text in quotes: {quoted(str(word.children[0]))}"
            )

    def _compare(
        self,
        left_node: ParseTree[Token],
        left: Named,
        sign: str,
        right_node: ParseTree[Token],
        right: Named | Fixed,
    ) -> Tree:
        reference, entry = left
        if sign not in _EQUALITY and entry.type not in ORDERED:
            self._passage.fail(left_node, f"{reference} has no order to compare with {sign}", "use == or != or in")
        if isinstance(right, Named):
            other, other_entry = right
            if other == reference:
                self._passage.fail(
                    right_node, f"this compares {reference} with itself", "compare it with something else"
                )
            if (other_entry.type, other_entry.values) != (entry.type, entry.values):
                self._passage.fail(
                    right_node,
                    f"{reference} is {NOUNS[entry.type]} and {other} is {NOUNS[other_entry.type]}",
                    f"compare it with a fixed value, as in {reference} {example_of(entry)}",
                )
            return Comparison(reference, sign, other)
        literal = self._literal(entry, reference, right_node, right, sign)
        return Comparison(reference, sign, literal)

    def _membership(
        self, node: ParseTree[Token], left: ParseTree[Token], right: ParseTree[Token], *, negated: bool
    ) -> Tree:
        operand = self._operands.read(left)
        if isinstance(operand, Fixed):
            self._passage.fail(left, f"{self._passage.of(left)} is a fixed value", "write a name before in")
        reference, entry = operand
        if right.data != "list":
            fixed = isinstance(self._operands.read(right), Fixed)
            listed = self._passage.of(right) if fixed else example_of(entry).split()[-1]
            sign = "not in" if negated else "in"
            self._passage.fail(right, "after in comes a list", f"write it like {reference} {sign} [{listed}]")
        items = [child for child in right.children if isinstance(child, ParseTree)]
        if not items:
            self._passage.fail(right, "the list is empty", "name at least one value")
        if entry.type is ValueType.BOOLEAN:
            self._passage.fail(node, f"{reference} is true or false", f"write {reference} or not {reference}")
        literals = tuple(self._literal(entry, reference, item, self._fixed(item, reference), "==") for item in items)
        return Membership(reference, literals, negated)

    def _fixed(self, item: ParseTree[Token], reference: Reference) -> Fixed:
        if item.data == "name" and str(item.children[0]) not in CATALOGUE:
            self._passage.fail(
                item,
                f"{self._passage.of(item)} is not a value",
                f"put text in quotes: {quoted(self._passage.of(item))}",
            )
        if item.data not in {"string", "quantity", "boolean"}:
            self._passage.fail(
                item, "a list holds fixed values only", f"compare {reference} with it by == and join with or"
            )
        operand = self._operands.read(item)
        assert isinstance(operand, Fixed)
        return operand

    def _literal(
        self,
        entry: Entry,
        reference: Reference,
        node: ParseTree[Token],
        operand: Fixed,
        sign: str,
    ) -> Literal:
        literal, kind = operand
        if kind not in COMPARABLE[entry.type]:
            self._passage.fail(
                node,
                f"{reference} is {NOUNS[entry.type]} and {self._passage.of(node)} is {NOUNS[kind]}",
                rewritten(entry, literal, kind) or f"write it like {reference} {example_of(entry)}",
            )
        wrong = amount_problem(reference, entry, literal, kind, sign)
        if wrong is not None:
            self._passage.fail(node, *wrong)
        if entry.values and literal.value not in entry.values:
            word = str(literal.value)
            near = nearest(word, entry.values)
            self._passage.fail(
                node,
                f"{reference} is never {shown(word)}",
                (f"did you mean {quoted(near)}? " if near else "") + f"{one_of(entry.values)}",
            )
        if reference in _PLAIN_NAMES and "*" in str(literal.value):
            self._passage.fail(
                node,
                f"{reference} is never {literal}: patterns are not for conditions",
                f"put it under select: {{{reference}: {literal}}}",
            )
        measured = isinstance(reference, Windowed) and reference.window.function in _COMPUTED
        if sign in _EQUALITY and (measured or (entry.type in _CONTINUOUS and literal.value != 0)):
            self._passage.fail(
                node,
                f"{reference} is measured and hardly ever exactly {literal}",
                f"use >= or <=, as in {reference} >= {literal}",
            )
        return literal
