"""What a service needed lately, and when its number changed. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from operator import itemgetter
from typing import Final, Self

from watchtower_agent.model.boots import UNKNOWN, Boots
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.scaling.rules import REGRETTED_FOR, Rules

EPSILON: Final = 1e-6
"""Of a replica, or of a second: less is nothing, so that rounding decides nothing."""
_NEEDS: Final = 500
"""Parts of the longest window in which one need is kept, the largest; so many are remembered at most, and one more."""
_GROWTHS: Final = 32
"""Growths that are remembered one by one."""


def whole(need: float) -> int:
    """How many replicas that takes."""
    return math.ceil(need - EPSILON)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The past of one service. Moments are seconds on the monotonic clock: no step of the wall clock moves them.

    Attributes:
        wanted: How many replicas it was meant to have at the last look; None before the first.
        looked: When that was.
        needs: When so many were needed, oldest first. Kept are those that no later one reaches: what was the most
            within any time up to now is the first of that time.
        growths: When the number grew, whoever did it, and by how many, as far as the step up asks for it.
        grown: When it last became larger.
        shrunk: When it last became smaller.
        regretted: When it last had to grow again soon after.
    """

    wanted: int | None = None
    looked: float | None = None
    needs: tuple[tuple[float, float], ...] = ()
    growths: tuple[tuple[float, int], ...] = ()
    grown: float | None = None
    shrunk: float | None = None
    regretted: float | None = None

    def seen(self, wanted: int, measured: float, need: float, now: float, rules: Rules) -> Self:
        """The same after one more look.

        Args:
            wanted: How many replicas it is meant to have now.
            measured: How many it needs, as far as that is known.
            need: How many, with what is assumed where it is not.
            now: Seconds on the monotonic clock.
            rules: How it is scaled.
        """
        if self.is_gap(now, rules):
            need = max(need, float(wanted))  # nobody knows what was needed meanwhile
        after = self._changed(wanted, measured, now, rules)
        if after.regretted is not None and now - after.regretted > REGRETTED_FOR:
            after = replace(after, regretted=None)
        needs = self._needs_with(need, now, rules.down.window)
        return replace(after, wanted=wanted, looked=now, needs=needs)

    def is_gap(self, now: float, rules: Rules) -> bool:
        """Whether nobody has looked for so long that what was needed meanwhile is not known."""
        return self.looked is None or now - self.looked > rules.gap

    def noted(self, wanted: int, now: float, rules: Rules) -> Self:
        """The same after its number was seen, while nothing is known of what it needs.

        Args:
            wanted: How many replicas it is meant to have now.
            now: Seconds on the monotonic clock.
            rules: How it is scaled.
        """
        return replace(self._changed(wanted, 0.0, now, rules), wanted=wanted)

    def most(self, within: float, now: float) -> int:
        """The most that was needed within the last so many seconds."""
        first = bisect_right(self.needs, now - within + EPSILON, key=itemgetter(0))
        return whole(self.needs[first][1]) if first < len(self.needs) else 0

    def falls_below(self, level: int, within: float, now: float) -> float | None:
        """Seconds until the most of the last so many seconds is below a level, if what is needed now stays so.

        None: it never will be, for as much is needed now.
        """
        last = next((at for at, need in reversed(self.needs) if need > level - 1 + EPSILON), None)
        if last is None:
            return 0.0
        if last == self.needs[-1][0]:
            return None
        return max(0.0, last + within - now)

    def added(self, within: float, now: float) -> int:
        """How many replicas the last so many seconds have added."""
        return sum(count for at, count in self.growths if now - at < within - EPSILON)

    @property
    def changed(self) -> float | None:
        """When the number last changed, whoever did it; None: not that anybody knows."""
        if self.grown is None or self.shrunk is None:
            return self.grown if self.shrunk is None else self.shrunk
        return max(self.grown, self.shrunk)

    def since_growth(self, now: float) -> float:
        """Seconds since the number last became larger; infinite if that is not known."""
        return math.inf if self.grown is None else now - self.grown

    def since_shrink(self, now: float) -> float:
        """Seconds since the number last became smaller; infinite if that is not known."""
        return math.inf if self.shrunk is None else now - self.shrunk

    def is_regretted(self, now: float) -> bool:
        """Whether a shrink was regretted lately."""
        return self.regretted is not None and now - self.regretted < REGRETTED_FOR - EPSILON

    def stored(self, now: Instant) -> dict[str, object]:
        """As a JSON object for the next run: how long ago everything was, and when that was written."""

        def age(at: float | None) -> float | None:
            return None if at is None else now.monotonic - at

        return {
            "at": now.stored(),
            "wanted": self.wanted,
            "looked": age(self.looked),
            "needs": [[age(at), need] for at, need in self.needs],
            "growths": [[age(at), count] for at, count in self.growths],
            "grown": age(self.grown),
            "shrunk": age(self.shrunk),
            "regretted": age(self.regretted),
        }

    @classmethod
    def restored(cls, stored: Mapping[str, object], now: Instant, boots: Boots = UNKNOWN) -> Self | None:
        """The inverse of `stored`, on the clocks of this run; None for what is no such object.

        Args:
            stored: As it was written.
            now: The present.
            boots: Earlier ones of the host.
        """
        written = stored.get("at")
        earlier = Instant.restored(written) if isinstance(written, Mapping) else None
        if earlier is None:
            return None
        origin = boots.carried(earlier, now).monotonic
        try:
            return cls(
                wanted=_count(stored["wanted"]),
                looked=_moment(stored["looked"], origin),
                needs=_pairs(stored["needs"], origin),
                growths=tuple((at, int(count)) for at, count in _pairs(stored["growths"], origin)),
                grown=_moment(stored["grown"], origin),
                shrunk=_moment(stored["shrunk"], origin),
                regretted=_moment(stored["regretted"], origin),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def _changed(self, wanted: int, measured: float, now: float, rules: Rules) -> Self:
        growths = tuple(each for each in self.growths if now - each[0] < rules.up.per)
        before = self.wanted
        if before is None or wanted == before:
            return self if growths == self.growths else replace(self, growths=growths)
        if wanted < before:
            return replace(self, shrunk=now, growths=growths)
        if len(growths) >= _GROWTHS:  # the two oldest count as one, for as long as the younger does
            growths = ((growths[1][0], growths[0][1] + growths[1][1]), *growths[2:])
        growths = (*growths, (now, wanted - before))
        soon = self.since_shrink(now) < rules.down.fast_after - EPSILON
        # Who grew it for another reason (its bounds, a person) regrets nothing.
        regretted = now if soon and measured > before + EPSILON else self.regretted
        return replace(self, grown=now, growths=growths, regretted=regretted)

    def _needs_with(self, need: float, now: float, window: float) -> tuple[tuple[float, float], ...]:
        needs = self.needs
        first, last = 0, len(needs)
        while last and needs[last - 1][1] <= need:
            last -= 1
        while first < last and now - needs[first][0] >= window:
            first += 1
        kept = needs[first:last]
        part = window / _NEEDS
        if kept and kept[-1][0] // part == now // part:
            return (*kept[:-1], (now, kept[-1][1]))
        return (*kept, (now, need))


def _moment(age: object, origin: float) -> float | None:
    return None if age is None else origin - _number(age)


def _count(value: object) -> int | None:
    return None if value is None else int(_number(value))


def _pairs(values: object, origin: float) -> tuple[tuple[float, float], ...]:
    if not isinstance(values, list) or len(values) > _NEEDS + 1:
        raise TypeError("a list of pairs, and not longer than it was written")
    return tuple((origin - _number(age), _number(value)) for age, value in values)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a number")
    return value
