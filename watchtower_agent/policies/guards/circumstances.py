"""What holds for the host as a whole, beside its state. Pure."""

from __future__ import annotations

from dataclasses import field
from typing import Final

from watchtower_agent.model.shared_cause import SharedCause, SharedCauseRule
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.approvals import Approvals
from watchtower_agent.policies.guards.passes import Passes
from watchtower_agent.policies.guards.pauses import Pauses
from watchtower_agent.policies.guards.protection import Protection

ENGINE_RESTARTS: Final = "engine"
"""Under which restarts of the engine are counted: all policies have one budget."""


@dataclass(slots=True)
class Circumstances:
    """What guards look at whatever the decision. Kept by the loop.

    Attributes:
        protection: What no policy may touch. Another one when the settings are read anew.
        shared_cause_rule: When many failures are taken for one. Likewise.
        pauses: What people told to keep still.
        approvals: What people are asked about, and what they answered.
        passes: What was pruned, and when.
        engine_restarts: When the agent restarted the engine.
        shared_cause: What is behind the troubles of many containers; None when nothing is known to be.
    """

    protection: Protection = field(default_factory=Protection)
    shared_cause_rule: SharedCauseRule = field(default_factory=SharedCauseRule)
    pauses: Pauses = field(default_factory=Pauses)
    approvals: Approvals = field(default_factory=Approvals)
    passes: Passes = field(default_factory=Passes)
    engine_restarts: Passes = field(default_factory=Passes)
    shared_cause: SharedCause | None = None
