"""Whether events come so fast that they are better gathered. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

STORM_RATE: Final = 100.0
"""Events a second; more are a storm, if it lasts."""
STORM_AFTER: Final = 20
"""Handovers over which that is measured. A burst alone is no storm, and waits for nothing; nor do single pauses end
one: a host that is busy with other things too has those in the middle of it."""
_OVER: Final = 0.1
"""Seconds of calm after which it is over, and the next event waits for nothing."""


class Storm:
    """Measures how fast handovers of events follow each other."""

    __slots__ = ("_handovers",)

    def __init__(self) -> None:
        self._handovers: deque[tuple[float, int]] = deque(maxlen=STORM_AFTER + 1)
        """When each was, and how many events it had."""

    def rages(self, lines: Sequence[bytes], now: float) -> bool:
        """These lines are handed over now (monotonic seconds): whether the next ones are worth gathering.

        What runs in containers does not count: a full host has its health checks run a hundred times a second, always,
        and what else happens there is to be acted on at once.
        """
        events = sum(b'"exec_' not in line for line in lines)
        known = self._handovers
        if known and now - known[-1][0] >= _OVER and events <= STORM_RATE * (now - known[-1][0]):
            known.clear()
        known.append((now, events))
        if len(known) <= STORM_AFTER:
            return False
        began, before = known[0]
        return sum(count for _, count in known) - before > STORM_RATE * (now - began)
