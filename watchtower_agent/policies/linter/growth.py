"""What of a policy that scales can never come about. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

from watchtower_agent.policies.catalogue import CATALOGUE
from watchtower_agent.policies.linter.doubt import Doubt
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.scaling.rules import COST_OF_GOING_ON
from watchtower_agent.policies.strategies.scale import MetricRule, OwnMetricRule, ScaleStrategy


def never_grows(policy: Policy) -> Iterator[Doubt]:
    """Targets so near to all that there is that no replica ever has enough above them, of any of the metrics."""
    strategy = policy.trigger
    if not isinstance(strategy, ScaleStrategy):
        return
    up = strategy.rules.up
    least_excess = 1.0 + up.tolerance * COST_OF_GOING_ON
    tops = [(metric, _at_most(metric)) for metric in strategy.metrics]
    if any(most is None or metric.target * least_excess < most for metric, most in tops):
        return
    metric, most = tops[-1]
    assert most is not None
    yield Doubt(
        policy=policy,
        path=("scale", "metrics", len(tops) - 1, "target"),
        message=f"no load makes this grow: {metric.name} is {most}% at most, hardly more than the target",
        remedy=f"write a target below {math.floor(most / (1.0 + up.tolerance))}%",
    )


def _at_most(metric: MetricRule) -> int | None:
    return CATALOGUE[metric.name].at_most if isinstance(metric, OwnMetricRule) else None


def never_idle(policy: Policy) -> Iterator[Doubt]:
    """A rule for the last replica that min keeps at all times, or that the agent did not make."""
    strategy = policy.trigger
    if not isinstance(strategy, ScaleStrategy) or strategy.idle is None:
        return
    message, remedy = "", "write min: 0, or leave idle out"
    if strategy.clones:
        message = f"the last replica never goes: of {strategy.target.name} only what the agent made is removed"
        remedy = "write min: 1, and leave idle out: only services of a Swarm go down to none"
    elif strategy.least > 0 and all(each.least != 0 for each in strategy.schedule):
        message = f"the last replica never goes: min is {strategy.least}"
    if message:
        yield Doubt(policy=policy, path=("scale", "idle"), message=message, remedy=remedy, at_key=True)


def stays_at_none(policy: Policy) -> Iterator[Doubt]:
    """Times in which the last replica may go, and of which the metrics tell nothing once it has gone."""
    strategy = policy.trigger
    if not isinstance(strategy, ScaleStrategy) or strategy.clones or strategy.idle is None:
        return
    if not strategy.metrics or len(strategy.own_metrics) < len(strategy.metrics):
        return
    for index, each in enumerate(strategy.schedule):
        if each.least == 0:
            yield Doubt(
                policy=policy,
                path=("scale", "schedule", index, "min"),
                message="once the last replica has gone nothing brings one back before this time is over:"
                " without replicas there are no metrics of theirs",
                remedy="add a metric of mqtt or http, or write min: 1",
            )
