"""What is remembered of a condition that is true of one target, from tick to tick. Pure."""

from __future__ import annotations

from dataclasses import field

from watchtower_agent.model.decision import Number, Target
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.life import Life

_EARLY = 0.1
"""Share of an interval by which a tick may be early: without it `for: 2s` at one tick a second often means 3 s."""


def lasted(seconds: float, asked: float, interval: float) -> bool:
    """Whether something has lasted for as long as a policy asks.

    Args:
        seconds: For how long it has.
        asked: For how long it is to.
        interval: Seconds between samples.
    """
    return seconds >= asked - _EARLY * interval


@dataclass(slots=True)
class Tracked:
    """A condition that is true of one target, or was a moment ago.

    Attributes:
        target: As it was last seen.
        since: When it became true, or when the target was last acted upon before it fired.
        life: The container's life in which it is true; None where the condition is about more than one, or the host.
        anew: When the target was last acted upon, or was started: the timer starts anew from there.
        true_since: When it became true again after it had ceased and firing was kept; None when it never did.
        unknown_since: When it became UNKNOWN; None while it is known.
        ended: When it ceased to be true, while firing is kept; None while it is true.
        firing: It has been true for as long as the policy asks, and has not ceased for as long as the policy keeps it.
        served: `for` was served since the container was last started: what is only kept over a restart was not yet.
        correlation_id: Of this firing.
        cause_id: Of the event that made it true, where one did; empty where that can't be told.
        numbers: The newest known values of its names.
    """

    target: Target
    since: Instant
    life: Life | None = None
    anew: Instant | None = None
    true_since: Instant | None = None
    unknown_since: Instant | None = None
    ended: Instant | None = None
    firing: bool = False
    served: bool = True
    correlation_id: str = ""
    cause_id: str = ""
    numbers: dict[str, Number] = field(default_factory=dict)

    def begun(self) -> Instant:
        """From when on `for` counts: an action or a start begins it anew, then no time counts that was only kept."""
        if self.anew is None or self.anew.monotonic < self.since.monotonic:
            return self.since
        again = self.true_since
        return again if again is not None and again.monotonic > self.anew.monotonic else self.anew
