"""The two sides of a comparison: names of the catalogue, labels, windows, and fixed values."""

from __future__ import annotations

from lark import Token, Tree as ParseTree

from watchtower_agent.policies.conditions.literals import KINDS, Fixed, Literals
from watchtower_agent.policies.conditions.names import ConditionScope, Named, Names
from watchtower_agent.policies.conditions.passage import Passage
from watchtower_agent.policies.conditions.windows import Windows


class Operands:
    """Reads the operands of one condition.

    Args:
        passage: The condition's text.
        scope: Which names it can use.
    """

    def __init__(self, passage: Passage, scope: ConditionScope) -> None:
        self._passage = passage
        self.names = Names(passage, scope)
        self.literals = Literals(passage)
        self._windows = Windows(passage, scope, self.names, self.literals)

    def read(self, node: ParseTree[Token], beside: ParseTree[Token] | None = None) -> Named | Fixed:
        """One side of a comparison.

        Args:
            node: What is read.
            beside: The other side, where a word may be a text without its quotes.

        Raises:
            Senseless: It is neither a name nor a value, or none that can be used here.
        """
        if node.data in {"name", "entry"}:
            return self.names.read(node, beside)
        if node.data == "call":
            return self._windows.read(node)
        if node.data in KINDS:
            return self.literals.read(node)
        return self._passage.fail(node, "a name or a value belongs here", "write it like memory.percent > 90%")
