"""Collectors of what is read at each tick only where a policy needs it, else once in a metrics interval."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence

from watchtower_agent.collectors.common_ground import CommonGround
from watchtower_agent.collectors.files import UnreadableError
from watchtower_agent.collectors.gauges import NEVER, Gauge
from watchtower_agent.collectors.request import LIMITS_INTERVAL, Pace
from watchtower_agent.collectors.roster import Life
from watchtower_agent.collectors.tick import Faults, Tick
from watchtower_agent.errors import AbsentError
from watchtower_agent.model.sample import Total

_At = tuple[float, float]
"""The CPU time that a container had used, and the monotonic time, when it was read."""
_UNREAD: _At = (math.nan, NEVER)


class PacedCollector:
    """One subject of every container: opens a gauge for each life and reads all of them when they are due.

    Between two readings the last numbers are carried. A life that is new, or whose cgroup was just found, is read at
    once, so that its first rates come with the next reading of all.

    Args:
        name: One word, unique.
        names: The catalogue names it writes, in the order in which its gauges answer.
        opened: Gives the gauge of a life, None where there is nothing to read (yet). Asked again when that may change.
        unknown: What is unknown where a gauge can't be read, as in "network traffic is".
        totals: The counters whose totals its gauges tell.
        of_limits: Whether a container's limits are among it: then it is read at once when those were changed.
        of_processes: Whether only a container's own processes change it: then, where no policy asks for it, it is
            carried for as long as they use no CPU time, but not for longer than limits are.
        ground: Tells its gauges whether anything can have moved.
    """

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        opened: Callable[[Life], Gauge | None],
        *,
        unknown: str,
        totals: Sequence[Total] = (),
        of_limits: bool = False,
        of_processes: bool = False,
        ground: CommonGround | None = None,
    ) -> None:
        self.name = name
        self._names = tuple(names)
        self._needed_by = frozenset(names)
        self._nothing: Sequence[float] = (math.nan,) * len(self._names)
        self._totals_of = tuple(totals)
        self._no_totals: Sequence[float] = (math.nan,) * len(self._totals_of)
        self._opened = opened
        self._unknown = unknown
        self._of_limits = of_limits
        self._of_processes = of_processes
        self._ground = ground
        self._read_at = NEVER
        self._changes = -1
        self._gauges: list[Gauge | None] = []
        self._numbers: list[Sequence[float]] = []
        self._wrong: list[str] = []
        self._at: list[_At] = []
        self._columns: Sequence[array[float]] = ()
        self._totals: Sequence[array[float]] = ()
        self._failure = ""

    def collect(self, tick: Tick) -> None:
        """Read every container's gauge when it is due, else write what was last read."""
        now, changes = tick.at.monotonic, tick.changes()
        due = Pace(tick.request.demand.interval(self._needed_by, tick.interval), tick.interval).due(self._read_at, now)
        anew = tick.request.anew if self._of_limits else frozenset()
        if due or anew or changes != self._changes:
            new = self._follow(tick.lives, anew)
            self._changes = changes
            self._read(tick, self._moved(tick) if due else new)
            self._failure = self._sentence()
            self._read_at = now if due else self._read_at
        if self._failure:
            tick.failures[self.name] = self._failure
        tick.columns.update(zip(self._names, self._columns, strict=True))
        tick.totals.update(zip(self._totals_of, self._totals, strict=True))

    def close(self) -> None:
        """Let go of what is above containers. Gauges are closed with their lives."""
        if self._ground is not None:
            self._ground.close()

    def _follow(self, lives: Sequence[Life], limits_changed: Collection[str]) -> list[int]:
        """Know the gauge of each life; what it said last, or what was wrong with it, stays its own.

        Gives the slots of those that were opened now. A gauge is opened anew when limits were changed: then it reads
        everything, also what it otherwise reads seldom.
        """
        entries = zip(self._numbers, self._wrong, self._at, strict=True)
        known = dict(zip(map(id, self._gauges), entries, strict=True))
        nothing = self._nothing, "", _UNREAD
        gauges: list[Gauge | None] = []
        said = []
        new = []
        for slot, life in enumerate(lives):
            gauge = life.paced.get(self.name)
            if gauge is not None and life.target.container_id in limits_changed:
                gauge.close()
                gauge = None
            wrong = ""
            if gauge is None:
                gauge, wrong = self._open(life)
                if gauge is not None:
                    life.paced[self.name] = gauge
                    new.append(slot)
            gauges.append(gauge)
            said.append((self._nothing, wrong, _UNREAD) if gauge is None else known.get(id(gauge), nothing))
        self._gauges = gauges
        self._numbers, self._wrong = [numbers for numbers, _, _ in said], [wrong for _, wrong, _ in said]
        self._at = [at for _, _, at in said]
        return new

    def _open(self, life: Life) -> tuple[Gauge | None, str]:
        try:
            return (self._opened(life) if life.place else None), ""
        except AbsentError:
            life.end()
            return None, ""
        except UnreadableError as error:
            return None, str(error)

    def _sentence(self) -> str:
        faults = Faults()
        for wrong in filter(None, self._wrong):
            faults.add(wrong)
        return faults.sentence(self._unknown)

    def _moved(self, tick: Tick) -> Iterable[int]:
        """The slots of those that may have changed since they were last read."""
        everyone, cpu_time, long_ago = range(len(tick.lives)), tick.cpu_time, tick.at.monotonic - LIMITS_INTERVAL
        asked_for = not self._needed_by.isdisjoint(tick.request.demand.every_tick)
        if asked_for or not self._of_processes or len(cpu_time) != len(everyone):
            return everyone
        return [
            slot
            for slot, (used, at) in enumerate(zip(cpu_time, self._at, strict=True))
            if used != at[0] or at[1] <= long_ago or self._wrong[slot]
        ]

    def _read(self, tick: Tick, slots: Iterable[int]) -> None:
        lives, gauges, numbers, wrong, monotonic = tick.lives, self._gauges, self._numbers, self._wrong, tick.monotonic
        now, cpu_time = tick.at.monotonic, tick.cpu_time or [math.nan] * len(lives)
        if self._ground is not None:
            self._ground.begin(now)
        for slot in slots:
            gauge = gauges[slot]
            if gauge is None:
                continue
            self._at[slot] = (cpu_time[slot], now)
            try:
                numbers[slot] = gauge.read(monotonic())
                wrong[slot] = ""
            except AbsentError:
                numbers[slot] = self._nothing
                wrong[slot] = ""
                lives[slot].end()
            except UnreadableError as error:
                numbers[slot] = self._nothing
                wrong[slot] = str(error)
        columns = zip(*numbers, strict=True) if numbers else ((),) * len(self._names)
        self._columns = [array("d", column) for column in columns]
        if self._totals_of:
            nothing = self._no_totals
            rows = [nothing if gauge is None else gauge.totals for gauge in gauges]
            totals = zip(*rows, strict=True) if rows else ((),) * len(self._totals_of)
            self._totals = [array("d", column) for column in totals]
