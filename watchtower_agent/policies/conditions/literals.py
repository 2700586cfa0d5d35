"""Fixed values in a condition: what they are, and whether a name can be compared with them."""

from __future__ import annotations

from typing import Final, NamedTuple

from lark import Token, Tree as ParseTree

from watchtower_agent.model.window import WindowFunction
from watchtower_agent.policies.catalogue import Entry, ValueType
from watchtower_agent.policies.conditions.names import Named
from watchtower_agent.policies.conditions.passage import Passage
from watchtower_agent.policies.conditions.tree import Literal, Name, Reference, Windowed, quoted
from watchtower_agent.policies.conditions.words import (
    COMPARABLE,
    NOUNS,
    amount_problem,
    example_of,
    rewritten,
    unquoted,
)
from watchtower_agent.policies.problem import nearest, one_of, shown
from watchtower_agent.policies.quantities import QuantityError, parse_quantity

EQUALITY: Final = frozenset({"==", "!="})
KINDS: Final = frozenset({"string", "quantity", "boolean"})
"""What the grammar calls them."""
_CONTINUOUS: Final = frozenset({ValueType.PERCENT, ValueType.DURATION})
_COMPUTED: Final = frozenset({WindowFunction.AVG, WindowFunction.P95, WindowFunction.RATE})
"""Functions whose answers are hardly ever exactly a fixed value, whatever they are about."""
_PLAIN_NAMES: Final = frozenset({Name("name"), Name("image")})
"""What never has a * in it."""


class Fixed(NamedTuple):
    """A literal, and what it is."""

    literal: Literal
    type: ValueType


class Literals:
    """Reads the fixed values of one condition.

    Args:
        passage: The condition's text.
    """

    def __init__(self, passage: Passage) -> None:
        self._passage = passage

    def read(self, node: ParseTree[Token]) -> Fixed:
        """The value that a node of one of the `KINDS` is.

        Raises:
            Senseless: Its number or its unit is none.
        """
        text = str(node.children[0])
        if node.data == "string":
            value = unquoted(text)
            return Fixed(Literal(value, quoted(value)), ValueType.TEXT)
        if node.data == "boolean":
            return Fixed(Literal(text == "true", text), ValueType.BOOLEAN)
        try:
            quantity = parse_quantity(text)
        except QuantityError as error:
            self._passage.fail(node, error.message, error.remedy)
        return Fixed(Literal(quantity.value, text), quantity.type)

    def beside(self, named: Named, sign: str, node: ParseTree[Token], fixed: Fixed) -> Literal:
        """The value, with which the name can be compared.

        Args:
            named: On the left of the sign.
            sign: `==` for one of a list, too.
            node: Of the value.
            fixed: The value.

        Raises:
            Senseless: It can't, or nobody means that.
        """
        reference, entry = named
        literal, kind = fixed
        if kind not in COMPARABLE[entry.type]:
            self._passage.fail(
                node,
                f"{reference} is {NOUNS[entry.type]} and {self._passage.of(node)} is {NOUNS[kind]}",
                rewritten(entry, literal, kind) or f"write it like {reference} {example_of(entry)}",
            )
        wrong = amount_problem(reference, entry, literal, kind, sign)
        if wrong is not None:
            self._passage.fail(node, *wrong)
        self._possible(reference, entry, node, literal)
        measured = isinstance(reference, Windowed) and reference.window.function in _COMPUTED
        if sign in EQUALITY and (measured or (entry.type in _CONTINUOUS and literal.value != 0)):
            self._passage.fail(
                node,
                f"{reference} is measured and hardly ever exactly {literal}",
                f"use >= or <=, as in {reference} >= {literal}",
            )
        return literal

    def _possible(self, reference: Reference, entry: Entry, node: ParseTree[Token], literal: Literal) -> None:
        """A text that the name can ever be."""
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
