"""One item under `scale.metrics`, its keys taken together: a metric to scale by, or what is wrong with it."""

from __future__ import annotations

from typing import Final

from watchtower_agent.policies.catalogue import CATALOGUE, Entry, Scope, ValueType
from watchtower_agent.policies.conditions.words import meant
from watchtower_agent.policies.files.findings import Findings
from watchtower_agent.policies.files.scale_keys import MetricKeys
from watchtower_agent.policies.problem import Path, shown
from watchtower_agent.policies.quantities import Quantity
from watchtower_agent.policies.strategies.scale import (
    STALE_AFTER,
    HttpMetricRule,
    MetricRule,
    MqttMetricRule,
    OwnMetricRule,
)
from watchtower_agent.policies.wording import as_written

SCALABLE: Final = tuple(name for name, entry in CATALOGUE.items() if entry.scales)
"""Names of the catalogue that a service can be scaled by."""

SOURCES: Final = ("metric", "mqtt", "http")
ONLY_FOR: Final = {
    "target": ("metric",),
    "value": ("mqtt", "http"),
    "target_per_replica": ("mqtt", "http"),
    "stale_after": ("mqtt", "http"),
    "every": ("http",),
}
"""Key -> beside which sources it may stand."""
_EXAMPLES: Final = {ValueType.PERCENT: "60%", ValueType.BYTES: "512MiB", ValueType.NUMBER: "1.5"}


def metric_of(keys: MetricKeys, path: Path, findings: Findings) -> MetricRule | None:
    """The metric, or None when there are findings.

    Args:
        keys: The item's, none of them broken.
        path: Of the item, in its policy.
        findings: Where mistakes go.
    """
    given = [source for source in SOURCES if getattr(keys, source) is not None]
    if not given:
        remedy = "add metric: cpu.percent_of_limit, mqtt: TOPIC or http: URL"
        findings.find(path, "this says of no metric where it comes from", remedy)
        return None
    if len(given) > 1:
        message = f"a metric comes from one place, and this has {given[0]} and {given[1]}"
        findings.find((*path, given[1]), message, "make two items of it", at_key=True)
        return None
    if not _belongs(keys, given[0], path, findings):
        return None
    return _own(keys, path, findings) if given[0] == "metric" else _external(keys, path, findings)


def _belongs(keys: MetricKeys, source: str, path: Path, findings: Findings) -> bool:
    fine = True
    for key, sources in ONLY_FOR.items():
        if getattr(keys, key) is None or source in sources:
            continue
        fine = False
        instead = {"target": "target_per_replica", "target_per_replica": "target"}.get(key)
        remedy = f"write {instead}" if instead else "leave it out"
        findings.find((*path, key), f"{key} is for {' and '.join(sources)}, not for {source}", remedy, at_key=True)
    return fine


def _own(keys: MetricKeys, path: Path, findings: Findings) -> OwnMetricRule | None:
    name = keys.metric or ""
    entry = CATALOGUE.get(name)
    if entry is None or not entry.scales:
        findings.find((*path, "metric"), *_unfit(name, entry))
        return None
    if keys.target is None:
        findings.find(path, "the key target is missing", f"add target: {_EXAMPLES[entry.type]}")
        return None
    why = _mistaken(entry, keys.target)
    if why is not None:
        findings.find((*path, "target"), *why)
        return None
    return OwnMetricRule(name=name, target=float(keys.target.value))


def _unfit(name: str, entry: Entry | None) -> tuple[str, str]:
    if entry is None:
        near = meant(name, SCALABLE)
        remedy = f"did you mean {near}?" if near in SCALABLE else f"choose one of {', '.join(SCALABLE)}"
        return f"unknown name {shown(name)}", remedy
    if entry.scope is not Scope.CONTAINER:
        near = meant(name.partition(".")[2], SCALABLE)
        hint = near if near in SCALABLE else "cpu.percent_of_limit"
        return f"{name} is not about the replicas of a service", f"use a metric of containers, as {hint}"
    return (
        f"a service can't be scaled by {name}: more replicas make it no less",
        "use what they share, as cpu.percent_of_limit, memory.working_set or network.receive",
    )


def _mistaken(entry: Entry, target: Quantity) -> tuple[str, str] | None:
    """What is wrong with a target of that metric."""
    amount = f"{target.value:.12g}"
    if target.type is ValueType.NUMBER and entry.type is not ValueType.NUMBER:
        unit = "%" if entry.type is ValueType.PERCENT else "MiB"
        return f"{entry.name} has a unit, and {amount} has none", f"write {amount}{unit}"
    if target.type is not entry.type:
        what = {ValueType.PERCENT: "a percentage", ValueType.BYTES: "a size"}.get(entry.type, "a plain number")
        return f"{entry.name} is {what}, and its target is none", f"write it like {_EXAMPLES[entry.type]}"
    if entry.at_most is not None and target.value > entry.at_most:
        return f"{entry.name} is never above {entry.at_most}%", f"write a target below {entry.at_most}%"
    return None


def _external(keys: MetricKeys, path: Path, findings: Findings) -> MetricRule | None:
    target, value = keys.target_per_replica, keys.value or ()
    if target is None:
        message = "the key target_per_replica is missing"
        findings.find(path, message, "add target_per_replica: 30, how much of it one replica is for")
        return None
    stale_after = STALE_AFTER if keys.stale_after is None else keys.stale_after
    if keys.http is None:
        return MqttMetricRule(topic=keys.mqtt or "", value=value, target=target, stale_after=stale_after)
    rule = HttpMetricRule(url=keys.http, value=value, target=target, stale_after=stale_after)
    if keys.every is not None:
        rule = HttpMetricRule(url=keys.http, value=value, target=target, stale_after=stale_after, every=keys.every)
    if rule.every > rule.stale_after:
        written = "every" if keys.every is not None else "stale_after"
        asked, known = as_written(rule.every), as_written(rule.stale_after)
        message = f"it is asked every {asked}, and not known after {known}"
        findings.find((*path, written), message, f"write every: {known} or less, or a longer stale_after")
        return None
    return rule
