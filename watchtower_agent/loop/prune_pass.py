"""A pass of pruning, from its first look to its outcome: one object after the other, each durable before. Pure.

What may be deleted the plan says, whether it still may `confirmation`, and when it is enough `course`. This asks the
engine: a look, then one removal, then the next look, as effects of steps whose answers come back as observations.
"""

from __future__ import annotations

from dataclasses import field
from typing import Final

from watchtower_agent.loop import prune_notices
from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.outcome import Intent, Outcome
from watchtower_agent.model.removal import Fate, Kind, Removal, Removed, Space
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.pruned import end_numbers, ended_in_words, plan_of, result_of
from watchtower_agent.policies.pruning.circumstances import Circumstances
from watchtower_agent.policies.pruning.confirmation import objection
from watchtower_agent.policies.pruning.course import Course, Ending
from watchtower_agent.policies.pruning.item import Item, Kept, Protection
from watchtower_agent.policies.pruning.plan import Plan
from watchtower_agent.policies.pruning.usage import Usage
from watchtower_agent.policies.strategies.prune import Prune

_LOOKED_AT: Final = frozenset({Kind.IMAGE, Kind.NETWORK, Kind.VOLUME})
"""What is listed anew before each of them is deleted. Of the others their own inspection tells all, or the engine."""


@dataclass(slots=True, kw_only=True)
class PrunePass:
    """One pass.

    Attributes:
        intent: Its row of the ledger.
        strategy: What its policy prunes.
        plan: What may be deleted.
        disk: The listing that the plan was made of.
        usage: When everything was last used, by now.
        look: Number of the look that it waits for; 0: it waits for none.
        course: How far it has come; None until the first look has told how much space there is.
        before: How much there was.
        told: What is to be said of it.
    """

    intent: Intent
    strategy: Prune
    plan: Plan
    disk: DiskUsage
    usage: Usage
    look: int = 0
    course: Course | None = None
    before: Space | None = None
    told: list[Notice] = field(default_factory=list)
    _kind: Kind | None = None
    """Of the object that was looked at last."""
    _seen: DiskUsage | None = None
    """What that look has told; None once it was used."""

    @property
    def plan_id(self) -> str:
        """Of the plan."""
        return plan_of(self.intent.decision)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done."""
        return self.course is not None and self.course.ending is not None

    @property
    def is_asking(self) -> bool:
        """Whether the engine was asked to delete something and has not answered."""
        return self.course is not None and self.course.attempt is not None

    def listed(self, disk: DiskUsage, space: Space | None, now: Instant) -> None:
        """The look that it waits for."""
        self.look, self._seen = 0, disk
        if self.course is None:
            self.before = space
            self.course = Course.begun(self.intent.decision.id, self.plan, space, now, met=self.strategy.reached(space))
        elif self.strategy.reached(space):
            self.course = self.course.enough(space)  # others have freed some since

    def removed(self, seen: Removed, now: Instant) -> None:
        """The engine's answer."""
        course = self.course
        if course is None or course.attempt is None or course.attempt.id != seen.removal.id:
            return
        item, decision = course.attempt, self.intent.decision
        match seen.fate:
            case Fate.DELETED:
                met = self.strategy.reached(seen.space)
                after = self.course = course.deleted(seen.freed, seen.space, now, met=met)
                if item.kind is not Kind.CACHE:
                    step = next(each for each in reversed(after.steps) if each.id == item.id)
                    self.told.append(prune_notices.pruned(decision, after, step, item, now))
            case Fate.LATE:
                self.course = course.put_off()
            case Fate.GONE:
                self._keep(_kept(item, Protection.GONE), now)
            case Fate.LEFT:
                self.course = course.left(seen.reason, now)
                if item.kind is not Kind.CACHE:
                    kept = _kept(item, Protection.ENGINE, by=seen.reason)
                    self.told.append(prune_notices.kept(decision, kept, now))
            case Fate.FAILED:
                self.course = course.failed(seen.reason, now)
                self.told.append(prune_notices.failed(decision, item, seen.reason, now))

    def next(self, circumstances: Circumstances, now: Instant) -> Removal | Kind | None:
        """What the engine is to be asked for.

        Returns:
            A removal; or the kind of an object that is to be looked at before; None: nothing, for it is over.
        """
        while self.course is not None and (item := self.course.next(now)) is not None:
            if item.kind in _LOOKED_AT and self._seen is None:
                return item.kind
            disk, self._seen = (self._seen or self.disk), None
            if item.kind not in _LOOKED_AT:
                disk = self.disk
            kept = objection(item, self.plan, self.usage, disk, circumstances, now)
            if kept is not None:
                self._keep(kept, now)
                continue
            self.course = self.course.attempted()
            return _removal(item, self.plan)
        if self.course is not None:
            self.course = self.course.expired(now)
        return None

    def stop(self, reason: str) -> None:
        """End it from outside; what the engine was asked for is waited for."""
        if self.course is None:
            self.course = Course(id=self.intent.decision.id, plan=self.plan)
        self.course = self.course.stopped(reason)

    def outcome(self, now: Instant) -> Outcome:
        """What came of it, once it is over."""
        course = self.course or Course(id=self.intent.decision.id, ending=Ending.STOPPED)
        if course.ending is Ending.INEFFECTIVE:
            self.told.append(prune_notices.ineffective(self.intent.decision, course, now))
        return outcome_of(self.intent, course, self.before, now)

    def _keep(self, kept: Kept, now: Instant) -> None:
        if self.course is not None:
            self.course = self.course.kept(kept, now)
            self.told.append(prune_notices.kept(self.intent.decision, kept, now))


def outcome_of(intent: Intent, course: Course, before: Space | None, now: Instant) -> Outcome:
    """The outcome of a pass that is over."""
    return Outcome(
        decision=intent.decision,
        result=result_of(course),
        reason=ended_in_words(course, before),
        started_at=intent.at,
        finished_at=now.wall,
        numbers=end_numbers(course, before),
        moment=now,
    )


def _removal(item: Item, plan: Plan) -> Removal:
    return Removal(
        kind=item.kind,
        id=item.id,
        name=item.name,
        tags=frozenset(item.tags),
        stamp=item.stamp,
        unused_since=plan.listed_at,
    )


def _kept(item: Item, protection: Protection, *, by: str = "") -> Kept:
    return Kept(kind=item.kind, id=item.id, name=item.name, protection=protection, by=by, size=item.size)
