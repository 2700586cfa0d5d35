"""A moment, on both of the host's clocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchtower_agent.model.values import dataclass

AHEAD: Final = 60.0
"""Seconds by which the clock of an engine elsewhere may be ahead of ours. A stamp that is later than that was made
before the clock was stepped back: how long ago that was is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """A moment as the wall clock and as the monotonic clock show it.

    Durations inside one run of the agent use `monotonic`, which no operator and no time server steps.
    What is stored or published uses `wall`; what is stored for the next run, and has to last, beside it `monotonic` and
    `boot`, since wall clocks are stepped.

    Attributes:
        wall: Seconds since the epoch, UTC.
        monotonic: Seconds on the host's monotonic clock, meaningful only within this boot.
        boot: Which boot of the host; empty where that is not known.
        asleep: Seconds of this boot in which the host was suspended: the monotonic clock does not count them.
    """

    wall: float
    monotonic: float
    boot: str = ""
    asleep: float = 0.0

    def may_be_past(self, stamp: float) -> bool:
        """Whether a stamp (seconds since the epoch) can be compared with stamps of now.

        One that is far in the future was made before the clock was stepped back: it does not tell what came first.
        """
        return stamp <= self.wall + AHEAD

    def passed_since(self, earlier: Instant) -> float:
        """Seconds since an earlier moment of this run, those in which the host was suspended among them."""
        return self.monotonic + self.asleep - earlier.monotonic - earlier.asleep

    def since(self, wall: float, monotonic: object, boot: object) -> float:
        """Seconds since a moment that an earlier run stored; never negative.

        Within one boot the monotonic clock tells. Else the wall clock does, and a stamp from its future means that it
        was stepped back: then none have passed.
        """
        if boot and boot == self.boot and isinstance(monotonic, int | float) and monotonic <= self.monotonic:
            return self.monotonic - monotonic
        return max(0.0, self.wall - wall)

    def stepped_since(self, before: Instant | None) -> float:
        """Seconds by which the wall clock was stepped forwards since then; negative if back, 0 where it can't be told.

        Less than one is none. While the host sleeps the monotonic clock stands still: that counts as a step.
        """
        if before is None or not self.boot or before.boot != self.boot:
            return 0.0
        step = (self.wall - before.wall) - (self.monotonic - before.monotonic)
        return step if abs(step) >= 1.0 else 0.0

    def stored(self) -> dict[str, object]:
        """As a JSON object for the next run."""
        return {"at": self.wall, "monotonic": self.monotonic, "boot": self.boot}

    @classmethod
    def restored(cls, stored: Mapping[str, object] | None) -> Instant | None:
        """The inverse of `stored`; None for what is no such object."""
        match stored:
            case {"at": float() | int() as at, "monotonic": float() | int() as monotonic, "boot": str() as boot}:
                return cls(wall=at, monotonic=monotonic, boot=boot)
            case _:
                return None
