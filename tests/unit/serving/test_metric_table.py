"""The reference of metrics says what the code does."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.support.agent import CHECKOUT
from watchtower_agent.model.exposition import Metric
from watchtower_agent.serving import metric_table

_HEAD = "| name | type | unit | cAdvisor's | OpenTelemetry's name | meaning |\n| --- | --- | --- | --- | --- | --- |\n"


def _table(metrics: Iterable[Metric]) -> str:
    return _HEAD + "".join(map(_row, metrics))


def _row(metric: Metric) -> str:
    labels = "".join(f" `{label}`" for label in metric.labels)
    by = f"; by{labels}" if labels else ""
    same = "yes" if metric.cadvisor else ""
    otel = f"`{metric.otel}`" if metric.otel else ""
    return f"| `{metric.series}` | {metric.kind} | {metric.unit} | {same} | {otel} | {metric.meaning}{by} |\n"


@pytest.mark.parametrize(("place", "metrics"), [("containers", metric_table.OF_CONTAINERS), ("own", metric_table.OWN)])
def test_the_reference_has_every_metric_as_the_code_has_it(place: str, metrics: tuple[Metric, ...]) -> None:
    page = (CHECKOUT / "docs" / "prometheus.md").read_text()
    table = page.partition(f"<!-- metrics: {place} -->\n\n")[2].partition("\n\n")[0].rstrip("\n") + "\n"
    assert table == _table(metrics), "put this in its place:\n" + _table(metrics)


def test_every_name_is_told_once_and_ends_in_its_unit() -> None:
    metrics = (*metric_table.OF_CONTAINERS, *metric_table.OWN)
    assert len({metric.name for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert metric.name.endswith(f"_{metric.unit}") or not metric.unit
        assert not metric.name.endswith("_total")
        assert metric.cadvisor == metric.name.startswith("container_")
