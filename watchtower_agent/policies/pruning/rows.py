"""What is remembered of use, as rows of JSON: each is written when it changes, and none hangs on another. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchtower_agent.model.boots import Boots
from watchtower_agent.model.instant import Instant

Row = Mapping[str, object]
Rows = Mapping[str, Row | None]
"""Key -> row; None: it is to be forgotten."""

_LATEST: Final = 1e12
"""Seconds: no clock shows as much."""


def row(at: float, now: Instant) -> dict[str, object]:
    """A moment on the monotonic clock as a row for this run and the next."""
    age = now.monotonic - at
    return Instant(wall=now.wall - age, monotonic=at, boot=now.boot).stored()


def moment(stored: object, now: Instant, boots: Boots) -> float | None:
    """The inverse of `row`, on the monotonic clock of this run; None for what is no such row.

    Args:
        stored: As it was written.
        now: The present.
        boots: Earlier ones of the host.
    """
    earlier = Instant.restored(stored) if isinstance(stored, Mapping) else None
    if earlier is None or not (abs(earlier.wall) < _LATEST and abs(earlier.monotonic) < _LATEST):
        return None
    return boots.carried(earlier, now).monotonic


def words(stored: object, most: int) -> tuple[str, ...] | None:
    """A list of texts that is no longer than it was written; None for what is none."""
    if not isinstance(stored, list) or len(stored) > most:
        return None
    return tuple(each for each in stored if isinstance(each, str))
