"""IANA time zones by name. The only module of the core that may load one.

Zone tables are data that come with the host, like the grammar with the package: a zone is read once, while policies are
loaded, and from then on computing with it touches no file. docs/adr/0019 has the reasons.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.problem import WrongValueError, nearest, shown

_LONGEST: Final = 64
_EXAMPLE: Final = "write an IANA name such as Europe/Berlin, or UTC"


class ZoneError(WrongValueError):
    """A text that names no time zone."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone, loaded.

    Attributes:
        name: As IANA has it.
        rules: Its offsets and when they change.
    """

    name: str
    rules: tzinfo


def zone_of(name: str) -> Zone:
    """The zone of that name.

    Raises:
        ZoneError: There is none, or this host does not know it.
    """
    if not name.isascii() or not name.isprintable() or len(name) > _LONGEST:
        raise ZoneError(f"{shown(name)} is no time zone", _EXAMPLE)
    try:
        return Zone(name=name, rules=ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ZoneError(f"{shown(name)} is no time zone that this host knows", _remedy(name)) from None


def _remedy(name: str) -> str:
    known = {each.lower(): each for each in available_timezones()}
    if not known:
        return "install the host's zone tables (the package tzdata)"
    by_city = {each.rpartition("/")[2]: each for each in known}
    word = name.lower().replace(" ", "_")
    meant = known.get(word) or known.get(by_city.get(word, ""))
    if meant is None and "/" in word:  # what is no region with a city is too short for a guess
        meant = known.get(nearest(word, tuple(sorted(known))) or "")
    return f"did you mean {meant}?" if meant else _EXAMPLE
