"""Policies that scale, made without their text."""

from __future__ import annotations

from watchtower_agent.model.decision import Mode, Verb
from watchtower_agent.policies.policy import Place, Policy, PolicySet, Then
from watchtower_agent.policies.strategies.scale import (
    MetricRule,
    OwnMetricRule,
    ScaleStrategy,
    ScaleTarget,
    ServiceKind,
)

SWARM = ScaleTarget(kind=ServiceKind.SWARM, service="shop_web")
COMPOSE = ScaleTarget(kind=ServiceKind.COMPOSE, project="shop", service="web")
CPU = OwnMetricRule(name="cpu.percent_of_limit", target=60.0)


def scaling(*metrics: MetricRule, target: ScaleTarget = SWARM) -> ScaleStrategy:
    """A service that is scaled by these, by its CPU unless told otherwise."""
    return ScaleStrategy(target=target, least=1, most=10, metrics=metrics or (CPU,))


def policies(*strategies: ScaleStrategy, mode: Mode = Mode.ENFORCE) -> PolicySet:
    """One policy for each, in force unless told otherwise."""
    return PolicySet(
        policies=tuple(
            Policy(
                name=f"scale-{number}",
                mode=mode,
                selector=None,
                trigger=strategy,
                then=Then(verb=Verb.SCALE),
                place=Place(file="test.yaml", line=number + 1, column=1),
            )
            for number, strategy in enumerate(strategies)
        ),
        digest="d",
    )
