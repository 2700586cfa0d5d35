"""JSON that somebody else wrote, and a number in it: bounded in size and depth, never evaluated. Pure."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import Final

from watchtower_agent.model.source import JsonPath
from watchtower_agent.model.values import dataclass

LARGEST: Final = 2**20
"""Bytes of a payload at most."""
DEEPEST: Final = 32
"""Levels of lists and objects in each other at most."""

_LONGEST_NUMBER: Final = 400
"""Characters of a number that stands in a text: the largest float has 309 digits."""
_LONGEST_STAMP: Final = 64
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_STAMPS: Final = ("time", "timestamp")
# A text that does not end reaches to the end of the payload. It is looked at once, however many quotes it has.
_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_REST: Final = bytes(set(range(256)) - set(b"[]{}"))
_NO_MARKS: Final = bytes(set(_REST) - set(b'"'))


class UnreadableError(ValueError):
    """A payload that tells no number; the text says why, in few words that hold nothing of the payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number that was found.

    Attributes:
        value: Finite.
        stamp: When it was true, seconds since the epoch, as the payload says; None where it does not.
    """

    value: float
    stamp: float | None = None


def parsed(payload: bytes) -> object:
    """The payload as JSON.

    Raises:
        UnreadableError: It is none, or larger or deeper than anything that is meant.
    """
    if len(payload) > LARGEST:
        raise UnreadableError(f"it is larger than {LARGEST // 2**20} MiB")
    if too_deep(payload):
        raise UnreadableError(f"it is nested more than {DEEPEST} levels deep")
    try:
        document: object = json.loads(payload.decode())
    except UnicodeDecodeError:
        raise UnreadableError("it is not UTF-8") from None
    except (ValueError, RecursionError):
        raise UnreadableError("it is no JSON") from None
    return document


def too_deep(payload: bytes) -> bool:
    """Whether lists and objects are nested deeper than anything that is meant.

    Nothing but the brackets outside of texts is left, and each turn takes the innermost pairs away.
    """
    if payload.count(b"[") + payload.count(b"{") <= DEEPEST:
        return False
    if b"\\" not in payload:  # then every quote begins or ends a text, and most texts are empty once they are bare
        payload = payload.translate(None, _NO_MARKS).replace(b'""', b"")
    brackets = _TEXT.sub(b"", payload).translate(_BRACKETS, _REST)
    for _ in range(DEEPEST):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def number_in(payload: bytes, path: JsonPath) -> Number:
    """The number at that place.

    A text that is a number counts as one: Prometheus writes `"12.5"`.

    Args:
        payload: As it came.
        path: Where in its JSON; empty: the payload is the number.

    Raises:
        UnreadableError: There is none.
    """
    if len(payload) > LARGEST:
        raise UnreadableError(f"it is larger than {LARGEST // 2**20} MiB")
    if not path and _is_bare(payload):
        return Number(value=_finite(payload.decode(), path))
    document = parsed(payload)
    return Number(value=_finite(_at(document, path), path), stamp=stamp_of(document))


def _is_bare(payload: bytes) -> bool:
    text = payload.strip()
    return len(text) <= _LONGEST_NUMBER and text.isascii() and _NUMBER.fullmatch(text.decode()) is not None


def _at(document: object, path: JsonPath) -> object:
    found = document
    for depth, step in enumerate(path, start=1):
        if isinstance(found, dict) and str(step) in found:
            found = found[str(step)]
        elif isinstance(found, list) and isinstance(step, int) and 0 <= step < len(found):
            found = found[step]
        else:
            raise UnreadableError(f"there is no {_told(path[:depth])}")
    return found


def _finite(found: object, path: JsonPath) -> float:
    """The number as a float.

    Raises:
        UnreadableError: It is none, or not finite.
    """
    what = _told(path) if path else "it"
    if isinstance(found, str):
        text = found.strip()
        if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
            raise UnreadableError(f"{what} is a text, not a number")
        value = float(text)
    elif isinstance(found, int | float) and not isinstance(found, bool):
        try:
            value = float(found)
        except OverflowError:
            value = math.inf
    else:
        raise UnreadableError(f"{what} is {_KINDS.get(type(found), 'nothing')}, not a number")
    if not math.isfinite(value):
        raise UnreadableError(f"{what} is not a finite number")
    return value


_KINDS: Final = {bool: "true or false", list: "a list", dict: "an object", type(None): "null"}


def _told(path: JsonPath) -> str:
    return ".".join(map(str, path))


def stamp_of(document: object) -> float | None:
    """When the payload says that it was written, at its top level: RFC 3339, or seconds since the epoch."""
    if not isinstance(document, dict):
        return None
    for name in _STAMPS:
        found = document.get(name)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return _seconds(found)
        if isinstance(found, str) and len(found) <= _LONGEST_STAMP:
            return _moment(found)
    return None


def _seconds(found: float) -> float | None:
    try:
        return float(found) if math.isfinite(found) else None
    except OverflowError:
        return None


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.timestamp()
