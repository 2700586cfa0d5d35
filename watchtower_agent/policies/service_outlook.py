"""What would happen next to a service that a policy scales, and when. Pure."""

from __future__ import annotations

import math

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.explanation import Next, Outlook
from watchtower_agent.policies.scaled import shortage
from watchtower_agent.policies.scaling.recommendation import Limit, Recommendation
from watchtower_agent.policies.survey import Survey, Unseen
from watchtower_agent.policies.wording import lasting


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCase:
    """One scaled service, as it stands, while nothing is wanted of it or done to it.

    Attributes:
        seen: The newest survey, or why there is none.
        recommendation: Of the newest look; None before the first.
        acts: Whether it is for this agent to act.
        failed: Why the last change failed; empty where it did not.
        retry_in: Seconds until the next one may be tried; 0: now.
        hands_off_for: Seconds for which somebody else's change is left alone.
    """

    seen: Survey | Unseen
    recommendation: Recommendation | None
    acts: bool
    failed: str = ""
    retry_in: float = 0.0
    hands_off_for: float = 0.0


def next_of_service(case: ServiceCase, now: Instant) -> Next:
    """What comes next."""
    seen, recommendation = case.seen, case.recommendation
    if isinstance(seen, Unseen) or recommendation is None:
        why = seen.why if isinstance(seen, Unseen) else "it has not been looked at yet"
        return Next(outlook=Outlook.UNKNOWN, words=f"not known: {why}")
    if not case.acts:
        words = f"nothing here: the agent of the Swarm's leader acts; {needs(recommendation)}"
        return Next(outlook=Outlook.NOTHING, words=words)
    if case.retry_in > 0:
        words = f"the last change failed ({case.failed}); tried again in {lasting(case.retry_in)}"
        return Next(outlook=Outlook.HELD, words=words, at=now.wall + case.retry_in)
    if recommendation.limit is Limit.OPERATOR and (why := shortage(recommendation)) and case.hands_off_for > 0:
        words = f"stays at {recommendation.wanted}, {needs(recommendation)}: {why}; {lasting(case.hands_off_for)} more"
        return Next(outlook=Outlook.HELD, words=words, at=now.wall + case.hands_off_for)
    return _for(recommendation, now)


def _for(recommendation: Recommendation, now: Instant) -> Next:
    """What comes of a recommendation, at this moment or in time."""
    if why := shortage(recommendation):
        return Next(outlook=Outlook.HELD, words=f"stays at {recommendation.wanted}, {needs(recommendation)}: {why}")
    if recommendation.moves:
        words = f"goes from {recommendation.wanted} to {recommendation.to} with the next sample"
        return Next(outlook=Outlook.COUNTING, words=words, at=now.wall)
    return _in_time(recommendation, now)


def _in_time(recommendation: Recommendation, now: Instant) -> Next:
    """Nothing is wanted at this moment; what time will bring."""
    stays = f"stays at {recommendation.wanted}: {needs(recommendation)}"
    if recommendation.limit is Limit.COOLDOWN and recommendation.desired > recommendation.wanted:
        left = recommendation.may_grow_in
        return Next(
            outlook=Outlook.COUNTING,
            words=f"{needs(recommendation)}, has {recommendation.wanted}: grows in {lasting(left)} (cooldown)",
            at=now.wall + left,
        )
    if recommendation.limit is Limit.TOLERANCE:
        return Next(outlook=Outlook.NOTHING, words=f"{stays}, which is tolerated ({recommendation.tolerance:.0%})")
    shrinks = recommendation.may_shrink_in
    if shrinks is not None:
        late = " (a shrink was regretted lately)" if recommendation.regretted else ""
        return Next(
            outlook=Outlook.COUNTING,
            words=f"{stays}; shrinks in {lasting(shrinks)} if it needs no more until then{late}",
            at=now.wall + shrinks,
        )
    return Next(outlook=Outlook.NOTHING, words=stays)


def needs(recommendation: Recommendation) -> str:
    """What it needs: `needs 3.3`."""
    if not recommendation.metric:
        return "what it needs is not known"
    jump = recommendation.jump
    more = jump is not None and math.ceil(jump) > math.ceil(recommendation.need)
    newest = f" ({jump:.3g} by the last 5 s)" if more else ""
    return f"needs {recommendation.need:.3g}{newest}"
