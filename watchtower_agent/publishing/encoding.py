"""JSON that any reader takes: no NaN, no lone surrogates, nothing that moves a terminal's cursor, bounded in size."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

LONGEST_TEXT: Final = 2048
"""Characters of one text in a payload at most."""

TO_DECIMALS: Final = 10_000
"""A number times this, without what is behind the point, has the decimals that are published."""

_MOST_ITEMS: Final = 200
_DEEPEST: Final = 8
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that RFC 3339 can write
# C1 controls, line separators and marks that turn the direction of text: JSON allows them raw, a terminal obeys them.
_UNSAFE = re.compile("[\x80-\x9f\u2028-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"), default=_plain
)


def to_json(value: Mapping[str, object]) -> bytes:
    """Encode it. What JSON can't say is left out (NaN, infinities) or cut (see `bounded`)."""
    try:
        text = _ENCODER.encode(value)
    except (ValueError, TypeError, RecursionError):
        text = _ENCODER.encode(bounded(value))
    if not text.isascii():
        text = _SURROGATE.sub("�", _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text))
    return text.encode()


def clipped(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text, its end replaced by `…` when it is longer."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def rounded(value: float) -> float:
    """To four decimals: more than that was never measured, and short numbers are cheap to write. Must be finite."""
    # `round` takes four times as long, since it is right also where a number lies between two doubles
    return whole if (whole := int(value)) == value else math.floor(value * TO_DECIMALS + 0.5) / TO_DECIMALS


def bounded(value: object, *, depth: int = _DEEPEST) -> object:
    """The value as JSON can say it: texts and lists cut, depth limited, unknown numbers left out."""
    if value is None or isinstance(value, bool | int | float):
        return None if isinstance(value, float) and not math.isfinite(value) else value
    if isinstance(value, str) or depth <= 0:
        return clipped(value) if isinstance(value, str) else "…"
    if isinstance(value, Mapping):
        items = list(value.items())[:_MOST_ITEMS]
        pairs = ((clipped(str(name), 256), bounded(item, depth=depth - 1)) for name, item in items)
        return {name: item for name, item in pairs if item is not None}
    if isinstance(value, Iterable):
        return [bounded(item, depth=depth - 1) for item, _ in zip(value, range(_MOST_ITEMS), strict=False)]
    return clipped(str(value))


@lru_cache(maxsize=256)
def _to_second(second: int) -> str:
    moment = datetime.fromtimestamp(min(max(second, 0), _LAST_SECOND), UTC)
    return moment.isoformat(timespec="seconds").removesuffix("+00:00")


def rfc3339(seconds: float) -> str:
    """A moment in UTC, microseconds shown. Moments before 1970 or after 9999 are moved to that border."""
    if not math.isfinite(seconds):
        seconds = 0.0
    whole = math.floor(seconds)
    micros = min(int((seconds - whole) * 1e6), 999_999)
    return f"{_to_second(whole)}.{micros:06d}Z"


def rfc3339_ns(nanoseconds: int) -> str:
    """The engine's stamp in UTC, to the nanosecond."""
    whole, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_to_second(whole)}.{rest:09d}Z"
