"""What an agent would tell Prometheus of so many containers."""

from __future__ import annotations

from array import array

from watchtower_agent.model.container import Container, ContainerStatus
from watchtower_agent.model.distribution import Distribution
from watchtower_agent.model.exposition import Exposition, MetricKind, Reading
from watchtower_agent.model.fact import MetricsTable
from watchtower_agent.model.sample import Total
from watchtower_agent.serving import metric_table


def container(number: int, **changes: object) -> Container:
    """One of a host's containers."""
    values: dict[str, object] = {
        "id": f"{number:064x}",
        "name": f"web-{number}",
        "image": "registry.example/shop/web:1.2",
        "status": ContainerStatus.RUNNING,
        "created_at": 1.0,
    }
    return Container(**(values | changes))  # type: ignore[arg-type] # names and types are the caller's


def exposition(containers: list[Container]) -> Exposition:
    """Every metric has a number of every container, and of everything else."""
    numbers = range(len(containers))
    return Exposition(
        table=MetricsTable(
            containers=containers,
            columns={name: array("d", [1000.0 * n + 0.5 for n in numbers]) for _, name in metric_table.COLUMNS},
        ),
        totals={total: array("d", [123_456_789.0 * n + place for n in numbers]) for place, total in enumerate(Total)},
        started=array("d", [1_795_695_432.6653404 + n for n in numbers]),
        memory_limits=array("d", [2.0**30 * (n % 2) for n in numbers]),
        restarts=array("d", [float(n % 3) for n in numbers]),
        unhealthy=array("d", [0.0 for _ in numbers]),
        readings=[
            Reading(metric=metric, distribution=_distribution())
            if metric.kind is MetricKind.HISTOGRAM
            else Reading(metric=metric, values={tuple(f"{label} 1" for label in metric.labels): 1.5})
            for metric in metric_table.OWN
        ],
    )


def _distribution() -> Distribution:
    made = Distribution.by(0.1, 1.0)
    for seconds in (0.05, 0.1, 0.5, 3.0):
        made.add(seconds)
    return made
