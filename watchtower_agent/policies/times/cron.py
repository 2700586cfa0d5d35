"""Cron expressions: five fields, read as cron reads them. Pure.

Names, lists, ranges (of weekdays and months over the end, too: `fri-mon`), steps, 0 and 7 for Sunday. What cron itself
leaves open is refused with a remedy: day and weekday together (most crons take either, others both), a step that never
comes to a second value, and what never comes at all (31 February).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import date
from types import MappingProxyType
from typing import Final

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.problem import WrongValueError, nearest, shown

_LONGEST: Final = 200
"""Characters of an expression."""
_LONGEST_SHOWN: Final = 12
"""Digits of a wrong number."""
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAYS_AT_MOST: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SUNDAY_TOO: Final = 7
_MACROS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
        "@monthly": "0 0 1 * *",
        "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@hourly": "0 * * * *",
    }
)
_OF_OTHERS: Final = re.compile(r"[0-9]*l?w?|[a-z0-9]+(#[0-9]*|l)")
_FIELDS: Final = 5
_WITH_SECONDS: Final = 6
_EXAMPLE: Final = 'write minute, hour, day, month and weekday, as in "30 3 * * *" for 03:30'


class CronError(WrongValueError):
    """A text that is no cron expression.

    Attributes:
        offset: Characters into the text.
    """

    def __init__(self, message: str, remedy: str, offset: int = 0) -> None:
        super().__init__(message, remedy)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression, expanded. Two of the same text are equal.

    Attributes:
        text: As it was written.
        minutes: 0 to 59, ascending, as are the others.
        hours: 0 to 23.
        days: Of the month, 1 to 31.
        months: 1 to 12.
        weekdays: 0 (Sunday) to 6.
    """

    text: str
    minutes: tuple[int, ...] = field(compare=False)
    hours: tuple[int, ...] = field(compare=False)
    days: tuple[int, ...] = field(compare=False)
    months: tuple[int, ...] = field(compare=False)
    weekdays: tuple[int, ...] = field(compare=False)

    @property
    def every_hour(self) -> bool:
        """Whether it comes in each hour of its days: then it follows the passing of time, not the hour of day."""
        return len(self.hours) == 24  # noqa: PLR2004 - hours of a day

    def on(self, day: date) -> bool:
        """Whether it comes on that day of the calendar."""
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays


@dataclass(frozen=True, slots=True)
class _Field:
    """What one of the five fields may hold."""

    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()
    round: bool = False
    """A range may go over the end."""

    def number(self, text: str, at: int) -> int:
        """The value of a number or name.

        Raises:
            CronError: It is neither, or out of range.
        """
        if not text:
            raise CronError(f"a {self.name} is missing here", "write both ends of a range, as in 1-5", at)
        if text.isascii() and text.isdecimal():
            number = int(text)
            highest = _SUNDAY_TOO if self.name == "weekday" else self.last
            if not self.first <= number <= highest:
                raise CronError(f"there is no {self.name} {_short(text)}", f"write {self.first} to {highest}", at)
            return number
        word = text.lower()
        if word[:3] in self.names and (word == word[:3] or word in _LONG_NAMES):
            return self.names.index(word[:3]) + self.first
        raise CronError(f"{shown(text)} is no {self.name}", self._remedy(word), at)

    def _remedy(self, word: str) -> str:
        if word == "?":
            return "write *"
        if _OF_OTHERS.fullmatch(word):
            return "L, W and # are of other schedulers, cron has none of them: name the days"
        if near := nearest(word[:3], self.names) if self.names else None:
            return f"did you mean {near}?"
        named = f", or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"write {self.first} to {self.last}{named}, *, a range (1-5), a list (1,5) or a step (*/2)"


_LONG_NAMES: Final = frozenset(
    {"january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december"}
    | {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
)
_ALL: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS, round=True),
    _Field("weekday", 0, 6, _WEEKDAYS, round=True),
)
_DAY, _WEEKDAY = 2, 4


def parse_cron(text: str) -> Cron:
    """Read an expression.

    Raises:
        CronError: It is none, or nobody can tell what it means.
    """
    if len(text) > _LONGEST:
        raise CronError("this is too long for a cron expression", f"use {_LONGEST} characters at most")
    words = [(found.group(), found.start()) for found in re.finditer(r"\S+", text)]
    if len(words) != _FIELDS:
        raise _no_five(text, words)
    fields = [_expanded(each, word, at) for each, (word, at) in zip(_ALL, words, strict=True)]
    minutes, hours, days, months, weekdays = fields
    if len(days) < len(range(1, 32)) and len(weekdays) < len(_WEEKDAYS):
        raise CronError(
            "day and weekday are both restricted: some crons want either, others both",
            "write * for one of them; for either of both make two policies, or two windows",
            words[_WEEKDAY][1],
        )
    if all(day > _DAYS_AT_MOST[month - 1] for month in months for day in days):
        raise CronError("no such day ever comes", "choose a day that the month has", words[_DAY][1])
    return Cron(text, minutes, hours, days, months, weekdays)


def _no_five(text: str, words: list[tuple[str, int]]) -> CronError:
    if not words:
        return CronError("the cron expression is empty", _EXAMPLE)
    first = words[0][0].lower()
    if first.startswith("@"):
        meant = _MACROS.get(first)
        return CronError(f"{shown(text)} is no cron expression here", f'write "{meant}"' if meant else _EXAMPLE)
    remedy = _EXAMPLE
    if len(words) == _WITH_SECONDS:
        remedy = f'seconds are not told apart here: write "{" ".join(word for word, _ in words[1:])}"'
    return CronError(f"a cron expression has five fields, and this has {len(words)}", remedy)


def _expanded(known: _Field, word: str, at: int) -> tuple[int, ...]:
    """The values of one field, ascending."""
    values: set[int] = set()
    for part, begin in _parts(word, at):
        if not part:
            raise CronError(f"a {known.name} is missing here", "take out the comma that is too much", begin)
        values.update(_part(known, part, begin))
    if known.name == "weekday":
        values = {value % 7 for value in values}
    return tuple(sorted(values))


def _parts(word: str, at: int) -> Iterator[tuple[str, int]]:
    for part in word.split(","):
        yield part, at
        at += len(part) + 1


def _part(known: _Field, part: str, at: int) -> list[int]:
    span, slash, step = part.partition("/")
    low, dash, high = span.partition("-")
    if span == "*":
        values = list(range(known.first, known.last + 1))
    elif dash:
        values = _range(known, known.number(low, at), known.number(high, at + len(low) + 1), span, at)
    else:
        values = [known.number(span, at)]
        if slash:
            more = f"{span}-{known.last}/{step}"
            raise CronError(f"{shown(part)} has a step and no range", f"write {more} if that is meant", at + len(span))
    return values[:: _step(step, values, known, at + len(span) + 1)] if slash else values


def _range(known: _Field, low: int, high: int, span: str, at: int) -> list[int]:
    if low <= high:
        return list(range(low, high + 1))
    if not known.round:
        pieces = f"{low}-{known.last},{known.first}-{high}"
        raise CronError(f"{shown(span)} goes backwards", f"write {pieces} for both its parts, or turn it round", at)
    # over the end of the week or year; 7-2 begins with Sunday as 0-2 does
    return [*range(low, known.last + 1), *range(known.first, high + 1)] if low <= known.last else [*range(high + 1)]


def _step(step: str, values: list[int], known: _Field, at: int) -> int:
    if not step.isascii() or not step.isdecimal() or int(step) == 0:
        raise CronError(f"{shown(step)} is no step", "write a number from 1, as in */2", at)
    number = int(step)
    if 1 < len(values) <= number or (len(values) == 1 < number):
        raise CronError(
            f"a step of {_short(step)} is longer than its range: it would come at {known.name} {values[0]} alone",
            f"write {values[0]} if that is meant, or a smaller step",
            at,
        )
    return number


def _short(number: str) -> str:
    """A number as it was written, which may be as long as the expression."""
    return number if len(number) <= _LONGEST_SHOWN else number[:_LONGEST_SHOWN] + "…"
