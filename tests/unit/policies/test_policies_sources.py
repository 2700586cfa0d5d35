"""What policies want of others than this host, and what other hosts are told for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.strategies import COMPOSE, CPU, SWARM, policies, scaling
from watchtower_agent.model.decision import Mode
from watchtower_agent.model.source import SourcesWanted, TopicSource, UrlSource
from watchtower_agent.model.window import Window, WindowFunction
from watchtower_agent.policies.scaling.rules import Growth, Rules
from watchtower_agent.policies.strategies.scale import HttpMetricRule, MqttMetricRule, OwnMetricRule

DEPTH = MqttMetricRule(topic="queue/orders", target=30.0)
QUERY = HttpMetricRule(url="http://prometheus:9090/api/v1/query?query=a", value=("data", 0), target=1.0)


def test_nothing_is_asked_of_others_unless_a_policy_wants_it() -> None:
    assert policies().sources == SourcesWanted()
    assert policies(scaling(target=COMPOSE)).sources == SourcesWanted()


def test_topics_and_addresses_with_the_names_of_their_rules() -> None:
    wanted = policies(scaling(DEPTH, CPU, QUERY, target=COMPOSE)).sources

    assert wanted == SourcesWanted(
        topics=frozenset({TopicSource(name=DEPTH.name, topic="queue/orders")}),
        urls=frozenset({UrlSource(name=QUERY.name, url=QUERY.url, value=("data", 0), every=15.0)}),
    )


def test_siblings_are_heard_for_a_service_of_the_swarm_alone() -> None:
    assert policies(scaling(CPU, target=COMPOSE), scaling(CPU)).sources == SourcesWanted(siblings=True)


def test_what_is_off_wants_nothing_and_what_only_looks_on_does() -> None:
    strategy = scaling(DEPTH, QUERY)
    off, shadow = policies(strategy, mode=Mode.OFF), policies(strategy, mode=Mode.SHADOW)

    assert (off.sources, off.means) == (SourcesWanted(), {})
    assert shadow.sources == policies(strategy).sources != SourcesWanted()


def test_an_address_that_two_policies_want_is_asked_as_often_as_the_keener_one_wants() -> None:
    wanted = policies(scaling(replace(QUERY, every=30.0)), scaling(replace(QUERY, every=5.0, target=9.0))).sources

    assert [source.every for source in wanted.urls] == [5.0]


@pytest.mark.parametrize(
    "other",
    [
        replace(QUERY, url="http://prometheus:9090/api/v1/query?query=b"),
        replace(QUERY, url="http://prometheus:9090/api/v1/query"),
        replace(QUERY, value=("data", 1)),
        replace(QUERY, value=()),
    ],
)
def test_two_numbers_never_share_a_name(other: HttpMetricRule) -> None:
    assert other.name != QUERY.name
    assert len(policies(scaling(QUERY, other)).sources.urls) == 2


def test_two_numbers_of_one_topic_are_two_metrics() -> None:
    deep, shallow = (replace(DEPTH, value=path) for path in (("depth", 0), ("size",)))

    wanted = policies(scaling(deep, shallow, DEPTH)).sources

    assert {source.name for source in wanted.topics} == {
        "mqtt queue/orders depth.0",
        "mqtt queue/orders size",
        "mqtt queue/orders",
    }
    assert {source.topic for source in wanted.topics} == {"queue/orders"}


def test_a_name_tells_nothing_of_a_query() -> None:
    assert "hunter2" not in replace(QUERY, url="http://h/metrics?token=hunter2").name


def test_the_means_of_a_swarms_services_as_their_policies_look_at_them() -> None:
    memory = OwnMetricRule(name="memory.percent", target=70.0)
    slow = replace(scaling(memory), rules=Rules(up=Growth(window=45.5, jump_window=5.0)))

    means = policies(scaling(CPU, DEPTH), slow, scaling(CPU, target=COMPOSE)).means

    assert {service: [str(window) for window in windows] for service, windows in means.items()} == {
        SWARM.service: [
            "avg(cpu.percent_of_limit, 20s)",
            "avg(cpu.percent_of_limit, 5s)",
            "avg(memory.percent, 45.5s)",
            "avg(memory.percent, 5s)",
        ]
    }


@pytest.mark.parametrize(
    ("seconds", "text"), [(20.0, "20s"), (7.5, "7.5s"), (0.25, "0.25s"), (3600.0, "3600s"), (1234567.5, "1234567.5s")]
)
def test_a_window_has_one_text(seconds: float, text: str) -> None:
    assert str(Window(function=WindowFunction.P95, name="pids", seconds=seconds)) == f"p95(pids, {text})"
