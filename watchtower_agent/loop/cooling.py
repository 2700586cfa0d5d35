"""When each policy last acted on each target, remembered over restarts. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Decision, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import Resume
from watchtower_agent.policies.guards.cooldowns import Cooldowns
from watchtower_agent.policies.guards.pacing import DEFAULT_COOLDOWN, cooldown_of
from watchtower_agent.policies.policy import Policy, PolicySet

COOLDOWN: Final = "cooldown"
"""Kind of records: when a policy last acted on a target."""


@dataclass(slots=True)
class Cooling:
    """Keeps cooldowns over time.

    Attributes:
        publication: What is to be remembered goes into its effects of the step.
        cooldowns: When each policy last acted on each target.
    """

    publication: Publication
    cooldowns: Cooldowns = field(default_factory=Cooldowns)

    def resume(self, resume: Resume, now: Instant) -> None:
        """Take in what the store remembers of an earlier run."""
        for key, stored in resume.records.get(COOLDOWN, {}).items():
            policy, _, target = key.partition("\0")
            at = stored.get("at")
            if isinstance(at, int | float):
                age = now.since(at, stored.get("monotonic"), stored.get("boot"))
                self.cooldowns.last[policy, target] = Instant(wall=at, monotonic=now.monotonic - age, boot=now.boot)

    def acted(self, decision: Decision, policy: Policy | None, now: Instant) -> None:
        """A policy (None: not in force any more) acted on a target."""
        if decision.verb is Verb.NOTIFY and (policy is None or not cooldown_of(decision, policy)):
            return  # telling people about an action must not delay the action
        self.cooldowns.acted(decision, now)
        self._remember(decision.policy, decision.target.name, now)

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        for (policy, target), at in self.cooldowns.last.items():
            self._remember(policy, target, at)

    def forget(self, policies: PolicySet, now: Instant) -> None:
        """Names of targets come and go: what counts for no policy any more is not kept for ever."""
        longest = max((policy.cooldown or 0.0 for policy in policies.policies), default=0.0)
        for policy, target in self.cooldowns.forget(now, max(longest, *DEFAULT_COOLDOWN.values())):
            self._remember(policy, target, None)

    def _remember(self, policy: str, target: str, at: Instant | None) -> None:
        value = None if at is None else at.stored()
        self.publication.out.records.append(Record(kind=COOLDOWN, key=f"{policy}\0{target}", value=value))
