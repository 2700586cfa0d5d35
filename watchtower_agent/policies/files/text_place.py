"""Where a character of a YAML scalar stands in the file."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final, NamedTuple

_BLANK: Final = " \t\r\n\x85\u2028\u2029"
"""White space and all that YAML takes for the end of a line."""
_ESCAPE: Final = re.compile(
    r"""\\(?:x(?P<two>[0-9A-Fa-f]{2})|u(?P<four>[0-9A-Fa-f]{4})|U(?P<eight>[0-9A-Fa-f]{8})
    |(?P<joint>(?:\r\n|[\n\x85\u2028\u2029])[ \t]*)|(?P<letter>.))""",
    re.VERBOSE | re.DOTALL,
)
_LETTERS: Final = MappingProxyType(
    {
        **dict(zip("0abtnvfre", "\0\a\b\t\n\v\f\r\x1b", strict=True)),
        **dict(zip("N_LP", "\x85\xa0\u2028\u2029", strict=True)),
    }
)
"""What an escaped letter stands for in double quotes; any other character for itself. YAML 1.1, 5.7."""


class _Unit(NamedTuple):
    """As much of the source as stands for one character: an escape is longer than that."""

    character: str
    """Empty for an escaped line break, which joins two lines."""
    end: int


def position_inside(source: str, start: int, text: str, offset: int) -> tuple[int, int]:
    """Line and column (from 1) of a character of a scalar, however the scalar is written.

    Source and text are walked together: a run of white space in one matches a run in the other (folding, indentation),
    quotes and block headers are stepped over, escapes count as what they stand for.

    Args:
        source: The whole file, its lines ended by a line feed, with or without a carriage return.
        start: Index of the scalar's first character, quotes included.
        text: What the scalar says.
        offset: Which character of the text.
    """
    at = _first_character(source, start)
    quote = source[start : start + 1]
    for index, wanted in enumerate(text[: offset + 1]):
        if wanted in _BLANK:
            if index == 0 or text[index - 1] not in _BLANK:
                place = at
                at = _behind_blanks(source, at, quote)
                if index == offset:
                    return _line_and_column(source, place)
            continue
        unit = _unit(source, at, quote)
        while unit.end > at and not unit.character:
            at = unit.end
            unit = _unit(source, at, quote)
        if unit.character != wanted or index == offset:
            break
        at = unit.end
    return _line_and_column(source, at)


def _unit(source: str, at: int, quote: str) -> _Unit:
    if quote == "'" and source.startswith("''", at):
        return _Unit("'", at + 2)
    escape = _ESCAPE.match(source, at) if quote == '"' else None
    if escape is None:
        return _Unit(source[at : at + 1], min(at + 1, len(source)))
    if escape["joint"]:
        return _Unit("", escape.end())
    if letter := escape["letter"]:
        return _Unit(_LETTERS.get(letter, letter), escape.end())
    return _Unit(chr(int(escape["two"] or escape["four"] or escape["eight"], base=16)), escape.end())


def _behind_blanks(source: str, at: int, quote: str) -> int:
    while True:
        unit = _unit(source, at, quote)
        if unit.end == at or (unit.character and unit.character not in _BLANK):
            return at
        at = unit.end


def _first_character(source: str, start: int) -> int:
    first = source[start : start + 1]
    if first in {'"', "'"}:
        return start + 1
    if first in {"|", ">"}:
        at = source.find("\n", start)
        while at != -1 and source[at : at + 1] and source[at] in _BLANK:
            at += 1
        return start if at == -1 else at
    return start


def _line_and_column(source: str, index: int) -> tuple[int, int]:
    return source.count("\n", 0, index) + 1, index - source.rfind("\n", 0, index)
