"""What a guard is asked, and how it answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set as AbstractSet
from dataclasses import field

from watchtower_agent.model.decision import Decision, Guard, Held, Number
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.shared_cause import FailureCount
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.breakers import Breakers
from watchtower_agent.policies.guards.circles import Circles
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.guards.cooldowns import Cooldowns
from watchtower_agent.policies.guards.futility import Futility
from watchtower_agent.policies.guards.ledger import Ledger
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Policy
from watchtower_agent.state.dependencies import Dependencies
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

SETTLE = 2.0
"""Seconds after which an inspection asks again whether the engine still means to restart a container by itself, and for
which the end that a person made may be the first half of a restart or a removal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """Why a guard has nothing against a decision: what beside each guard a function `…_passes` tells people who ask.

    Attributes:
        reason: One sentence for people.
        numbers: What the guard looked at.
    """

    reason: str
    numbers: Mapping[str, Number] = field(default_factory=dict)


def _none() -> Dependencies:
    return Dependencies({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What guards go by, whatever they are asked about.

    Attributes:
        state: The host.
        cooldowns: When each policy last acted on each target.
        ledger: What was done.
        breakers: Those that are not closed.
        futility: Of which targets what a policy did was of no use.
        circumstances: What holds for the host as a whole.
        dependencies: Which containers need which others.
        circles: Which of them would wait for each other.
        under_way: Ids of targets that an action is under way on.
        protection: What no policy may touch.
        failures: How many containers failed lately; None where nobody asks why a guard lets pass.
    """

    state: HostState
    cooldowns: Cooldowns
    ledger: Ledger = field(default_factory=Ledger)
    breakers: Breakers = field(default_factory=Breakers)
    futility: Futility = field(default_factory=Futility)
    circumstances: Circumstances = field(default_factory=Circumstances)
    dependencies: Dependencies = field(default_factory=_none)
    circles: Circles = field(default_factory=Circles)
    under_way: AbstractSet[str] = frozenset()
    protection: Protection
    failures: FailureCount | None = None

    def about(self, decision: Decision, policy: Policy, record: ContainerRecord | None, now: Instant) -> Question:
        """What guards are asked about a decision of that policy, whose target has that record."""
        return Question(
            decision=decision,
            policy=policy,
            record=record,
            now=now,
            state=self.state,
            cooldowns=self.cooldowns,
            ledger=self.ledger,
            breakers=self.breakers,
            futility=self.futility,
            circumstances=self.circumstances,
            dependencies=self.dependencies,
            circles=self.circles,
            under_way=self.under_way,
            protection=self.protection,
            failures=self.failures,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Evidence):
    """Everything that a guard may look at.

    Attributes:
        decision: What is wanted.
        policy: Which wants it.
        record: Of the target, if it is a container that is there.
        now: The present.
    """

    decision: Decision
    policy: Policy
    record: ContainerRecord | None
    now: Instant

    def hold(
        self,
        guard: Guard,
        reason: str,
        *,
        numbers: Mapping[str, Number] | None = None,
        release_in: float | None = None,
        final: bool = False,
    ) -> Held:
        """The answer of a guard that stops the decision; `release_in` in seconds from now."""
        return Held(
            decision=self.decision,
            guard=guard,
            reason=reason,
            numbers=numbers or {},
            release_at=None if release_in is None else self.now.wall + release_in,
            final=final,
            at=self.now.wall,
        )
