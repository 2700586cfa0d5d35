"""From a recommendation to the decision that it leads to, in words that people read. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Decision, Number, Target, TargetKind, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Intent
from watchtower_agent.policies.making import container_target, digest
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.scaling.needs import MetricNeed
from watchtower_agent.policies.scaling.recommendation import Limit, Recommendation
from watchtower_agent.policies.strategies.scale import ScaleStrategy
from watchtower_agent.policies.survey import Survey
from watchtower_agent.policies.wording import lasting, valued
from watchtower_agent.state.host_state import HostState

_MOST_NAMED: Final = 5

TO: Final = "to"
"""Among the parameters of a decision to scale: how many replicas there should be."""

NO_LIMITS: Final[Mapping[str, Number]] = {}

SHORTAGES: Final[Mapping[Limit, str]] = {
    Limit.MISSING: "not everything is known",
    Limit.OPERATOR: "somebody else changed its number of replicas, which is left alone for a while",
    Limit.SETTLING: "somebody makes, stops or removes its containers, which is let come to its end",
    Limit.STOPPED: "somebody else wants no replica of it, which is left so until somebody scales it up again",
    Limit.UPDATING: "it is being updated or rolled back",
    Limit.FEWER_RUNNING: "fewer of its replicas run than are wanted",
    Limit.HOST_ROOM: "the host has no memory for more",
    Limit.MAX: "it has as many as it may have (max)",
}
"""Limits that keep a service from what it needs for reasons that people should hear about. The others are the ordinary
course of things: a window that is not over, a cooldown, a step."""
_OF_NONE: Final = frozenset({Limit.STOPPED, Limit.MISSING})


def target_of(strategy: ScaleStrategy) -> Target:
    """The service as a decision's target."""
    return Target(kind=TargetKind.SERVICE, id=strategy.target.key, name=strategy.target.name)


def scale_decision(
    policy: Policy,
    strategy: ScaleStrategy,
    seen: Survey,
    recommendation: Recommendation,
    now: Instant,
    *,
    expires_at: float,
    limits: Mapping[str, Number] = NO_LIMITS,
) -> Decision:
    """What the policy wants of the service.

    Args:
        policy: Which wants it.
        strategy: Its own.
        seen: The service.
        recommendation: One that moves.
        now: The present.
        expires_at: Until when it counts, seconds since the epoch.
        limits: Of clones: those that are other than their original's.
    """
    target = target_of(strategy)
    correlation = digest("scale", policy.name, target.id, repr(now.wall))
    return Decision(
        id=digest("decision", correlation),
        policy=policy.name,
        target=target,
        verb=Verb.SCALE,
        reason=because(recommendation),
        numbers=recommendation.numbers(),
        parameters=parameters_of(strategy, seen, recommendation, limits),
        correlation_id=correlation,
        decided_at=now.wall,
        expires_at=expires_at,
    )


def parameters_of(
    strategy: ScaleStrategy, seen: Survey, recommendation: Recommendation, limits: Mapping[str, Number] = NO_LIMITS
) -> dict[str, Number]:
    """What the action has to know."""
    wanted, to = recommendation.wanted, recommendation.to
    given: dict[str, Number] = {TO: to, "from": wanted}
    if seen.swarm is not None:
        return given | {"service_id": seen.swarm.id, "version": seen.swarm.version}
    if to > wanted:
        original = seen.originals[0].container.id if seen.originals else ""
        return given | {"original": original, "add": to - wanted, "shared": strategy.shared, **limits}
    removed = [each.container.id for each in seen.clones[: wanted - to]]
    return given | {"remove": ",".join(removed)}


def litter_decision(
    policy: Policy,
    strategy: ScaleStrategy,
    seen: Survey,
    recommendation: Recommendation,
    now: Instant,
    *,
    expires_at: float,
) -> Decision:
    """Remove what is left of clones: they never ran, since a crash of the agent came between, or ended for good."""
    target, names = target_of(strategy), [each.container.name for each in seen.litter]
    never = all(each.container.status is ContainerStatus.CREATED for each in seen.litter)
    why = "was made and never started: an interrupted change left it" if never else "ended, and nobody started it again"
    correlation = digest("litter", policy.name, target.id, repr(now.wall))
    wanted = seen.situation.wanted
    removed = ",".join(each.container.id for each in seen.litter)
    return Decision(
        id=digest("decision", correlation),
        policy=policy.name,
        target=target,
        verb=Verb.SCALE,
        reason=f"{', '.join(names[:_MOST_NAMED])} {why}",
        numbers={**recommendation.numbers(), "left_over": len(names)},
        parameters={TO: wanted, "from": wanted, "remove": removed},
        correlation_id=correlation,
        decided_at=now.wall,
        expires_at=expires_at,
    )


def because(recommendation: Recommendation) -> str:
    """Why the number should change."""
    wanted, to = recommendation.wanted, recommendation.to
    if recommendation.limit in {Limit.MIN, Limit.MAX} and not recommendation.need:
        return f"{wanted} replicas are outside min {recommendation.bounds.least} and max {recommendation.bounds.most}"
    if to > wanted:
        jump = recommendation.jump or 0.0
        newest = " by its last 5 s" if math.ceil(jump) > math.ceil(recommendation.need) else ""
        needs = f"needs {_replicas(max(recommendation.need, jump))}{newest}, has {wanted}"
    elif to == 0:
        needs = "idle for long enough, has 1"
    else:
        fewer = recommendation.most <= to
        most, window = (
            (recommendation.most, recommendation.window) if fewer else (recommendation.recent, recommendation.wait)
        )
        needs = f"needed {_replicas(most)} at most for {lasting(window)}, has {wanted}"
    first = next((each for each in recommendation.needs if each.metric == recommendation.metric), None)
    said = f"{needs}: {measured(first)}" if first is not None and first.value is not None else needs
    return said + _limited(recommendation)


def _limited(recommendation: Recommendation) -> str:
    if recommendation.to in {recommendation.wanted, recommendation.desired}:
        return ""
    limit = recommendation.limit
    return f"; {recommendation.to} for now ({limit})" if limit is not None else ""


def measured(need: MetricNeed) -> str:
    """What one metric says: `cpu.percent_of_limit is 102 % of 60 %`."""
    if need.value is None:
        return f"{need.metric} is not known: {need.why}"
    if need.counted:
        value, target = valued(need.metric, need.value), valued(need.metric, need.target)
        return f"{need.metric} is {value} on average (target {target})"
    return f"{need.metric} is {need.value:g} (one replica for {need.target:g})"


def shortage(recommendation: Recommendation) -> str:
    """Why a service stays as it is though it needs something else, where people should hear about it; else empty."""
    limit = recommendation.limit
    if recommendation.moves or limit not in SHORTAGES:
        return ""
    # Without replicas nothing needs more: what keeps it from ever coming back counts all the same.
    if recommendation.desired == recommendation.wanted and not (recommendation.wanted == 0 and limit in _OF_NONE):
        return ""
    assert limit is not None
    unknown = [measured(each) for each in recommendation.needs if each.value is None]
    known = [each for each in recommendation.needs if each.value is not None]
    missing = [
        f"{each.missing} replica{' has' if each.missing == 1 else 's have'} no {each.metric}"
        for each in known
        if each.missing
    ]
    why = "; ".join((*unknown, *missing)) if limit is Limit.MISSING else ""
    return f"{SHORTAGES[limit]}{f' ({why})' if why else ''}"


def _replicas(need: float) -> str:
    return f"{need:.3g} replica{'' if need == 1 else 's'}"


def ends_of_clones(intent: Intent, state: HostState) -> Iterator[Intent]:
    """What an intent to shrink does to each container that it takes away: so that their ends are seen to be ours."""
    removed = intent.decision.parameters.get("remove")
    for container_id in str(removed).split(",") if removed else ():
        record = state.containers.get(container_id)
        if record is not None:
            decision = replace(intent.decision, target=container_target(record), verb=Verb.STOP, parameters={})
            yield replace(intent, decision=decision, started_at_before=record.started)
