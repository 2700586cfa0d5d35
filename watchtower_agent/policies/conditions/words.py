"""What a value of each type is called, compares with and looks like: the words of a condition's mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchtower_agent.model.window import WindowFunction
from watchtower_agent.policies.catalogue import Entry, ValueType
from watchtower_agent.policies.conditions.tree import Literal, Reference, Windowed, quoted
from watchtower_agent.policies.problem import nearest
from watchtower_agent.policies.quantities import LARGEST_SIZE, QuantityError, parse_quantity

COMPARABLE: Final[Mapping[ValueType, frozenset[ValueType]]] = {
    ValueType.PERCENT: frozenset({ValueType.PERCENT, ValueType.NUMBER}),
    ValueType.BYTES: frozenset({ValueType.BYTES, ValueType.NUMBER}),
    ValueType.DURATION: frozenset({ValueType.DURATION}),
    ValueType.NUMBER: frozenset({ValueType.NUMBER}),
    ValueType.TEXT: frozenset({ValueType.TEXT}),
    ValueType.BOOLEAN: frozenset({ValueType.BOOLEAN}),
    ValueType.ENUM: frozenset({ValueType.TEXT}),
}
_EXAMPLES: Final = {
    ValueType.PERCENT: "> 80%",
    ValueType.BYTES: "> 512MiB",
    ValueType.DURATION: "> 30s",
    ValueType.NUMBER: "> 3",
    ValueType.TEXT: '== "web"',
    ValueType.BOOLEAN: "== true",
}
NOUNS: Final = {
    ValueType.PERCENT: "a percentage",
    ValueType.BYTES: "a number of bytes",
    ValueType.DURATION: "a duration",
    ValueType.NUMBER: "a number",
    ValueType.TEXT: "a text",
    ValueType.BOOLEAN: "true or false",
    ValueType.ENUM: "one of a few words",
}
_ELSEWHERE: Final[Mapping[str, str]] = {
    "AND": "and",
    "OR": "or",
    "NOT": "not",
    "IN": "in",
    "True": "true",
    "TRUE": "true",
    "False": "false",
    "FALSE": "false",
    "cpu": "cpu.percent",
    "cpu.usage": "cpu.percent",
    "disk": "host.disk.percent",
    "engine.down": "engine.connected",
    "engine.running": "engine.connected",
    "engine.up": "engine.connected",
    "health.status": "health",
    "healthy": "health",
    "host.load": "host.load1",
    "label": "labels",
    "load": "host.load1",
    "mem": "memory.percent",
    "mem.usage": "memory.usage",
    "memory": "memory.percent",
    "memory.rss": "memory.working_set",
    "network.rx": "network.receive",
    "network.tx": "network.transmit",
    "oom": "memory.oom_kills",
    "oom_kills": "memory.oom_kills",
    "pids.count": "pids",
    "pressure": "pressure.cpu",
    "processes": "pids",
    "restart_count": "restarts",
    "running": "status",
    "stopped": "status",
    "swap": "host.swap.percent",
    "unhealthy": "health",
}
"""What people write who know other tools, and nothing here is spelled like."""
ORDERED: Final = frozenset({ValueType.PERCENT, ValueType.BYTES, ValueType.DURATION, ValueType.NUMBER})

_NEVER_NEGATIVE: Final = frozenset({ValueType.PERCENT, ValueType.BYTES, ValueType.DURATION})
_CHANGES: Final = frozenset({WindowFunction.DELTA, WindowFunction.RATE})
"""What falls is below zero by them, whatever they are about."""
_SURELY_A_SLIP: Final = 1024
"""Bytes: nothing that is sampled is asked for less, but for none at all."""
_MORE_LIKELY_MIB: Final = 16
"""Who writes `memory.usage > 2` means GiB, who writes 512 means MiB."""


def meant(name: str, names: tuple[str, ...]) -> str:
    """What somebody means who writes a name that there is not.

    Args:
        name: As it is written.
        names: Those that may stand there.

    Returns:
        The one that is meant; empty where nothing is near.
    """
    for tried in (name, name.removeprefix("container."), name.removeprefix("containers.")):
        if tried in names:
            return tried
        known = _ELSEWHERE.get(tried)
        if known is not None and (known in names or "." not in known):
            return known
    return nearest(name, names, cutoff=0.4) or ""


def unchained(sign: str, first: str, second: str, then: str = "", last: str = "") -> str:
    """What somebody means who chains comparisons: `50% < cpu.percent < 90%`, or `restarts > 3 in 10m`."""
    if then == "in":
        return f"delta({first}, {last}) {sign} {second} for so much in that time"
    return f"{first} {sign} {second} and {second} {then} {last}"


def unquoted(text: str) -> str:
    """What a string literal says."""
    return text[1:-1].replace("\\" + text[0], text[0]).replace("\\\\", "\\")


def example_of(entry: Entry) -> str:
    """The rest of a comparison with a name, rightly written."""
    return f"== {quoted(entry.values[0])}" if entry.values else _EXAMPLES[entry.type]


def rewritten(entry: Entry, literal: Literal, kind: ValueType) -> str:
    """How a value of the wrong type is written rightly, when the mistake is only a unit or quotes; else empty."""
    value = literal.value
    if kind is ValueType.NUMBER and entry.type is ValueType.DURATION:
        return f"write {literal}s for seconds, or {literal}m for minutes"
    if kind is ValueType.NUMBER and entry.type is ValueType.TEXT:
        return f"put it in quotes: {quoted(str(literal))}"
    if isinstance(value, str) and entry.type in ORDERED | {ValueType.BOOLEAN} and _is_of(value, entry.type):
        return f"write it without quotes: {value}"
    return ""


def amount_problem(  # noqa: PLR0911 - one return per mistake
    reference: Reference, entry: Entry, literal: Literal, kind: ValueType, sign: str
) -> tuple[str, str] | None:
    """What is wrong with an amount that has the right type and that nobody can mean; None when it makes sense.

    Args:
        reference: What it is compared with.
        entry: What the catalogue says of that.
        literal: The amount.
        kind: Its type as written: a number without a unit is NUMBER.
        sign: Between the two, the reference on its left.
    """
    value = literal.value
    if entry.type not in _NEVER_NEGATIVE or not isinstance(value, int | float):
        return None
    if value < 0 and not (isinstance(reference, Windowed) and reference.window.function in _CHANGES):
        return f"{reference} is never below zero", f"write it like {reference} {example_of(entry)}"
    size = abs(value)
    if entry.type is ValueType.BYTES and size > LARGEST_SIZE:
        return f"{literal} is more bytes than anything has", f"write it like {example_of(entry)}"
    if entry.type is ValueType.BYTES and kind is ValueType.NUMBER and 0 < size < _SURELY_A_SLIP:
        unit = "GiB" if size < _MORE_LIKELY_MIB and entry.unit == "B" else "MiB"
        return (
            f"{reference} is a number of bytes and {literal} has no unit",
            f"did you mean {literal}{unit}? write {literal}B if it is bytes",
        )
    if entry.type is ValueType.PERCENT and kind is ValueType.NUMBER and 0 < size < 1:
        return (
            f"{reference} is a percentage, and {literal} of it is less than one percent",
            f"did you mean {value * 100:g}%? write {literal}% if not",
        )
    if entry.at_most is not None and size >= entry.at_most:
        return _out_of_reach(f"{reference} {sign} {literal}", value, entry.at_most, sign)
    return None


def _out_of_reach(comparison: str, value: float, most: int, sign: str) -> tuple[str, str] | None:
    """What is wrong with a percentage at or beyond the end of its range; None where something reaches it."""
    outwards, inwards = ({">", ">="}, {"<", "<="}) if value > 0 else ({"<", "<="}, {">", ">="})
    if abs(value) == most and sign not in {">", "<"} & outwards:
        return None
    always = "always" if sign in inwards else "never"
    if value > 0:
        return f"{comparison} is {always} true: it is at most {most}%", "write a smaller one"
    return f"{comparison} is {always} true: it is at least -{most}%", "write a larger one"


def _is_of(text: str, kind: ValueType) -> bool:
    if kind is ValueType.BOOLEAN:
        return text in {"true", "false"}
    try:
        return parse_quantity(text).type in COMPARABLE[kind]
    except QuantityError:
        return False
