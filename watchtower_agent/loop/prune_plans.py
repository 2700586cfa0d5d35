"""Plans of pruning that are alive: those that wait for their guards, and those that a person was shown. Pure."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import field, replace
from typing import Final, Self

from watchtower_agent.model.decision import Decision
from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.removal import Space
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.pruned import counted, in_bytes, nothing_to_delete, plan_of
from watchtower_agent.policies.pruning.plan import Plan
from watchtower_agent.policies.strategies.prune import Prune

MOST_SHOWN: Final = 4
"""Plans of one policy that people may have before them at a time; a further look at it ends the oldest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and what it was made of.

    Attributes:
        decision: To carry it out.
        plan: What may be deleted.
        strategy: What its policy prunes.
        disk: The listing that it was made of.
        space: How much there was.
        shown: A person looks at it, and nothing wants it carried out so far.
    """

    decision: Decision
    plan: Plan
    strategy: Prune
    disk: DiskUsage
    space: Space | None
    shown: bool = False

    @property
    def id(self) -> str:
        """Of the plan."""
        return plan_of(self.decision)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is said of a plan where its objects don't matter. It is small, and lasts for longer than the plan.

    Attributes:
        id: Of the plan.
        policy: Whose it is.
        made: When.
        lasts: Seconds after which it is over.
        objects: How many may be deleted.
        size: Bytes that these free, as far as the engine says beforehand.
        kept: How many stay.
        words: The same for people.
    """

    id: str
    policy: str
    made: Instant
    lasts: float
    objects: int
    size: int
    kept: int
    words: str

    @classmethod
    def of(cls, planned: Planned) -> Self:
        """That of a plan."""
        plan = planned.plan
        size = f" ({in_bytes(plan.size)})" if plan.size else ""
        some = f"{counted(item.kind for item in plan.items)} may be deleted{size}, {len(plan.kept)} kept"
        return cls(
            id=planned.id,
            policy=planned.decision.policy,
            made=plan.made,
            lasts=plan.lasts,
            objects=len(plan.items),
            size=plan.size,
            kept=len(plan.kept),
            words=some if plan.items else nothing_to_delete(plan),
        )

    def is_over(self, now: Instant) -> bool:
        """Whether it is too old to be carried out."""
        return not 0.0 <= now.passed_since(self.made) < self.lasts


@dataclass(slots=True)
class Plans:
    """Those that are alive.

    Attributes:
        by: By id, in the order in which they were made.
        newest: Policy -> its newest one, also of nothing and while it is carried out, for people who look.
    """

    by: dict[str, Planned] = field(default_factory=dict)
    newest: dict[str, Summary] = field(default_factory=dict)

    def add(self, planned: Planned, now: Instant) -> None:
        """Keep it while it is not too old. One that deletes nothing is kept only for who was shown it."""
        self.by = {key: each for key, each in self.by.items() if not each.plan.is_over(now)}
        policy = planned.decision.policy
        self.newest[policy] = Summary.of(planned)
        if planned.shown:
            others = [key for key, each in self.by.items() if each.shown and each.decision.policy == policy]
            for key in others[: max(0, len(others) - MOST_SHOWN + 1)]:
                del self.by[key]
        if planned.shown or planned.plan.items:
            self.by[planned.id] = planned

    def wanted(self, plan: str) -> None:
        """It is to be carried out: further looks do not end it."""
        self.by[plan] = replace(self.by[plan], shown=False)

    def carried_out(self, decision: Decision) -> None:
        """A pass is over: what it left needs a new plan."""
        newest = self.newest.get(decision.policy)
        if newest is not None and newest.id == plan_of(decision):
            del self.newest[decision.policy]

    def keep(self, waiting: AbstractSet[str]) -> None:
        """Forget those that no decision waits with and nobody looks at."""
        if any(not each.shown and key not in waiting for key, each in self.by.items()):
            self.by = {key: each for key, each in self.by.items() if each.shown or key in waiting}

    def of(self, correlation_id: str) -> list[Planned]:
        """Those that were made for one question."""
        return [each for each in self.by.values() if each.decision.correlation_id == correlation_id]

    def follow(self, policies: frozenset[str]) -> None:
        """Of others than these nothing is told."""
        self.newest = {name: each for name, each in self.newest.items() if name in policies}
