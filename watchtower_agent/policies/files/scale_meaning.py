"""`target` and `scale` of one policy, taken together: what they say of a service, or what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from watchtower_agent.policies.files.findings import Findings
from watchtower_agent.policies.files.metric_meaning import metric_of
from watchtower_agent.policies.files.scale_keys import (
    BoundsKeys,
    DownKeys,
    IdleKeys,
    MetricKeys,
    ScaleKeys,
    TargetKeys,
    UpKeys,
)
from watchtower_agent.policies.files.sources import MOST_LABELS
from watchtower_agent.policies.scaling.rules import Rules
from watchtower_agent.policies.strategies.scale import (
    RESERVE,
    BoundsRule,
    HttpMetricRule,
    MetricRule,
    MqttMetricRule,
    OwnMetricRule,
    ScaleStrategy,
    ScaleTarget,
    ServiceKind,
)
from watchtower_agent.policies.times.moments import Schedule
from watchtower_agent.policies.wording import as_written

MOST_METRICS: Final = 20
MOST_BOUNDS: Final = 100
"""Items under `scale.schedule`."""
TARGET_EXAMPLE: Final = "{swarm_service: shop_web}, {compose: {project: shop, service: web}} or {group: {labels: {…}}}"
SCALE_EXAMPLE: Final = "{min: 1, max: 10, metrics: [{metric: cpu.percent_of_limit, target: 60%}]}"
_IDLE_EXAMPLE: Final = "idle: {below: 5%, for: 15m}"


def target_of(keys: TargetKeys, findings: Findings) -> ScaleTarget | None:
    """Which service; None when there are findings, or were some before."""
    if not findings.intact("target"):
        return None
    named = [key for key in TargetKeys.model_fields if getattr(keys, key) is not None]
    if not named:
        findings.find(("target",), "this names no service", f"write {TARGET_EXAMPLE}")
        return None
    if len(named) > 1:
        message = f"a target is one service, and this names {named[0]} and {named[1]}"
        findings.find(("target", named[1]), message, "make two policies of it", at_key=True)
        return None
    if keys.group is not None:
        return _group(keys.group.labels, findings)
    if keys.compose is not None:
        return ScaleTarget(kind=ServiceKind.COMPOSE, project=keys.compose.project, service=keys.compose.service)
    return ScaleTarget(kind=ServiceKind.SWARM, service=keys.swarm_service or "")


def _group(labels: dict[str, str], findings: Findings) -> ScaleTarget | None:
    path = ("target", "group", "labels")
    if not labels:
        findings.find(path, "no label is named", "write them like {app: worker}")
    elif len(labels) > MOST_LABELS:
        findings.find(path, f"{len(labels)} labels are more than any group needs", f"{MOST_LABELS} is the most")
    else:
        return ScaleTarget(kind=ServiceKind.GROUP, labels=dict(labels))
    return None


class ScaleMeaning:
    """Finds out how one policy scales its service."""

    def __init__(self, keys: ScaleKeys, target: ScaleTarget | None, findings: Findings) -> None:
        """Take `scale` apart.

        Args:
            keys: What is written under it, without what is broken.
            target: The service; None where that is not known.
            findings: Where mistakes go.
        """
        self._keys = keys
        self._target = target
        self._findings = findings

    def strategy(self) -> ScaleStrategy | None:
        """What it says, None where the service is not known; whatever is wrong with the rest is among the findings."""
        keys = self._keys
        metrics = tuple(self._metrics())
        self._bounds(metrics)
        self._clones()
        rules = self._rules()
        schedule = tuple(self._schedule())
        if self._target is None:
            return None
        return ScaleStrategy(
            target=self._target,
            least=keys.least or 0,
            most=keys.most or 0,
            metrics=metrics,
            rules=rules,
            schedule=schedule,
            idle=keys.idle.value() if keys.idle else None,
            reserve=RESERVE if keys.reserve is None else float(keys.reserve),
            shared=bool(keys.shared),
        )

    def _find(self, *path: str | int, message: str, remedy: str, at_key: bool = False) -> None:
        self._findings.find(("scale", *path), message, remedy, at_key=at_key)

    def _intact(self, *path: str | int) -> bool:
        return self._findings.intact("scale", *path)

    # --- metrics ------------------------------------------------------------------------------------------------------

    def _metrics(self) -> Iterator[MetricRule]:
        metrics = self._keys.metrics
        if metrics is None:
            if self._intact("metrics"):
                remedy = "add metrics: [{metric: cpu.percent_of_limit, target: 60%}]"
                self._find(message="the key metrics is missing", remedy=remedy)
            return
        if not metrics and self._intact("metrics"):
            self._find(
                "metrics", message="no metric is named", remedy="write [{metric: cpu.percent_of_limit, target: 60%}]"
            )
        if len(metrics) > MOST_METRICS:
            message = f"{len(metrics)} metrics are more than anything is scaled by"
            self._find("metrics", message=message, remedy=f"{MOST_METRICS} is the most")
            return
        yield from self._each_once(metrics)

    def _each_once(self, metrics: list[MetricKeys]) -> Iterator[MetricRule]:
        seen: dict[tuple[object, ...], int] = {}
        for index, keys in zip(self._findings.indexes("scale", "metrics"), metrics, strict=False):
            path = ("scale", "metrics", index)
            rule = metric_of(keys, path, self._findings) if self._findings.intact(*path) else None
            if rule is None:
                continue
            first = seen.setdefault(_identity(rule), index)
            if first != index:
                message = f"this is the same metric as at metrics[{first}]"
                self._findings.find(path, message, "keep one of them")
            else:
                yield rule

    # --- bounds -------------------------------------------------------------------------------------------------------

    def _bounds(self, metrics: tuple[MetricRule, ...]) -> None:
        least, most = self._keys.least, self._keys.most
        for key, value, example in (("min", least, 1), ("max", most, 10)):
            if value is None and self._intact(key):
                self._find(message=f"the key {key} is missing", remedy=f"add {key}: {example}")
        if least is not None and most is not None and most < least:
            self._find("max", message="max is less than min", remedy="write a max that is at least min")
        if least == 0:
            self._from_nothing(metrics)

    def _from_nothing(self, metrics: tuple[MetricRule, ...]) -> None:
        """Whether anything tells when the last replica goes, and when the first comes back."""
        if self._keys.idle is None and self._intact("idle"):
            message = "min is 0, and nothing says when the last replica goes"
            self._find("min", message=message, remedy=f"add {_IDLE_EXAMPLE}, or write min: 1")
        own_only = all(isinstance(each, OwnMetricRule) for each in metrics)
        if metrics and own_only and self._intact("metrics"):
            message = "min is 0, and no metric could tell when to come back: without replicas there are none of theirs"
            self._find("min", message=message, remedy="add a metric of mqtt or http, or write min: 1")

    def _schedule(self) -> Iterator[BoundsRule]:
        schedule = self._keys.schedule
        if schedule is None or not self._intact("schedule"):
            return
        if not schedule:
            self._find("schedule", message="no time is named", remedy="name one, or leave schedule out")
        if len(schedule) > MOST_BOUNDS:
            message = f"{len(schedule)} times are more than anybody keeps in mind"
            self._find("schedule", message=message, remedy=f"{MOST_BOUNDS} is the most")
            return
        for index, each in enumerate(schedule):
            self._time(each, index)
            opens = Schedule(each.cron, each.timezone)
            yield BoundsRule(opens=opens, open_for=each.open_for, least=each.least, most=each.most)

    def _time(self, each: BoundsKeys, index: int) -> None:
        if each.least is None and each.most is None:
            self._find("schedule", index, message="this changes neither min nor max", remedy="add min: 4, or max: 20")
        elif each.least is not None and each.most is not None and each.most < each.least:
            self._find(
                "schedule", index, "max", message="max is less than min", remedy="write a max that is at least min"
            )
        if each.least == 0 and self._keys.idle is None and self._intact("idle"):
            message = "min is 0, and nothing says when the last replica goes"
            self._find("schedule", index, "min", message=message, remedy=f"add {_IDLE_EXAMPLE} under scale")

    # --- how it moves -------------------------------------------------------------------------------------------------

    def _rules(self) -> Rules:
        up, down, idle = self._keys.up or UpKeys(), self._keys.down or DownKeys(), self._keys.idle
        known = self._intact("down", "fast") and self._intact("down", "window")
        if "fast" in down.model_fields_set and known and down.fast.per > down.window:
            message = f"fast waits for {as_written(down.fast.per)}, and the window is {as_written(down.window)} long"
            self._find("down", "fast", message=message, remedy="write a shorter time, or a longer window")
        return Rules(up=up.value(), down=down.value(), idle_for=_idle_for(idle))

    def _clones(self) -> None:
        """What is about the containers that the agent makes says nothing where Swarm makes them."""
        if self._target is None or self._target.kind is not ServiceKind.SWARM:
            return
        for key in ("reserve", "shared"):
            if getattr(self._keys, key) is not None:
                message = (
                    f"{key} is about containers that the agent makes, and Swarm makes those of {self._target.name}"
                )
                self._find(key, message=message, remedy="leave it out", at_key=True)


def _idle_for(idle: IdleKeys | None) -> float | None:
    return None if idle is None else idle.idle_for


def _identity(rule: MetricRule) -> tuple[object, ...]:
    match rule:
        case OwnMetricRule():
            return ("metric", rule.name)
        case MqttMetricRule():
            return ("mqtt", rule.topic, rule.value)
        case HttpMetricRule():
            return ("http", rule.url, rule.value)
