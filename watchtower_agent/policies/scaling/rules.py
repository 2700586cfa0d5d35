"""How a service is scaled: what a policy's `scale:` can set, with its defaults."""

from __future__ import annotations

from dataclasses import field
from typing import Final

from watchtower_agent.model.values import dataclass

REGRETTED_FOR: Final = 7200.0
"""Seconds for which a regretted shrink makes the shorter wait longer."""
WORTH_OF_REGRET: Final = 2.0
"""By how much."""
GOING_ON: Final = 90.0
"""Seconds after a change within which one more the same way belongs to it: the first saw only its beginning, or a step
limited it."""
COST_OF_GOING_ON: Final = 0.25
"""Which part has to be needed, or needless, for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """`up:`.

    Attributes:
        window: Seconds of which a replica's metric is the mean; a replica counts so long after it became healthy.
        jump_window: Seconds of the shorter mean, which counts beside it when it is far higher.
        jump: Share of the wanted replicas beyond which it is far higher.
        tolerance: Share of the wanted replicas that must be needed beyond them before there are more: a quarter of it
            while a growth goes on.
        step: Share of what there was that may be added within `per`; one may always be added.
        per: Seconds, of the step.
        cooldown: Seconds since any change of the number before it may grow.

    Raises:
        ValueError: A number that means nothing.
    """

    window: float = 20.0
    jump_window: float = 5.0
    jump: float = 0.5
    tolerance: float = 0.12
    step: float = 1.0
    per: float = 30.0
    cooldown: float = 15.0

    def __post_init__(self) -> None:
        if min(self.tolerance, self.per, self.cooldown) < 0.0 or min(self.window, self.jump_window, self.step) <= 0.0:
            raise ValueError(f"durations can't be negative, a step and a window not be 0: {self}")
        if self.jump < self.tolerance:
            raise ValueError(f"a jump is more than what is tolerated: {self}")

    def tolerated(self, since_growth: float, since_shrink: float) -> float:
        """The tolerance so many seconds after the last growth and the last shrink."""
        if since_growth < GOING_ON and since_growth <= since_shrink:
            return self.tolerance * COST_OF_GOING_ON
        return self.tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrinking:
    """`down:`.

    Attributes:
        window: Seconds; what was needed at any moment of them is kept.
        fast: Share of the wanted replicas that must have become needless for the shorter wait: a quarter of it while
            a shrink goes on.
        fast_after: Seconds, the shorter wait. Growing again within as long after a shrink is a regret.
        step: Share of the replicas that may go at once.
        per: Seconds after a shrink before the next.

    Raises:
        ValueError: A number that means nothing.
    """

    window: float = 480.0
    fast: float = 0.25
    fast_after: float = 150.0
    step: float = 0.5
    per: float = 60.0

    def __post_init__(self) -> None:
        if self.window <= 0.0 or self.fast_after <= 0.0 or self.per < 0.0:
            raise ValueError(f"windows last, and durations can't be negative: {self}")
        if not (0.0 < self.fast <= 1.0 and 0.0 < self.step <= 1.0):
            raise ValueError(f"shares are above 0 and at most 1: {self}")

    def wait(self, *, regretted: bool) -> float:
        """Seconds of the shorter wait, as it is now."""
        return min(self.window, self.fast_after * (WORTH_OF_REGRET if regretted else 1.0))

    def needless(self, since_growth: float, since_shrink: float) -> float:
        """The share for the shorter wait so many seconds after the last growth and the last shrink."""
        if since_shrink < GOING_ON and since_shrink < since_growth:
            return self.fast * COST_OF_GOING_ON
        return self.fast


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All of them.

    Attributes:
        up: How it grows.
        down: How it shrinks.
        idle_for: Seconds for which the idle rule's condition has to hold before the last replica goes; None: no such
            rule, and the last one stays.
        gap: Seconds between two looks after which nobody knows what was needed in between.
    """

    up: Growth = field(default_factory=Growth)
    down: Shrinking = field(default_factory=Shrinking)
    idle_for: float | None = None
    gap: float = 30.0
