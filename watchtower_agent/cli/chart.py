"""Numbers over time as bars of block characters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_UNKNOWN: Final = "·"
"""On the ground line, where nothing is known: a zero has a bar of an eighth."""
_ROUND: Final = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""What a scale may end with, times a power of ten."""
_KIBI: Final = 1024.0
_LEAST: Final = 1e-9
"""What is less is drawn as nothing."""

Values = Sequence[float | None]


def gathered(values: Values, cells: int) -> list[float | None]:
    """So many values, each the most of those that share its cell; where there are fewer values each has several cells.

    A peak of one value is seen, however many share its cell.
    """
    found: list[float | None] = []
    for cell in range(cells):
        begin = cell * len(values) // cells
        end = max(begin + 1, (cell + 1) * len(values) // cells)
        known = [value for value in values[begin:end] if value is not None]
        found.append(max(known) if known else None)
    return found


def scale(most: float, *, of_bytes: bool) -> float:
    """A round number that is no less: where the axis ends."""
    if most < _LEAST:
        return 1.0
    step = _KIBI ** max(0, math.floor(math.log(most, _KIBI))) if of_bytes else 1.0
    power = 10.0 ** math.floor(math.log10(most / step))
    return next(each for each in (step * power * number for number in (*_ROUND, 20.0)) if each >= most)


def bars(values: Values, height: int, top: float) -> list[str]:
    """Lines from top to bottom, with a cell for each value."""
    eighths = [None if value is None else _eighths(value, height, top) for value in values]
    lines = []
    for line in range(height - 1, -1, -1):
        ground = _UNKNOWN if line == 0 else " "
        lines.append("".join(ground if each is None else _EIGHTHS[max(0, min(8, each - 8 * line))] for each in eighths))
    return lines


def trend(values: Values, cells: int, *, least_top: float) -> str:
    """One line of so many cells, blank where nothing is known yet.

    Args:
        values: Oldest first.
        cells: How many of a terminal.
        least_top: What a full cell stands for, unless a value is more: little things stay little.
    """
    shown = gathered(values, cells) if values else []
    top = max([least_top, *(value for value in shown if value is not None)])
    line = bars(shown, 1, top)[0]
    return line.lstrip(_UNKNOWN).rjust(len(line))


def _eighths(value: float, height: int, top: float) -> int:
    return max(1, min(8 * height, round(8 * height * value / top)))
