"""Names, types and units of a parsed condition: what can be known at load is not a surprise at night."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple, NoReturn

from lark import Token, Tree as ParseTree

from watchtower_agent.model.window import LONGEST_WINDOW, SHORTEST_WINDOW, Window, WindowFunction
from watchtower_agent.policies.catalogue import ATTRIBUTES, CATALOGUE, LABELS, Entry, Scope, ValueType
from watchtower_agent.policies.conditions.tree import (
    MIRRORED,
    And,
    Attribute,
    Comparison,
    Flag,
    Label,
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
    meant,
    rewritten,
    unchained,
)
from watchtower_agent.policies.problem import nearest, one_of, shown
from watchtower_agent.policies.quantities import QuantityError, parse_quantity

DEEPEST: Final = 30
"""Levels of parentheses and `not`. `and` and `or` need no count: without parentheses they nest twice at most."""


class ConditionScope(Enum):
    """Which names a condition can use."""

    WHEN = "when"
    """Of the container, its host and its engine."""
    WHERE = "where"
    """Of the event and its container."""


_SCOPES: Final = {
    ConditionScope.WHEN: frozenset({Scope.CONTAINER, Scope.HOST, Scope.ENGINE}),
    ConditionScope.WHERE: frozenset({Scope.EVENT, Scope.CONTAINER}),
}
_CONTINUOUS: Final = frozenset({ValueType.PERCENT, ValueType.DURATION})
_EQUALITY: Final = frozenset({"==", "!="})
_COMPUTED: Final = frozenset({WindowFunction.AVG, WindowFunction.P95, WindowFunction.RATE})
"""Functions whose answers are hardly ever exactly a fixed value, whatever they are about."""
_PLAIN_NAMES: Final = frozenset({Name("name"), Name("image")})
"""What never has a * in it."""
_WINDOW_EXAMPLE: Final = "as in avg(cpu.percent, 5m) > 80%"


class Named(NamedTuple):
    """A name, and what the catalogue says of it."""

    reference: Reference
    entry: Entry


class Fixed(NamedTuple):
    """A literal, and what it is."""

    literal: Literal
    type: ValueType


class ConditionProblem(Exception):  # noqa: N818 - a problem in an operator's file, not a fault of the program
    """What is wrong with a condition.

    Attributes:
        offset: Characters from the text's begin, from 0.
        line: In the text, from 1.
        column: In that line, from 1.
        message: What is wrong.
        remedy: What would be right.
        also: Further mistakes in other comparisons of the same text, in their order.
    """

    also: tuple[ConditionProblem, ...] = ()

    def __init__(self, text: str, offset: int, message: str, remedy: str) -> None:
        super().__init__(f"{message}, {remedy}")
        self.offset = offset
        self.line = text.count("\n", 0, offset) + 1
        self.column = offset - text.rfind("\n", 0, offset)
        self.message = message
        self.remedy = remedy


class Checker:
    """Turns one parsed text into a typed tree, or raises its problems, one a comparison at most."""

    def __init__(self, text: str, scope: ConditionScope) -> None:
        self._text = text
        self._scope = scope
        self._names = tuple(name for name, entry in CATALOGUE.items() if entry.scope in _SCOPES[scope])

    def tree(self, node: ParseTree[Token], depth: int = 0) -> Tree:
        """A node that must be true or false.

        Raises:
            ConditionProblem: It is not, or a name, type or unit in it is wrong.
        """
        if depth > DEEPEST:
            self._fail(node, f"this is nested more than {DEEPEST} levels deep", "split the policy in two")
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
        operand = self._operand(node)
        if isinstance(operand, Fixed):
            self._fail(node, f"{self._source(node)} alone is no condition", "compare a name with it")
        reference, entry = operand
        if entry.type is not ValueType.BOOLEAN:
            self._fail(
                node,
                f"{reference} is {NOUNS[entry.type]}, not true or false",
                f"compare it: {reference} {example_of(entry)}",
            )
        return Flag(reference)

    def _comparison(self, node: ParseTree[Token], parts: Sequence[ParseTree[Token]]) -> Tree:
        left, sign_node, right = parts[:3]
        sign = " ".join(str(token) for token in sign_node.children)
        if len(parts) > 3:  # noqa: PLR2004 - two operands and the sign between them
            self._fail(
                parts[3],
                "comparisons can't be chained",
                f"write {unchained(sign, *map(self._source, (left, right, *parts[3:5])))}",
            )
        if sign.endswith("in"):
            return self._membership(node, left, right, negated=sign.startswith("not"))
        for side in (left, right):
            if side.data == "list":
                self._fail(side, f"a list can't be compared with {sign}", 'use in: status in ["exited", "dead"]')
            if side.data in {"group", "comparison", "disjunction", "conjunction", "negated"}:
                self._fail(side, "a condition in parentheses can't be compared", "combine conditions with and, or, not")
        one, other = self._sides(left, right)
        if isinstance(one, Named):
            return self._compare(left, one, sign, right, other)
        if isinstance(other, Named):
            return self._compare(right, other, MIRRORED[sign], left, one)
        return self._fail(node, "this compares two fixed values", "compare a name with one of them")

    def _sides(self, left: ParseTree[Token], right: ParseTree[Token]) -> tuple[Named | Fixed, Named | Fixed]:
        try:
            one = self._operand(left)
        except ConditionProblem:
            self._unquoted(left, right)
            raise
        try:
            return one, self._operand(right)
        except ConditionProblem:
            self._unquoted(right, left)
            raise

    def _unquoted(self, word: ParseTree[Token], beside: ParseTree[Token]) -> None:
        """`health == unhealthy`: say that text is quoted, rather than that there is no such name."""
        name = str(beside.children[0]) if beside.data == "name" else ""
        entry = CATALOGUE.get(name)
        wants_text = beside.data == "entry" or (entry is not None and entry.type in {ValueType.TEXT, ValueType.ENUM})
        if word.data == "name" and wants_text and str(word.children[0]) not in CATALOGUE:
            self._fail(
                word, f"{self._source(word)} is not a name", f"put text in quotes: {quoted(str(word.children[0]))}"
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
            self._fail(left_node, f"{reference} has no order to compare with {sign}", "use == or != or in")
        if isinstance(right, Named):
            other, other_entry = right
            if other == reference:
                self._fail(right_node, f"this compares {reference} with itself", "compare it with something else")
            if (other_entry.type, other_entry.values) != (entry.type, entry.values):
                self._fail(
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
        operand = self._operand(left)
        if isinstance(operand, Fixed):
            self._fail(left, f"{self._source(left)} is a fixed value", "write a name before in")
        reference, entry = operand
        if right.data != "list":
            fixed = isinstance(self._operand(right), Fixed)
            listed = self._source(right) if fixed else example_of(entry).split()[-1]
            sign = "not in" if negated else "in"
            self._fail(right, "after in comes a list", f"write it like {reference} {sign} [{listed}]")
        items = [child for child in right.children if isinstance(child, ParseTree)]
        if not items:
            self._fail(right, "the list is empty", "name at least one value")
        if entry.type is ValueType.BOOLEAN:
            self._fail(node, f"{reference} is true or false", f"write {reference} or not {reference}")
        literals = tuple(self._literal(entry, reference, item, self._fixed(item, reference), "==") for item in items)
        return Membership(reference, literals, negated)

    def _fixed(self, item: ParseTree[Token], reference: Reference) -> Fixed:
        if item.data == "name" and str(item.children[0]) not in CATALOGUE:
            self._fail(
                item, f"{self._source(item)} is not a value", f"put text in quotes: {quoted(self._source(item))}"
            )
        if item.data not in {"string", "quantity", "boolean"}:
            self._fail(item, "a list holds fixed values only", f"compare {reference} with it by == and join with or")
        operand = self._operand(item)
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
            self._fail(
                node,
                f"{reference} is {NOUNS[entry.type]} and {self._source(node)} is {NOUNS[kind]}",
                rewritten(entry, literal, kind) or f"write it like {reference} {example_of(entry)}",
            )
        wrong = amount_problem(reference, entry, literal, kind, sign)
        if wrong is not None:
            self._fail(node, *wrong)
        if entry.values and literal.value not in entry.values:
            word = str(literal.value)
            near = nearest(word, entry.values)
            self._fail(
                node,
                f"{reference} is never {shown(word)}",
                (f"did you mean {quoted(near)}? " if near else "") + f"{one_of(entry.values)}",
            )
        if reference in _PLAIN_NAMES and "*" in str(literal.value):
            self._fail(
                node,
                f"{reference} is never {literal}: patterns are not for conditions",
                f"put it under select: {{{reference}: {literal}}}",
            )
        measured = isinstance(reference, Windowed) and reference.window.function in _COMPUTED
        if sign in _EQUALITY and (measured or (entry.type in _CONTINUOUS and literal.value != 0)):
            self._fail(
                node,
                f"{reference} is measured and hardly ever exactly {literal}",
                f"use >= or <=, as in {reference} >= {literal}",
            )
        return literal

    def _operand(self, node: ParseTree[Token]) -> Named | Fixed:  # noqa: PLR0911 - one return per kind of node
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
                return self._fail(node, "a name or a value belongs here", "write it like memory.percent > 90%")

    def _quantity(self, node: ParseTree[Token], text: str) -> Fixed:
        try:
            quantity = parse_quantity(text)
        except QuantityError as error:
            self._fail(node, error.message, error.remedy)
        return Fixed(Literal(quantity.value, text), quantity.type)

    def _name(self, node: ParseTree[Token], name: str) -> Named | Fixed:
        entry = CATALOGUE.get(name)
        if entry is not None and entry.scope in _SCOPES[self._scope]:
            return Named(Name(name), entry)
        if entry is not None:
            self._fail(node, *self._misplaced(entry))
        for container in (LABELS, ATTRIBUTES):
            if name == container or name.startswith(container + "."):
                key = name[len(container) + 1 :] or "key"
                self._fail(node, f"{name} needs a key in brackets", f"write {container}[{quoted(key)}]")
        if name.startswith("event.") and self._scope is ConditionScope.WHEN:
            self._fail(node, "what begins with event. is known only of an event", "use it in where, beside on")
        for entry in map(CATALOGUE.__getitem__, ("health", "status")):
            if name in entry.values:
                self._fail(node, f"unknown name {shown(name)}", f"did you mean {entry.name} == {quoted(name)}?")
        near = meant(name, self._names)
        remedy = f"did you mean {near}?" if near else "watchtower-agent metrics lists all names"
        return self._fail(node, f"unknown name {shown(name)}", remedy)

    def _misplaced(self, entry: Entry) -> tuple[str, str]:
        if self._scope is ConditionScope.WHEN:
            return f"{entry.name} is known only of an event", "use it in where, beside on"
        return (
            f"{entry.name} is not known of an event",
            "use it in when; where takes names of the event and its container",
        )

    def _windowed(self, node: ParseTree[Token], function: str) -> Named:
        functions = tuple(str(known) for known in WindowFunction)
        if function not in functions:
            if function in CATALOGUE:
                self._fail(
                    node, f"{function} is no function", f"write avg({function}, 5m) for a mean over five minutes"
                )
            near = nearest(function, functions)
            hint = f"did you mean {near}? " if near else ""
            self._fail(node, f"unknown function {shown(function)}", f"{hint}{one_of(functions)}, {_WINDOW_EXAMPLE}")
        arguments = [child for child in node.children if isinstance(child, ParseTree)]
        if len(arguments) != 2:  # noqa: PLR2004 - a name and a duration
            self._fail(node, f"{function} takes a name and a duration", f"write it {_WINDOW_EXAMPLE}")
        about, span = arguments
        operand = self._operand(about)
        if isinstance(operand, Fixed) or not isinstance(operand.reference, Name):
            self._fail(about, f"{function} is about a measured name", f"write it {_WINDOW_EXAMPLE}")
        entry = operand.entry
        if not entry.windowed:
            self._fail(
                about, f"{entry.name} has no past to look back on", f"name something measured, {_WINDOW_EXAMPLE}"
            )
        window = Window(
            function=WindowFunction(function), name=entry.name, seconds=self._span(span, function, entry.name)
        )
        return Named(Windowed(window, self._source(span)), entry)

    def _span(self, node: ParseTree[Token], function: str, name: str) -> float:
        remedy = f"write it like {function}({name}, 5m)"
        if node.data != "quantity":
            self._fail(node, f"{self._source(node)} is not a duration", remedy)
        _, kind = fixed = self._quantity(node, str(node.children[0]))
        if kind is not ValueType.DURATION:
            self._fail(node, f"{self._source(node)} is not a duration", remedy)
        seconds = float(fixed.literal.value)
        if not SHORTEST_WINDOW <= seconds <= LONGEST_WINDOW:
            self._fail(node, f"a window of {self._source(node)} can't be kept", "write between 1s and 1h")
        return seconds

    def _entry(self, node: ParseTree[Token], name: str, key: str) -> Named | Fixed:
        entry = Entry(name=name, type=ValueType.TEXT, unit="", meaning="", scope=Scope.CONTAINER, sampled=False)
        if name == LABELS:
            return Named(Label(key), entry)
        if name == ATTRIBUTES and self._scope is ConditionScope.WHERE:
            return Named(Attribute(key), entry)
        if name == ATTRIBUTES:
            self._fail(node, f"{name} is known only of an event", "use it in where, beside on")
        near = nearest(name, (LABELS, ATTRIBUTES)) if name not in CATALOGUE else None
        if near is not None:
            self._fail(node, f"unknown name {shown(name)}", f"did you mean {near}[{quoted(key)}]?")
        return self._fail(
            node, f"{shown(name)} takes no key in brackets", f'only {LABELS}["k"] and {ATTRIBUTES}["k"] do'
        )

    def _source(self, node: ParseTree[Token]) -> str:
        text = " ".join(self._text[node.meta.start_pos : node.meta.end_pos].split())
        return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 - as much as a message can hold

    def _fail(self, node: ParseTree[Token], message: str, remedy: str) -> NoReturn:
        raise ConditionProblem(self._text, getattr(node.meta, "start_pos", 0), message, remedy)


def _unquoted_string(text: str) -> str:
    return text[1:-1].replace("\\" + text[0], text[0]).replace("\\\\", "\\")
