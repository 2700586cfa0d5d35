"""What people are told of scaled services, each once for as long as it is the same. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from watchtower_agent.loop import strategy_notices
from watchtower_agent.loop.scaled_service import Scaled
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.scaled import shortage
from watchtower_agent.policies.scaling.recommendation import Limit
from watchtower_agent.policies.scaling.tracking import Look

_TOLD_AFTER, _FORGOTTEN_AFTER = 30.0, 60.0
"""Seconds for which a shortage has to last before people are told, and has to be over before they are told again."""
_SETTLED_BY: Final = 300.0
"""Seconds by which what somebody does to containers is usually over: before that it is nothing to tell."""


@dataclass(slots=True)
class ScalingNews:
    """What was told is remembered with the service.

    Attributes:
        say: Publishes a notice.
    """

    say: Callable[[Notice, Instant], None]

    def of_look(self, policy: Policy, known: Scaled, looked: Look, now: Instant) -> None:
        """Tell that a shrink is regretted, and what keeps a service from as many replicas as it needs."""
        recommendation = looked.recommendation
        if looked.regretted:
            self.say(strategy_notices.shrink_regretted(policy, recommendation, now.wall), now)
        why, limit = shortage(recommendation), recommendation.limit
        if not why:
            known.shortage, known.shortage_limit = "", None
            if known.told is not None and now.monotonic - known.told_at >= _FORGOTTEN_AFTER:
                known.told = None
            return
        if known.shortage_limit is not limit:
            known.shortage_since, known.shortage_limit = now.monotonic, limit
        known.shortage = why
        if known.told is limit:
            known.told_at = now.monotonic
        elif now.monotonic - known.shortage_since >= (_SETTLED_BY if limit is Limit.SETTLING else _TOLD_AFTER):
            known.told, known.told_at = limit, now.monotonic
            self.say(strategy_notices.scaling_limited(policy, recommendation, why, now.wall), now)

    def of_another(self, policy: Policy, known: Scaled, another: str, now: Instant) -> None:
        """Tell that another policy scales the same containers.

        Args:
            policy: The one that does not scale them.
            known: Its service.
            another: Name of the one that does; empty: there is none.
            now: The present.
        """
        if another and another != known.another:
            self.say(strategy_notices.scaled_by_another(policy, by_another(another), now.wall), now)
        known.another = another


def by_another(policy: str) -> str:
    """Why a service is not scaled that the policy of this name scales."""
    return f"policy {policy} scales some of the same containers, and is written before this one"
