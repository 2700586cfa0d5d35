"""The series of containers, written straight from columns.

A full host has eight thousand of them, and whoever makes an object of each takes a tenth of a second: so lines are
made of columns, a metric at a time, and who a container is (its labels) is encoded once.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Final

from watchtower_agent.model.container import Container
from watchtower_agent.model.exposition import Exposition, Metric
from watchtower_agent.serving import metric_table

LONGEST_LABEL: Final = 256
"""Characters of a label's value."""
_WHOLE: Final = 2.0**53
_SPECIAL: Final = {"\\": r"\\", "\n": r"\n", '"': r"\""}


class ContainerSeries:
    """Writes the series. Remembers the text of what hardly ever changes: who a container is.

    Args:
        labels: A container's label -> under which name it stands beside its series.
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self._known: dict[str, tuple[Container, str]] = {}
        """By container id: as it was described, and what was written of that."""

    def of(self, exposition: Exposition, *, openmetrics: bool) -> Iterator[str]:
        """All series, one metric at a time; nothing of those that no container has."""
        labels = self._labels_of(exposition.table.containers)
        for metric, column in _columns(exposition):
            lines = _lines(metric.series, labels, column)
            if lines:
                yield f"{heading(metric, openmetrics=openmetrics)}{lines}"

    def _labels_of(self, containers: Sequence[Container]) -> list[str]:
        known, self._known = self._known, {}  # those of containers that went are let go
        written = []
        for container in containers:
            entry = known.get(container.id)
            if entry is None or entry[0] is not container:
                entry = container, self._written(container)
            self._known[container.id] = entry
            written.append(entry[1])
        return written

    def _written(self, container: Container) -> str:
        pairs = {"id": f"/docker/{container.id}", "name": container.name, "image": container.image}
        pairs |= {name: container.labels[label] for label, name in self._labels.items() if label in container.labels}
        return ",".join(f'{name}="{escaped(value)}"' for name, value in pairs.items())


def escaped(value: str) -> str:
    """A label's value as it is written: bounded, and such that it can be encoded."""
    text = value[:LONGEST_LABEL].encode("utf-8", "replace").decode("utf-8")
    return re.sub(r'[\\\n"]', lambda found: _SPECIAL[found[0]], text)


def heading(metric: Metric, *, openmetrics: bool) -> str:
    """What stands above a metric's series: in OpenMetrics under the name without `_total`, and with its unit."""
    name = metric.name if openmetrics else metric.series
    unit = f"# UNIT {name} {metric.unit}\n" if openmetrics and metric.unit else ""
    return f"# HELP {name} {metric.meaning}\n# TYPE {name} {metric.kind}\n{unit}"


def _columns(exposition: Exposition) -> Iterator[tuple[Metric, array[float]]]:
    for metric, total, factor in metric_table.TOTALS:
        column = exposition.totals.get(total)
        if column is not None:
            yield metric, column if factor == 1 else array("d", [number * factor for number in column])
    for metric, name in metric_table.COLUMNS:
        sampled = exposition.table.columns.get(name)
        if sampled is not None:
            yield metric, sampled
    yield metric_table.MEMORY_LIMIT, exposition.memory_limits
    yield metric_table.STARTED, exposition.started
    yield metric_table.RESTARTS, exposition.restarts
    yield metric_table.UNHEALTHY, exposition.unhealthy


def _lines(series: str, labels: Sequence[str], column: array[float]) -> str:
    known = isfinite(sum(column))
    if known and all(map(float.is_integer, column)) and max(map(abs, column), default=0.0) < _WHOLE:
        lines = [f"{series}{{{who}}} {number:.0f}\n" for who, number in zip(labels, column, strict=True)]
    else:
        lines = [
            f"{series}{{{who}}} {number!r}\n" for who, number in zip(labels, column, strict=True) if isfinite(number)
        ]
    return "".join(lines)
