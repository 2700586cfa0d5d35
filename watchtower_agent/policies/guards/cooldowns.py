"""When each policy last acted on each target. Pure."""

from __future__ import annotations

from dataclasses import field

from watchtower_agent.model.decision import Decision
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.renames import Rename


@dataclass(slots=True)
class Cooldowns:
    """When each policy last acted on each target (by name, so that it survives a recreate).

    Monotonic time decides within a run, so a step of the wall clock neither shortens nor lengthens a cooldown.
    """

    last: dict[tuple[str, str], Instant] = field(default_factory=dict)

    def acted(self, decision: Decision, at: Instant) -> None:
        """The policy acted on the target then."""
        self.last[decision.policy, decision.target.name] = at

    def since(self, decision: Decision, now: Instant) -> float | None:
        """Seconds since the policy last acted on the target; None when it never did."""
        at = self.last.get((decision.policy, decision.target.name))
        return None if at is None else now.monotonic - at.monotonic

    def known(self, target: str) -> bool:
        """Whether any policy is known to have acted on a target of that name."""
        return any(name == target for _, name in self.last)

    def renamed(self, rename: Rename) -> list[tuple[str, str]]:
        """What counts for the old name counts for the new one as well. Gives the policies and names that changed."""
        changed = []
        for policy in [policy for policy, target in self.last if target == rename.old]:
            at = self.last[policy, rename.old]
            known = self.last.get((policy, rename.new))
            if known is None or known.monotonic < at.monotonic:
                self.last[policy, rename.new] = at
                changed.append((policy, rename.new))
            if any(self.last.get((policy, name)) == at for name in rename.earlier):
                del self.last[policy, rename.old]
                changed.append((policy, rename.old))
        return changed

    def forget(self, now: Instant, longest: float) -> list[tuple[str, str]]:
        """Forget what is longer ago than the longest cooldown, in seconds. Gives the policies and targets' names."""
        over = [key for key, at in self.last.items() if now.monotonic - at.monotonic > longest]
        for key in over:
            del self.last[key]
        return over
