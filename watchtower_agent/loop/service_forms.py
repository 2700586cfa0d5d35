"""A scaled service as JSON objects, and as a case for whoever tells what comes next. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from watchtower_agent.loop.forms import LONGEST_NAME, LONGEST_SENTENCE
from watchtower_agent.loop.readings import cut
from watchtower_agent.loop.scaled_service import Scaled
from watchtower_agent.loop.scaling import Scaling
from watchtower_agent.model.decision import Decision
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.scaled import scale_decision, shortage
from watchtower_agent.policies.scaling.needs import MetricNeed
from watchtower_agent.policies.scaling.recommendation import Recommendation
from watchtower_agent.policies.service_outlook import ServiceCase
from watchtower_agent.policies.strategies.scale import ScaleStrategy
from watchtower_agent.policies.survey import Unseen


def service_case(known: Scaled, now: Instant) -> ServiceCase:
    """What there is to tell of it while nothing is wanted or done."""
    return ServiceCase(
        seen=known.seen,
        recommendation=known.looked.recommendation if known.looked is not None else None,
        acts=known.acts,
        failed=cut(known.failed, LONGEST_SENTENCE),
        retry_in=max(0.0, known.retry_at - now.monotonic),
        hands_off_for=_left(known.hands_off_until, now),
    )


def supposed_change(policy: Policy, strategy: ScaleStrategy, known: Scaled, now: Instant) -> Decision | None:
    """What would be wanted: the change, or one replica more where none is; None while nothing is known."""
    if known.looked is None or isinstance(known.seen, Unseen):
        return None
    recommendation = known.looked.recommendation
    if not recommendation.moves:
        recommendation = replace(recommendation, to=recommendation.wanted + 1)
    return scale_decision(policy, strategy, known.seen, recommendation, now, expires_at=now.wall + 1)


def service_json(known: Scaled, now: Instant) -> dict[str, object]:
    """Everything about one scaled service."""
    seen, looked = known.seen, known.looked
    told: dict[str, object] = {
        "acts": known.acts,
        "unseen": cut(seen.why, LONGEST_SENTENCE) if isinstance(seen, Unseen) else "",
        "hands_off_for": _left(known.hands_off_until, now),
        "failures": known.failures,
        "failed": cut(known.failed, LONGEST_SENTENCE),
        "retry_in": _left(known.retry_at, now),
    }
    if not isinstance(seen, Unseen):
        told |= {"clones": len(seen.clones), "originals": len(seen.originals)}
    return told if looked is None else told | _recommendation_json(looked.recommendation)


def services_told(policies: PolicySet, scaling: Scaling) -> Iterator[dict[str, object]]:
    """Every scaled service in few words, in the order of the policies; what is not known is left out."""
    for policy in policies.policies:
        known = scaling.by.get(policy.name)
        if known is None or not isinstance(policy.trigger, ScaleStrategy):
            continue
        told: dict[str, object] = {
            "policy": policy.name,
            "service": cut(policy.trigger.target.name, LONGEST_NAME),
            "acts": known.acts,
            "unseen": cut(known.seen.why, LONGEST_SENTENCE) if isinstance(known.seen, Unseen) else "",
            "failed": cut(known.failed, LONGEST_SENTENCE),
        }
        if known.looked is not None and not isinstance(known.seen, Unseen):
            recommendation = known.looked.recommendation
            told |= {
                "wanted": recommendation.wanted,
                "running": recommendation.running,
                "needed": recommendation.desired if recommendation.metric else None,
                "min": recommendation.bounds.least,
                "max": recommendation.bounds.most,
                "limit": recommendation.limit.value if recommendation.limit is not None else None,
            }
        yield told


def _recommendation_json(recommendation: Recommendation) -> dict[str, object]:
    return {
        "wanted": recommendation.wanted,
        "running": recommendation.running,
        "to": recommendation.to,
        "desired": recommendation.desired,
        "min": recommendation.bounds.least,
        "max": recommendation.bounds.most,
        "need": recommendation.need if recommendation.metric else None,
        "jump": recommendation.jump,
        "tolerance": recommendation.tolerance,
        "most": recommendation.most,
        "window": recommendation.window,
        "recent": recommendation.recent,
        "wait": recommendation.wait,
        "regretted": recommendation.regretted,
        "room": recommendation.room,
        "may_grow_in": recommendation.may_grow_in,
        "may_shrink_in": recommendation.may_shrink_in,
        "shortage": cut(shortage(recommendation), LONGEST_SENTENCE),
        "metrics": [_metric_json(each) for each in recommendation.needs],
        "limits": [
            {"limit": each.limit.value, "before": each.before, "after": each.after} for each in recommendation.limits
        ],
    }


def _metric_json(need: MetricNeed) -> dict[str, object]:
    return {
        "name": cut(need.metric, LONGEST_NAME),
        "value": need.value,
        "target": need.target,
        "ratio": need.ratio,
        "need": need.need,
        "newest_need": need.newest,
        "counted": need.counted,
        "missing": need.missing,
        "warming": need.warming,
        "why": cut(need.why, LONGEST_SENTENCE),
    }


def _left(until: float, now: Instant) -> float:
    return max(0.0, until - now.monotonic) if math.isfinite(until) else 0.0
