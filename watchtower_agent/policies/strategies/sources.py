"""What strategies want to know from outside their host, and what they want other hosts to know of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from watchtower_agent.model.source import SourcesWanted, TopicSource, UrlSource
from watchtower_agent.model.window import Window
from watchtower_agent.policies.strategies.scale import HttpMetricRule, MqttMetricRule, ScaleStrategy, ServiceKind


def sources_wanted(strategies: Iterable[ScaleStrategy]) -> SourcesWanted:
    """Where the metrics from outside come from. What several want of one address is asked as often as the keenest does.

    Args:
        strategies: Those in force.
    """
    topics: dict[str, TopicSource] = {}
    urls: dict[str, UrlSource] = {}
    siblings = False
    for strategy in strategies:
        siblings = siblings or strategy.target.kind is ServiceKind.SWARM
        for rule in strategy.metrics:
            if isinstance(rule, MqttMetricRule):
                topics[rule.name] = TopicSource(name=rule.name, topic=rule.topic, value=rule.value)
            elif isinstance(rule, HttpMetricRule):
                known = urls.get(rule.name)
                every = rule.every if known is None else min(rule.every, known.every)
                urls[rule.name] = UrlSource(name=rule.name, url=rule.url, value=rule.value, every=every)
    return SourcesWanted(topics=frozenset(topics.values()), urls=frozenset(urls.values()), siblings=siblings)


def means_wanted(strategies: Iterable[ScaleStrategy]) -> Mapping[str, tuple[Window, ...]]:
    """Which means of their replicas the leader of a Swarm needs from every node: service -> windows, in order.

    Args:
        strategies: Those in force.
    """
    asked: dict[str, set[Window]] = {}
    for strategy in strategies:
        if strategy.target.kind is ServiceKind.SWARM:
            asked.setdefault(strategy.target.service, set()).update(strategy.windows)
    return {service: tuple(sorted(windows, key=str)) for service, windows in asked.items()}
