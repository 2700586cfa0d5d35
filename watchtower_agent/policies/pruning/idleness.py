"""Since when nobody has referred to something: a volume, a network. What is not known counts as since now. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Set as AbstractSet
from typing import Final

from watchtower_agent.model.boots import Boots
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.pruning.rows import Row, Rows, moment, row

MOST: Final = 20_000
"""Objects of a kind that are followed. More are never deleted."""
AGREEING: Final = 2
"""Listings in a row that are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time in which nobody has referred to it.

    Attributes:
        since: When it began, seconds on the monotonic clock.
        listings: So many in a row, up to two, have shown it so.
    """

    since: float
    listings: int = 0


class Idleness:
    """Spans of all objects of a kind. An object without one is referred to, or not known."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._prefix = f"{kind}/"
        self._spans: dict[str, Span] = {}
        self._gap = -math.inf
        self._changed: set[str] = set()

    def __len__(self) -> int:
        """Entries: bounded."""
        return len(self._spans)

    @property
    def gap(self) -> float:
        """Until when something may have been missed."""
        return self._gap

    def span(self, name: str) -> Span | None:
        """For how long nobody has referred to it; None: somebody does, or that is not known."""
        known = self._spans.get(name)
        return Span(since=self._gap) if known is not None and known.since < self._gap else known

    def used(self, name: str, at: float) -> None:
        """Somebody has used it now."""
        known = self.span(name)
        self._put(name, Span(since=at if known is None else max(at, known.since)))

    def gone(self, name: str) -> None:
        """It was deleted."""
        self._put(name, None)

    def missed(self, at: float) -> None:
        """Uses may have been missed: everything counts as used now."""
        self._gap = max(self._gap, at)
        self._changed.add(self._kind)

    def listed(self, names: AbstractSet[str], referred: AbstractSet[str], asked: float, at: float) -> None:
        """Take a listing.

        Args:
            names: All that there are.
            referred: Those that somebody refers to.
            asked: When it was asked for; events that were handled since are newer.
            at: The present.
        """
        for name in [each for each, span in self._spans.items() if each not in names and span.since < asked]:
            self.gone(name)
        for name in names:
            known = self.span(name)
            if name in referred:
                self._put(name, None)
            elif known is None:
                self._put(name, Span(since=at, listings=1))
            elif known.since < asked and known.listings < AGREEING:
                self._put(name, Span(since=known.since, listings=known.listings + 1))

    def keys(self) -> Iterator[str]:
        """Of all rows that are stored."""
        yield self._kind
        yield from (self._prefix + name for name in self._spans)

    def remember_again(self) -> None:
        """The store has lost everything."""
        self._changed.update(key for key in self.keys() if key != self._kind or self._gap > -math.inf)

    def rows(self, now: Instant) -> dict[str, Row | None]:
        """What changed since the last time, to be stored."""
        rows: dict[str, Row | None] = {}
        for key in self._changed:
            span = self._spans.get(key.removeprefix(self._prefix))
            if key == self._kind:
                rows[key] = row(self._gap, now)
            else:
                rows[key] = None if span is None else {**row(span.since, now), "listings": span.listings}
        self._changed.clear()
        return rows

    def restore(self, rows: Rows, now: Instant, boots: Boots) -> None:
        """Take back what an earlier run stored. What can't be read is not known: a gap lasts until now then."""
        if rows.get(self._kind) is not None:
            at = moment(rows[self._kind], now, boots)
            self._gap = now.monotonic if at is None else at
        for key, stored in rows.items():
            at = moment(stored, now, boots) if key.startswith(self._prefix) else None
            if stored is None or at is None or len(self._spans) >= MOST:
                continue
            listings = stored.get("listings")
            if isinstance(listings, int):
                self._spans[key.removeprefix(self._prefix)] = Span(since=at, listings=min(max(listings, 0), AGREEING))

    def _put(self, name: str, span: Span | None) -> None:
        if span == self._spans.get(name):
            return
        if span is None:
            del self._spans[name]
        elif name in self._spans or len(self._spans) < MOST:
            self._spans[name] = span
        else:
            return
        self._changed.add(self._prefix + name)
