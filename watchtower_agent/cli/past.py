"""`metrics NAME --last …`: the past of one name, drawn over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from watchtower_agent.cli.chart import bars, gathered, scale
from watchtower_agent.cli.layout import Part, name, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.quantities import number, reading
from watchtower_agent.cli.text import duration, local_day_and_time, local_time, printable
from watchtower_agent.policies.catalogue import CATALOGUE, Entry, ValueType

Json = Mapping[str, Any]

_WIDTH: Final = 80
"""Cells of a chart where no terminal sets a width."""
_MOST_CELLS: Final = 180
_HEIGHT: Final = 8
_LABEL: Final = 11
"""Cells before the bars: a value, right-aligned."""
_LEAST: Final = 34
"""Cells of bars, so that two moments have room below them."""
_HALF_A_DAY: Final = 43200.0


def show_past(page: Page, found: Json, asked: float | None = None) -> None:
    """A chart with its scale, the time below it, and what the numbers say in short.

    Args:
        page: Where to.
        found: The agent's answer.
        asked: Seconds of the past that were asked for; None for all.
    """
    entry = CATALOGUE.get(str(found.get("name")))
    points = [each for each in found.get("points", ()) if isinstance(each, list) and len(each) == 2]  # noqa: PLR2004 - a moment and a value
    values = [number(value) for _, value in points]
    known = [value for value in values if value is not None]
    page.write(*_title(found))
    kept = number(found.get("kept"))
    if asked is not None and kept is not None and asked > kept:
        page.write(words(f"  no more than {duration(kept)} is kept, see sampling.history", "yellow"))
    if not known:
        page.write(words("  nothing of it is known in this time"))
        return
    cells = min(_MOST_CELLS, (page.width or _WIDTH) - _LABEL - 2)
    shown = gathered(values, cells) if cells >= _LEAST else []
    if shown:
        _draw(page, entry, shown)
        page.write(words(" " * (_LABEL + 2) + _times(points[0][0], found["at"], cells), "dim"))
    page.write(
        *_fact("min", reading(min(known), entry)),
        *_fact("avg", reading(sum(known) / len(known), entry)),
        *_fact("max", reading(max(known), entry)),
        *_fact("now", reading(found.get("now"), entry)),
        *([words("  · not known", "dim")] if None in shown else []),
    )


def _title(found: Json) -> Sequence[Part]:
    whose = found.get("container")
    of = () if whose is None else (words(" of "), name(printable(whose), "bold"))
    points, step = found.get("points") or [], found.get("step")
    if not points or not isinstance(step, int | float):
        return words(printable(found.get("name")), "bold"), *of
    passed = duration(min(len(points) * step, found["at"] - points[0][0]))
    return words(printable(found.get("name")), "bold"), *of, words(f", last {passed}, averages of {duration(step)}")


def _draw(page: Page, entry: Entry | None, values: Sequence[float | None]) -> None:
    of_bytes = entry is not None and entry.type is ValueType.BYTES
    top = scale(max(value for value in values if value is not None), of_bytes=of_bytes)
    for line, text in enumerate(bars(values, _HEIGHT, top)):
        # The mark of a line is at its upper edge.
        value = reading(top * (_HEIGHT - line) / _HEIGHT, entry) if line % (_HEIGHT // 2) == 0 else ""
        page.write(words(f"{value:>{_LABEL}}", "dim"), words(" ┤" if value else " │", "dim"), words(text))


def _times(begin: float, end: float, cells: int) -> str:
    """Local times below the bars: at both ends, and in between where there is room."""
    moment = local_day_and_time if end - begin > _HALF_A_DAY else local_time
    wide = len(moment(begin))
    marks = 2 + max(0, (cells - 2 * wide) // (3 * wide))
    line = ""
    for mark in range(marks):
        text = moment(begin + (end - begin) * mark / (marks - 1))
        at = (cells - len(text)) * mark // (marks - 1)
        line = line.ljust(at) + text
    return line


def _fact(about: str, value: str) -> Sequence[Part]:
    return words(f"  {about} ", "dim"), words(value)
