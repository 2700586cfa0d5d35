"""A checked condition as a tree, its text, and its compilation to closures."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from watchtower_agent.model.values import dataclass
from watchtower_agent.model.window import Window
from watchtower_agent.policies.catalogue import ATTRIBUTES, LABELS
from watchtower_agent.policies.conditions.truth import UNKNOWN, Subject, Truth, Value


@dataclass(frozen=True, slots=True)
class Name:
    """A name of the catalogue."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Label:
    """`labels["k"]`."""

    key: str

    def __str__(self) -> str:
        return f"{LABELS}[{quoted(self.key)}]"


@dataclass(frozen=True, slots=True)
class Attribute:
    """`event.attributes["k"]`."""

    key: str

    def __str__(self) -> str:
        return f"{ATTRIBUTES}[{quoted(self.key)}]"


@dataclass(frozen=True, slots=True)
class Windowed:
    """`avg(cpu.percent, 5m)`.

    Attributes:
        window: What is asked.
        text: Its duration as a condition writes it.
    """

    window: Window
    text: str

    def __str__(self) -> str:
        return f"{self.window.function}({self.window.name}, {self.text})"


Reference = Name | Label | Attribute | Windowed


@dataclass(frozen=True, slots=True)
class Literal:
    """A fixed value.

    Attributes:
        value: In the catalogue's units.
        text: As a condition writes it.
    """

    value: float | int | str | bool
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean name that stands for itself."""

    reference: Reference


@dataclass(frozen=True, slots=True)
class Comparison:
    """A name compared with a literal or another name."""

    left: Reference
    sign: str
    right: Reference | Literal


@dataclass(frozen=True, slots=True)
class Membership:
    """A name that is, or is not, one of a list."""

    left: Reference
    items: tuple[Literal, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; UNKNOWN stays UNKNOWN."""

    part: Tree


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them."""

    parts: tuple[Tree, ...]


Tree = Flag | Comparison | Membership | Not | And | Or
Test = Callable[[Subject], Truth]

SIGNS: Final[Mapping[str, Callable[[Any, Any], bool]]] = MappingProxyType(
    {
        "==": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }
)
MIRRORED: Final[Mapping[str, str]] = MappingProxyType(
    {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
)
"""What a comparison's sign becomes when its sides change places."""
NEGATED: Final[Mapping[str, str]] = MappingProxyType(
    {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
)
"""What a comparison's sign becomes when a `not` before it is taken into it."""


def quoted(text: str) -> str:
    """The text as a string literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def describe(tree: Tree) -> str:
    """The tree as a canonical text, which parses to the same tree."""
    match tree:
        case Flag(reference):
            return str(reference)
        case Comparison(left, sign, right):
            return f"{left} {sign} {right}"
        case Membership(left, items, negated):
            return f"{left} {'not in' if negated else 'in'} [{', '.join(map(str, items))}]"
        case Not(part):
            return f"not {_grouped(part) if isinstance(part, And | Or) else describe(part)}"
        case And(parts):
            return " and ".join(_grouped(part) if isinstance(part, And | Or) else describe(part) for part in parts)
        case Or(parts):
            return " or ".join(_grouped(part) if isinstance(part, Or) else describe(part) for part in parts)


def _grouped(tree: Tree) -> str:
    return f"({describe(tree)})"


def references(tree: Tree) -> Iterator[Reference]:
    """Every name, label, attribute and window in the order of writing."""
    match tree:
        case Flag(reference):
            yield reference
        case Comparison(left, _, right):
            yield left
            if not isinstance(right, Literal):
                yield right
        case Membership(left, _, _):
            yield left
        case Not(part):
            yield from references(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from references(part)


def compiled(tree: Tree) -> Test:  # noqa: PLR0911 - one return per kind of node
    """The tree as closures: no walk and no look-up is left for the evaluation."""
    match tree:
        case Flag(reference):
            return _flag(reader(reference))
        case Comparison(left, sign, right):
            if isinstance(right, Literal):
                return _against_literal(left, SIGNS[sign], right.value)
            return _against_reference(reader(left), SIGNS[sign], reader(right))
        case Membership(left, items, negated):
            return _membership(reader(left), frozenset(item.value for item in items), negated=negated)
        case Not(part):
            return _not(compiled(part))
        case And(parts):
            return _until(tuple(map(compiled, parts)), stop=False)
        case Or(parts):
            return _until(tuple(map(compiled, parts)), stop=True)


def reader(reference: Reference) -> Callable[[Subject], Value]:
    """How to ask a subject for the reference's value."""
    match reference:
        case Name(name):
            return lambda subject: subject.value(name)
        case Label(key):
            return lambda subject: subject.label(key)
        case Attribute(key):
            return lambda subject: subject.attribute(key)
        case Windowed(window):
            return lambda subject: subject.window(window)


def _flag(read: Callable[[Subject], Value]) -> Test:
    def test(subject: Subject) -> Truth:
        value = read(subject)
        return None if value is UNKNOWN else bool(value)

    return test


def _against_literal(left: Reference, compare: Callable[[Any, Any], bool], limit: object) -> Test:
    if isinstance(left, Name):
        name = left.name

        def test_name(subject: Subject) -> Truth:
            value = subject.value(name)
            return None if value is UNKNOWN else compare(value, limit)

        return test_name
    read = reader(left)

    def test(subject: Subject) -> Truth:
        value = read(subject)
        return None if value is UNKNOWN else compare(value, limit)

    return test


def _against_reference(
    left: Callable[[Subject], Value], compare: Callable[[Any, Any], bool], right: Callable[[Subject], Value]
) -> Test:
    def test(subject: Subject) -> Truth:
        one, other = left(subject), right(subject)
        return None if one is UNKNOWN or other is UNKNOWN else compare(one, other)

    return test


def _membership(read: Callable[[Subject], Value], items: frozenset[object], *, negated: bool) -> Test:
    def test(subject: Subject) -> Truth:
        value = read(subject)
        return None if value is UNKNOWN else (value in items) is not negated

    return test


def _not(part: Test) -> Test:
    def test(subject: Subject) -> Truth:
        truth = part(subject)
        return None if truth is None else not truth

    return test


def _until(parts: tuple[Test, ...], *, stop: bool) -> Test:
    """`and` stops at false, `or` at true; else one UNKNOWN makes it UNKNOWN."""

    def test(subject: Subject) -> Truth:
        answer: Truth = not stop
        for part in parts:
            truth = part(subject)
            if truth is stop:
                return stop
            if truth is None:
                answer = None
        return answer

    return test
