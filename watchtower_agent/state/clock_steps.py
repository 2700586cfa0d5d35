"""How often the wall clock was set within this boot, and how long ago a stamp of it was made after all. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Final, TypeAlias, TypeGuard

from watchtower_agent.model.instant import AHEAD, Instant
from watchtower_agent.model.values import dataclass

MOST: Final = 32
"""Steps that are told apart. Of more the oldest are taken together: what was stamped between them counts as younger."""

Stamped: TypeAlias = tuple[str, float]
"""A stamp, and the id of the container whose it is: listings tell whole seconds, and a clock that was set back shows
each again. Of the engine's own the id is empty."""

_LEAST: Final = 1.0
"""Seconds; by less a clock may differ from itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStep:
    """One.

    Attributes:
        at: What the wall clock would have shown when the step was seen, had it not been set; of one that was set back,
            when it was last looked at before that: what was stamped since then may be younger than the step.
        by: Seconds by which it was set forwards; negative for back.
        seen: When that was, on the monotonic clock.
        unseen: Seconds for which nobody had looked before that; infinity: not known.
    """

    at: float
    by: float
    seen: float
    unseen: float = math.inf

    def later_than(self, stamp: float) -> bool:
        """Whether the stamp was surely made before the clock was set.

        One of the moment at which the step was seen may be a little later than that. A clock that was set back shows
        some times twice: a stamp of one of them counts as made the second time. One that was set forwards shows some
        times never: a stamp of one of them was made before, when the clock was ahead and was not set back yet.
        """
        before = self.at + min(self.by, self.by / 2, _LEAST)
        return stamp <= (before if self.by < 0 else max(before, self.at + self.by - self.unseen - _LEAST))


@dataclass(slots=True)
class ClockSteps:
    """Those of this boot that the agent saw, be it at its start.

    That the host was suspended is none: all of its clocks but the monotonic one go on meanwhile.
    """

    _boot: str = ""
    _ahead: float = 0.0
    """Seconds by which the wall clock is ahead of the time since the boot. Only somebody who sets it changes that."""
    _steps: list[ClockStep] = field(default_factory=list)
    _looked: float | None = None
    """When the clock was looked at last, on the monotonic clock, as far as is known; None: not within this boot."""
    _passed: float | None = None
    """The same, with all the time that the host was suspended; None: not in this run of the agent."""
    known: Mapping[Stamped, float] = field(default_factory=dict)
    """Stamps that alone do not tell on which side of a step they were made, but that the agent had before it saw that:
    each with when it saw the first such step, on the monotonic clock. Another object after each change."""

    def look(self, now: Instant, stamps: Iterable[Stamped] = ()) -> float | None:
        """Look at the clock.

        Args:
            now: The present.
            stamps: All that the agent has: gone through only where the clock was set.

        Returns:
            Seconds by which it was set since the last look, 0 where that can't be told; None when it was not.
        """
        if not now.boot:
            return None
        ahead = now.wall - now.monotonic - now.asleep
        unseen = 0.0 if self._looked is None else max(0.0, now.monotonic - self._looked)
        passed = now.monotonic + now.asleep
        unlooked = math.inf if self._passed is None else max(0.0, passed - self._passed)
        self._looked, self._passed = now.monotonic, passed
        if self._boot != now.boot:
            self._boot, self._ahead, self._steps, self.known = now.boot, ahead, [], {}
            return 0.0
        by = ahead - self._ahead
        if abs(by) < _LEAST:
            return None
        self._ahead = ahead
        at = now.wall - by - (unseen if by < 0 else 0.0)
        step = ClockStep(at=at, by=by, seen=now.monotonic, unseen=unlooked)
        self._steps.append(step)
        self.known = {
            stamp: self.known.get(stamp, step.seen)
            for stamp in stamps
            if stamp in self.known or not step.later_than(stamp[1])
        }
        if len(self._steps) > MOST:
            self._take_together()
        return by

    def _take_together(self) -> None:
        """The two oldest steps. What is not known to be of before both of them is not known to be of before either."""
        older, newer, next_one = self._steps[:3]
        self._steps[:2] = [ClockStep(at=newer.at, by=older.by + newer.by, seen=newer.seen)]
        self.known = {
            stamp: next_one.seen if older.seen < before <= newer.seen and not older.later_than(stamp[1]) else before
            for stamp, before in self.known.items()
        }

    def told_anew(self, of: str, stamp: float, earlier: float) -> None:
        """Take in that a moment of a container's bears another stamp than the one by which it was known."""
        before = self.known.get((of, earlier))
        if before is not None and self.known.get((of, stamp)) != before:
            self.known = {**self.known, (of, stamp): before}

    def age(self, stamp: float, now: Instant, of: str = "") -> float | None:
        """Seconds since a stamp of this host's wall clock was made; None for one from the future.

        What was known before a step was seen was made before it, though the clock, set back, shows that time again.

        Args:
            stamp: Seconds since the epoch, as the clock showed them.
            now: The present, or a moment shortly before it.
            of: Id of the container whose stamp it is; empty: of the engine, or not known.
        """
        age = now.wall - stamp
        known_before = self.known.get((of, stamp), math.inf)
        for step in reversed(self._steps):
            if step.seen > now.monotonic:
                continue  # `now` is of the time before it, as the stamp is
            if step.seen < known_before and age >= -AHEAD and not step.later_than(stamp):
                break  # else, by the clock as it is since that step, the stamp is of the future: so it is older
            age -= step.by
        return max(0.0, age) if age >= -AHEAD else None

    def stored(self) -> dict[str, object]:
        """As a JSON object for the next run."""
        return {
            "boot": self._boot,
            "ahead": self._ahead,
            "steps": [[step.at, step.by, step.seen] for step in self._steps],
            "looked": self._looked,
            # Beside the steps, so that an earlier version of the agent reads those.
            "unseen": [step.unseen if math.isfinite(step.unseen) else None for step in self._steps],
        }

    def stored_stamps(self) -> dict[str, object]:
        """Beside that, and seldom another: `known`."""
        return {"boot": self._boot, "known": [[*stamp, before] for stamp, before in self.known.items()]}

    @classmethod
    def restored(cls, stored: Mapping[str, object], stamps: Mapping[str, object] | None = None) -> ClockSteps:
        """The inverse of `stored` and `stored_stamps`; nothing is known of what is no such object."""
        match stored:
            case {"boot": str() as boot, "ahead": float() | int() as ahead, "steps": list() as steps}:
                unseen = stored.get("unseen")
                each = unseen[-MOST:] if isinstance(unseen, list) and len(unseen) == len(steps) else [None] * len(steps)
                known = [
                    ClockStep(at=step[0], by=step[1], seen=step[2], unseen=for_ if _is_number(for_) else math.inf)
                    for step, for_ in zip(steps[-MOST:], each[-MOST:], strict=True)
                    if isinstance(step, list) and len(step) == 3 and all(map(_is_number, step))  # noqa: PLR2004
                ]
                looked = stored.get("looked")  # an earlier version did not store that
                last = looked if _is_number(looked) else None
                return cls(boot, ahead, known, last, known=_known(stamps or {}, boot))
            case _:
                return cls()


def _known(stored: Mapping[str, object], boot: str) -> dict[Stamped, float]:
    rows = stored.get("known")
    if stored.get("boot") != boot or not isinstance(rows, list):
        return {}
    known: dict[Stamped, float] = {}
    for row in rows:
        match row:
            case [str() as of, stamp, before] if _is_number(stamp) and _is_number(before):
                known[of, stamp] = before
            case _:
                pass
    return known


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)
