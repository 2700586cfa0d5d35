"""Why something is wanted, in few words: the cause with its numbers. Pure.

Whom it is about, which policy wants it and what it wants stand beside these words wherever they are shown. Values of
labels are never among them: they leave the agent by allow-list only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from watchtower_agent.model.decision import Number
from watchtower_agent.model.engine_event import EngineEvent, EventKind
from watchtower_agent.model.window import Window
from watchtower_agent.policies.catalogue import CATALOGUE, Scope, ValueType
from watchtower_agent.policies.conditions.condition import Condition
from watchtower_agent.policies.conditions.tree import (
    And,
    Attribute,
    Label,
    Or,
    Reference,
    Tree,
    Windowed,
    compiled,
    references,
)
from watchtower_agent.policies.conditions.truth import UNKNOWN, Subject, Value
from watchtower_agent.policies.quantities import DURATION_UNITS
from watchtower_agent.policies.times.moments import Schedule
from watchtower_agent.state.attribution import signal_name
from watchtower_agent.state.record import ContainerRecord, own_attribute

_MOST = 4
"""Values that are said; the numbers beside the words have them all."""

_LONGEST_NAME = 80
_LATE = 5.0
"""Seconds."""
_TOLD_BY_ITSELF: Final = frozenset({"name", "image", "image.id"})
"""Names that say whom it is about, not why."""

_TOLD_BY_EVENT: Final = frozenset({"status", "health", "exit_code"})
_HAPPENED: Final[Mapping[str, str]] = {
    "create": "created",
    "start": "started",
    "stop": "stopped",
    "restart": "restarted",
    "pause": "paused",
    "unpause": "unpaused",
    "rename": "renamed",
    "destroy": "removed",
    "oom": "out of memory",
}


def because_of_condition(condition: Condition, numbers: Mapping[str, Number], *, held_for: float, hold: float) -> str:
    """Why a condition wants something.

    Args:
        condition: What is true.
        numbers: The present values of its names.
        held_for: Seconds for which it has been true.
        hold: Seconds for which the policy asks it to be.
    """
    cause = _values(_true_part(condition, numbers)) or condition.text
    if hold > 0:
        return f"{cause} for {_duration(held_for)} (for: {as_written(hold)})"
    return f"{cause} for {_duration(held_for)}" if held_for >= 1 else cause


def because_no_longer(condition: Condition, *, known: bool, keep: float, runs: bool = True) -> str:
    """Why a condition has ceased to fire.

    Args:
        condition: What is not true any more.
        known: Whether that is known.
        keep: Seconds for which the policy kept it firing meanwhile.
        runs: Whether what it was true of runs: of a container that does not, nobody expects that it is known.
    """
    unknown = " (not known any more)" if runs and not known else ""
    kept = f" for {as_written(keep)} (keep_for)" if keep else ""
    ended = "" if runs or known else ": the container does not run"
    return f"no longer {condition.text}{unknown}{kept}{ended}"


def because_started_anew(condition: Condition) -> str:
    """Why a condition has ceased to fire for a container whose life it was about."""
    return f"no longer {condition.text}: the container was started anew"


def scheduled_at(schedule: Schedule, due: float, late: float) -> str:
    """Why a scheduled run wants something: its time, and how late it is when that is worth saying."""
    behind = f", {_duration(late)} late" if late >= _LATE else ""
    return f"scheduled at {schedule.shown(due, due + late)}{behind}"


def because_of_event(
    event: EngineEvent, record: ContainerRecord | None, where: Condition | None, numbers: Mapping[str, Number]
) -> str:
    """Why an event of the engine wants something.

    Args:
        event: What happened.
        record: The container it is about.
        where: The policy's filter, which is true.
        numbers: The values of the names that it looked at.
    """
    known = _true_part(where, numbers) if where is not None else {}
    others = {name: value for name, value in known.items() if name not in _TOLD_BY_EVENT}
    return ", ".join(part for part in (_happened(event, record), _values(others)) if part)


def as_written(seconds: float) -> str:
    """A duration as a policy file has it: `10s`, `5m`, `2h`, `500ms`."""
    for unit in ("d", "h", "m", "s"):
        many = seconds / DURATION_UNITS[unit]
        if many >= 1 and many.is_integer():
            return f"{many:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:g}s"


def lasting(seconds: float) -> str:
    """A time to come or gone by, in its two largest units: `14 s`, `2 min 5 s`, `1 h 30 min`, `6 d 3 h`.

    Begun seconds count, so that what is not over yet never lasts for 0 s.
    """
    whole = max(0, math.ceil(seconds - 0.001))
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def valued(reference: str, value: Number) -> str:
    """A value of what a condition looks at, for people: `81.0 %`, `1.5 GiB`, `"payments"`, `not known`."""
    # of `max(memory.percent, 10m)` what memory.percent measures
    entry = CATALOGUE.get(reference.partition("(")[2].partition(",")[0] or reference)
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        plain = entry is not None and entry.type is ValueType.ENUM
        return value if plain else f'"{value[:_LONGEST_NAME]}"'
    return _quantity(float(value), entry.type) if entry is not None else f"{value:g}"


def _happened(event: EngineEvent, record: ContainerRecord | None) -> str:
    detail = f" ({event.detail})" if event.detail else ""
    if event.kind is not EventKind.CONTAINER:
        return f"{event.kind} {event.action}{detail} {event.name[:_LONGEST_NAME]}".rstrip()
    container = record.container if record is not None else None
    match event.action:
        case "die":
            code = own_attribute(event, container, "exitCode")[:12]
            killed = ", OOM-killed" if record is not None and record.oom_kills else ""
            return (f"exit code {code}" if code else "ended, exit code unknown") + killed
        case "health_status" if event.detail:
            return event.detail
        case "kill":
            signal = own_attribute(event, container, "signal")[:12]
            name = signal_name(signal)
            return f"sent {f'signal {name}' if name.isdecimal() else f'SIG{name}'}" if signal else "sent a signal"
        case _:
            return _HAPPENED.get(event.action, f"{event.kind} {event.action}{detail}")


class _Recorded:
    """What was looked at, as a subject."""

    def __init__(self, numbers: Mapping[str, Number], tree: Tree) -> None:
        self._numbers = numbers
        self._windows = {each.window: str(each) for each in references(tree) if isinstance(each, Windowed)}

    def window(self, window: Window) -> Value:
        return self.value(self._windows[window])

    def value(self, name: str) -> Value:
        known = self._numbers.get(name)
        return UNKNOWN if known is None else known

    def label(self, key: str) -> Value:
        return self.value(str(Label(key)))

    def attribute(self, key: str) -> Value:
        return self.value(str(Attribute(key)))


def _true_part(condition: Condition, numbers: Mapping[str, Number]) -> dict[str, Number]:
    """The values that make it true: of an `or`, those of the sides that hold."""
    used = set(map(str, _holding(condition.tree, _Recorded(numbers, condition.tree))))
    return {name: value for name, value in numbers.items() if name in used}


def _holding(tree: Tree, subject: Subject) -> Iterator[Reference]:
    match tree:
        case Or(parts):
            for part in parts:
                if compiled(part)(subject):
                    yield from _holding(part, subject)
        case And(parts):
            for part in parts:
                yield from _holding(part, subject)
        case _:
            yield from references(tree)


def _values(numbers: Mapping[str, Number]) -> str:
    said = list(_said(numbers))
    return ", ".join(said[:_MOST]) + (", …" if len(said) > _MOST else "")


def _said(numbers: Mapping[str, Number]) -> Iterator[str]:
    for name, value in numbers.items():
        # of `max(memory.percent, 10m)` what memory.percent measures
        entry = CATALOGUE.get(name.partition("(")[2].partition(",")[0] or name)
        if entry is None or entry.scope is Scope.EVENT or value is None or name in _TOLD_BY_ITSELF:
            continue
        if entry.type is ValueType.BOOLEAN:
            yield f"{name}: {'yes' if value else 'no'}"
        elif isinstance(value, str):
            yield value if entry.type is ValueType.ENUM else f"{name} {value[:_LONGEST_NAME]}"
        else:
            label = "exit code" if name == "exit_code" else name
            yield f"{label} {_quantity(float(value), entry.type)}"


def _quantity(value: float, measures: ValueType) -> str:
    match measures:
        case ValueType.PERCENT:
            return f"{value:.1f} %"
        case ValueType.DURATION:
            return _duration(value)
        case ValueType.BYTES:
            return _size(value)
        case _:
            return f"{value:.0f}" if value.is_integer() else f"{value:.2f}"


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:  # noqa: PLR2004 - of the next unit
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _duration(seconds: float) -> str:
    if seconds < 2 * 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 or seconds == 0 else f"{seconds * 1000:.1f} ms"  # noqa: PLR2004
    if seconds < 2 * 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:.1f} d"
