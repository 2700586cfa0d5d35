"""From what a container used to the limits that it should have: raised soon, lowered late and by little."""

from __future__ import annotations

import math
from dataclasses import field, replace
from typing import Final

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.resizing.demand import EPSILON, Needed
from watchtower_agent.policies.resizing.past import Kills, Past
from watchtower_agent.policies.resizing.recommendation import Advice, Limit, Limited, Recommendation, Resource, Verdict
from watchtower_agent.policies.resizing.rules import Bounds, Rules
from watchtower_agent.policies.resizing.situation import Situation
from watchtower_agent.policies.resizing.standing import SAME, Standing

_UNIT: Final = {Resource.MEMORY: 2.0**20, Resource.CPU: 0.01}
"""Limits are whole multiples of that, unless `min` or `max` is none."""
_HAIR: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What came of looking at a container once.

    Attributes:
        recommendation: Which limits it should have.
        past: What is to be known at the next look. Who only wants to know what would be recommended drops it.
        killed_at_max: It was OOM-killed now, and its limit is as large as it may be: news, and critical.
        alarm: Bytes of working set from which on it is worth to look at once; infinite: it is not.
    """

    recommendation: Recommendation
    past: Past
    killed_at_max: bool
    alarm: float


def look(rules: Rules, situation: Situation, past: Past, now: Instant) -> Look:
    """Look at a container: take the present into its past, and say which limits it should have.

    Unknown never lowers; a memory limit is never lowered to less than the working set needs; changes of limits that
    others made count as changes, from the first look that sees them.

    Args:
        rules: How its limits are chosen.
        situation: What it is now.
        past: What was learned of it before; `Past()` at first.
        now: The present.
    """
    at = now.monotonic if past.looked is None else max(now.monotonic, past.looked)
    after = past.seen(situation, rules, at)
    memory = cpu = None
    # Who sets one limit means the container: the other is left alone as well.
    by_hand = after.by_hand(rules)
    hands_off = by_hand is not None and at - by_hand < rules.hands_off - EPSILON
    if rules.memory is not None:
        memory = _Course(
            resource=Resource.MEMORY,
            rules=rules,
            bounds=rules.memory,
            current=situation.memory,
            used=_known(situation.working_set),
            seconds=situation.measured.memory_seconds,
            needed=after.memory.needed(rules, at),
            standing=after.memory_limit,
            kills=after.kills,
            reservation=situation.reservation,
            spent=len(after.changes) >= rules.budget,
            hands_off=hands_off,
            at=at,
        )
    if rules.cpu is not None:
        cpu = _Course(
            resource=Resource.CPU,
            rules=rules,
            bounds=rules.cpu.down_to(situation.least_cpu).up_to(situation.host_cpus),
            current=situation.cpu,
            used=_known(situation.cores),
            seconds=situation.measured.cpu_seconds,
            needed=after.cpu.needed(rules, at),
            standing=after.cpu_limit,
            kills=Kills(),
            reservation=0.0,
            spent=len(after.changes) >= rules.budget,
            hands_off=hands_off,
            at=at,
        )
    recommendation = Recommendation(
        memory=None if memory is None else memory.advice(),
        cpu=None if cpu is None else cpu.advice(),
        changes=len(after.changes),
        budget=rules.budget,
    )
    return Look(
        recommendation=recommendation,
        past=replace(
            after,
            memory_limit=after.memory_limit if memory is None else memory.standing,
            cpu_limit=after.cpu_limit if cpu is None else cpu.standing,
        ),
        killed_at_max=situation.killed and recommendation.at_max,
        alarm=_alarm(rules, recommendation.memory),
    )


def leaves_room(rules: Rules, working_set: float | None, memory: float) -> bool:
    """Whether a memory limit may be lowered to that: to be asked once more just before it is written.

    Args:
        rules: How limits are chosen.
        working_set: The newest, bytes; None: not known.
        memory: The new limit, bytes.
    """
    return working_set is not None and 0.0 <= working_set <= rules.fullest * memory * (1.0 + _HAIR)


def _known(value: float | None) -> float | None:
    return value if value is not None and 0.0 <= value < math.inf else None


def _alarm(rules: Rules, memory: Advice | None) -> float:
    """From where on the working set of the present alone would raise the limit."""
    if memory is None or memory.to > memory.current or memory.current >= memory.bounds.most:
        return math.inf
    if memory.limit in {Limit.COOLDOWN, Limit.OPERATOR, Limit.BUDGET}:
        return math.inf  # it would ring at every sample until that is over
    return rules.worth_raising * memory.current / rules.recent_margin


@dataclass(slots=True, kw_only=True)
class _Course:
    """The way from what is needed of one resource to what is recommended, limit after limit."""

    resource: Resource
    rules: Rules
    bounds: Bounds
    current: float
    used: float | None
    seconds: float
    needed: Needed
    standing: Standing
    kills: Kills
    reservation: float
    spent: bool
    hands_off: bool
    at: float
    to: float = 0.0
    low: bool = False
    limits: list[Limited] = field(default_factory=list)

    def advice(self) -> Advice:
        base = self.standing.base
        self._by_need(base)
        needed = self.to
        self._limit(Limit.MIN, max(self.to, self.bounds.least))
        self._limit(Limit.MAX, min(self.to, self.bounds.most))
        if self.to > base:
            self._raise(base, needed)
        elif self.to < base:
            self._lower(base)
        if not self.low and (self.used is not None or self.to > base):
            self.standing = self.standing.not_low()
        if self.standing.lost:
            self._reapply()
        if self.to != self.current and self.hands_off:
            self._limit(Limit.OPERATOR, self.current)
        if self.to != self.current and self.spent:
            self._limit(Limit.BUDGET, self.current)
        return Advice(
            resource=self.resource,
            verdict=self._verdict(),
            current=self.current,
            to=self.to,
            base=base,
            needed=self.needed,
            used=self.used,
            kill_need=self.kills.need,
            limits=tuple(self.limits),
            bounds=self.bounds,
            data=self.rules.data,
            low=self.standing.low,
            may_raise_in=self._left(self.standing.raised, self.rules.raise_cooldown),
            may_lower_in=self._lowers_in(),
        )

    def _limit(self, limit: Limit, after: float) -> None:
        if after != self.to:
            self.limits.append(Limited(limit=limit, before=self.to, after=after))
            self.to = after

    def _by_need(self, base: float) -> None:
        """What use and kills ask for."""
        usual = base if self.needed.limit is None else self._whole(self.needed.limit)
        known = self.needed.limit is not None and self.used is not None
        need = None if self.kills.need is None else self._whole(self.kills.need)
        self.to = usual
        if need is not None and need > (usual if known else base):
            self.to = need
            if self._may_answer_kills:
                return
            self._limit(Limit.KILLS, usual)
        if not known:
            self.limits.append(Limited(limit=Limit.UNKNOWN, before=self.to, after=base))
            self.to = base

    def _raise(self, base: float, needed: float) -> None:
        if base < self.bounds.least * (1.0 - SAME) or self._by_kill(base):
            return
        if needed <= self.rules.worth_raising * base * (1.0 + _HAIR):  # whatever of that `max` allows
            self._limit(Limit.TOLERANCE, base)
        elif self._left(self.standing.raised, self.rules.raise_cooldown):
            self._limit(Limit.COOLDOWN, base)

    def _by_kill(self, base: float) -> bool:
        return self.kills.need is not None and self.kills.need > base and self._may_answer_kills

    @property
    def _may_answer_kills(self) -> bool:
        return len(self.kills.raises) < self.rules.killed_raises

    def _lower(self, base: float) -> None:
        rules, outside = self.rules, base > self.bounds.most * (1.0 + SAME)
        if self.used is None or self.needed.limit is None:
            self._limit(Limit.UNKNOWN, base)
            return
        self._keep(Limit.PEAK, (self.needed.peak or 0.0) / rules.fullest, base)
        self._keep(Limit.RESERVATION, self.reservation, base)
        if self.to < base and not outside and self.to >= rules.worth_lowering * base * (1.0 - _HAIR):
            self._limit(Limit.TOLERANCE, base)
        if self.to >= base:
            return
        if self.needed.measured < rules.data - EPSILON:
            self._limit(Limit.DATA, base)
            return
        self.low = True
        self.standing = self.standing.lows(self.seconds, self.at)
        if self.standing.low < rules.lowered_after - EPSILON:
            self._limit(Limit.HELD, base)
            return
        step = self.bounds.most if outside else min(base, self._whole((1.0 - rules.step) * base))
        self._limit(Limit.STEP, max(self.to, step))
        if self.resource is Resource.MEMORY and not leaves_room(rules, self.used, self.to):
            self._limit(Limit.WORKING_SET, base)

    def _keep(self, limit: Limit, least: float, base: float) -> None:
        """It is not lowered below that; not at all, where it would still not be within its bounds."""
        kept = max(self.to, min(base, self._whole(least)))
        self._limit(limit, kept if kept <= self.bounds.most else base)

    def _reapply(self) -> None:
        """A recreated container gets back what it had, if it fits into that."""
        self._limit(Limit.MAX, min(self.to, self.bounds.most))
        self._limit(Limit.MIN, max(self.to, self.bounds.least))
        if self.to >= self.current:
            return
        if self.used is None:
            self._limit(Limit.UNKNOWN, self.current)
        elif self.resource is Resource.MEMORY and not leaves_room(self.rules, self.used, self.to):
            self._limit(Limit.WORKING_SET, self.current)

    def _verdict(self) -> Verdict:
        if self.to == self.current:
            return Verdict.AT_MAX if self.kills.at_max is not None else Verdict.KEEP
        if self.standing.lost:
            return Verdict.REAPPLY
        return Verdict.RAISE if self.to > self.current else Verdict.LOWER

    def _whole(self, limit: float) -> float:
        """The next larger whole multiple of a unit."""
        unit = _UNIT[self.resource]
        return limit if math.isinf(limit) else round(math.ceil(limit / unit - _HAIR) * unit, 6)

    def _left(self, since: float | None, wait: float) -> float:
        if since is None:
            return 0.0
        left = since + wait - self.at
        return left if left > EPSILON else 0.0

    def _lowers_in(self) -> float | None:
        """Seconds until what is used now would lower it, as far as data and hold are concerned."""
        last = self.limits[-1].limit if self.limits else None
        if self.to < self.current:
            return 0.0
        if last is Limit.DATA:
            return max(self.rules.data - self.needed.measured, 0.0) + self.rules.lowered_after
        if last is Limit.HELD:
            return self.rules.lowered_after - self.standing.low
        return None
