"""The lines of a metrics batch: JSON text, written straight from columns.

A full host's batch has ten thousand numbers, and the loop stands still while it is written. So no object is made for a
container, nor a text for each number: a template holds the names of the columns, and the numbers are put into it.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable
from math import floor, isfinite
from typing import Final

from watchtower_agent.model.container import Container
from watchtower_agent.model.fact import MetricsTable
from watchtower_agent.publishing.encoding import TO_DECIMALS, rounded, to_json
from watchtower_agent.publishing.payloads import container_head, known_numbers

_LARGEST: Final = 1e10
"""Below it a number with four decimals has at most 14 digits: `%.14g` writes it exactly, and faster than `repr`."""


class SampleLines:
    """Writes one line per container. Remembers the text of what hardly ever changes: who the container is."""

    def __init__(self) -> None:
        self._heads: dict[str, tuple[Container, str]] = {}
        """By container id: as it was described, and what was written of that."""

    def of(self, table: MetricsTable) -> list[str]:
        """The lines, in the order of the table. What is not known is left out."""
        template = "%s"
        cells: list[Iterable[object]] = []
        for name, column in table.columns.items():
            text, numbers = _column(f",{json.dumps(name)}:", column)
            template += text
            if numbers is not None:
                cells.append(numbers)
        template += "}"
        lines = [template % line for line in zip(self._beginnings(table), *cells, strict=True)]
        for place, means in table.means.items():
            told = to_json({"means": known_numbers(means.items())}).decode()
            lines[place] = f"{lines[place].removesuffix('}')},{told.removeprefix('{')}"
        return lines

    def _beginnings(self, table: MetricsTable) -> list[str]:
        heads, self._heads = self._heads, {}  # those of containers that went are let go
        beginnings = []
        for container, uptime in zip(table.containers, table.uptimes, strict=True):
            known = heads.get(container.id)
            if known is None or known[0] is not container:
                known = container, to_json(container_head(container)).decode().removesuffix("}")
            self._heads[container.id] = known
            beginnings.append(known[1] if uptime is None else f'{known[1]},"uptime":{uptime:.1f}')
        return beginnings


def _column(key: str, column: array[float]) -> tuple[str, Iterable[object] | None]:
    """A column's part of the template, and what is put into it for each container; None where nothing is."""
    if not isfinite(sum(column)):
        pieces = [f"{key}{rounded(number)}" if isfinite(number) else "" for number in column]
        return ("%s", pieces) if any(pieces) else ("", None)
    key = key.replace("%", "%%")
    if column and column.count(column[0]) == len(column):  # a limit, a zero: the same for all of them
        return f"{key}{rounded(column[0])}", None
    if all(map(float.is_integer, column)):
        return f"{key}%d", column
    if max(column) < _LARGEST and min(column) > -_LARGEST:
        return f"{key}%.14g", [floor(number * TO_DECIMALS + 0.5) / TO_DECIMALS for number in column]
    return f"{key}%s", map(rounded, column)
