"""A moment, on both of the host's clocks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """A moment as the wall clock and as the monotonic clock show it.

    Durations inside one run of the agent use `monotonic`, which no operator and no time server steps.
    What is stored or published uses `wall`.

    Attributes:
        wall: Seconds since the epoch, UTC.
        monotonic: Seconds on the host's monotonic clock, meaningful only within this boot.
    """

    wall: float
    monotonic: float
