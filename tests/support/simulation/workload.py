"""How simulated containers behave."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What happens in each life of a container, in seconds since its start; None: never.

    Attributes:
        crashes: When it ends by itself.
        code: Its exit code then.
        sick: When its health check fails.
        well: When it passes again after that.
        memory: Percent of its limit right after the start.
        leak: Percent that come with each second; at a hundred it is killed.
        lives: After so many it is mended and nothing of this happens any more; None: never.
    """

    crashes: float | None = None
    code: int = 1
    sick: float | None = None
    well: float | None = None
    memory: float = 20.0
    leak: float = 0.0
    lives: int | None = None

    def used(self, uptime: float, life: int) -> float:
        """Percent of its limit that it uses."""
        return min(100.0, self.memory + self.leak * uptime) if self.ill(life) else min(self.memory, 20.0)

    def ill(self, life: int) -> bool:
        """Whether it is not mended yet in that life, counted from 1."""
        return self.lives is None or life <= self.lives

    def runs_out(self) -> float | None:
        """When it is killed for lack of memory."""
        return (100.0 - self.memory) / self.leak if self.leak else None


STEADY = Workload()


def crash_loop(after: float, lives: int | None = None) -> Workload:
    """Ends soon after each start."""
    return Workload(crashes=after, lives=lives)


def leaks(full_after: float, lives: int | None = None) -> Workload:
    """Its memory is full after that long."""
    return Workload(leak=80.0 / full_after, lives=lives)


def falls_sick(after: float, lives: int | None = None) -> Workload:
    """Its health check fails, and goes on failing."""
    return Workload(sick=after, lives=lives)


def flaps(every: float) -> Workload:
    """Its health check fails, and passes again."""
    return Workload(sick=every, well=every)


def any_workload(draw: random.Random) -> Workload:
    """One of a host's usual lot: most are well for days."""
    day = 86_400.0
    kind = draw.random()
    if kind < 0.6:
        return STEADY
    if kind < 0.7:
        return leaks(draw.uniform(0.5, 4) * day)
    if kind < 0.8:
        return falls_sick(draw.uniform(1, 8) * day)
    if kind < 0.9:
        return Workload(crashes=draw.uniform(1, 8) * day, code=draw.choice([0, 1, 137]))
    return flaps(draw.uniform(1, 4) * day)
