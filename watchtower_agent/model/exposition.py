"""What Prometheus is told, before it is text."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum

from watchtower_agent.model.distribution import Distribution
from watchtower_agent.model.fact import MetricsTable
from watchtower_agent.model.sample import Total
from watchtower_agent.model.values import dataclass


class MetricKind(StrEnum):
    """What a metric's number does."""

    COUNTER = "counter"
    """Grows. Its samples are named `…_total`."""
    GAUGE = "gauge"
    """Goes up and down."""
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric, as its reference tells it.

    Attributes:
        name: Without `_total`. Ends in its unit where it has one.
        kind: What its number does.
        meaning: One phrase for people.
        unit: `seconds`, `bytes`, `ratio`; empty for counts.
        labels: Beside those of all metrics of containers.
        otel: Its name in OpenTelemetry's semantic conventions; empty where those have none.
        cadvisor: Whether it has cAdvisor's name and meaning.
    """

    name: str
    kind: MetricKind
    meaning: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    otel: str = ""
    cadvisor: bool = False

    @property
    def series(self) -> str:
        """The name that a query uses; of a histogram the beginning of its names."""
        return f"{self.name}_total" if self.kind is MetricKind.COUNTER else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one metric says at the moment.

    Attributes:
        metric: Which.
        values: The values of its labels, in their order -> the number.
        distribution: Of a histogram.
    """

    metric: Metric
    values: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    distribution: Distribution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposition:
    """All that one scrape is told.

    Attributes:
        table: Running containers with their newest samples.
        totals: What their counters stand at, in the table's order.
        started: When each was started, seconds since the epoch, NaN where that is not known; in the table's order.
        memory_limits: Bytes that each was configured with, 0 without a limit, NaN where that is not known; likewise.
        restarts: Of each, counted by the agent; likewise.
        unhealthy: Of each: 1 or 0 by its own health check, NaN without one; likewise.
        readings: Of the host, the engine and the agent itself.
    """

    table: MetricsTable
    totals: Mapping[Total, array[float]]
    started: array[float]
    memory_limits: array[float]
    restarts: array[float]
    unhealthy: array[float]
    readings: Sequence[Reading]
