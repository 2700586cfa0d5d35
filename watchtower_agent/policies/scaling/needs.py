"""How many replicas each metric needs, and what is known of that."""

from __future__ import annotations

import math
from typing import Final

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.scaling.situation import ExternalMetric, Metric, OwnMetric, Replica, Situation

_HAIR: Final = 1e-6
"""Of a replica: so little less than nothing comes of rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricNeed:
    """What one metric says.

    Attributes:
        metric: Its name.
        value: The mean of the replicas that count, or what came from outside; None: not known.
        target: Of each replica, or how much one is for.
        ratio: The mean's share of the target (1 is on target); of a metric from outside, of the wanted replicas'.
        need: How many replicas would be on target, not rounded; None: not known.
        least: The same if those without a value had nothing to do; None: not known.
        newest: The same of the very last seconds; None: not known, or the metric has but one value.
        counted: Replicas with a value.
        missing: Replicas without one.
        warming: Replicas that are not healthy, or became so only now.
        why: Why it is not known, in few words; empty when it is.
    """

    metric: str
    value: float | None
    target: float
    ratio: float | None = None
    need: float | None = None
    least: float | None = None
    newest: float | None = None
    counted: int = 0
    missing: int = 0
    warming: int = 0
    why: str = ""

    @property
    def over(self) -> bool:
        """The replicas that count are above target."""
        return self.ratio is not None and self.counted > 0 and self.ratio > 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What all metrics together say.

    Attributes:
        by_metric: Each, in the policy's order.
        first: The one that needs most; None while none is known.
        measured: What it needs; 0 while none is known.
        least: What it needs at least: if the replicas without a value had nothing to do; 0 while none is known.
        newest: The most that one needed in the very last seconds; 0 while none is known.
        unknown: A metric is not known: no fewer are needed than are wanted.
        missing: A replica that should have a value has none. It is assumed to be on target, so that the past is told
            no less; but for as long as it lasts nothing shrinks.
        over: Replicas that count are above target: whatever the others will turn out to do, no fewer are needed.
    """

    by_metric: tuple[MetricNeed, ...]
    first: MetricNeed | None
    measured: float
    least: float
    newest: float
    unknown: bool
    missing: bool
    over: bool

    def at_least(self, wanted: int) -> float:
        """What is needed as far as is known, and no less than is wanted now where that is not far enough."""
        return max(self.measured, float(wanted)) if self.unknown or self.over else self.measured


def needs_of(situation: Situation, warm_up: float) -> Needs:
    """What is needed at this moment.

    Args:
        situation: The service.
        warm_up: Seconds that a replica has to be healthy before it counts.
    """
    warm = [each for each in situation.replicas if each.healthy_for is not None and each.healthy_for >= warm_up - 1e-6]
    warming = len(situation.replicas) - len(warm)
    by_metric = tuple(_need(each, warm, warming, situation.wanted) for each in situation.metrics)
    first, measured = None, 0.0
    for each in by_metric:
        if each.need is not None and (first is None or each.need > measured):
            first, measured = each, each.need
    return Needs(
        by_metric=by_metric,
        first=first,
        measured=measured,
        least=max((each.least for each in by_metric if each.least is not None), default=0.0),
        newest=max((each.newest for each in by_metric if each.newest is not None), default=0.0),
        unknown=not by_metric or any(each.need is None for each in by_metric),
        missing=any(each.missing for each in by_metric),
        over=any(each.over for each in by_metric),
    )


def _need(metric: Metric, warm: list[Replica], warming: int, wanted: int) -> MetricNeed:
    if isinstance(metric, ExternalMetric):
        return _external(metric, wanted)
    return _own(metric, warm, warming, wanted)


def _own(metric: OwnMetric, warm: list[Replica], warming: int, wanted: int) -> MetricNeed:
    total, newest, counted = 0.0, 0.0, 0
    for replica in warm:
        value = replica.values.get(metric.name)
        if value is not None and 0.0 <= value < math.inf:  # a number that is none fails both
            total += value
            last = replica.newest.get(metric.name, value)
            newest += last if 0.0 <= last < math.inf else value
            counted += 1
    missing = len(warm) - counted
    if not counted:
        why = "no replica has been healthy for long enough" if not missing else "no replica has a value"
        return MetricNeed(
            metric=metric.name, value=None, target=metric.target, missing=missing, warming=warming, why=why
        )
    need, newest = total / metric.target, newest / metric.target
    if not (math.isfinite(need) and math.isfinite(newest)):
        why = "its replicas' values are beyond all numbers"
        return MetricNeed(
            metric=metric.name, value=None, target=metric.target, missing=missing, warming=warming, why=why
        )
    ratio, least = need / counted, need
    if ratio <= 1.0:  # the others count as on target; but what is not known makes nothing grow
        least = max(need, min(need + warming, float(wanted)))
        need = max(need, min(need + missing + warming, float(wanted)))
    return MetricNeed(
        metric=metric.name,
        value=total / counted,
        target=metric.target,
        ratio=ratio,
        need=need,
        least=least,
        newest=newest,
        counted=counted,
        missing=missing,
        warming=warming,
    )


def _external(metric: ExternalMetric, wanted: int) -> MetricNeed:
    value, why = metric.value, ""
    if value is None:
        why = metric.why or "nothing came yet"
    elif not math.isfinite(value):
        why = "what came is no number"
    elif value < -_HAIR * metric.target:  # many say -1 where they mean that they don't know
        why = f"what came is below 0 ({value:g})"
    elif not metric.age <= metric.stale_after:
        why = f"stale: {metric.age:.0f} s old, stale_after {metric.stale_after:.0f} s"
        why += f" ({metric.why})" if metric.why else ""
    if value is None or why:
        return MetricNeed(metric=metric.name, value=None, target=metric.target, why=why)
    need = max(0.0, value) / metric.target
    if not math.isfinite(need):
        return MetricNeed(metric=metric.name, value=value, target=metric.target, why="what came is beyond all numbers")
    ratio = need / wanted if wanted else None
    return MetricNeed(metric=metric.name, value=value, target=metric.target, ratio=ratio, need=need, least=need)
