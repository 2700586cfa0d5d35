"""One tick while it is being read, and what a collector is."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Protocol

from watchtower_agent.collectors.request import Request
from watchtower_agent.collectors.roster import Life
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.sample import Total
from watchtower_agent.model.values import dataclass


@dataclass(slots=True, kw_only=True)
class Tick:
    """One tick while it is being read. Collectors write their part of it.

    Attributes:
        at: When it began.
        interval: Seconds between ticks.
        request: What is asked for.
        lives: Slot i of every column is `lives[i]`.
        changes: Tells a number that grows whenever a life may have something else to read, or ended.
        monotonic: The monotonic clock, for rates: time passes during a tick.
        columns: Catalogue name -> one number per slot, NaN for unknown. Never changed once it was handed over.
        host: Catalogue name -> number; unknown ones are absent.
        failures: Collector -> what goes wrong, a sentence for people.
        cpu_time: CPU time that each life has used so far, in nanoseconds, NaN for unknown; empty while it is not read.
            What only a container's own processes change has not changed while this stands still.
        totals: What counters stand at, one number per slot. Never changed once it was handed over.
        anew: Those of the containers that are to be read anew of which that was done; else it takes until a later tick.
    """

    at: Instant
    interval: float
    request: Request
    lives: tuple[Life, ...]
    changes: Callable[[], int] = lambda: 0
    monotonic: Callable[[], float]
    columns: dict[str, array[float]] = field(default_factory=dict)
    host: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    cpu_time: Sequence[float] = ()
    totals: dict[Total, array[float]] = field(default_factory=dict)
    anew: frozenset[str] = frozenset()


class Collector(Protocol):
    """Reads one subject. It may raise: then its part of the tick is unknown, and no one else's."""

    @property
    def name(self) -> str:
        """One word, unique: the key of its failures and durations."""
        ...

    def collect(self, tick: Tick) -> None:
        """Write this subject's part of the tick."""
        ...

    def close(self) -> None:
        """Let go of descriptors of its own; those of containers belong to the roster."""
        ...


class Faults:
    """Counts what could not be read at one tick, and tells it in one sentence."""

    __slots__ = ("_count", "_first")

    def __init__(self) -> None:
        self._count = 0
        self._first = ""

    def __bool__(self) -> bool:
        """Whether anything could not be read."""
        return self._count > 0

    def add(self, what: str) -> None:
        """One more could not be read."""
        self._count += 1
        self._first = self._first or what

    def tell(self, tick: Tick, collector: str, unknown: str) -> None:
        """Write the sentence into the tick if there is anything to say."""
        if self._count:
            tick.failures[collector] = self.sentence(unknown)

    def sentence(self, unknown: str) -> str:
        """What can't be read; empty when all could be."""
        if not self._count:
            return ""
        others = f", and {self._count - 1} more like it" if self._count > 1 else ""
        return f"{self._first}{others}; {unknown} unknown there."
