"""Cron expressions: what they expand to, and what is refused with a remedy."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.policies.times.cron import Cron, CronError, parse_cron

ALL_MINUTES, ALL_HOURS, ALL_DAYS, ALL_MONTHS = (
    tuple(range(60)),
    tuple(range(24)),
    tuple(range(1, 32)),
    tuple(range(1, 13)),
)
ALL_WEEKDAYS = tuple(range(7))


@pytest.mark.parametrize(
    ("text", "minutes", "hours", "days", "months", "weekdays"),
    [
        ("* * * * *", ALL_MINUTES, ALL_HOURS, ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS),
        ("30 3 * * *", (30,), (3,), ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS),
        (" 30\t3 * *  * ", (30,), (3,), ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS),
        ("*/20 8-18/5 * * *", (0, 20, 40), (8, 13, 18), ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS),
        ("5,1,5 0 1-3,31 * *", (1, 5), (0,), (1, 2, 3, 31), ALL_MONTHS, ALL_WEEKDAYS),
        ("0 0 29 2 *", (0,), (0,), (29,), (2,), ALL_WEEKDAYS),
        ("0 0 1 jan,JUL *", (0,), (0,), (1,), (1, 7), ALL_WEEKDAYS),
        ("0 0 1 nov-feb *", (0,), (0,), (1,), (1, 2, 11, 12), ALL_WEEKDAYS),
        ("0 0 * March *", (0,), (0,), ALL_DAYS, (3,), ALL_WEEKDAYS),
        # weekdays: 0 and 7 are Sunday, ranges may go over the week's end, steps begin with Sunday
        ("0 0 * * 0", (0,), (0,), ALL_DAYS, ALL_MONTHS, (0,)),
        ("0 0 * * 7", (0,), (0,), ALL_DAYS, ALL_MONTHS, (0,)),
        ("0 0 * * 1", (0,), (0,), ALL_DAYS, ALL_MONTHS, (1,)),
        ("0 0 * * sun", (0,), (0,), ALL_DAYS, ALL_MONTHS, (0,)),
        ("0 0 * * Monday", (0,), (0,), ALL_DAYS, ALL_MONTHS, (1,)),
        ("0 0 * * mon-fri", (0,), (0,), ALL_DAYS, ALL_MONTHS, (1, 2, 3, 4, 5)),
        ("0 0 * * sun-thu", (0,), (0,), ALL_DAYS, ALL_MONTHS, (0, 1, 2, 3, 4)),
        ("0 0 * * fri-mon", (0,), (0,), ALL_DAYS, ALL_MONTHS, (0, 1, 5, 6)),
        ("0 0 * * sat-sun", (0,), (0,), ALL_DAYS, ALL_MONTHS, (0, 6)),
        ("0 0 * * 5-7", (0,), (0,), ALL_DAYS, ALL_MONTHS, (0, 5, 6)),
        ("0 0 * * 7-2", (0,), (0,), ALL_DAYS, ALL_MONTHS, (0, 1, 2)),
        ("0 0 * * 0-7", (0,), (0,), ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS),
        ("0 0 * * */2", (0,), (0,), ALL_DAYS, ALL_MONTHS, (0, 2, 4, 6)),
        ("0 0 * * 1-5/2", (0,), (0,), ALL_DAYS, ALL_MONTHS, (1, 3, 5)),
        ("0 0 * * 1-7/2", (0,), (0,), ALL_DAYS, ALL_MONTHS, (0, 1, 3, 5)),
        # day and weekday together, where one of them means every day
        ("0 0 1-31 * mon", (0,), (0,), ALL_DAYS, ALL_MONTHS, (1,)),
        ("0 0 13 * 0-6", (0,), (0,), (13,), ALL_MONTHS, ALL_WEEKDAYS),
    ],
)
def test_what_an_expression_means(
    text: str,
    minutes: tuple[int, ...],
    hours: tuple[int, ...],
    days: tuple[int, ...],
    months: tuple[int, ...],
    weekdays: tuple[int, ...],
) -> None:
    cron = parse_cron(text)
    assert (cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays) == (minutes, hours, days, months, weekdays)


@pytest.mark.parametrize(
    ("text", "plainly"),
    [
        ("00030 3 * * *", "30 3 * * *"),
        ("*/00010 3 * * *", "*/10 3 * * *"),
        ("0 0000008-00018/00002 * * *", "0 8-18/2 * * *"),
        ("0 0 * 000012 000007", "0 0 * 12 7"),
    ],
)
def test_zeros_before_a_number_say_nothing(text: str, plainly: str) -> None:
    written, plain = parse_cron(text), parse_cron(plainly)
    assert [written.minutes, written.hours, written.months, written.weekdays] == [
        plain.minutes,
        plain.hours,
        plain.months,
        plain.weekdays,
    ]


@pytest.mark.parametrize(
    ("text", "offset", "said"),
    [
        ("", 0, "the cron expression is empty, write minute, hour"),
        ("   ", 0, "the cron expression is empty"),
        ("30 3 * *", 0, "a cron expression has five fields, and this has 4, write minute"),
        ("0 30 3 * * *", 0, 'has five fields, and this has 6, seconds are not told apart here: write "30 3 * * *"'),
        ("@daily", 0, '"@daily" is no cron expression here, write "0 0 * * *"'),
        ("@reboot", 0, '"@reboot" is no cron expression here, write minute, hour'),
        ("60 3 * * *", 0, "there is no minute 60, write 0 to 59"),
        ("0 24 * * *", 2, "there is no hour 24, write 0 to 23"),
        ("00061 3 * * *", 0, "there is no minute 00061, write 0 to 59"),
        ("10000 3 * * *", 0, "there is no minute 10000, write 0 to 59"),
        (f"{'9' * 190} 3 * * *", 0, "there is no minute 999999999999…, write 0 to 59"),
        ("*/00090 3 * * *", 2, "a step of 00090 is longer than its range"),
        ("*/00000 3 * * *", 2, '"00000" is no step, write a number from 1'),
        ("*/10000 3 * * *", 2, "a step of 10000 is longer than its range"),
        ("0 0 0 * *", 4, "there is no day 0, write 1 to 31"),
        ("0 0 32 * *", 4, "there is no day 32"),
        ("0 0 * 13 *", 6, "there is no month 13, write 1 to 12"),
        ("0 0 * * 8", 8, "there is no weekday 8, write 0 to 7"),
        ("0 0 * * mon,8", 12, "there is no weekday 8"),
        ("0 0 * * 1-9", 10, "there is no weekday 9"),
        ("0 0 * * mo", 8, '"mo" is no weekday, did you mean mon?'),
        ("0 0 * * mnday", 8, '"mnday" is no weekday, did you mean mon?'),
        ("0 0 * juny *", 6, '"juny" is no month, did you mean jun?'),
        ("0 0 * * mony", 8, '"mony" is no weekday, did you mean mon?'),
        ("0 3 * * 1-", 10, "a weekday is missing here, write both ends of a range, as in 1-5"),
        ("x 0 * * *", 0, '"x" is no minute, write 0 to 59, *, a range (1-5), a list (1,5) or a step (*/2)'),
        ("0 0 ? * mon", 4, '"?" is no day, write *'),
        ("0 0 L * *", 4, '"L" is no day, L, W and # are of other schedulers, cron has none of them: name the days'),
        ("0 0 15W * *", 4, "L, W and # are of other schedulers"),
        ("0 0 * * fri#2", 8, "L, W and # are of other schedulers"),
        ("0 0 * * 5L", 8, "L, W and # are of other schedulers"),
        ("0,,5 0 * * *", 2, "a minute is missing here, take out the comma"),
        ("0, 0 * * *", 2, "a minute is missing here"),
        ("-5 0 * * *", 0, "a minute is missing here, write both ends of a range"),
        ("1-2-3 0 * * *", 2, '"2-3" is no minute'),
        ("0 22-2 * * *", 2, '"22-2" goes backwards, write 22-23,0-2 for both its parts, or turn it round'),
        ("0 0 20-10 * *", 4, '"20-10" goes backwards, write 20-31,1-10'),
        ("5/15 * * * *", 1, '"5/15" has a step and no range, write 5-59/15 if that is meant'),
        ("*/0 * * * *", 2, '"0" is no step, write a number from 1'),
        ("*/x * * * *", 2, '"x" is no step'),
        ("*/ * * * *", 2, '"" is no step'),
        ("*/90 * * * *", 2, "a step of 90 is longer than its range: it would come at minute 0 alone, write 0 if"),
        ("0 */24 * * *", 4, "a step of 24 is longer than its range: it would come at hour 0 alone"),
        ("0 0 * * mon-tue/5", 16, "a step of 5 is longer than its range: it would come at weekday 1 alone"),
        ("0 0 1 * mon", 8, "day and weekday are both restricted: some crons want either, others both, write * for one"),
        ("0 0 */2 * mon", 10, "day and weekday are both restricted"),
        ("0 0 31 2 *", 4, "no such day ever comes, choose a day that the month has"),
        ("0 0 31 4,jun,9,11 *", 4, "no such day ever comes"),
        ("0 0 30-31 feb *", 4, "no such day ever comes"),
        ("* " * 200, 0, "this is too long for a cron expression"),
        ("٣ 0 * * *", 0, "is no minute"),
    ],
)
def test_what_is_refused_and_what_would_be_right(text: str, offset: int, said: str) -> None:
    with pytest.raises(CronError) as refused:
        parse_cron(text)
    assert said in str(refused.value)
    assert refused.value.offset == offset


@given(st.text(alphabet="0123456789*/-,? LWmonsuja#\t٣", max_size=30))
def test_no_text_is_too_odd(text: str) -> None:
    try:
        cron = parse_cron(text)
    except CronError as error:
        refused = error
        assert all((refused.message, refused.remedy, 0 <= refused.offset <= len(text)))
    else:
        assert all((cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays))


def test_the_days_it_comes_on() -> None:
    weekend = parse_cron("0 0 * * sat-sun")
    assert [weekend.on(date(2026, 11, day)) for day in (27, 28, 29, 30)] == [False, True, True, False]
    assert parse_cron("0 0 29 2 *").on(date(2028, 2, 29))


def test_of_the_same_text_two_are_equal() -> None:
    assert parse_cron("0 0 * * *") == parse_cron("0 0 * * *")
    assert parse_cron("0 0 * * 0") != parse_cron("0 0 * * 7")
    assert isinstance(parse_cron("0 0 * * 0"), Cron)
