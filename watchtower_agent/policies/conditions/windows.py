"""Functions of the recent past in a condition: `avg(cpu.percent, 5m)`."""

from __future__ import annotations

from typing import Final

from lark import Token, Tree as ParseTree

from watchtower_agent.model.window import LONGEST_WINDOW, SHORTEST_WINDOW, Window, WindowFunction
from watchtower_agent.policies.catalogue import CATALOGUE, ValueType
from watchtower_agent.policies.conditions.literals import Literals
from watchtower_agent.policies.conditions.names import ConditionScope, Named, Names
from watchtower_agent.policies.conditions.passage import Passage, Senseless
from watchtower_agent.policies.conditions.tree import Name, Windowed
from watchtower_agent.policies.problem import nearest, one_of, shown

_FUNCTIONS: Final = tuple(str(known) for known in WindowFunction)
_EXAMPLE: Final = "as in avg(cpu.percent, 5m) > 80%"


class Windows:
    """Reads the calls of one condition.

    Args:
        passage: The condition's text.
        scope: Which names it can use.
        names: Reads the name that a call is about.
        literals: Reads its duration.
    """

    def __init__(self, passage: Passage, scope: ConditionScope, names: Names, literals: Literals) -> None:
        self._passage = passage
        self._scope = scope
        self._names = names
        self._literals = literals

    def read(self, node: ParseTree[Token]) -> Named:
        """What a node of kind `call` asks of the past.

        Raises:
            Senseless: Its function, its name or its duration is wrong, or all three.
        """
        attempt = self._passage.attempt
        written = str(node.children[0])
        arguments = [child for child in node.children if isinstance(child, ParseTree)]
        function = attempt(lambda: self._function(node, written))
        if function is not None and len(arguments) != 2:  # noqa: PLR2004 - a name and a duration
            self._passage.note(node, f"{written} takes a name and a duration", f"write it {_EXAMPLE}")
        if len(arguments) != 2 or self._scope is ConditionScope.DISK:  # noqa: PLR2004
            if arguments and arguments[0].data == "name":
                attempt(lambda: self._names.read(arguments[0]))
            raise Senseless
        about, span = arguments
        named = attempt(lambda: self._about(about, written))
        example = f"{function}({named.entry.name}, 5m)" if function and named else "avg(cpu.percent, 5m)"
        if about.data == "quantity" and span.data == "name":  # they changed places, of which enough is said
            attempt(lambda: self._names.read(span))
            raise Senseless
        seconds = attempt(lambda: self._span(span, f"write it like {example}"))
        if function is None or named is None or seconds is None:
            raise Senseless
        window = Window(function=function, name=named.entry.name, seconds=seconds)
        return Named(Windowed(window, self._passage.of(span)), named.entry)

    def _function(self, node: ParseTree[Token], written: str) -> WindowFunction:
        if self._scope is ConditionScope.DISK and written in _FUNCTIONS:
            message = f"{written} looks back, and here the disk is measured at one moment"
            self._passage.fail(node, message, f"write it without {written}, as in host.disk.percent < 75%")
        if written in _FUNCTIONS:
            return WindowFunction(written)
        if written in CATALOGUE:
            remedy = f"write avg({written}, 5m) for a mean over five minutes"
            self._passage.fail(node, f"{written} is no function", remedy)
        near = nearest(written, _FUNCTIONS)
        hint = f"did you mean {near}? " if near else ""
        return self._passage.fail(node, f"unknown function {shown(written)}", f"{hint}{one_of(_FUNCTIONS)}, {_EXAMPLE}")

    def _about(self, node: ParseTree[Token], function: str) -> Named:
        if node.data != "name":
            self._passage.fail(node, f"{function} is about a measured name", f"write it {_EXAMPLE}")
        named = self._names.read(node)
        assert isinstance(named.reference, Name)
        if not named.entry.windowed:
            self._passage.fail(
                node, f"{named.entry.name} has no past to look back on", f"name something measured, {_EXAMPLE}"
            )
        return named

    def _span(self, node: ParseTree[Token], remedy: str) -> float:
        if node.data != "quantity":
            self._passage.fail(node, f"{self._passage.of(node)} is not a duration", remedy)
        literal, kind = self._literals.read(node)
        if kind is not ValueType.DURATION:
            self._passage.fail(node, f"{self._passage.of(node)} is not a duration", remedy)
        seconds = float(literal.value)
        if not SHORTEST_WINDOW <= seconds <= LONGEST_WINDOW:
            self._passage.fail(node, f"a window of {self._passage.of(node)} can't be kept", "write between 1s and 1h")
        return seconds
