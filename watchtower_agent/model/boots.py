"""The host's boots, put on one clock: how long ago what an earlier one stored was made. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Final, Self, TypeGuard

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass

MOST: Final = 64
"""Boots that are remembered. To what an older one stored the wall clock tells how long ago it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boots:
    """The monotonic clock of this boot, continued into earlier ones.

    How long ago a boot was is asked of the wall clock once, at the first start in the next one, and kept: what is done
    to the wall clock later changes nothing of it.

    Attributes:
        seen: A moment of this boot on both of its clocks: when the agent looked at its wall clock last, or found it
            stepped. None: nothing is known.
        shifts: Earlier boot -> seconds that make a moment on its monotonic clock one of this boot's; the oldest first.
    """

    seen: Instant | None = None
    shifts: Mapping[str, float] = field(default_factory=dict)

    def carried(self, earlier: Instant, now: Instant) -> Instant:
        """A moment that an earlier run stored, on the clocks of this one: as long ago as it was."""
        seen, shift = self.seen, self.shifts.get(earlier.boot)
        of_this_boot = seen is not None and earlier.boot == seen.boot and earlier.monotonic <= now.monotonic
        if seen is None or not (of_this_boot or shift is not None):
            age = now.since(earlier.wall, earlier.monotonic, earlier.boot)
            return Instant(wall=earlier.wall, monotonic=now.monotonic - age, boot=now.boot)
        monotonic = min(earlier.monotonic + (shift or 0.0), now.monotonic)
        return Instant(wall=seen.wall + monotonic - seen.monotonic, monotonic=monotonic, boot=now.boot)

    def in_boot_of(self, now: Instant, looked: float | None = None) -> Self:
        """The same in the boot of now, which may be the next one.

        Args:
            now: The present.
            looked: When the clock was looked at last, on the monotonic clock before; None: not since `seen`.
        """
        seen = self.seen
        if seen is None or not seen.boot or not now.boot:
            return type(self)()
        if seen.boot == now.boot:
            return self
        last = max(seen.monotonic, looked if looked is not None else -math.inf)
        by = now.monotonic - now.since(seen.wall + last - seen.monotonic, None, "") - last
        shifts = {boot: shift + by for boot, shift in self.shifts.items() if boot != now.boot} | {seen.boot: by}
        return type(self)(seen=now, shifts=dict(list(shifts.items())[-MOST:]))

    def stored(self) -> dict[str, object]:
        """The shifts as a JSON object for the next run. What was seen is stored beside them."""
        return {"boot": self.seen.boot if self.seen is not None else "", "shifts": dict(self.shifts)}

    @classmethod
    def restored(cls, clock: Mapping[str, Mapping[str, object]], now: Instant) -> Self:
        """What an earlier run remembered of the clocks, in the boot of now.

        Args:
            clock: Its records: `seen` (a moment), `boots` (`stored`), `steps` (when it looked last).
            now: The present.
        """
        seen = Instant.restored(clock.get("seen"))
        if seen is None:
            return cls()
        steps, stored, shifts = clock.get("steps", {}), clock.get("boots", {}), {}
        match stored.get("shifts"):
            case dict() as known if stored.get("boot") == seen.boot:
                shifts = {str(boot): by for boot, by in known.items() if _is_number(by)}
        looked = steps.get("looked") if steps.get("boot") == seen.boot else None
        return cls(seen=seen, shifts=shifts).in_boot_of(now, looked if _is_number(looked) else None)


UNKNOWN: Final = Boots()
"""Nothing is known of earlier runs."""


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)
