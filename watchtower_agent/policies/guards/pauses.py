"""What people told to keep still. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from watchtower_agent.model.decision import Decision, TargetKind
from watchtower_agent.model.pause import Pause, Paused, PauseScope

AGENT = Paused(scope=PauseScope.AGENT)


@dataclass(slots=True)
class Pauses:
    """Those that are not over, by what keeps still."""

    by: dict[Paused, Pause] = field(default_factory=dict)

    def of(self, decision: Decision) -> Pause | None:
        """The pause that a decision falls under, the broadest first; None when none does."""
        scopes = [AGENT, Paused(scope=PauseScope.POLICY, name=decision.policy)]
        if decision.target.kind is TargetKind.CONTAINER:
            scopes.append(Paused(scope=PauseScope.CONTAINER, name=decision.target.name))
        return next((self.by[scope] for scope in scopes if scope in self.by), None)
