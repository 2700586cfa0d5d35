"""What was stored as JSON, taken back: nothing that is not as it was written gets through. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping


def number(value: object) -> float:
    """A finite number.

    Raises:
        TypeError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a number")
    return float(value)


def age(at: float | None, now: float) -> float | None:
    """Seconds since a moment; None for one that never was."""
    return None if at is None else now - at


def moment(stored: object, origin: float) -> float | None:
    """When something was that is so many seconds older than the origin.

    Raises:
        TypeError: It is no number.
    """
    return None if stored is None else origin - number(stored)


def finite(value: float) -> float | None:
    """A number that may be infinite, as JSON has it: null."""
    return value if math.isfinite(value) else None


def infinite(stored: object) -> float:
    """The inverse of `finite`.

    Raises:
        TypeError: It is neither a number nor null.
    """
    return math.inf if stored is None else number(stored)


def items(stored: object, most: int) -> list[object]:
    """A list that is no longer than it was written.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(stored, list) or len(stored) > most:
        raise TypeError("a list, and not longer than it was written")
    return stored


def pairs(stored: object, origin: float, most: int) -> tuple[tuple[float, float], ...]:
    """Moments, each with a number.

    Raises:
        TypeError: They are none.
        ValueError: One is not a pair.
    """
    return tuple((origin - number(at), number(value)) for at, value in (items(each, 2) for each in items(stored, most)))


def aged(known: tuple[tuple[float, float], ...], now: float) -> list[list[float]]:
    """The inverse of `pairs`."""
    return [[now - at, value] for at, value in known]


def mapping(stored: object) -> Mapping[str, object]:
    """A JSON object.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(stored, Mapping):
        raise TypeError("not an object")
    return stored
