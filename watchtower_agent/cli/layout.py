"""Lines and tables that fit a terminal: one line a row, names cut with `…`; nothing is cut where no terminal is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from watchtower_agent.model.values import dataclass

ELLIPSIS: Final = "…"
_GAP: Final = 2
_LEAST_NAME: Final = 8
"""Cells to which a name is cut before what stands around it is: `shop…b-1` says more than nothing."""
_SHORTEST_NAME: Final = 4
"""Cells to which it is cut where that saves all that stands around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a line.

    Attributes:
        text: Printable, on one line.
        style: As rich names it.
        name: It is cut first, in its middle: begin and end of a name tell it from others.
        spare: It is left out before anything is cut at its end, and never cut itself: half of it says the wrong thing.
    """

    text: str
    style: str = ""
    name: bool = False
    spare: bool = False


Line = tuple[Part, ...]


def words(text: str, style: str = "") -> Part:
    """A piece that is cut last, and at its end."""
    return Part(text=text, style=style)


def name(text: str, style: str = "") -> Part:
    """A piece that is cut first, and in its middle."""
    return Part(text=text, style=style, name=True)


def spare(text: str, style: str = "") -> Part:
    """A piece that is there whole or not at all."""
    return Part(text=text, style=style, spare=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its head.
        least: Cells that it keeps when room is short.
        usual: Cells that it takes where no terminal sets a width; a longer cell pushes what follows it.
        right: Numbers, aligned at their end.
    """

    title: str
    least: int
    usual: int
    right: bool = False


def cut(text: str, width: int, *, middle: bool = False) -> str:
    """The text in at most so many cells of a terminal, with an ellipsis where something was left out."""
    if cell_len(text) <= width:
        return text
    if width < 1:
        return ""
    behind = (width - 1) // 2 if middle else 0
    return _head(text, width - 1 - behind) + ELLIPSIS + _head(text[::-1], behind)[::-1]


def _head(text: str, width: int) -> str:
    taken = 0
    for index, char in enumerate(text):
        taken += cell_len(char)
        if taken > width:
            return text[:index]
    return text


def length(line: Line) -> int:
    """How many cells a line takes."""
    return sum(cell_len(part.text) for part in line)


def least(line: Line, *, shortest: int = _LEAST_NAME) -> int:
    """How many cells a line takes with its names cut short."""
    return sum(min(size, shortest) if part.name else size for part in line for size in [cell_len(part.text)])


def fitted(line: Line, width: int | None) -> Text:
    """The line in at most so many cells.

    Its names are cut first, the longest most; then spare pieces are left out from the end, with `…` after those that
    stay; then names are cut to a few cells if all the rest has room so; then the line is cut at its end.

    Args:
        line: Its pieces.
        width: Cells; None cuts nothing.
    """
    if width is not None and length(line) > width:
        line = _shortened(_without_spare(line, width), width)
    text = Text()
    for part in line:
        if width is not None and text.cell_len > width:
            break
        text.append(part.text, part.style or None)
    if width is not None and text.cell_len > width:
        text.truncate(max(0, width), overflow="ellipsis" if width > 0 else "crop")
    return text


def _without_spare(line: Line, width: int) -> Line:
    """The line with as many of its spare pieces, from the first, as have room beside names that are cut short."""
    places = [index for index, part in enumerate(line) if part.spare]
    if not places or least(line) <= width:
        return line
    for kept in range(len(places) - 1, 0, -1):
        behind = places[kept - 1] + 1
        others = (part for part in line[behind:] if not part.spare)
        shorter = (*line[:behind], words(f" {ELLIPSIS}", "dim"), *others)
        if least(shorter) <= width:
            return shorter
    return tuple(part for part in line if not part.spare)


def _shortened(line: Line, width: int) -> Line:
    """The line with its names cut to fit, to a few cells only if it fits then."""
    shortest = _SHORTEST_NAME if least(line, shortest=_SHORTEST_NAME) <= width < least(line) else _LEAST_NAME
    excess = length(line) - width
    sizes = [cell_len(part.text) if part.name else 0 for part in line]
    while excess > 0 and max(sizes, default=0) > shortest:
        longest = sizes.index(max(sizes))
        others = sorted(sizes, reverse=True)[1:2]
        target = max(shortest, sizes[longest] - excess, min(others[0] if others else 0, sizes[longest] - 1))
        excess -= sizes[longest] - target
        sizes[longest] = target
    return tuple(
        replace(part, text=cut(part.text, size, middle=True)) if part.name else part
        for part, size in zip(line, sizes, strict=True)
    )


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Line]],
    width: int | None,
    *,
    indent: int = 0,
    gap: int = _GAP,
    steady: bool = False,
) -> list[Text]:
    """Head and rows, one line each, without blanks at their end.

    Args:
        columns: From left to right. What is left over when each has its least is shared among those that want more.
        rows: A line for each column.
        width: Cells of the terminal; None for no terminal.
        indent: Blanks before each line.
        gap: Blanks between columns.
        steady: Columns keep their least width though their cells need less: what is drawn again and again stands still.
    """
    widths = _widths(columns, rows, None if width is None else width - indent, gap, steady=steady)
    head = [(words(column.title, "dim"),) for column in columns]
    return [_row(columns, widths, row, width, indent, gap) for row in (head, *rows)]


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[Line]], width: int | None, gap: int, *, steady: bool
) -> list[int]:
    if width is None:
        return [column.usual for column in columns]
    natural = [max([len(column.title), *(length(row[index]) for row in rows)]) for index, column in enumerate(columns)]
    if steady:
        natural = [max(want, column.least) for want, column in zip(natural, columns, strict=True)]
    widths = [min(want, column.least) for want, column in zip(natural, columns, strict=True)]
    left = width - sum(widths) - gap * (len(columns) - 1)
    while left > 0 and (wanting := [index for index, want in enumerate(natural) if widths[index] < want]):
        for index in wanting[:left]:
            widths[index] += 1
        left -= len(wanting[:left])
    return widths


def _row(
    columns: Sequence[Column], widths: list[int], row: Sequence[Line], width: int | None, indent: int, gap: int
) -> Text:
    line = Text(" " * indent)
    for index, (column, room, cell) in enumerate(zip(columns, widths, row, strict=True)):
        text = fitted(cell, None if width is None else room)
        blanks = " " * max(0, room - text.cell_len)
        line.append_text(Text(blanks) + text if column.right else text + Text(blanks))
        if index < len(columns) - 1:
            line.append(" " * gap)
    line.rstrip()
    if width is not None:
        line.truncate(width, overflow="ellipsis")
    return line
