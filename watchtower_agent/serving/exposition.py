"""What Prometheus is told, as text: its own format, or OpenMetrics where it asks for that.

Written a piece at a time: whoever has something to do on the event loop meanwhile waits for one piece, not for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import exposition as text_format
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric as Family,
)
from prometheus_client.openmetrics import exposition as openmetrics_format

from watchtower_agent.model.exposition import Exposition, MetricKind, Reading
from watchtower_agent.serving.container_series import LONGEST_LABEL, ContainerSeries

_END: Final = b"# EOF\n"


class Writer:
    """Writes expositions, one after the other.

    Args:
        labels: A container's label -> under which name it stands beside its series.
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._series = ContainerSeries(labels)

    def written(self, exposition: Exposition, *, openmetrics: bool) -> Iterator[bytes]:
        """The text, a piece at a time."""
        for piece in self._series.of(exposition, openmetrics=openmetrics):
            yield piece.encode()
        generate = openmetrics_format.generate_latest if openmetrics else text_format.generate_latest
        for reading in exposition.readings:
            text: bytes = generate(_One(reading))
            yield text.removesuffix(_END)
        if openmetrics:
            yield _END


class _One:
    """A registry of one family: the library writes what a registry has."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Family]:
        metric, distribution = self._reading.metric, self._reading.distribution
        if metric.kind is MetricKind.HISTOGRAM:
            histogram = HistogramMetricFamily(metric.name, metric.meaning, unit=metric.unit)
            if distribution is not None:
                buckets = [(edge, float(count)) for edge, count in distribution.up_to()]
                histogram.add_metric([], buckets, distribution.seconds)
            yield histogram
            return
        kind = CounterMetricFamily if metric.kind is MetricKind.COUNTER else GaugeMetricFamily
        family = kind(metric.name, metric.meaning, labels=metric.labels, unit=metric.unit)
        for labels, value in self._reading.values.items():
            family.add_metric([_bounded(label) for label in labels], value)
        yield family


def _bounded(value: str) -> str:
    return value[:LONGEST_LABEL].encode("utf-8", "replace").decode("utf-8")
