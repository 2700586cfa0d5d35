"""A person wants a container's limits back."""

from __future__ import annotations

from watchtower_agent.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertAsked:
    """A person wants a container to have the limits again that it had before the agent changed them.

    Attributes:
        policy: Name of the policy that changed them, in force or not.
        target_id: The container.
        correlation_id: Of the asking, shared by all it leads to.
    """

    policy: str
    target_id: str
    correlation_id: str
