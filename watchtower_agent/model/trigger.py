"""A person sets a policy off by hand."""

from __future__ import annotations

from watchtower_agent.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerAsked:
    """A person wants what a policy does, now, whatever its trigger says.

    Attributes:
        policy: Its name.
        target_id: The container that it is to be done to; None: all that the policy is about, or the host.
        correlation_id: Of the asking, shared by all it leads to.
    """

    policy: str
    target_id: str | None
    correlation_id: str
