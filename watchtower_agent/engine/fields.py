"""Values of the engine's JSON, each of the type that is asked for, whatever is there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

MAX_TEXT: Final = 65536
"""Characters that are kept of a text."""


def sequence(value: object) -> Sequence[object]:
    """A list; an empty one for anything else."""
    return value if isinstance(value, list) else ()


def mapping(value: object) -> Mapping[object, object]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def number(value: object) -> float | None:
    """A finite number that a float holds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    limit = 2.0**63
    return float(value) if -limit < value < limit else None


def text(value: object) -> str:
    """A string that can be encoded: lone surrogates, which JSON can spell, are replaced."""
    if not isinstance(value, str):
        return ""
    value = value[:MAX_TEXT]
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
