"""Which limit a container has, who gave it, and when it changed. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final, Self

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.resizing.storing import age, finite, infinite, items, mapping, moment, number

SAME: Final = 1e-3
"""Share of a limit by which the engine may round it."""
LONGEST_GAP: Final = 6480.0
"""Seconds without a sample after which nobody knows whether a smaller limit would have done: 30 % of six hours."""


def same(one: float, other: float) -> bool:
    """Whether two limits are one."""
    return one == other or abs(one - other) <= SAME * min(one, other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One limit of a container, as it was seen to change. Infinite is none.

    Attributes:
        limit: As of the last look; None before the first.
        given: What the agent made of it; None: it is as others made it.
        original: What others had made of it before; None when `given` is.
        expected: The smallest and the largest that the agent has begun to make of it since it last changed; None: it
            has not.
        raised: When it was last raised, seconds on the monotonic clock, whoever did it.
        lowered: When it was last lowered.
        by_hand: When somebody else changed it last, of the same container.
        low: Seconds measured for which a much smaller one has been recommended throughout.
        low_at: When that was last so.
    """

    limit: float | None = None
    given: float | None = None
    original: float | None = None
    expected: tuple[float, float] | None = None
    raised: float | None = None
    lowered: float | None = None
    by_hand: float | None = None
    low: float = 0.0
    low_at: float | None = None

    @property
    def lost(self) -> bool:
        """The container was recreated with its original limit: what the agent gave is to be given again."""
        return self.given is not None and self.limit is not None and not same(self.given, self.limit)

    @property
    def base(self) -> float:
        """The limit from which one goes on."""
        if self.given is not None and self.lost:
            return self.given
        return math.inf if self.limit is None else self.limit

    @property
    def changed(self) -> float | None:
        """When it last changed; None: not that anybody knows."""
        return max((at for at in (self.raised, self.lowered) if at is not None), default=None)

    def seen(self, limit: float, at: float, *, recreated: bool) -> Self:
        """The same after one more look.

        Args:
            limit: What it is now.
            at: Seconds on the monotonic clock.
            recreated: It is another container's, of the same name.
        """
        before = self.limit
        if before is None:
            return replace(self, limit=limit)
        if recreated and self.given is not None and (same(limit, self.given) or same(limit, self._original)):
            return replace(self, limit=limit)
        if same(limit, before):
            return replace(self, limit=limit)
        after = replace(self.not_low(), limit=limit, expected=None)
        after = replace(after, raised=at) if limit > before else replace(after, lowered=at)
        if not recreated and self._is_expected(limit):
            return replace(after, given=limit, original=before if self.given is None else self._original)
        return replace(after, given=None, original=None, by_hand=None if recreated else at)

    def original_of(self, limit: float, at: float, *, recreated: bool) -> float | None:
        """What others had made of it, if it is as the agent made it; None: it is as others made it, or that already.

        Args:
            limit: What it is now.
            at: Seconds on the monotonic clock.
            recreated: It is another container's, of the same name.
        """
        seen = self.seen(limit, at, recreated=recreated)
        if seen.given is None:
            return None
        original = math.inf if seen.original is None else seen.original
        return None if same(original, limit) else original

    def not_expected(self) -> Self:
        """The same where whatever is seen next is not the agent's doing."""
        return self if self.expected is None else replace(self, expected=None)

    def not_given(self) -> Self:
        """The same where what it is, is not the agent's doing: it was made what others had made it."""
        return replace(self, given=None, original=None, expected=None)

    def begun(self, limit: float) -> Self:
        """The same as the agent begins to change it to that: if it is seen, it is the agent's doing."""
        low, high = self.expected if self.expected is not None else (limit, limit)
        return replace(self, expected=(min(low, limit), max(high, limit)))

    def lows(self, seconds: float, at: float) -> Self:
        """The same after one more look at which a much smaller limit is recommended.

        Args:
            seconds: That were measured since the look before: they count if it was so then, and not too long ago.
            at: Seconds on the monotonic clock.
        """
        goes_on = self.low_at is not None and at - self.low_at <= LONGEST_GAP
        return replace(self, low=self.low + seconds if goes_on else 0.0, low_at=at)

    def not_low(self) -> Self:
        """The same after it was not so."""
        return self if self.low_at is None else replace(self, low=0.0, low_at=None)

    @property
    def _original(self) -> float:
        return math.inf if self.original is None else self.original

    def _is_expected(self, limit: float) -> bool:
        if self.expected is None:
            return False
        low, high = self.expected
        return low * (1.0 - SAME) <= limit <= high * (1.0 + SAME)

    def stored(self, now: float) -> dict[str, object]:
        """As a JSON object for the next run; a limit that is none is null."""
        return {
            "known": self.limit is not None,
            "limit": None if self.limit is None else finite(self.limit),
            "given": self.given,
            "original": None if self.original is None else finite(self.original),
            "expected": None if self.expected is None else list(self.expected),
            "raised": age(self.raised, now),
            "lowered": age(self.lowered, now),
            "by_hand": age(self.by_hand, now),
            "low": self.low,
            "low_at": age(self.low_at, now),
        }

    @classmethod
    def restored(cls, stored: object, origin: float) -> Self:
        """The inverse of `stored`; raises KeyError, TypeError or ValueError for what is no such object."""
        known = mapping(stored)
        given = None if known["given"] is None else number(known["given"])
        expected = None
        if known["expected"] is not None:
            low, high = (number(each) for each in items(known["expected"], 2))
            expected = (low, high)
        return cls(
            limit=infinite(known["limit"]) if known["known"] is True else None,
            given=given,
            original=None if given is None else infinite(known["original"]),
            expected=expected,
            raised=moment(known["raised"], origin),
            lowered=moment(known["lowered"], origin),
            by_hand=moment(known.get("by_hand"), origin),
            low=number(known["low"]),
            low_at=moment(known["low_at"], origin),
        )
