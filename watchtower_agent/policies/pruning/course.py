"""A pass from its first item to its end: what is next, what came of it, and when it is enough. Pure.

The shell asks for `next`, has `confirmation` say whether that may be deleted still (`kept`: it may not), stores
`attempted`, asks the engine, measures, and tells `deleted`, `left` or `failed`; and so on until `ending` says why it is
over.
"""

from __future__ import annotations

from dataclasses import field, replace
from enum import StrEnum
from typing import Final, Self

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.removal import Kind, Space
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.pruning.item import Item, Kept, Protection
from watchtower_agent.policies.pruning.plan import Plan
from watchtower_agent.policies.pruning.step import Result, Step
from watchtower_agent.policies.pruning.tally import Tally

IN_A_ROW: Final = 3
"""Deletes in a row that free nothing, or that fail, after which a pass ends."""
CALLS_PER_RECORD: Final = 5
"""Calls of a pass for each record of the build cache that it may delete: which ones are leaves has to be found out."""
MOST_STORED: Final = 500
"""Steps that are stored: more than a pass can take."""


class Ending(StrEnum):
    """Why a pass is over."""

    THROUGH = "through"
    """All of the plan was tried."""
    REACHED = "reached"
    """There is as much space as the policy wants."""
    MOST = "most"
    """As many were deleted as one pass may."""
    INEFFECTIVE = "prune_ineffective"
    """Several deletes freed next to nothing: the space is taken by something else."""
    FAILING = "failing"
    """Several deletes failed."""
    UNMEASURED = "unmeasured"
    """It should end at a mark, and how much space there is is not known."""
    EXPIRED = "expired"
    """The plan is too old."""
    STOPPED = "stopped"
    """Somebody or something wanted it to end: a pause, an engine that is lost, the agent's own end."""
    INTERRUPTED = "interrupted"
    """The agent ended in the middle of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A pass, as far as it has come.

    Attributes:
        id: Of the plan, or of the decision that it is carried out for.
        plan: What may be deleted; None of one that an earlier run of the agent began: it is not gone on with.
        waiting: What of it is yet to come, in order.
        again: Records of the build cache that others build upon: to be tried again once those are gone.
        attempt: What the engine was asked to delete and has given no answer for.
        steps: What came of each, in order.
        space: How much there is, as measured last; None: not known.
        tally: What has been counted.
        ending: Why it is over; None: it is not.
        reason: More about that, for people.
    """

    id: str
    plan: Plan | None = None
    waiting: tuple[Item, ...] = ()
    again: tuple[Item, ...] = ()
    attempt: Item | None = None
    steps: tuple[Step, ...] = ()
    space: Space | None = None
    tally: Tally = field(default_factory=Tally)
    ending: Ending | None = None
    reason: str = ""

    @classmethod
    def begun(cls, identity: str, plan: Plan, space: Space | None, now: Instant, *, met: bool | None = False) -> Course:
        """A pass at its begin; it may be over at once.

        Args:
            identity: Of the plan, or of the decision that it is carried out for.
            plan: What may be deleted.
            space: How much there is; None: not known.
            now: The present.
            met: There is as much space as the policy wants (`Prune.reached`); None: it wants some, and how much is
                there is not known.
        """
        return _going_on(_enough(cls(id=identity, plan=plan, waiting=plan.announced, space=space), plan, met=met), now)

    def next(self, now: Instant) -> Item | None:
        """What is to be deleted next, if it may be still; None: it is over, or is too old (`expired`)."""
        course = self.expired(now)
        return course.waiting[0] if course.ending is None and course.waiting else None

    def expired(self, now: Instant) -> Course:
        """The same, over if the plan is too old."""
        return _ended(self, Ending.EXPIRED) if self.plan is None or self.plan.is_over(now) else self

    def enough(self, space: Space | None) -> Course:
        """The same, over: before the next deletion there is as much space as is wanted, whoever has freed it.

        Args:
            space: As measured.
        """
        return self if self.ending is not None else _ended(replace(self, space=space), Ending.REACHED)

    def attempted(self) -> Self:
        """The same just before the engine is asked: to be stored first.

        Raises:
            ValueError: The pass is over.
        """
        return replace(self, attempt=self._first)

    def put_off(self) -> Self:
        """The same after the engine was not asked after all: the same object is next, and is looked at anew."""
        return replace(self, attempt=None)

    def kept(self, kept: Kept, now: Instant) -> Course:
        """The same after something stood against the next one, and the engine was not asked: that does not count.

        Raises:
            ValueError: The pass is over.
        """
        step = Step.of(self._first, Result.KEPT, protection=kept.protection, reason=kept.by)
        return _going_on(self._past(step), now)

    def deleted(self, freed: int | None, space: Space | None, now: Instant, *, met: bool | None = False) -> Course:
        """The same after the engine has deleted the next one.

        Args:
            freed: Bytes by the engine's account; None: it does not say. Only of build cache they are believed, until
                it turns out that nothing was freed.
            space: As measured afterwards; None: not known.
            now: The present.
            met: There is as much space as the policy wants (`Prune.reached`); None: it wants some, and how much is
                there is not known.

        Raises:
            ValueError: The pass is over.
        """
        item, before = self._first, self.space
        tally = self.tally.deleted(item, freed, before, space)
        in_vain = tally.useless > self.tally.useless
        if (item.kind is not Kind.CACHE or in_vain) and before is not None and space is not None:
            freed = max(0, space.free - before.free)
        after = replace(self._past(Step.of(item, Result.DELETED, freed=freed)), tally=tally)
        after = replace(after, space=space)
        return after if after.plan is None else _going_on(_enough(after, after.plan, met=met), now)

    def left(self, reason: str, now: Instant) -> Course:
        """The same after the engine left the next one, since it is needed. That does not count.

        A record of the build cache may be needed by another one only: it is tried again once others are gone.

        Args:
            reason: What it is needed for, for people.
            now: The present.

        Raises:
            ValueError: The pass is over.
        """
        item = self._first
        if item.kind is not Kind.CACHE:
            return _going_on(self._past(Step.of(item, Result.KEPT, protection=Protection.ENGINE, reason=reason)), now)
        tally = replace(self.tally, calls=self.tally.calls + 1, failures=0)
        after = replace(self, waiting=self.waiting[1:], again=(*self.again, item), attempt=None, tally=tally)
        return _going_on(after, now)

    def failed(self, reason: str, now: Instant) -> Course:
        """The same after the engine could not delete the next one, or gave no answer.

        Args:
            reason: One sentence for people.
            now: The present.

        Raises:
            ValueError: The pass is over.
        """
        item, tally = self._first, self.tally
        cache = item.kind is Kind.CACHE
        tally = replace(
            tally, objects=tally.objects + (not cache), calls=tally.calls + cache, failures=tally.failures + 1
        )
        return _going_on(replace(self._past(Step.of(item, Result.FAILED, reason=reason)), tally=tally), now)

    def stopped(self, reason: str) -> Course:
        """The same, ended from outside. What became of an attempt is still to be found out (`settled`).

        Args:
            reason: One sentence for people.
        """
        return self if self.ending is not None else replace(_ended(self, Ending.STOPPED), reason=reason)

    def settled(self, *, gone: bool | None) -> Self:
        """The same after it was looked for what the engine had been asked to delete, where it gave no answer.

        Args:
            gone: It is not there any more; None: that can't be told.
        """
        if self.attempt is None:
            return self
        reason = "whether it is gone is not known" if gone is None else "" if gone else "still there"
        step = Step.of(self.attempt, Result.DELETED if gone else Result.FAILED, reason=reason)
        return replace(self, attempt=None, steps=(*self.steps, step))

    @property
    def deletions(self) -> tuple[Step, ...]:
        """What was deleted."""
        return tuple(step for step in self.steps if step.result is Result.DELETED)

    @property
    def freed(self) -> int:
        """Bytes that are known to have been freed."""
        return sum(step.freed or 0 for step in self.steps)

    @property
    def _first(self) -> Item:
        if self.ending is not None:
            raise ValueError(f"the pass is over: {self.ending}")
        return self.waiting[0]

    def _past(self, step: Step) -> Self:
        return replace(self, waiting=self.waiting[1:], attempt=None, steps=(*self.steps, step))


def _enough(course: Course, plan: Plan, *, met: bool | None) -> Course:
    """The same after space was measured: over if there is enough."""
    until = plan.rules.until
    if met or (until is not None and course.space is not None and course.space.used < until):
        return _ended(course, Ending.REACHED)
    unmeasured = met is None or (until is not None and course.space is None)
    return _ended(course, Ending.UNMEASURED) if unmeasured else course


def _going_on(course: Course, now: Instant) -> Course:
    """The same before the next one: over if that should not be asked for."""
    if course.ending is not None or course.plan is None:
        return course
    rules = course.plan.rules
    course = _turned(course, rules.most_cache)
    for ending, holds in (
        (Ending.INEFFECTIVE, course.tally.useless >= IN_A_ROW),
        (Ending.FAILING, course.tally.failures >= IN_A_ROW),
        (Ending.THROUGH, not course.waiting),
        (Ending.MOST, course.tally.objects >= rules.most),
    ):
        if holds:
            return _ended(course, ending)
    return course.expired(now)


def _turned(course: Course, most: int) -> Course:
    """The same, in the next round of the build cache where a round is over and has deleted something."""
    tally = course.tally
    if tally.records >= most or tally.calls >= CALLS_PER_RECORD * most:
        return replace(course, waiting=tuple(item for item in course.waiting if item.kind is not Kind.CACHE))
    is_over = not course.waiting or course.waiting[0].kind is not Kind.CACHE
    if not is_over or not course.again or not tally.round:
        return course
    return replace(course, waiting=(*course.again, *course.waiting), again=(), tally=replace(tally, round=0))


def _ended(course: Course, ending: Ending) -> Course:
    if course.ending is not None:
        return course
    left = tuple(Step.of(item, Result.BUILT_UPON) for item in course.again)
    return replace(course, ending=ending, waiting=(), again=(), steps=(*course.steps, *left))
