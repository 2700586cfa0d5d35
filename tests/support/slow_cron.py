"""When a schedule comes, the slow and obvious way: every minute of the real world is looked at, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from watchtower_agent.policies.times.cron import Cron

MINUTE = timedelta(minutes=1)


def fits(cron: Cron, reading: datetime) -> bool:
    """Whether a clock that shows this is what the expression means."""
    return (
        reading.minute in cron.minutes
        and reading.hour in cron.hours
        and reading.day in cron.days
        and reading.month in cron.months
        and reading.isoweekday() % 7 in cron.weekdays
    )


def comes(cron: Cron, rules: tzinfo, since: datetime, until: datetime) -> Iterator[float]:
    """Moments in (since, until], which are whole minutes in UTC.

    Hours that are named are hours of day: what the clock shows again does not count, and what it skipped counts at the
    skip. Where all hours are meant every showing counts, and nothing else.
    """
    hour_of_day = len(cron.hours) < 24
    moment = since
    while moment < until:
        before, moment = moment.astimezone(rules).replace(tzinfo=None), moment + MINUTE
        there = moment.astimezone(rules)
        reading = there.replace(tzinfo=None)
        skipped = [before + MINUTE * step for step in range(1, round((reading - before) / MINUTE))]
        again = there.fold == 1
        shows = fits(cron, reading) and not (again and hour_of_day)
        if shows or (hour_of_day and any(fits(cron, each) for each in skipped)):
            yield moment.timestamp()


def utc(text: str) -> datetime:
    """Such as 2027-03-28 01:00."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
