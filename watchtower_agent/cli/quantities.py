"""Values with their units, and short forms of them for narrow columns."""

from __future__ import annotations

import math
from typing import Final

from watchtower_agent.cli.text import duration, printable
from watchtower_agent.policies.catalogue import CATALOGUE, Entry, ValueType

UNKNOWN: Final = "-"
"""What stands for a value that is not known."""
_KIBI: Final = 1024
_WIDE: Final = 1000
_SIZES: Final = "BKMGTP"
_STEPS: Final = (("d", 86400), ("h", 3600), ("m", 60))


def number(value: object) -> float | None:
    """The value where it is a number that can be written."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known and isinstance(value, int | float) else None


def tenths(value: object) -> str:
    """`3.4`, `98.0`, `1234`."""
    known = number(value)
    return UNKNOWN if known is None else f"{known:.1f}" if abs(known) < _WIDE else f"{known:.0f}"


def short_size(value: object) -> str:
    """`0`, `512K`, `1.2M`, `34G` in at most five cells, in steps of 1024."""
    known = number(value)
    if known is None:
        return UNKNOWN
    if known < 1:
        return "0"
    step = min(int(math.log2(known) // 10), len(_SIZES) - 1)
    scaled = known / _KIBI**step
    return f"{scaled:.1f}{_SIZES[step]}" if step and scaled < 10 else f"{scaled:.0f}{_SIZES[step]}"  # noqa: PLR2004 - two digits say enough


def short_duration(value: object) -> str:
    """`34s`, `2m`, `3h`, `12d` in whole units, the largest."""
    known = number(value)
    if known is None:
        return UNKNOWN
    for unit, seconds in _STEPS:
        if known >= seconds:
            return f"{known // seconds:.0f}{unit}"
    return f"{max(known, 0):.0f}s"


def share(value: object) -> str:
    """`91 %` of a part of one. Never 100 % of what is less."""
    known = number(value)
    return UNKNOWN if known is None else f"{math.floor(known * 100)} %"


def entry_of(reference: str) -> Entry | None:
    """The catalogue's entry that a reference is about: of `avg(cpu.percent, 5m)` that of cpu.percent."""
    return CATALOGUE.get(reference.partition("(")[2].partition(",")[0] or reference)


def reading(value: object, entry: Entry | None) -> str:
    """A value as a person reads it: `82.0 %`, `1.5 GiB`, `3 ms`, `yes`, `running`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    known = number(value)
    if known is None:
        return UNKNOWN if value is None else printable(value)
    match entry.type if entry is not None else None:
        case ValueType.PERCENT:
            return f"{known:.1f} %"
        case ValueType.BYTES:
            return _size(known) + ("/s" if entry is not None and entry.unit == "B/s" else "")
        case ValueType.DURATION:
            return duration(known)
        case _:
            return f"{known:,.0f}" if known.is_integer() else f"{known:.2f}"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < _KIBI:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KIBI
    return f"{count:.1f} TiB"
