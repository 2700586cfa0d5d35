"""What a payload says of a metric from outside. Pure."""

from __future__ import annotations

from typing import Final

from watchtower_agent.model.instant import AHEAD, Instant
from watchtower_agent.model.observation import ReadingObserved
from watchtower_agent.model.source import JsonPath
from watchtower_agent.sources.payload import Number, UnreadableError, number_in

_FIRST_DATE: Final = 1e9
"""Seconds since the epoch: a `time` before 2001 is how long something took, or no date of anything that runs now."""


def published(name: str, payload: bytes, path: JsonPath, now: Instant, *, retained: bool) -> ReadingObserved:
    """A message that came over MQTT.

    The broker does not tell when it was given a message that it kept: then the payload's own stamp does, and without
    one nobody knows. One that just came is true now, whatever its sender's clock says.

    Args:
        name: Of the metric.
        payload: Of the message.
        path: Where in it the number is.
        now: When it came.
        retained: The broker had kept it.
    """
    try:
        number = number_in(payload, path)
        age = _age(number, now) if retained else 0.0
    except UnreadableError as error:
        return unknown(name, f"what was published can't be used: {error}", now)
    return ReadingObserved(name=name, value=number.value, age=age, moment=now.monotonic)


def answered(name: str, payload: bytes, path: JsonPath, now: Instant) -> ReadingObserved:
    """An answer that came over HTTP.

    What answers may hand on what somebody wrote long ago (a file, a cache): a date in the answer says so. One that is
    ahead of this host's clock says nothing against it, nor does what is no date.

    Args:
        name: Of the metric.
        payload: Of the answer.
        path: Where in it the number is.
        now: When it came.
    """
    try:
        number = number_in(payload, path)
    except UnreadableError as error:
        return unknown(name, f"the answer can't be used: {error}", now)
    stamp = number.stamp
    age = max(0.0, now.wall - stamp) if stamp is not None and stamp >= _FIRST_DATE else 0.0
    return ReadingObserved(name=name, value=number.value, age=age, moment=now.monotonic)


def unanswered(name: str, why: str, now: Instant) -> ReadingObserved:
    """Nothing came: what was known before is known until it is stale.

    Args:
        name: Of the metric.
        why: In few words.
        now: When that turned out.
    """
    return ReadingObserved(name=name, value=None, moment=now.monotonic, why=why, silent=True)


def unknown(name: str, why: str, now: Instant) -> ReadingObserved:
    """Something came, and tells no number: from now on nobody knows.

    Args:
        name: Of the metric.
        why: In few words.
        now: When that turned out.
    """
    return ReadingObserved(name=name, value=None, moment=now.monotonic, why=why)


def _age(number: Number, now: Instant) -> float:
    if number.stamp is None:
        raise UnreadableError("the broker had kept it, and no `time` in it says since when")
    if not now.may_be_past(number.stamp):
        raise UnreadableError(f"its `time` is more than {AHEAD:g} s ahead of this host's clock")
    return max(0.0, now.wall - number.stamp)
