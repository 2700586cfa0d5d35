"""Collectors of what is read at each tick only where a policy needs it, else once in a metrics interval."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence

from watchtower_agent.collectors.files import UnreadableError
from watchtower_agent.collectors.gauges import NEVER, Gauge, KeptGauge
from watchtower_agent.collectors.request import Pace
from watchtower_agent.collectors.roster import Life
from watchtower_agent.collectors.tick import Faults, Tick
from watchtower_agent.errors import AbsentError


class PacedCollector:
    """One subject of every container: opens a gauge for each life and reads all of them when they are due.

    Between two readings the last numbers are carried. A life that is new, or whose cgroup was just found, is read at
    once, so that its first rates come with the next reading of all.

    Args:
        name: One word, unique.
        names: The catalogue names it writes, in the order in which its gauges answer.
        opened: Gives the gauge of a life, None where there is nothing to read (yet). Asked again when that may change.
        unknown: What is unknown where a gauge can't be read, as in "network traffic is".
        of_limits: Whether a container's limits are among it: then it is read at once when those were changed.
    """

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        opened: Callable[[Life], Gauge | None],
        *,
        unknown: str,
        of_limits: bool = False,
    ) -> None:
        self.name = name
        self._names = tuple(names)
        self._needed_by = frozenset(names)
        self._nothing = (math.nan,) * len(self._names)
        self._opened = opened
        self._unknown = unknown
        self._of_limits = of_limits
        self._read_at = NEVER
        self._changes = -1
        self._columns: tuple[array[float], ...] = ()
        self._failure = ""

    def collect(self, tick: Tick) -> None:
        """Read every container's gauge when it is due, else write what was last read."""
        now = tick.at.monotonic
        due = Pace(tick.request.demand.interval(self._needed_by, tick.interval), tick.interval).due(self._read_at, now)
        anew = tick.request.anew if self._of_limits else frozenset()
        if due or anew or tick.changes() != self._changes:
            self._read(tick, anew, due=due)
            self._changes = tick.changes()
            self._read_at = now if due else self._read_at
        if self._failure:
            tick.failures[self.name] = self._failure
        tick.columns.update(zip(self._names, self._columns, strict=True))

    def close(self) -> None:
        """Nothing is kept open here: gauges are closed with their lives."""

    def _read(self, tick: Tick, limits_changed: frozenset[str], *, due: bool) -> None:
        """Read all gauges when they are due, else those of lives that have none yet, and of these containers."""
        columns = tuple(array("d", [math.nan]) * len(tick.lives) for _ in self._names)
        faults = Faults()
        name, monotonic = self.name, tick.monotonic
        for slot, life in enumerate(tick.lives):
            kept = life.paced.get(name)
            try:
                if kept is None or life.target.container_id in limits_changed:
                    numbers = self._first_numbers(life, monotonic)
                elif due:
                    numbers = kept.read(monotonic())
                else:
                    numbers = kept.numbers
            except AbsentError:
                life.end()
            except UnreadableError as error:
                faults.add(str(error))
            else:
                for column, number in zip(columns, numbers):  # noqa: B905 - each gauge gives one number for each name
                    column[slot] = number
        self._columns = columns
        self._failure = faults.sentence(self._unknown)

    def _first_numbers(self, life: Life, monotonic: Callable[[], float]) -> Sequence[float]:
        """A gauge that is opened anew reads everything, also what it otherwise reads seldom."""
        if (former := life.paced.pop(self.name, None)) is not None:
            former.close()
        gauge = self._opened(life) if life.place else None
        if gauge is None:
            return self._nothing
        kept = life.paced[self.name] = KeptGauge(gauge, self._nothing)
        return kept.read(monotonic())
