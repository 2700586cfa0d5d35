"""Parts of an agent's answer, whatever it holds: an agent of another release may leave something out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def section(of: Json, key: str) -> Json:
    """An object in it; empty where there is none."""
    value = of.get(key)
    return value if isinstance(value, Mapping) else {}


def listed(of: Json, key: str) -> Sequence[Json]:
    """The objects of a list in it; empty where there is none."""
    value = of.get(key)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
