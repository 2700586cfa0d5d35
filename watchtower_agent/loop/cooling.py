"""When each policy last acted on each target, remembered over restarts. Pure."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Final

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Decision, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.cooldowns import Cooldowns
from watchtower_agent.policies.guards.pacing import DEFAULT_COOLDOWN, cooldown_of
from watchtower_agent.policies.guards.renames import Rename
from watchtower_agent.policies.policy import Policy, PolicySet

COOLDOWN: Final = "cooldown"
"""Kind of records: when a policy last acted on a target."""


_USUAL: Final = DEFAULT_COOLDOWN[Verb.RESTART]


@dataclass(slots=True)
class Cooling:
    """Keeps cooldowns over time.

    Attributes:
        publication: What is to be remembered goes into its effects of the step.
        cooldowns: When each policy last acted on each target.
    """

    publication: Publication
    cooldowns: Cooldowns = field(default_factory=Cooldowns)
    _begun: dict[str, tuple[Instant | None, Instant | None]] = field(default_factory=dict)
    """Id of a decision that is under way -> when it began, and when its policy had acted on its target before."""

    def resume(self, resume: Resume, now: Instant) -> None:
        """Take in what the store remembers of an earlier run."""
        boots = Boots.restored(resume.records.get("clock", {}), now)
        for key, stored in resume.records.get(COOLDOWN, {}).items():
            policy, _, target = key.partition("\0")
            at = stored.get("at")
            if isinstance(at, int | float):
                # Of a store without the moment on the monotonic clock: the wall clock tells.
                moment = Instant.restored(stored) or Instant(wall=at, monotonic=0.0)
                self.cooldowns.last[policy, target] = boots.carried(moment, now)

    def begins(self, decision: Decision, policy: Policy | None, now: Instant) -> None:
        """A policy is about to act on a target. That counts from here on, so that it does after a crash as well."""
        if decision.verb is not Verb.NOTIFY:
            self._begun[decision.id] = now, self.cooldowns.last.get((decision.policy, decision.target.name))
        self.acted(decision, policy, now)

    def ended(
        self, decision: Decision, policy: Policy | None, now: Instant, *, asked: bool, name: str | None = None
    ) -> None:
        """The action has ended; of one that the engine was not even asked for nothing is left.

        Args:
            decision: What was done.
            policy: By which policy; None: it is not in force any more.
            now: The present.
            asked: Whether the engine was asked.
            name: The target's name by now; None: as when it began.
        """
        begun, before = self._begun.pop(decision.id, (None, None))
        for target in dict.fromkeys((decision.target.name, name or decision.target.name)):
            key = decision.policy, target
            if asked:
                self.acted(replace(decision, target=replace(decision.target, name=target)), policy, now)
            elif begun is not None and self.cooldowns.last.get(key) != begun:
                continue  # something else was done since
            elif before is None:
                self.cooldowns.last.pop(key, None)
                self._remember(*key, None)
            else:
                self.cooldowns.last[key] = before
                self._remember(*key, before)

    def renamed(self, rename: Rename) -> None:
        """What counts for a container's old name counts for its new one as well."""
        for policy, target in self.cooldowns.renamed(rename):
            self._remember(policy, target, self.cooldowns.last.get((policy, target)))

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
        longest = max((_USUAL, *map(_cooldown, policies.policies)))
        for policy, target in self.cooldowns.forget(now, longest):
            self._remember(policy, target, None)

    def _remember(self, policy: str, target: str, at: Instant | None) -> None:
        value = None if at is None else at.stored()
        self.publication.out.records.append(Record(kind=COOLDOWN, key=f"{policy}\0{target}", value=value))


def _cooldown(policy: Policy) -> float:
    default = DEFAULT_COOLDOWN[policy.then.verb or Verb.NOTIFY]
    return default if policy.cooldown is None else policy.cooldown
