"""Numbers with units: `80%`, `1.5GiB`, `30s`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.catalogue import ValueType
from watchtower_agent.policies.problem import WrongValueError, nearest, shown

DURATION_UNITS: Final[Mapping[str, float]] = MappingProxyType(
    {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
)
"""Unit -> seconds."""

BYTE_UNITS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "B": 1,
        "kB": 10**3,
        "KB": 10**3,
        "MB": 10**6,
        "GB": 10**9,
        "TB": 10**12,
        "KiB": 2**10,
        "MiB": 2**20,
        "GiB": 2**30,
        "TiB": 2**40,
    }
)
"""Unit -> bytes."""

LONGEST_DURATION: Final = 3650 * 86400.0
"""Seconds. What is longer is a slip of the pen, and far from where floats lose milliseconds."""

LONGEST_STOP: Final = 3600.0
"""Seconds that anybody may ask for between a stop signal and KILL, in a policy or by a label."""

LARGEST_SIZE: Final = 2**63 - 1
"""Bytes. No file, memory or disk counts further."""

_BEYOND_SIZES: Final = 2**64
"""Whole numbers below are taken to the digit, as the largest size asks for: as a float it would be one more."""

_QUANTITY: Final = re.compile(r"([-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)(%|[^\W\d_]+)?", re.ASCII)
_UNITS: Final = ("%", *DURATION_UNITS, *BYTE_UNITS)


class QuantityError(WrongValueError):
    """A text that is no quantity."""


class TooLargeError(QuantityError):
    """A quantity that nobody can mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number that knows what it measures.

    Attributes:
        value: In percent, bytes, seconds, or plain.
        type: PERCENT, BYTES, DURATION or NUMBER.
    """

    value: float | int
    type: ValueType


def parse_quantity(text: str) -> Quantity:
    """A number, with or without a unit.

    Raises:
        QuantityError: It is no number, too large for what it measures, or its unit is not known.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise QuantityError(f"{shown(text)} is not a number", "write it like 80%, 512MiB, 30s or 2.5")
    digits, unit = match.group(1), match.group(2) or ""
    value = float(digits)
    if not math.isfinite(value):
        raise QuantityError(f"{shown(text)} is too large a number", "write a smaller one")
    if unit in DURATION_UNITS:
        seconds = value * DURATION_UNITS[unit]
        if abs(seconds) > LONGEST_DURATION:
            raise TooLargeError(f"{shown(text)} is longer than ten years", "write a duration of at most 3650d")
        return Quantity(value=seconds, type=ValueType.DURATION)
    exact = _exact(digits, value)
    if unit in BYTE_UNITS:
        size = exact * BYTE_UNITS[unit]
        if abs(size) > LARGEST_SIZE:
            raise TooLargeError(
                f"{shown(text)} is more bytes than anything has", "write a size below 8388608TiB, as 512MiB or 1.5GiB"
            )
        return Quantity(value=size, type=ValueType.BYTES)
    if unit not in {"", "%"}:
        raise QuantityError(f"unknown unit {shown(unit)}", _right_unit(digits, unit))
    return Quantity(value=exact, type=ValueType.PERCENT if unit else ValueType.NUMBER)


def _exact(digits: str, value: float) -> float | int:
    """The number as it is written, where a float would be another."""
    if not value.is_integer() or abs(value) >= _BEYOND_SIZES:
        return value
    bare = digits.lstrip("+-").lstrip("0")  # zeros without end before it are no reason for int() to refuse it
    if abs(value) < 2**53 or not bare.isdecimal():
        return int(value)
    return -int(bare) if value < 0 else int(bare)


def _right_unit(digits: str, unit: str) -> str:
    """What to write in place of a number with that unit, which is not known."""
    if unit == "M":  # as Docker writes MiB; in lower case that is a minute here
        return f"write {digits}MiB if it is bytes, or {digits}m if it is minutes"
    if short := _SHORT_UNITS.get(unit.lower()):
        return f"did you mean {digits}{short}?"
    if re.fullmatch(r"[kKMGT]?(bits?|bps)", unit):
        return "write bytes, as in 1MB: rates are bytes per second"
    if re.fullmatch(r"w|weeks?", unit) and len(digits) < 4:  # noqa: PLR2004 - ten years have 522
        return f"write {float(digits) * 7:g}d"
    # A word comes first: what looks most like `mins` is `ms`, and that is no minute.
    words = [known for word, known in _WORDS_FOR_UNITS if re.fullmatch(word, unit, re.IGNORECASE)]
    longer = [known for known in _UNITS if known.lower().startswith(unit.lower())]
    near = next(iter(words + longer), None) or nearest(unit, _UNITS)
    return f"did you mean {digits}{near}?" if near else f"the units are {', '.join(_UNITS)}"


_SHORT_UNITS: Final = {
    "percent": "%",
    **dict.fromkeys(("k", "ki"), "KiB"),  # one letter is Docker's way, and means steps of 1024
    "mi": "MiB",
    **dict.fromkeys(("g", "gi"), "GiB"),
    **dict.fromkeys(("t", "ti"), "TiB"),
}
_WORDS_FOR_UNITS: Final = (
    (r"ms|millis?|milliseconds?", "ms"),
    (r"s|secs?|seconds?", "s"),
    (r"m|mins?|minutes?", "m"),
    (r"h|hrs?|hours?", "h"),
    (r"d|days?", "d"),
)
_WRITTEN_OUT: Final = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*([a-z]+)\s*", re.ASCII | re.IGNORECASE)
_UNIT_APART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(%|[a-z]+)", re.ASCII | re.IGNORECASE)


def together(text: str) -> str:
    """A number and its unit with a blank between them, or a duration of several units, as they are written here.

    Returns:
        `1.5GiB` for `1.5 GiB`, `90m` for `1h30m` and `1 h 30 min`; empty for what is neither.
    """
    apart = _UNIT_APART.fullmatch(text.strip())
    if apart is not None:
        known = {unit.lower(): unit for unit in reversed(_UNITS)} | {unit: unit for unit in _UNITS} | _SHORT_UNITS
        unit = known.get(apart[2]) or known.get(apart[2].lower())
        if unit is not None:
            return f"{apart[1]}{unit}"
    return _duration_hint(text).removeprefix("write ")


def _duration_hint(text: str) -> str:
    """What a duration in words or in two units (`1 min`, `1h30m`) is here; empty when that can't be told."""
    parts = _WRITTEN_OUT.findall(text)
    if not parts or _WRITTEN_OUT.sub("", text):
        return ""
    units = [
        next((unit for words, unit in _WORDS_FOR_UNITS if re.fullmatch(words, word, re.IGNORECASE)), "")
        for _, word in parts
    ]
    if "" in units:
        return ""
    smallest = min(units, key=DURATION_UNITS.__getitem__)
    total = sum(float(number) * DURATION_UNITS[unit] for (number, _), unit in zip(parts, units, strict=True))
    amount = f"{total / DURATION_UNITS[smallest]:.6f}".rstrip("0").rstrip(".")
    return f"write {amount}{smallest}"


def parse_duration(text: str) -> float:
    """A duration in seconds: `500ms`, `30s`, `5m`, `2h`, `7d`.

    Raises:
        QuantityError: It is no duration, negative, or longer than ten years.
    """
    try:
        quantity = parse_quantity(text)
    except TooLargeError:
        raise
    except QuantityError as error:
        hint = _duration_hint(text)
        if error.message.startswith("unknown unit"):
            units = f"the units are {', '.join(DURATION_UNITS)}, as in 30s"
            raise QuantityError(error.message, hint or units) from None
        example = "write it like 500ms, 30s, 5m, 2h or 7d"
        raise QuantityError(f"{shown(text)} is not a duration", hint or example) from None
    written = text.lstrip("+-")
    unit_missing = f"write {written}s for seconds, or {written}m for minutes"
    if quantity.type in {ValueType.NUMBER, ValueType.DURATION} and quantity.value < 0:
        remedy = unit_missing if quantity.type is ValueType.NUMBER else f"did you mean {written}?"
        raise QuantityError(f"{shown(text)} is less than nothing", remedy)
    if quantity.type is ValueType.NUMBER:
        raise QuantityError(f"{shown(text)} has no unit", unit_missing)
    if quantity.type is not ValueType.DURATION:
        raise QuantityError(f"{shown(text)} is not a duration", "write it like 500ms, 30s, 5m, 2h or 7d")
    return float(quantity.value)
