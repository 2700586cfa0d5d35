"""What holds for the host as a whole, beside its state. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from watchtower_agent.policies.guards.pauses import Pauses


@dataclass(slots=True)
class Circumstances:
    """What guards look at whatever the decision. Kept by the loop, which alone changes it.

    Attributes:
        pauses: What people told to keep still.
    """

    pauses: Pauses = field(default_factory=Pauses)
