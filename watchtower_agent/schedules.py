"""Cron to ticks: tells the loop when a policy's time has come. The only module that knows APScheduler.

Of APScheduler the cron trigger alone is used, on expanded fields and on readings of a clock without a zone: its own
reading of crontab has Monday for 0, and a change to daylight saving can put it off by an hour for days. Its scheduler
is not used: it reads a clock of its own, and falls silent when that is set back. docs/adr/0019 has the reasons.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Protocol

from watchtower_agent.model.observation import ScheduleDue
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.times.cron import Cron
from watchtower_agent.policies.times.moments import Schedule, change_after, moment_of
from watchtower_agent.policies.timetable import LATE, Timed
from watchtower_agent.ports.clock import Clock

_LOOK: Final = 10.0
"""Seconds between two looks at the wall clock, at most: somebody may set it, and a host may sleep."""
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class _Trigger(Protocol):
    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None: ...


class Moments:
    """When one schedule comes, one moment after the other, by APScheduler.

    What the zone's clocks show is put to its trigger as if it were UTC, where no clock is ever changed.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._rules = schedule.zone.rules
        self._every_hour = schedule.cron.every_hour
        self._trigger = _trigger(schedule.cron)

    def after(self, moment: float) -> float | None:
        """When it comes next, seconds since the epoch; None when the calendar ends before."""
        return self._of_passing_time(moment) if self._every_hour else self._of_day(moment)

    def _next(self, reading: datetime) -> datetime | None:
        return self._trigger.get_next_fire_time(reading, reading)

    def _of_day(self, moment: float) -> float | None:
        """What the clock shows again in autumn has been before: the search goes on behind the repeated hour."""
        reading: datetime | None = _reading(moment, self._rules)
        while reading is not None and (reading := self._next(reading)) is not None:
            if (at := moment_of(reading.replace(tzinfo=None), self._rules)) > moment:
                return at
        return None

    def _of_passing_time(self, moment: float) -> float | None:
        """Between two changes of the clock time passes as the clock shows it; behind a change it is read anew."""
        begin, reading = moment, _reading(moment, self._rules)
        while (found := self._next(reading)) is not None:
            at = moment + (found - reading).total_seconds()
            change = change_after(begin, at, self._rules)
            if change is None:
                return at
            # a second before the change, as its clocks would show it that are changed already
            begin, moment, reading = change, change - 1.0, _reading(change, self._rules) - timedelta(seconds=1)
        return None


def _reading(moment: float, rules: tzinfo) -> datetime:
    return datetime.fromtimestamp(moment, rules).replace(tzinfo=UTC, fold=0)


def _trigger(cron: Cron) -> _Trigger:
    # Imported late: an agent without scheduled policies does without it.
    from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]  # noqa: PLC0415 - as said; it has no types

    trigger: _Trigger = CronTrigger(
        minute=_list(cron.minutes),
        hour=_list(cron.hours),
        day=_list(cron.days),
        month=_list(cron.months),
        day_of_week=_list(_WEEKDAYS[each] for each in cron.weekdays),
        second="0",
        timezone=UTC,
    )
    return trigger


def _list(values: Iterable[object]) -> str:
    return ",".join(map(str, values))


@dataclass(slots=True)
class _Entry:
    """A scheduled policy, and when it comes next after what is settled."""

    timed: Timed
    moments: Moments
    since: float
    next: float | None = field(init=False)

    def __post_init__(self) -> None:
        self.settle(self.since)

    def settle(self, until: float) -> None:
        self.since = until
        self.next = self.moments.after(until)


class Schedules:
    """Watches the wall clock for the scheduled policies in force.

    Args:
        clock: The host's clocks.
        sink: Takes what is due, in the loop's thread.
    """

    def __init__(self, clock: Clock, sink: Callable[[ScheduleDue], None]) -> None:
        self._clock = clock
        self._sink = sink
        self._entries: list[_Entry] = []
        self._changed = asyncio.Event()

    def follow(self, timetable: tuple[Timed, ...]) -> None:
        """From now on these are in force."""
        self._entries = [_Entry(timed=timed, moments=Moments(timed.schedule), since=timed.since) for timed in timetable]
        self._changed.set()

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            self._changed.clear()
            rest = self.look()
            try:
                await asyncio.wait_for(self._changed.wait(), rest)
            except TimeoutError:
                continue

    def look(self) -> float | None:
        """Tell what is due now; the seconds until the next look, None when there is nothing to look for."""
        now = self._clock.now().wall
        for entry in self._entries:
            if entry.since > now + LATE:  # the wall clock was set back, and far
                entry.settle(now)
            if entry.next is not None and entry.next <= now:
                self._tell(entry, now)
        coming = [entry.next for entry in self._entries if entry.next is not None]
        return max(0.0, min(_LOOK, min(coming) - now)) if coming else None

    def _tell(self, entry: _Entry, now: float) -> None:
        """The newest that can be made up, or the first of those for which it is too late."""
        due = entry.next
        if due is not None and now - due >= LATE:
            recent = entry.moments.after(now - LATE)
            due = recent if recent is not None and recent <= now else due
        while due is not None and now - due < LATE and (later := entry.moments.after(due)) is not None and later <= now:
            due = later
        if due is not None:
            timed = entry.timed
            self._sink(ScheduleDue(policy=timed.policy, schedule=str(timed.schedule), due=due))
            entry.settle(due if now - due < LATE else now)
