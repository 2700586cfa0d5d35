"""Random conditions: text to tree and back, and an evaluation that agrees with a slow, obvious one."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import assume, given, settings, strategies as st

from tests.support.conditions import Facts
from tests.support.numbers import examples
from watchtower_agent.model.window import Window, WindowFunction
from watchtower_agent.policies.catalogue import CATALOGUE, Entry, Scope, ValueType
from watchtower_agent.policies.conditions.condition import ConditionProblem, ConditionScope, parse_condition
from watchtower_agent.policies.conditions.tree import (
    SIGNS,
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
    describe,
    quoted,
    references,
)
from watchtower_agent.policies.conditions.truth import UNKNOWN, Value
from watchtower_agent.policies.quantities import parse_quantity

NAMES: dict[ConditionScope, list[Entry]] = {
    ConditionScope.WHEN: [entry for entry in CATALOGUE.values() if entry.scope is not Scope.EVENT],
    ConditionScope.WHERE: [entry for entry in CATALOGUE.values() if entry.scope in {Scope.EVENT, Scope.CONTAINER}],
}
# No *: a container's name or image never has one, and comparing it with one is refused.
TEXTS = st.text(st.characters(exclude_characters="\n*", exclude_categories=["Cs"]), max_size=8)
LITERALS: dict[ValueType, st.SearchStrategy[str]] = {
    ValueType.PERCENT: st.sampled_from(["0%", "80%", "99.5%", "12"]),
    ValueType.BYTES: st.sampled_from(["0B", "512MiB", "1.5GiB", "3kB", "4096"]),
    ValueType.DURATION: st.sampled_from(["0s", "500ms", "30s", "5m", "2h", "1d"]),
    ValueType.NUMBER: st.sampled_from(["-1", "0", "1", "2.5", "1e3"]),
    ValueType.BOOLEAN: st.sampled_from(["true", "false"]),
}
FALLING: dict[ValueType, st.SearchStrategy[str]] = {
    ValueType.PERCENT: st.sampled_from(["-0.5%", "-5", "-99.5%"]),
    ValueType.BYTES: st.sampled_from(["-1B", "-10MiB", "-1.5GiB", "-4096"]),
    ValueType.DURATION: st.sampled_from(["-500ms", "-30s"]),
}
"""What only a change can be compared with: nothing is itself below zero."""

ORDERED = {ValueType.PERCENT, ValueType.BYTES, ValueType.DURATION, ValueType.NUMBER}
COMPUTED = {WindowFunction.AVG, WindowFunction.P95, WindowFunction.RATE}
"""Whose answers are hardly ever exactly a fixed value: == with one is refused."""

CHANGES = {WindowFunction.DELTA, WindowFunction.RATE}


def windowed(draw: st.DrawFn, entry: Entry) -> Windowed:
    function, span = draw(st.sampled_from(WindowFunction)), draw(st.sampled_from(["1s", "90s", "5m", "1h"]))
    seconds = float(parse_quantity(span).value)
    return Windowed(Window(function=function, name=entry.name, seconds=seconds), span)


def another(draw: st.DrawFn, entry: Entry, scope: ConditionScope) -> Reference:
    """A name, a window or a label that can be compared with what the entry names."""
    alike = [each for each in NAMES[scope] if (each.type, each.values) == (entry.type, entry.values)]
    if entry.type is ValueType.TEXT and draw(st.booleans()):
        return Label(draw(TEXTS))
    other = draw(st.sampled_from(alike))
    return windowed(draw, other) if other.windowed and draw(st.booleans()) else Name(other.name)


@st.composite
def leaves(draw: st.DrawFn, scope: ConditionScope) -> Tree:
    text = Entry(name="", type=ValueType.TEXT, unit="", meaning="", scope=Scope.CONTAINER, sampled=False)
    entry = draw(st.sampled_from([*NAMES[scope], text]))
    key = draw(TEXTS)
    reference: Reference = Name(entry.name)
    signs = sorted(SIGNS)
    exact = entry.type not in {ValueType.PERCENT, ValueType.DURATION}
    if entry.name and entry.windowed and draw(st.booleans()):
        reference = windowed(draw, entry)
        exact = exact and reference.window.function not in COMPUTED
    if not entry.name:
        reference = Attribute(key) if scope is ConditionScope.WHERE and draw(st.booleans()) else Label(key)

    def literal() -> Literal:
        if entry.values or entry.type is ValueType.TEXT:
            word = draw(st.sampled_from(entry.values) if entry.values else TEXTS)
            return Literal(word, quoted(word))
        amounts = LITERALS[entry.type]
        changes = isinstance(reference, Windowed) and reference.window.function in CHANGES
        written = draw(amounts | FALLING[entry.type] if changes and entry.type in FALLING else amounts)
        if entry.type is ValueType.BOOLEAN:
            return Literal(written == "true", written)
        return Literal(parse_quantity(written).value, written)

    if entry.type is ValueType.BOOLEAN and draw(st.booleans()):
        return Flag(reference)
    if exact and entry.type is not ValueType.BOOLEAN and draw(st.booleans()):
        return Membership(reference, tuple(literal() for _ in range(draw(st.integers(1, 3)))), draw(st.booleans()))
    if entry.type not in ORDERED:
        signs = ["==", "!="]
    if draw(st.booleans()):
        other = another(draw, entry, scope)
        assume(other != reference)
        return Comparison(reference, draw(st.sampled_from(signs)), other)
    exactly = {"==", "!="} if exact else set()
    return Comparison(
        reference, draw(st.sampled_from(sorted({"<", "<=", ">", ">="} & set(signs) | exactly))), literal()
    )


def trees(scope: ConditionScope) -> st.SearchStrategy[Tree]:
    def more(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(st.builds(Not, inner), st.builds(And, several), st.builds(Or, several))

    return st.recursive(leaves(scope), more, max_leaves=8)


@given(data=st.data(), scope=st.sampled_from(list(NAMES)))
def test_text_to_tree_and_back(data: st.DataObject, scope: ConditionScope) -> None:
    tree = data.draw(trees(scope))
    text = describe(tree)
    assume(len(text) <= 1000)
    condition = parse_condition(text, scope)
    assert condition.tree == tree
    assert condition.describe() == text


# --- the same condition, written as people write ---------------------------------------------------------------------

SEEN_FROM_THE_OTHER_SIDE = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def blank(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(["", "", " ", "\n", " \t "]))


def in_quotes(draw: st.DrawFn, text: str) -> str:
    quote = draw(st.sampled_from("\"'"))
    return quote + "".join("\\" + each if each in {quote, "\\"} else each for each in text) + quote


def spelled(draw: st.DrawFn, what: Reference | Literal) -> str:
    b = [blank(draw) for _ in range(4)]
    match what:
        case Name(name):
            return name
        case Label(key):
            return f"labels{b[0]}[{b[1]}{in_quotes(draw, key)}{b[2]}]"
        case Attribute(key):
            return f"event.attributes{b[0]}[{b[1]}{in_quotes(draw, key)}{b[2]}]"
        case Windowed(window, span):
            return f"{window.function.value}{b[0]}({b[1]}{window.name}{b[2]},{b[3]}{span})"
        case Literal(value, text):
            return in_quotes(draw, value) if isinstance(value, str) else text


def written(draw: st.DrawFn, tree: Tree) -> str:
    """As a person might write it: blanks, either kind of quotes, sides exchanged, parentheses that nobody needs."""
    text = bare(draw, tree)
    loose = isinstance(tree, And | Or)
    return f"({blank(draw)}{text}{blank(draw)})" if loose or draw(st.integers(0, 4)) == 0 else text


def bare(draw: st.DrawFn, tree: Tree) -> str:
    match tree:
        case Flag(reference):
            return spelled(draw, reference)
        case Comparison(left, sign, right):
            sides = [spelled(draw, left), spelled(draw, right)]
            if isinstance(right, Literal) and draw(st.booleans()):
                sides, sign = sides[::-1], SEEN_FROM_THE_OTHER_SIDE[sign]
            return f"{sides[0]}{blank(draw)}{sign}{blank(draw)}{sides[1]}"
        case Membership(left, items, negated):
            among = f"{blank(draw)},{blank(draw)}".join(spelled(draw, item) for item in items)
            return f"{spelled(draw, left)} {'not  in' if negated else 'in'}{blank(draw)}[{among}]"
        case Not(part):
            return f"not {written(draw, part)}"
        case And(parts):
            return " and\n".join(written(draw, part) for part in parts)
        case Or(parts):
            return " or ".join(written(draw, part) for part in parts)


@st.composite
def conditions(draw: st.DrawFn, scope: ConditionScope) -> tuple[Tree, str]:
    """A tree, and a text that means it."""
    tree = draw(trees(scope))
    text = written(draw, tree)
    assume(len(text) <= 1000)
    return tree, text


@settings(max_examples=examples(400))
@given(data=st.data(), scope=st.sampled_from(list(NAMES)))
def test_however_it_is_written_it_is_the_same_tree(data: st.DataObject, scope: ConditionScope) -> None:
    tree, text = data.draw(conditions(scope))
    condition = parse_condition(text, scope)
    assert condition.tree == tree
    assert parse_condition(condition.describe(), scope).tree == tree


# --- what it says ----------------------------------------------------------------------------------------------------


def looked_up(reference: Reference | Literal, facts: Facts) -> Value:
    match reference:
        case Name(name):
            return facts.value(name)
        case Label(key):
            return facts.label(key)
        case Attribute(key):
            return facts.attribute(key)
        case Windowed(window):
            return facts.window(window)
        case Literal(fixed):
            return fixed


def slowly(tree: Tree, facts: Facts) -> int:
    """Kleene's logic by arithmetic: 0 is false, 1 unknown, 2 true."""
    match tree:
        case Not(part):
            return 2 - slowly(part, facts)
        case And(parts):
            return min(slowly(part, facts) for part in parts)
        case Or(parts):
            return max(slowly(part, facts) for part in parts)
        case Flag(reference):
            return asked("values[0]", looked_up(reference, facts))
        case Comparison(left, sign, right):
            return asked(f"values[0] {sign} values[1]", looked_up(left, facts), looked_up(right, facts))
        case Membership(left, items, negated):
            question = f"values[0] {'not in' if negated else 'in'} values[1:]"
            return asked(question, looked_up(left, facts), *(item.value for item in items))


def asked(question: str, *values: Value) -> int:
    return 1 if UNKNOWN in values else 2 * bool(eval(question, {"values": values}))


def limits(tree: Tree) -> Iterator[Value]:
    """The fixed values in it: what stands exactly on one is where mistakes are."""
    match tree:
        case Comparison(_, _, Literal(value)):
            yield value
        case Membership(_, items, _):
            yield from (item.value for item in items)
        case Not(part):
            yield from limits(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from limits(part)


def known_or_not(data: st.DataObject, tree: Tree) -> dict[str, Value]:
    """A value, or none, for everything that the tree asks about."""
    fixed = list(limits(tree))
    numbers = [each for each in fixed if isinstance(each, int | float) and not isinstance(each, bool)]
    words = [each for each in fixed if isinstance(each, str)]
    values: dict[str, Value] = {}
    for reference in references(tree):
        asked_as, kind = str(reference), ValueType.TEXT
        closed: tuple[str, ...] = ()
        if isinstance(reference, Windowed):
            asked_as, kind = Facts.past(reference.window), ValueType.NUMBER
        elif (entry := CATALOGUE.get(asked_as)) is not None:
            kind, closed = entry.type, entry.values
        known: st.SearchStrategy[Value]
        if kind is ValueType.BOOLEAN:
            known = st.booleans()
        elif kind in {ValueType.TEXT, ValueType.ENUM}:
            known = st.sampled_from(closed) if closed else st.sampled_from([*words, ""]) | TEXTS
        else:
            known = st.sampled_from([0, 1, 2.5, *numbers, *(each + 0.25 for each in numbers)])
        values[asked_as] = data.draw(st.just(UNKNOWN) | known)
    return values


@settings(max_examples=examples(400))
@given(data=st.data(), scope=st.sampled_from(list(NAMES)))
def test_the_closures_agree_with_a_slow_evaluator(data: st.DataObject, scope: ConditionScope) -> None:
    tree, text = data.draw(conditions(scope))
    facts = Facts(known_or_not(data, tree))
    assert parse_condition(text, scope).evaluate(facts) is (False, None, True)[slowly(tree, facts)]


@given(text=st.text(max_size=60) | st.text("()[]<>=!.'\"%andortinlabes0129 \n", max_size=60))
def test_junk_is_a_problem_and_never_a_crash(text: str) -> None:
    try:
        parse_condition(text, ConditionScope.WHEN)
    except ConditionProblem as caught:
        problem = caught
    else:
        return
    assert 0 <= problem.offset <= len(text)
    assert problem.remedy
