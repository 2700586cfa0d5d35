"""Memory in use of each container, read again where it can have changed by an amount that matters."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Collection, Sequence
from typing import Final

from watchtower_agent.collectors.file_column import FileColumn
from watchtower_agent.collectors.files import Descriptors
from watchtower_agent.collectors.gauges import NEVER
from watchtower_agent.collectors.request import Pace
from watchtower_agent.collectors.roster import Life
from watchtower_agent.collectors.tick import Faults, Tick
from watchtower_agent.errors import PermanentError

FASTEST_FILL: Final = 20e9
"""Bytes that a second of one processor's time can fill. A kernel gave 4e9 in small pages and 9e9 in huge ones."""
UNSEEN: Final = 0.01
"""The share of a container's limit that its usage may have changed by and not be read again before it is due."""

NAMES = frozenset({"memory.usage", "memory.working_set", "memory.percent"})


class MemoryUsage:
    """One column: bytes charged to each container.

    Memory is charged to whom touches it first, and touching takes CPU time: what a container has used of that since
    its last reading bounds what it can have taken. While the bound is below 1 % of its limit the last reading is
    carried, until the metrics interval has passed. Where a policy asks for memory every container is read at each
    tick.

    Args:
        descriptors: Counts what is kept open.
        explain: What is said of a file that can't be read.
    """

    def __init__(self, descriptors: Descriptors, explain: Callable[[PermanentError], str]) -> None:
        self._column = FileColumn(
            lambda life: life.memory.files.usage if life.memory else None, descriptors, explain=explain
        )
        self._read_at = NEVER
        self._holds_until: list[float] = []
        self._numbers = array("d")

    @property
    def faults(self) -> Faults:
        """What could not be read. What can't is tried at each tick."""
        return self._column.faults

    def follow(self, lives: Sequence[Life]) -> None:
        """From now on read these. What was read of a life before stays its own."""
        self._column.follow(lives)
        self._holds_until = [life.memory.holds_until if life.memory else math.inf for life in lives]
        self._numbers = array("d")

    def forget(self, lives: Sequence[Life]) -> None:
        """Limits may be others, and with them what may remain unseen: all are read at the next tick."""
        for life in lives:
            if life.memory:
                life.memory.holds_until = math.nan
        self._holds_until = [math.nan] * len(lives)

    def read(self, tick: Tick) -> array[float]:
        """One number per slot, NaN for unknown."""
        slots = self._to_read(tick)
        if slots or len(self._numbers) != len(tick.lives):
            self._numbers = self._column.numbers()
        for slot in slots:
            self._hold(tick, slot)
        return self._numbers

    def _to_read(self, tick: Tick) -> Collection[int]:
        """Read what is due; gives the slots."""
        now = tick.at.monotonic
        interval = tick.request.demand.interval(NAMES, tick.interval)
        if len(tick.cpu_time) != len(tick.lives) or Pace(interval, tick.interval).due(self._read_at, now):
            self._read_at = now
            self._column.read(tick.monotonic)
            return range(len(tick.lives))
        # `not <=`: where either is unknown it is read
        pairs = enumerate(zip(tick.cpu_time, self._holds_until, strict=True))
        slots = [slot for slot, (used, until) in pairs if not used <= until]
        self._column.read_levels(slots)
        return slots

    def _hold(self, tick: Tick, slot: int) -> None:
        gauge = tick.lives[slot].memory
        if gauge is None:
            return
        gauge.holds_until = math.nan
        if self._numbers[slot] >= 0 and gauge.limit is not None and tick.cpu_time:
            gauge.holds_until = tick.cpu_time[slot] + 1e9 * UNSEEN * gauge.limit / FASTEST_FILL
        self._holds_until[slot] = gauge.holds_until
