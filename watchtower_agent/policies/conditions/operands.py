"""The two sides of a comparison: names of the catalogue, labels, windows, and fixed values."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from lark import Token, Tree as ParseTree

from watchtower_agent.model.window import LONGEST_WINDOW, SHORTEST_WINDOW, Window, WindowFunction
from watchtower_agent.policies.catalogue import ATTRIBUTES, CATALOGUE, LABELS, Entry, Scope, ValueType
from watchtower_agent.policies.conditions.passage import Passage
from watchtower_agent.policies.conditions.tree import Attribute, Label, Literal, Name, Reference, Windowed, quoted
from watchtower_agent.policies.conditions.words import meant
from watchtower_agent.policies.problem import nearest, one_of, shown
from watchtower_agent.policies.quantities import QuantityError, parse_quantity

_WINDOW_EXAMPLE: Final = "as in avg(cpu.percent, 5m) > 80%"


class ConditionScope(Enum):
    """Which names a condition can use."""

    WHEN = "when"
    """Of the container, its host and its engine."""
    WHERE = "where"
    """Of the event and its container."""
    HOST = "host"
    """Of the host and its engine: for what is about no container."""
    DISK = "disk"
    """Of the engine's disk, as it is measured at that moment: without a past."""


_SCOPES: Final = {
    ConditionScope.WHEN: frozenset({Scope.CONTAINER, Scope.HOST, Scope.ENGINE}),
    ConditionScope.WHERE: frozenset({Scope.EVENT, Scope.CONTAINER}),
    ConditionScope.HOST: frozenset({Scope.HOST, Scope.ENGINE}),
    ConditionScope.DISK: frozenset({Scope.HOST}),
}
_NAMES: Final = {
    scope: tuple(
        name
        for name, entry in CATALOGUE.items()
        if entry.scope in scopes and (entry.of_disk or scope is not ConditionScope.DISK)
    )
    for scope, scopes in _SCOPES.items()
}
_INSTEAD: Final = {
    ConditionScope.WHEN: "use it in where, beside on",
    ConditionScope.WHERE: "use it in when; where takes names of the event and its container",
    ConditionScope.HOST: "use names that begin with host. or engine.",
    ConditionScope.DISK: f"{one_of(_NAMES[ConditionScope.DISK])}",
}
"""What is right in place of a name that is known elsewhere."""
_OF_CONTAINERS: Final = frozenset({ConditionScope.WHEN, ConditionScope.WHERE})


class Named(NamedTuple):
    """A name, and what the catalogue says of it."""

    reference: Reference
    entry: Entry


class Fixed(NamedTuple):
    """A literal, and what it is."""

    literal: Literal
    type: ValueType


class Operands:
    """Reads the operands of one condition.

    Args:
        passage: The condition's text.
        scope: Which names it can use.
    """

    def __init__(self, passage: Passage, scope: ConditionScope) -> None:
        self._passage = passage
        self._scope = scope
        self._names = _NAMES[scope]

    def read(self, node: ParseTree[Token]) -> Named | Fixed:  # noqa: PLR0911 - one return per kind of node
        """One side of a comparison.

        Raises:
            ConditionProblem: It is neither a name nor a value, or none that can be used here.
        """
        token = node.children[0] if node.children else None
        # Only of a token: a tree's text is made by recursion, and lists may be nested as deep as the text is long.
        text = str(token) if isinstance(token, Token) else ""
        match node.data:
            case "name":
                return self._name(node, text)
            case "entry":
                return self._entry(node, text, _unquoted_string(str(node.children[1])))
            case "call":
                return self._windowed(node, text)
            case "string":
                value = _unquoted_string(text)
                return Fixed(Literal(value, quoted(value)), ValueType.TEXT)
            case "boolean":
                return Fixed(Literal(text == "true", text), ValueType.BOOLEAN)
            case "quantity":
                return self._quantity(node, text)
            case _:
                return self._passage.fail(node, "a name or a value belongs here", "write it like memory.percent > 90%")

    def _quantity(self, node: ParseTree[Token], text: str) -> Fixed:
        try:
            quantity = parse_quantity(text)
        except QuantityError as error:
            self._passage.fail(node, error.message, error.remedy)
        return Fixed(Literal(quantity.value, text), quantity.type)

    def _name(self, node: ParseTree[Token], name: str) -> Named | Fixed:
        entry = CATALOGUE.get(name)
        if entry is not None and name in self._names:
            return Named(Name(name), entry)
        if entry is not None:
            self._passage.fail(node, self._misplaced(entry), _INSTEAD[self._scope])
        for container in (LABELS, ATTRIBUTES):
            if name == container or name.startswith(container + "."):
                self._of_a_host(node, container)
                key = name[len(container) + 1 :] or "key"
                self._passage.fail(node, f"{name} needs a key in brackets", f"write {container}[{quoted(key)}]")
        if name.startswith("event.") and self._scope is not ConditionScope.WHERE:
            message = "what begins with event. is known only of an event"
            self._passage.fail(node, message, _INSTEAD[self._scope])
        for entry in map(CATALOGUE.__getitem__, ("health", "status")):
            if name in entry.values and self._scope in _OF_CONTAINERS:
                self._passage.fail(node, f"unknown name {shown(name)}", f"did you mean {entry.name} == {quoted(name)}?")
        near = meant(name, self._names)
        near = near if near in self._names or near not in CATALOGUE else ""
        listed = "watchtower-agent metrics lists all names" if self._scope in _OF_CONTAINERS else _INSTEAD[self._scope]
        remedy = f"did you mean {near}?" if near else listed
        return self._passage.fail(node, f"unknown name {shown(name)}", remedy)

    def _misplaced(self, entry: Entry) -> str:
        """Why a name of the catalogue can't stand here."""
        if self._scope is ConditionScope.WHERE:
            return f"{entry.name} is not known of an event"
        if entry.scope is Scope.EVENT:
            return f"{entry.name} is known only of an event"
        if entry.scope is Scope.CONTAINER:
            return f"{entry.name} is about a container, and this is about the host"
        return f"{entry.name} is not measured after each deletion"

    def _of_a_host(self, node: ParseTree[Token], name: str) -> None:
        """A host has neither labels nor attributes."""
        if self._scope not in _OF_CONTAINERS:
            whose = "a container" if name == LABELS else "an event"
            self._passage.fail(node, f"{name} are those of {whose}, and this is about the host", _INSTEAD[self._scope])

    def _windowed(self, node: ParseTree[Token], function: str) -> Named:
        functions = tuple(str(known) for known in WindowFunction)
        if function not in functions:
            if function in CATALOGUE:
                self._passage.fail(
                    node, f"{function} is no function", f"write avg({function}, 5m) for a mean over five minutes"
                )
            near = nearest(function, functions)
            hint = f"did you mean {near}? " if near else ""
            self._passage.fail(
                node, f"unknown function {shown(function)}", f"{hint}{one_of(functions)}, {_WINDOW_EXAMPLE}"
            )
        arguments = [child for child in node.children if isinstance(child, ParseTree)]
        if len(arguments) != 2:  # noqa: PLR2004 - a name and a duration
            self._passage.fail(node, f"{function} takes a name and a duration", f"write it {_WINDOW_EXAMPLE}")
        about, span = arguments
        if self._scope is ConditionScope.DISK:
            message = f"{function} looks back, and here the disk is measured at one moment"
            self._passage.fail(node, message, f"write it without {function}, as in host.disk.percent < 75%")
        operand = self.read(about)
        if isinstance(operand, Fixed) or not isinstance(operand.reference, Name):
            self._passage.fail(about, f"{function} is about a measured name", f"write it {_WINDOW_EXAMPLE}")
        entry = operand.entry
        if not entry.windowed:
            self._passage.fail(
                about, f"{entry.name} has no past to look back on", f"name something measured, {_WINDOW_EXAMPLE}"
            )
        window = Window(
            function=WindowFunction(function), name=entry.name, seconds=self._span(span, function, entry.name)
        )
        return Named(Windowed(window, self._passage.of(span)), entry)

    def _span(self, node: ParseTree[Token], function: str, name: str) -> float:
        remedy = f"write it like {function}({name}, 5m)"
        if node.data != "quantity":
            self._passage.fail(node, f"{self._passage.of(node)} is not a duration", remedy)
        _, kind = fixed = self._quantity(node, str(node.children[0]))
        if kind is not ValueType.DURATION:
            self._passage.fail(node, f"{self._passage.of(node)} is not a duration", remedy)
        seconds = float(fixed.literal.value)
        if not SHORTEST_WINDOW <= seconds <= LONGEST_WINDOW:
            self._passage.fail(node, f"a window of {self._passage.of(node)} can't be kept", "write between 1s and 1h")
        return seconds

    def _entry(self, node: ParseTree[Token], name: str, key: str) -> Named | Fixed:
        entry = Entry(name=name, type=ValueType.TEXT, unit="", meaning="", scope=Scope.CONTAINER, sampled=False)
        if name in {LABELS, ATTRIBUTES}:
            self._of_a_host(node, name)
        if name == LABELS:
            return Named(Label(key), entry)
        if name == ATTRIBUTES and self._scope is ConditionScope.WHERE:
            return Named(Attribute(key), entry)
        if name == ATTRIBUTES:
            self._passage.fail(node, f"{name} is known only of an event", "use it in where, beside on")
        near = nearest(name, (LABELS, ATTRIBUTES)) if name not in CATALOGUE else None
        if near is not None:
            self._passage.fail(node, f"unknown name {shown(name)}", f"did you mean {near}[{quoted(key)}]?")
        return self._passage.fail(
            node, f"{shown(name)} takes no key in brackets", f'only {LABELS}["k"] and {ATTRIBUTES}["k"] do'
        )


def _unquoted_string(text: str) -> str:
    return text[1:-1].replace("\\" + text[0], text[0]).replace("\\\\", "\\")
