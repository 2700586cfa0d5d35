"""What holds for the host as a whole, beside its state. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from watchtower_agent.model.shared_cause import SharedCause
from watchtower_agent.policies.guards.pauses import Pauses


@dataclass(slots=True)
class Circumstances:
    """What guards look at whatever the decision. Kept by the loop, which alone changes it.

    Attributes:
        pauses: What people told to keep still.
        shared_cause: What is behind the troubles of many containers; None when nothing is known to be.
    """

    pauses: Pauses = field(default_factory=Pauses)
    shared_cause: SharedCause | None = None
