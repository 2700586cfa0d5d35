"""Words and numbers for people: escaped, short, in local time."""

from __future__ import annotations

from datetime import datetime
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400
_KILO: Final = 1000


def printable(text: object) -> str:
    """The text on one line; what would move the cursor or change the terminal is shown as an escape."""
    written = str(text)
    if written.isprintable():
        return written
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in written)


def local_time(at: object) -> str:
    """`14:13:20` for a moment in seconds since the epoch or as RFC 3339; `--:--:--` when it is neither."""
    moment = _moment(at)
    return f"{moment:%H:%M:%S}" if moment else "--:--:--"


def local_day_and_time(at: object) -> str:
    """`21 Sep 14:13:20` for a moment in seconds since the epoch or as RFC 3339."""
    moment = _moment(at)
    return f"{moment.day:>2} {moment:%b %H:%M:%S}" if moment else "-"


def since(at: object, now: object) -> str:
    """`14:13:20` for a moment of today, `21 Sep 14:13:20` for one of another day, with the year where that is another.

    Args:
        at: Seconds since the epoch, or RFC 3339.
        now: The present, likewise; where it can't be told the day is always there.
    """
    moment, present = _moment(at), _moment(now)
    if moment is None:
        return local_time(at)
    if present is not None and moment.date() == present.date():
        return f"{moment:%H:%M:%S}"
    year = f" {moment.year}" if present is not None and moment.year != present.year else ""
    return f"{moment.day} {moment:%b}{year} {moment:%H:%M:%S}"


def _moment(at: object) -> datetime | None:
    try:
        if isinstance(at, int | float):
            return datetime.fromtimestamp(at).astimezone()
        return datetime.fromisoformat(str(at)).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def duration(seconds: object) -> str:
    """`350 ms`, `4.2 s`, `3 min`, `2 h 5 min` or `6 d 3 h`; `-` for no number."""
    if not isinstance(seconds, int | float):
        return "-"
    whole = round(seconds)  # of an hour that has just begun 1 h are left
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    big, small = (_DAY, _HOUR) if whole >= _DAY else (_HOUR, _MINUTE)
    names = ("d", "h") if whole >= _DAY else ("h", "min")
    rest = whole % big // small
    return f"{whole // big} {names[0]}" + (f" {rest} {names[1]}" if rest else "")


def age(seconds: float) -> str:
    """A duration in its largest unit: `2 h` or `6 d`."""
    return " ".join(duration(max(seconds, 0)).split()[:2])


def size(count: object) -> str:
    """`512 B`, `34.6 kB` or `1.2 MB`; `-` for no number."""
    if not isinstance(count, int | float):
        return "-"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < _KILO:
            return f"{value:.1f}".removesuffix(".0") + f" {unit}"
        value /= _KILO
    return f"{value:.1f} TB"


def counted(count: object, noun: str) -> str:
    """`1 event`, `1,234 events`."""
    number = count if isinstance(count, int) else 0
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
