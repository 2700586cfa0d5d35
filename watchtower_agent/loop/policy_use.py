"""Of what use it is what policies do, from the verdicts to the marks: seen, remembered. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from typing import Final

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Decision
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.guards.futility import Futility, Mark, Use, tells
from watchtower_agent.policies.guards.ledger import COUNTED, Ledger
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.verification import SAME_START
from watchtower_agent.policies.waiting import named
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.wellness import is_well

KIND: Final = "policy_use"
"""Of the records that the store keeps: of what use it was what policies did to targets."""


@dataclass(slots=True)
class PolicyUse:
    """Keeps over time of what use policies are.

    Attributes:
        state: The host.
        publication: What is to be remembered goes into its effects of the step.
        circumstances: What holds for the host as a whole.
        futility: Of which targets what a policy did was of no use.
    """

    state: HostState
    publication: Publication
    circumstances: Circumstances
    futility: Futility = field(default_factory=Futility)

    def resume(self, resume: Resume, carried: Callable[[Instant], Instant]) -> None:
        """Take in what the store remembers of an earlier run."""
        for key, value in resume.records.get(KIND, {}).items():
            policy, _, target = key.partition("\0")
            self.futility.resume(policy, target, value, carried)

    def follow(self, policies: Mapping[str, Policy]) -> None:
        """From now on these may act, by name."""
        for name in list(self.futility.by):
            policy = policies.get(name)
            self.futility.follow(name, policy.digest if policy is not None else None)

    def judged(self, decision: Decision, use: Use, policy: Policy | None, now: Instant) -> bool:
        """It is known what came of an action. Says whether that is put down to its policy.

        Args:
            decision: What was done.
            use: What came of it.
            policy: Which wanted it; None when it is not in force any more.
            now: The present.
        """
        if policy is None or not tells(decision) or self.has_shared_cause(now):
            return False
        record = self.state.containers.get(decision.target.id)
        if record is not None:  # it may have been renamed since
            decision = named(decision, record.container.name)
        started = record.started if record is not None else None
        self.futility.judged(decision, use, now, digest=policy.digest, started=started)
        return True

    def has_shared_cause(self, now: Instant) -> bool:
        """Whether many containers have failed at once: what comes of an action then says nothing of its policy."""
        cause = self.circumstances.shared_cause
        return cause is not None and cause.left(now) > 0

    def look(
        self, policies: Mapping[str, Policy], ledger: Ledger, wanted: Iterable[Decision], now: Instant
    ) -> Iterator[tuple[str, str]]:
        """See what has lasted, and forget what counts no more.

        Args:
            policies: Those in force, by name.
            ledger: What was done, and since when targets had been well for long enough.
            wanted: What waits for its guards.
            now: The present.

        Yields:
            Policies, and the targets on which what they did has lasted.
        """
        if not self.futility.by:
            return
        of_policy: dict[str, set[str]] = {}
        for decision in wanted:  # in whatever mode, and if a person wants it now: its condition may be true as well
            if decision.verb in COUNTED and not decision.last_resort and not decision.follows:
                of_policy.setdefault(decision.policy, set()).add(decision.target.name)
        shared_cause = self.has_shared_cause(now)
        for policy in [policies[name] for name in self.futility.by if name in policies]:
            names = of_policy.get(policy.name, set())
            lasted = self.futility.look(policy, ledger, self._is_well, names, now, shared_cause=shared_cause)
            yield from ((policy.name, target) for target in lasted)

    def _is_well(self, mark: Mark) -> bool:
        """Whether its container is well, in the life that the action gave it: of another, others have the merit."""
        record = self.state.containers.get(mark.target_id)
        if record is None or not is_well(record):
            return False
        return mark.started is None or record.started is None or record.started <= mark.started + SAME_START

    def remember(self) -> None:
        """Remember what has changed since this was asked last."""
        changed, self.futility.changed = self.futility.changed, set()
        for policy, target in sorted(changed):
            self._remember(policy, target)

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        for policy, marks in self.futility.by.items():
            for target in marks:
                self._remember(policy, target)

    def _remember(self, policy: str, target: str) -> None:
        value = self.futility.stored(policy, target)
        self.publication.out.records.append(Record(kind=KIND, key=f"{policy}\0{target}", value=value))
