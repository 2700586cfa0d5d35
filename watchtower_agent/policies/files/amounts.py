"""Numbers under `target`, `scale` and `resize`: shares, steps, times, sizes, counts; read, checked, told to editors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, InstanceOf, WithJsonSchema
from pydantic_core import PydanticCustomError

from watchtower_agent.model.values import dataclass
from watchtower_agent.model.window import LONGEST_WINDOW
from watchtower_agent.policies.catalogue import ValueType
from watchtower_agent.policies.files.document_values import DURATION, NUMBER, Duration, wrong
from watchtower_agent.policies.problem import shown
from watchtower_agent.policies.quantities import BYTE_UNITS, Quantity, QuantityError, parse_duration, parse_quantity

MOST_REPLICAS: Final = 1000
SHORTEST_WINDOW: Final = 10.0
SHORTEST_IDLENESS, LONGEST_IDLENESS = 900.0, 31 * 86400.0
SHORTEST_STALENESS, LONGEST_STALENESS = 5.0, 86400.0
SHORTEST_DATA, LONGEST_DATA = 3600.0, 31 * 86400.0
LEAST_MEMORY: Final = 6 * 2**20
"""Bytes. The engine takes no lower limit."""
LEAST_CPU, MOST_CPU = 0.01, 100_000.0
"""Cores."""

_STEP: Final = re.compile(r"\s*(\S+)\s+per\s+(\S+)\s*")
_FAST: Final = re.compile(r"\s*(\S+)\s+after\s+(\S+)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How much may change within a time.

    Attributes:
        share: Of what there is.
        per: Seconds.
    """

    share: float
    per: float


def _quantity(value: object, what: str, example: str) -> Quantity:
    """A number with or without a unit, however YAML reads it."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong(f"this is not {what}", f"write it like {example}")
    try:
        return parse_quantity(str(value))
    except QuantityError as error:
        raise wrong(error.message, error.remedy) from None


def _share(value: object) -> float:
    quantity = _quantity(value, "a share", "25%")
    if quantity.type is ValueType.PERCENT:
        return quantity.value / 100.0
    number = quantity.value * 100 if 0 < quantity.value < 1 else quantity.value
    if quantity.type is ValueType.NUMBER:
        raise wrong(f"{shown(str(value))} has no unit", f"write {number:.12g}%")
    raise wrong(f"{shown(str(value))} is no share", "write it like 25%")


def _between(low: float, high: float, what: str, remedy: str) -> AfterValidator:
    """From `low` to `high`, both of them included."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise wrong(what, remedy)
        return value

    return AfterValidator(check)


def _replicas(least: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST_REPLICAS:
            raise wrong("this is not a number of replicas", f"write a whole number from {least} to {MOST_REPLICAS}")
        return value

    return check


def _paced(pattern: re.Pattern[str], most: float, example: str) -> Callable[[object], Step]:
    """`100% per 30s`: a share, and the time that it is for."""

    def read(value: object) -> Step:
        found = pattern.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise wrong("this is not a share and a time", f"write it like {example}")
        share = _at(_share, found, 1)
        if not 0.0 < share <= most:
            raise wrong(f"{shown(found.group(1))} is no step", f"write above 0% and up to {most:.0%}", found.start(1))
        return Step(share=share, per=_at(_seconds, found, 2))

    return read


def _at(read: Callable[[object], float], found: re.Match[str], group: int) -> float:
    """A part of a text, its mistakes at their place."""
    try:
        return read(found.group(group))
    except PydanticCustomError as error:
        context = error.context or {}
        raise wrong(str(context.get("message")), str(context.get("remedy")), found.start(group)) from None


def _seconds(value: object) -> float:
    try:
        seconds = parse_duration(str(value))
    except QuantityError as error:
        raise wrong(error.message, error.remedy) from None
    if not 1.0 <= seconds <= LONGEST_WINDOW:
        raise wrong(f"{shown(str(value))} is too long or too short", "write a duration from 1s to 1h")
    return seconds


def _target(value: object) -> Quantity:
    quantity = _quantity(value, "a target", "60%, 512MiB or 1.5")
    if quantity.value <= 0:
        raise wrong(f"{shown(str(value))} is nothing that replicas could share", "write a target above 0")
    return quantity


def _per_replica(value: object) -> float:
    quantity = _target(value)
    if quantity.type is not ValueType.NUMBER:
        example = f"{quantity.value:.12g}"
        raise wrong(
            "a metric from outside has no unit that the agent knows", f"write {example}, in the metric's own unit"
        )
    return float(quantity.value)


def _bytes(value: object) -> int:
    quantity = _quantity(value, "a size", "256MiB")
    if quantity.type is ValueType.NUMBER:
        raise wrong(f"{shown(str(value))} has no unit", f"write {value}MiB, or {value}B for bytes")
    if quantity.type is not ValueType.BYTES or quantity.value < 0:
        raise wrong(f"{shown(str(value))} is no size", "write it like 256MiB")
    return int(quantity.value)


def _memory(value: int) -> int:
    if value < LEAST_MEMORY:
        raise wrong("the engine takes no limit of memory below 6MiB", "write 6MiB or more")
    return value


def _cores(value: object) -> float:
    quantity = _quantity(value, "a number of cores", "0.5 or 2")
    if quantity.type is ValueType.PERCENT:
        cores = f"{quantity.value / 100:.12g}"
        raise wrong(f"{shown(str(value))} is no number of cores", f"write {cores}: 1 is one full core")
    if quantity.type is not ValueType.NUMBER or not LEAST_CPU <= quantity.value <= MOST_CPU:
        raise wrong(f"{shown(str(value))} is no number of cores", f"write one from {LEAST_CPU}, as in 0.5 or 2")
    return float(quantity.value)


# What editors are told (JSON Schema). What a pattern can't tell, the loader does.
_PERCENT: Final = rf"\+?{NUMBER}%"
_SECONDS: Final = rf"\+?{NUMBER}(ms|s|m|h|d)"
_UNITS: Final = "|".join(sorted(BYTE_UNITS, key=len, reverse=True))


def _text(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", "examples": list(examples)})


def _number_of_replicas(least: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "integer", "minimum": least, "maximum": MOST_REPLICAS})


_POSITIVE: Final[dict[str, Any]] = {"type": "number", "exclusiveMinimum": 0}
_SIZE: Final = _text(rf"\+?{NUMBER}({_UNITS})", "256MiB", "2GiB")

Least = Annotated[int, BeforeValidator(_replicas(0)), _number_of_replicas(0)]
"""Replicas; none among them."""
Most = Annotated[int, BeforeValidator(_replicas(1)), _number_of_replicas(1)]
"""Replicas, at least one."""
WindowLength = Annotated[
    Duration,
    _between(SHORTEST_WINDOW, LONGEST_WINDOW, "no window is so long or short", "write from 10s to 1h"),
    DURATION,
]
"""Seconds that are looked back on."""
Cooldown = Annotated[
    Duration, _between(0.0, LONGEST_WINDOW, "nothing waits for so long", "write a duration from 0s to 1h"), DURATION
]
"""Seconds between two changes."""
Tolerance = Annotated[
    float,
    BeforeValidator(_share),
    _between(0.0, 0.5, "so much is not tolerated", "write a share from 0% to 50%"),
    _text(_PERCENT, "12%"),
]
"""A share of the replicas."""
UpStep = Annotated[
    InstanceOf[Step],
    BeforeValidator(_paced(_STEP, 10.0, "100% per 30s")),
    _text(rf"\s*{_PERCENT}\s+per\s+{_SECONDS}\s*", "100% per 30s"),
]
"""A share of the replicas, and a time within which so many may come."""
DownStep = Annotated[
    InstanceOf[Step],
    BeforeValidator(_paced(_STEP, 1.0, "50% per 60s")),
    _text(rf"\s*{_PERCENT}\s+per\s+{_SECONDS}\s*", "50% per 60s"),
]
"""A share of the replicas that may go at once, and a time until more may."""
Fast = Annotated[
    InstanceOf[Step],
    BeforeValidator(_paced(_FAST, 1.0, "25% after 150s")),
    _text(rf"\s*{_PERCENT}\s+after\s+{_SECONDS}\s*", "25% after 150s"),
]
"""A share of the replicas that have become needless, and a time for which they have been."""
Below = Annotated[
    float,
    BeforeValidator(_share),
    _between(0.0, 0.99, "what is below that is not idle", "write a share from 0% to 99%"),
    _text(_PERCENT, "5%"),
]
"""A share of a target."""
IdleFor = Annotated[
    Duration,
    _between(SHORTEST_IDLENESS, LONGEST_IDLENESS, "nothing is idle after so long or short", "write from 15m to 31d"),
    DURATION,
]
"""Seconds without work."""
StaleAfter = Annotated[
    Duration,
    _between(
        SHORTEST_STALENESS, LONGEST_STALENESS, "no metric stays known for so long or short", "write from 5s to 1d"
    ),
    DURATION,
]
"""Seconds for which a metric from outside is known."""
Every = Annotated[
    Duration,
    _between(1.0, LONGEST_STALENESS, "nobody is asked so often or seldom", "write a duration from 1s to 1d"),
    DURATION,
]
"""Seconds between two questions."""
DataLength = Annotated[
    Duration,
    _between(SHORTEST_DATA, LONGEST_DATA, "no limit is lowered by so much or little data", "write from 1h to 31d"),
    DURATION,
]
"""Seconds of what was measured."""
MetricTarget = Annotated[
    InstanceOf[Quantity],
    BeforeValidator(_target),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": rf"^\+?{NUMBER}(%|{_UNITS})?$", "examples": ["60%", "512MiB"]},
                _POSITIVE,
            ]
        }
    ),
]
"""What a metric should be, in its unit."""
PerReplica = Annotated[
    float,
    BeforeValidator(_per_replica),
    WithJsonSchema({"anyOf": [_POSITIVE, {"type": "string", "pattern": rf"^\+?{NUMBER}$"}]}),
]
"""How much of a metric one replica is for."""
Bytes = Annotated[int, BeforeValidator(_bytes), _SIZE]
"""A size."""
MemoryLimit = Annotated[int, BeforeValidator(_bytes), AfterValidator(_memory), _SIZE]
"""Bytes."""
CpuLimit = Annotated[
    float,
    BeforeValidator(_cores),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": LEAST_CPU, "maximum": MOST_CPU},
                {"type": "string", "pattern": rf"^\+?{NUMBER}$"},
            ]
        }
    ),
]
"""Cores."""
