"""What a condition asks of the recent past: a function of one metric over a duration."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from watchtower_agent.model.values import dataclass

SHORTEST_WINDOW: Final = 1.0
LONGEST_WINDOW: Final = 3600.0
"""Seconds. Every tick of the longest window is kept, for every container."""


class WindowFunction(StrEnum):
    """What is computed of the values in the window; unknown ones are left out."""

    AVG = "avg"
    MAX = "max"
    MIN = "min"
    P95 = "p95"
    """The smallest value that is not exceeded by 95 % of them (nearest rank)."""
    RATE = "rate"
    """(last - first) / seconds between them."""
    DELTA = "delta"
    """last - first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A function of one metric over the newest so many seconds.

    Attributes:
        function: Which.
        name: The catalogue name it is about.
        seconds: How far it looks back.
    """

    function: WindowFunction
    name: str
    seconds: float

    def __str__(self) -> str:
        """As payloads name it: `avg(cpu.percent_of_limit, 20s)`, the same for every agent."""
        return f"{self.function}({self.name}, {self.seconds:.10g}s)"
