"""From cron to moments: ours, APScheduler's as we use it, and a slow look at every minute, all agree."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.core import FakeClock
from tests.support.numbers import examples
from tests.support.slow_cron import comes, utc
from watchtower_agent.model.observation import ScheduleDue
from watchtower_agent.policies.times.cron import CronError, parse_cron
from watchtower_agent.policies.times.moments import Schedule, change_after
from watchtower_agent.policies.times.zones import zone_of
from watchtower_agent.policies.timetable import Timed
from watchtower_agent.schedules import Moments, Schedules

BERLIN, SYDNEY, LORD_HOWE, HAVANA = "Europe/Berlin", "Australia/Sydney", "Australia/Lord_Howe", "America/Havana"
# The clocks that change within these days, and how: an hour at 02:00 in the north and in the south, half an hour, at
# midnight; and one that never does.
CHANGES = {
    BERLIN: ("2027-03-28", "2027-10-31"),
    SYDNEY: ("2027-10-03", "2027-04-04"),
    LORD_HOWE: ("2027-10-03", "2027-04-04"),
    HAVANA: ("2027-03-14", "2027-11-07"),
    "UTC": ("2027-03-28", "2027-10-31"),
}


def schedule(cron: str, zone: str = BERLIN) -> Schedule:
    return Schedule(parse_cron(cron), zone_of(zone))


def shown(moment: float, zone: str = BERLIN) -> str:
    """What the zone's clocks show, and which of two showings."""
    there = datetime.fromtimestamp(moment, zone_of(zone).rules)
    return f"{there:%d. %H:%M}" + (" again" if there.fold else "")


def around(day: str) -> tuple[datetime, datetime]:
    middle = utc(f"{day} 00:00")
    return middle - timedelta(days=2), middle + timedelta(days=2)


def ours(of: Schedule, since: datetime, until: datetime) -> list[float]:
    return _until(of.after, since, until)


def apschedulers(of: Schedule, since: datetime, until: datetime) -> list[float]:
    return _until(Moments(of).after, since, until)


def _until(after: object, since: datetime, until: datetime) -> list[float]:
    assert callable(after)
    found, moment = [], since.timestamp()
    while (moment := after(moment)) is not None and moment <= until.timestamp():
        found.append(moment)
    return found


@pytest.mark.parametrize(
    ("cron", "zone", "day", "expected"),
    [
        # spring: what the clock skips comes at the skip, once
        ("30 2 * * *", BERLIN, "2027-03-28", ["27. 02:30", "28. 03:00", "29. 02:30"]),
        ("0,30 2-3 28 * *", BERLIN, "2027-03-28", ["28. 03:00", "28. 03:30"]),
        ("15 2 3 * *", LORD_HOWE, "2027-10-03", ["03. 02:30"]),
        ("15,45 2 3 * *", LORD_HOWE, "2027-10-03", ["03. 02:30", "03. 02:45"]),
        ("30 2 * * *", SYDNEY, "2027-10-03", ["02. 02:30", "03. 03:00", "04. 02:30"]),
        ("30 0 * * *", HAVANA, "2027-03-14", ["13. 00:30", "14. 01:00", "15. 00:30"]),
        # autumn: what it shows twice comes at the first showing
        ("30 2 * * *", BERLIN, "2027-10-31", ["30. 02:30", "31. 02:30", "01. 02:30"]),
        ("30 2 * * *", SYDNEY, "2027-04-04", ["03. 02:30", "04. 02:30", "05. 02:30"]),
        ("45 1 * * *", LORD_HOWE, "2027-04-04", ["03. 01:45", "04. 01:45", "05. 01:45"]),
        ("30 0 * * *", HAVANA, "2027-11-07", ["06. 00:30", "07. 00:30", "08. 00:30"]),
    ],
)
def test_an_hour_of_day_comes_once_a_day(cron: str, zone: str, day: str, expected: list[str]) -> None:
    of, (since, until) = schedule(cron, zone), around(day)
    for found in (
        ours(of, since, until),
        apschedulers(of, since, until),
        list(comes(of.cron, of.zone.rules, since, until)),
    ):
        moments = [shown(each, zone) for each in found]
        assert [each for each in moments if each in expected] == expected
        assert len(moments) <= 4


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2027-03-28", ["28. 01:00", "28. 01:30", "28. 03:00", "28. 03:30"]),
        ("2027-10-31", ["31. 02:00", "31. 02:30", "31. 02:00 again", "31. 02:30 again", "31. 03:00", "31. 03:30"]),
    ],
)
def test_every_half_hour_is_one_whatever_the_clock_shows(day: str, expected: list[str]) -> None:
    of, (since, until) = schedule("*/30 * * * *"), around(day)
    for found in (ours(of, since, until), apschedulers(of, since, until)):
        assert {later - earlier for earlier, later in itertools.pairwise(found)} == {1800.0}
        moments = [shown(each) for each in found]
        begin = moments.index(expected[0])
        assert moments[begin : begin + len(expected)] == expected


def fields_of(first: int, last: int) -> st.SearchStrategy[str]:
    number = st.integers(first, last)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    part = st.one_of(number.map(str), span, st.integers(2, 6).map(lambda step: f"*/{step}"))
    return st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=3).map(",".join))


WEEKDAYS = st.sampled_from(["*", "*", "*", "sun", "0", "7", "mon-fri", "fri-mon", "*/2", "sat,1", "5-7"])
EXPRESSIONS = st.builds(
    lambda minute, hour, day, weekday: f"{minute} {hour} {day if weekday == '*' else '*'} * {weekday}",
    fields_of(0, 59),
    st.one_of(st.just("*"), fields_of(0, 23), fields_of(0, 4)),
    st.one_of(st.just("*"), fields_of(1, 31)),
    WEEKDAYS,
)


@settings(max_examples=examples(60), deadline=None)
@given(EXPRESSIONS, st.sampled_from(sorted(CHANGES)), st.booleans())
def test_apscheduler_and_ours_agree_with_a_look_at_every_minute(text: str, zone: str, spring: bool) -> None:
    since, until = around(CHANGES[zone][0 if spring else 1])
    until -= timedelta(days=1)
    of = schedule(text, zone)
    slow = list(comes(of.cron, of.zone.rules, since, until))
    assert ours(of, since, until) == slow
    assert apschedulers(of, since, until) == slow


@settings(max_examples=examples(60), deadline=None)
@given(EXPRESSIONS, st.sampled_from(sorted(CHANGES)), st.booleans(), st.integers(-180, 180), st.integers(0, 59))
def test_the_next_moment_from_anywhere_around_a_change(
    text: str,
    zone: str,
    spring: bool,
    minutes: int,
    second: int,
) -> None:
    since, until = around(CHANGES[zone][0 if spring else 1])
    of = schedule(text, zone)
    change = change_after(since.timestamp(), until.timestamp(), of.zone.rules) or utc("2027-03-28 00:00").timestamp()
    now = datetime.fromtimestamp(change, UTC) + timedelta(minutes=minutes)
    slow = next(comes(of.cron, of.zone.rules, now, now + timedelta(days=2)), None)
    for found in (of.after(now.timestamp() + second), Moments(of).after(now.timestamp() + second)):
        if slow is not None:
            assert found == slow
        else:
            assert found is None or found > (now + timedelta(days=2)).timestamp()


@pytest.mark.parametrize(("at", "next_one"), [("00:00", "00:30"), ("00:30", "02:00"), ("01:10", "02:00")])
def test_in_the_repeated_hour_the_next_one_is_behind_it(at: str, next_one: str) -> None:
    of = schedule("0,30 2-3 31 10 *")
    moment = utc(f"2027-10-31 {at}").timestamp()
    assert of.after(moment) == Moments(of).after(moment) == utc(f"2027-10-31 {next_one}").timestamp()


@settings(max_examples=examples(60), deadline=None)
@given(EXPRESSIONS, st.sampled_from(sorted(CHANGES)), st.booleans(), st.integers(0, 4 * 1440), st.integers(1, 2000))
def test_the_latest_moment_within_a_time(text: str, zone: str, spring: bool, after: int, minutes: int) -> None:
    since, _ = around(CHANGES[zone][0 if spring else 1])
    of = schedule(text, zone)
    now = since + timedelta(minutes=after)
    slow = list(comes(of.cron, of.zone.rules, now - timedelta(minutes=minutes), now))
    assert of.latest(now.timestamp(), minutes * 60.0) == (slow[-1] if slow else None)


@settings(max_examples=20, deadline=None)
@given(fields_of(1, 31), fields_of(1, 12), st.datetimes(datetime(2024, 1, 1), datetime(2033, 1, 1)))  # noqa: DTZ001 - given a zone below
def test_far_ahead_too(day: str, month: str, begin: datetime) -> None:
    try:
        of = schedule(f"30 3 {day} {month} *")
    except CronError:
        return
    moment = begin.replace(tzinfo=UTC).timestamp()
    for _ in range(5):
        found = of.after(moment)
        assert found is not None
        assert found == Moments(of).after(moment)
        moment = found


def test_29_february_is_waited_for() -> None:
    of = schedule("0 0 29 2 *", "UTC")
    assert of.after(utc("2028-02-29 00:00").timestamp()) == utc("2032-02-29 00:00").timestamp()
    assert of.after(utc("2096-02-29 00:00").timestamp()) == utc("2104-02-29 00:00").timestamp()
    assert Moments(of).after(utc("2096-02-29 00:00").timestamp()) == utc("2104-02-29 00:00").timestamp()


# --- the shell -------------------------------------------------------------------------------------------------------


@dataclass
class Watch:
    """Schedules on a clock that stands still."""

    clock: FakeClock = field(default_factory=FakeClock)
    seen: list[ScheduleDue] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.schedules = Schedules(self.clock, self.seen.append)

    def at(self, text: str) -> Watch:
        self.clock.step_wall(utc(text).timestamp() - self.clock.wall)
        return self

    def follow(self, cron: str, since: str, zone: str = "UTC") -> Watch:
        timed = Timed(policy="nightly", schedule=schedule(cron, zone), since=utc(since).timestamp())
        self.schedules.follow((timed,))
        return self

    def look(self) -> list[str]:
        """What is told now."""
        self.seen.clear()
        self.schedules.look()
        return [f"{datetime.fromtimestamp(each.due, UTC):%d. %H:%M}" for each in self.seen]


def test_it_is_told_at_its_time_and_once() -> None:
    watch = Watch().at("2027-01-01 03:29").follow("30 3 * * *", "2027-01-01 00:00")
    assert watch.look() == []
    assert watch.at("2027-01-01 03:30").look() == ["01. 03:30"]
    assert watch.seen == [ScheduleDue(policy="nightly", schedule="30 3 * * * UTC", due=watch.clock.wall)]
    assert watch.look() == []
    assert watch.at("2027-01-02 03:30").look() == ["02. 03:30"]


@pytest.mark.parametrize(
    ("cron", "since", "now", "told"),
    [
        ("30 3 * * *", "2027-01-01 12:00", "2027-01-02 04:29", ["02. 03:30"]),
        ("30 3 * * *", "2027-01-01 12:00", "2027-01-02 04:30", ["02. 03:30"]),  # too late: the core says so
        ("30 3 * * *", "2026-12-20 12:00", "2027-01-02 12:00", ["21. 03:30"]),
        ("30 3 * * *", "2026-12-20 12:00", "2027-01-02 04:00", ["02. 03:30"]),  # of many the newest, once
        ("*/10 * * * *", "2026-12-20 12:00", "2027-01-02 04:05", ["02. 04:00"]),
        ("*/10 * * * *", "2027-01-02 04:00", "2027-01-02 04:05", []),
        ("* * * * *", "2026-01-01 00:00", "2027-01-02 04:05", ["02. 04:05"]),
    ],
)
def test_what_was_missed_is_told_once(cron: str, since: str, now: str, told: list[str]) -> None:
    watch = Watch().at(now).follow(cron, since)
    assert watch.look() == told
    assert watch.look() == []


def test_a_clock_that_is_set_forward_a_little_makes_nothing_run_twice() -> None:
    watch = Watch().at("2027-01-01 03:00").follow("30 3 * * *", "2027-01-01 00:00")
    assert watch.at("2027-01-01 03:35").look() == ["01. 03:30"]
    assert watch.at("2027-01-01 03:05").look() == []
    assert watch.at("2027-01-01 03:30").look() == []
    assert watch.at("2027-01-02 03:30").look() == ["02. 03:30"]


def test_a_clock_that_is_set_back_a_day_silences_nothing() -> None:
    watch = Watch().at("2027-01-05 03:30").follow("30 3 * * *", "2027-01-05 00:00")
    assert watch.look() == ["05. 03:30"]
    assert watch.at("2027-01-03 12:00").look() == []
    assert watch.at("2027-01-04 03:30").look() == ["04. 03:30"]


def test_a_host_that_slept_makes_up_what_is_less_than_an_hour_late() -> None:
    watch = Watch().at("2027-01-01 03:00").follow("30 3 * * *", "2027-01-01 00:00")
    assert watch.look() == []
    assert watch.at("2027-01-01 04:10").look() == ["01. 03:30"]


def test_it_looks_again_in_time_and_at_least_every_ten_seconds() -> None:
    watch = Watch().at("2027-01-01 03:00")
    assert watch.schedules.look() is None
    watch.follow("30 3 * * *", "2027-01-01 00:00")
    assert watch.schedules.look() == 10.0
    watch.at("2027-01-01 03:29").clock.step_wall(57.0)
    assert watch.schedules.look() == pytest.approx(3.0)


async def test_a_new_timetable_is_looked_at_at_once() -> None:
    watch, told = Watch().at("2027-01-01 03:30"), asyncio.Event()
    schedules = Schedules(watch.clock, lambda _: told.set())
    running = asyncio.create_task(schedules.run())
    await asyncio.sleep(0)
    since = utc("2027-01-01 00:00").timestamp()
    schedules.follow((Timed(policy="nightly", schedule=schedule("30 3 * * *", "UTC"), since=since),))
    async with asyncio.timeout(5):
        await told.wait()
    running.cancel()
