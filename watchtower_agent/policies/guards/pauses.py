"""What people told to keep still. Pure."""

from __future__ import annotations

from dataclasses import field, replace

from watchtower_agent.model.decision import Decision, TargetKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.pause import Pause, Paused, PauseScope
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.renames import Rename

AGENT = Paused(scope=PauseScope.AGENT)


@dataclass(slots=True)
class Pauses:
    """Those that are not over, by what keeps still."""

    by: dict[Paused, Pause] = field(default_factory=dict)

    def of(self, decision: Decision, now: Instant) -> Pause | None:
        """The pause that a decision falls under, of several the one that lasts longest; None when none does."""
        if not self.by:
            return None
        scopes = [AGENT, Paused(scope=PauseScope.POLICY, name=decision.policy)]
        if decision.target.kind is TargetKind.CONTAINER:
            scopes.append(_container(decision.target.name))
        known = [self.by[scope] for scope in scopes if scope in self.by]
        return max(known, key=lambda each: each.left(now), default=None)

    def renamed(self, rename: Rename, now: Instant) -> list[Paused]:
        """What keeps still under its old name does so under the new one. Gives those whose pauses have changed."""
        old, new = _container(rename.old), _container(rename.new)
        pause, known, changed = self.by.get(old), self.by.get(new), []
        if pause is None:
            return []
        if known is None or known.left(now) < pause.left(now):
            self.by[new] = replace(pause, what=new)
            changed.append(new)
        if any(self.by.get(what) == replace(pause, what=what) for what in map(_container, rename.earlier)):
            del self.by[old]
            changed.append(old)
        return changed


def _container(name: str) -> Paused:
    return Paused(scope=PauseScope.CONTAINER, name=name)
