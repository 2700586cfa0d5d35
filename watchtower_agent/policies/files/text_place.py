"""Where a character of a YAML scalar stands in the file."""

from __future__ import annotations

from typing import Final

_BLANK: Final = " \t\r\n"


def position_inside(source: str, start: int, text: str, offset: int) -> tuple[int, int]:
    r"""Line and column (from 1) of a character of a scalar, however the scalar is written.

    Source and text are walked together: a run of white space in one matches a run in the other (folding, indentation),
    quotes and block headers are stepped over, and so are the backslash of an escaped quote and a doubled single quote.
    Where they part for another reason (`\x41`), the last place that agreed is the answer.

    Args:
        source: The whole file.
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
                while source[at : at + 1] and source[at] in _BLANK:
                    at += 1
                if index == offset:
                    return _line_and_column(source, place)
            continue
        escaped = quote == '"' and source[at : at + 1] == "\\"
        doubled = quote == "'" and source[at : at + 2] == "''"
        if escaped or doubled:
            at += 1
        if source[at : at + 1] != wanted or index == offset:
            break
        at += 1
    return _line_and_column(source, at)


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
