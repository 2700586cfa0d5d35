"""What Prometheus reads: by the library's own parsers, whatever containers are called."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from tests.support.exposition import container, exposition
from watchtower_agent.model.container import Container
from watchtower_agent.model.sample import Total
from watchtower_agent.serving import metric_table
from watchtower_agent.serving.container_series import LONGEST_LABEL
from watchtower_agent.serving.exposition import Writer

_LABELS = {"com.example.team": "container_label_com_example_team"}


def _families(containers: list[Container], *, openmetrics: bool) -> dict[str, Family]:
    text = b"".join(Writer(_LABELS).written(exposition(containers), openmetrics=openmetrics)).decode()
    parsed: Iterable[Family] = (openmetrics_families if openmetrics else plain_families)(text)
    return {family.name: family for family in parsed}


@pytest.mark.parametrize("openmetrics", [False, True])
def test_every_metric_of_the_table_is_told_once_with_its_type_its_meaning_and_its_labels(*, openmetrics: bool) -> None:
    families = _families([container(1), container(2)], openmetrics=openmetrics)
    metrics = (*metric_table.OF_CONTAINERS, *metric_table.OWN)
    assert families.keys() == {metric.name for metric in metrics}
    for metric in metrics:
        family = families[metric.name]
        assert (family.type, family.documentation) == (metric.kind, metric.meaning)
        if openmetrics:
            assert family.unit == metric.unit
    for metric in metric_table.OF_CONTAINERS:
        for sample in families[metric.name].samples:
            assert tuple(sample.labels) == metric_table.CONTAINER_LABELS
            assert sample.name == metric.series


def test_numbers_are_told_exactly() -> None:
    families = _families([container(0), container(7)], openmetrics=True)
    told = {name: [sample.value for sample in family.samples] for name, family in families.items()}
    numbers = exposition([container(0), container(7)])
    for metric, total, factor in metric_table.TOTALS:
        assert told[metric.name] == [factor * number for number in numbers.totals[total]]
    assert told["container_start_time_seconds"] == list(numbers.started)
    buckets = {s.labels["le"]: s.value for s in families["watchtower_mqtt_puback_seconds"].samples if "le" in s.labels}
    assert buckets == {"0.1": 2, "1.0": 3, "+Inf": 4}


def test_what_is_not_known_is_left_out_and_what_no_container_has_is_not_mentioned() -> None:
    told = exposition([container(1), container(2)])
    told = replace(
        told,
        totals={Total.CPU: array("d", [math.nan, 5e9]), Total.SENT: array("d", [math.nan, math.inf])},
        unhealthy=array("d", [math.nan, 1.0]),
    )
    text = b"".join(Writer({}).written(told, openmetrics=False)).decode()
    families = {family.name: family for family in plain_families(text)}
    assert [sample.value for sample in families["container_cpu_usage_seconds"].samples] == [5.0]
    assert [sample.labels["name"] for sample in families["watchtower_container_unhealthy"].samples] == ["web-2"]
    assert "container_network" not in text


def test_only_labels_that_are_asked_for_are_told() -> None:
    containers = [container(1, labels={"com.example.team": "shop", "secret": "s3cret"}), container(2)]
    (first, second) = _families(containers, openmetrics=False)["container_oom_events"].samples
    assert first.labels["container_label_com_example_team"] == "shop"
    assert "s3cret" not in first.labels.values()
    assert "container_label_com_example_team" not in second.labels


@given(
    st.text(st.characters(exclude_categories=[]), max_size=400),
    st.booleans(),
)
def test_no_name_can_break_out_of_its_label(text: str, openmetrics: bool) -> None:
    hostile = container(1, name=text, image=text, labels={"com.example.team": text})
    families = _families([hostile, container(2)], openmetrics=openmetrics)
    (sample, _) = families["container_oom_events"].samples
    expected = text[:LONGEST_LABEL].encode("utf-8", "replace").decode()
    assert sample.labels["name"] == sample.labels["container_label_com_example_team"] == expected


def test_a_container_that_is_described_anew_is_told_by_its_new_name() -> None:
    writer = Writer({})
    for name in ("old", "new"):
        text = b"".join(writer.written(exposition([container(1, name=name)]), openmetrics=False)).decode()
        assert f'name="{name}"' in text
