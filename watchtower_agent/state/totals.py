"""Counters of containers over all of their lives since the agent started: they never go down. Pure.

The kernel counts within one life: a restart begins anew, and what a life used last is gone with its cgroup. Whoever
adds up differences (Prometheus) needs numbers that go on.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from operator import lt

from watchtower_agent.model.sample import SampleBatch, SampleTarget, Total
from watchtower_agent.model.values import dataclass

_UNREAD = -1.0
"""Of a counter that has not been read in this life: less than any, so that the largest of both is what was read."""


@dataclass(slots=True)
class _Counted:
    """One container.

    Attributes:
        started_at: When its present life began, as far as it was ever told.
        before: What its earlier lives came to.
        now: What the present one stands at, at most; less than 0: not read yet.
        doubt: What it stood at when it was last known to be the same life: it was started, or seen not to run, since
            then. None while there is no doubt.
    """

    started_at: float | None = None
    before: dict[Total, float] = field(default_factory=dict)
    now: dict[Total, float] = field(default_factory=dict)
    doubt: dict[Total, float] | None = None

    def goes_on_as(self, target: SampleTarget) -> bool:
        """Whether it is the same life. A start that is not known (yet) is no other start."""
        return self.started_at is None or target.started_at is None or self.started_at == target.started_at

    def may_have_ended(self) -> None:
        """What is read from now on may be of another life, until its start is told."""
        if self.doubt is None:
            self.doubt = dict(self.now)

    def begin_anew(self) -> None:
        """Another life has begun; when, will be told."""
        for total, number in (self.now if self.doubt is None else self.doubt).items():
            if number > 0:
                self.before[total] = self.before.get(total, 0.0) + number
        self.now.clear()
        self.started_at = self.doubt = None

    def learn(self, target: SampleTarget) -> None:
        """Its present life is the target's."""
        if target.started_at is not None:
            self.started_at, self.doubt = target.started_at, None
        elif self.started_at is not None:
            self.may_have_ended()

    def stands_at(self, total: Total) -> float:
        """NaN while it was never read."""
        before, now = self.before.get(total, _UNREAD), self.now.get(total, _UNREAD)
        return math.nan if before < 0 and now < 0 else max(before, 0.0) + max(now, 0.0)


@dataclass(slots=True)
class Totals:
    """What all counters of all containers stand at.

    From tick to tick, while nobody comes or goes, only columns are compared: what each container came to is written
    down when that changes.

    Attributes:
        exists: Whether a container with this id is known: what is counted of others is forgotten.
    """

    exists: Callable[[str], bool]
    _containers: dict[str, _Counted] = field(default_factory=dict)
    _targets: tuple[SampleTarget, ...] = ()
    _seen: dict[Total, array[float]] = field(default_factory=dict)
    """The columns of the newest tick. One that is carried from tick to tick is the same object."""
    _highest: dict[Total, array[float]] = field(default_factory=dict)
    """What was read most in this life, per slot."""
    _before: dict[Total, array[float]] = field(default_factory=dict)
    """What the earlier lives came to, per slot."""

    def take(self, batch: SampleBatch) -> None:
        """Count one tick."""
        targets, columns = batch.targets, batch.totals
        if not targets or any(len(column) != len(targets) for column in columns.values()):
            return  # nothing was read of containers
        used, before = columns.get(Total.CPU), self._highest.get(Total.CPU)
        # CPU time is read at each tick and goes down only with another life, however that came about.
        if targets is not self._targets or (used and before and any(map(lt, used, before))):
            self._settle()
            self._follow(targets, used)
        for total, column in columns.items():
            if self._seen.get(total) is not column:
                self._seen[total] = column
                highest = self._highest.get(total) or array("d", [_UNREAD]) * len(targets)
                # In this order what is unknown (NaN) leaves the highest as it was.
                self._highest[total] = array("d", map(max, highest, column))

    def of(self, container_ids: Sequence[str]) -> Mapping[Total, array[float]]:
        """What each counter stands at, in the order of the ids; NaN where it was never read."""
        present = {target.container_id: slot for slot, target in enumerate(self._targets)}
        slots = [present.get(container_id) for container_id in container_ids]
        told = {}
        for total in Total:
            column = self._column(total)
            in_order = len(slots) == len(column) and slots == list(range(len(column)))
            told[total] = column if in_order else array("d", self._picked(total, column, container_ids, slots))
        return told

    def _column(self, total: Total) -> array[float]:
        """What it stands at, in the order of the targets."""
        before, now = self._before.get(total), self._highest.get(total)
        if before is None or now is None:
            return array("d", [math.nan]) * len(self._targets)
        return array(
            "d",
            [
                earlier + here if here >= 0 else earlier if earlier > 0 else math.nan
                for earlier, here in zip(before, now, strict=True)
            ],
        )

    def _picked(
        self, total: Total, column: array[float], container_ids: Sequence[str], slots: Sequence[int | None]
    ) -> Iterator[float]:
        for container_id, slot in zip(container_ids, slots, strict=True):
            counted = self._containers.get(container_id) if slot is None else None
            if slot is not None:
                yield column[slot]
            else:
                yield math.nan if counted is None else counted.stands_at(total)

    def _settle(self) -> None:
        """Write down what each container came to."""
        for total, highest in self._highest.items():
            for target, number in zip(self._targets, highest, strict=True):
                if number >= 0:
                    self._containers[target.container_id].now[total] = number

    def _follow(self, targets: tuple[SampleTarget, ...], used: array[float] | None) -> None:
        """From now on these are counted, some of them in another life."""
        present = {target.container_id for target in targets}
        self._containers = {
            container_id: counted
            for container_id, counted in self._containers.items()
            if container_id in present or self.exists(container_id)
        }
        for slot, target in enumerate(targets):
            counted = self._containers.setdefault(target.container_id, _Counted())
            fell = used is not None and used[slot] < counted.now.get(Total.CPU, _UNREAD)
            if fell or not counted.goes_on_as(target):
                counted.begin_anew()
            counted.learn(target)
        for container_id in self._containers.keys() - present:
            self._containers[container_id].may_have_ended()
        self._targets = targets
        self._seen = {}
        counts = [self._containers[target.container_id] for target in targets]
        self._highest = {total: array("d", [each.now.get(total, _UNREAD) for each in counts]) for total in Total}
        self._before = {total: array("d", [each.before.get(total, 0.0) for each in counts]) for total in Total}
