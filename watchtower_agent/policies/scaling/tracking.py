"""Target tracking: grows at once to what the last seconds need, shrinks to the most that was needed for a while."""

from __future__ import annotations

import math
from dataclasses import field

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.scaling.memory import EPSILON, Memory, whole
from watchtower_agent.policies.scaling.needs import Needs, needs_of
from watchtower_agent.policies.scaling.recommendation import Limit, Limited, Recommendation
from watchtower_agent.policies.scaling.rules import Rules
from watchtower_agent.policies.scaling.situation import Idleness, Situation


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What came of looking at a service once.

    Attributes:
        recommendation: How many replicas it should have.
        memory: What is to be known at the next look. Who only wants to know what would be recommended drops it.
        regretted: It had to grow again soon after a shrink, which is news.
    """

    recommendation: Recommendation
    memory: Memory
    regretted: bool


def look(rules: Rules, situation: Situation, memory: Memory, now: Instant) -> Look:
    """Look at a service: take the present into its memory, and say how many replicas it should have.

    Unknown never shrinks; nothing but an idle rule takes the last replica; changes of the number that others made count
    as changes, from the first look that sees them.

    Args:
        rules: How it is scaled.
        situation: What it is now.
        memory: What was learned of it before; `Memory()` at first.
        now: The present.
    """
    at = now.monotonic if memory.looked is None else max(now.monotonic, memory.looked)
    needs = needs_of(situation, rules.up.window)
    after = memory.seen(situation.wanted, needs.measured, needs.at_least(situation.wanted), at, rules)
    course = _Course(rules=rules, situation=situation, needs=needs, memory=after, at=at)
    return Look(recommendation=course.recommended(), memory=after, regretted=after.regretted == at)


@dataclass(slots=True, kw_only=True)
class _Course:
    """The way from what is needed to what is recommended, limit after limit."""

    rules: Rules
    situation: Situation
    needs: Needs
    memory: Memory
    at: float
    tolerance: float = 0.0
    needless: float = 0.0
    to: int = 0
    limits: list[Limited] = field(default_factory=list)

    def recommended(self) -> Recommendation:
        since_growth, since_shrink = self.memory.since_growth(self.at), self.memory.since_shrink(self.at)
        self.tolerance = self.rules.up.tolerated(since_growth, since_shrink)
        self.needless = self.rules.down.needless(since_growth, since_shrink)
        wait = self.rules.down.wait(regretted=self.memory.is_regretted(self.at))
        most = self.memory.most(self.rules.down.window, self.at)
        recent = self.memory.most(wait, self.at)
        self._by_need(most, recent)
        self._last_replica()
        self._bounds()
        self._hold()
        situation, first = self.situation, self.needs.first
        return Recommendation(
            wanted=situation.wanted,
            to=self.to,
            needs=self.needs.by_metric,
            metric=first.metric if first is not None else "",
            need=self.needs.measured,
            jump=self._jump(),
            tolerance=self.tolerance,
            needless=self.needless,
            most=most,
            window=self.rules.down.window,
            recent=recent,
            wait=wait,
            regretted=self.memory.is_regretted(self.at),
            limits=tuple(self.limits),
            bounds=situation.bounds,
            running=len(situation.replicas) if situation.running is None else situation.running,
            room=situation.room.replicas if situation.room is not None else None,
            may_grow_in=max(self._cools_for(self.memory.changed, self.rules.up.cooldown), situation.paused_for),
            may_shrink_in=self._shrinks_in(wait),
        )

    def _limit(self, limit: Limit, after: int) -> None:
        if after != self.to:
            self.limits.append(Limited(limit=limit, before=self.to, after=after))
            self.to = after

    def _by_need(self, most: int, recent: int) -> None:
        """What metrics and steps make of it."""
        wanted, need = self.situation.wanted, max(self.needs.measured, self._jump() or 0.0)
        self.to = whole(need)
        if self.to > wanted:
            if need <= (1.0 + self.tolerance) * wanted + EPSILON:
                self._limit(Limit.TOLERANCE, wanted)
            self._limit(Limit.STEP_UP, min(self.to, max(wanted, self._highest())))
        elif self.to < wanted and wanted > 1:
            self._shrink(most, recent)
        elif self.to == wanted and self.needs.missing:
            self._keep_for_missing()

    def _keep_for_missing(self) -> None:
        """Said though it moves nothing: only what is assumed of those without a value keeps it as large as it is."""
        wanted, least = self.situation.wanted, max(1, self.situation.bounds.least, whole(self.needs.least))
        if least < wanted and not self.needs.over:
            self.to = least
            self._limit(Limit.MISSING, wanted)

    def _jump(self) -> float | None:
        """What the very last seconds need, where that is far more than there is."""
        newest = self.needs.newest
        return newest if newest > (1.0 + self.rules.up.jump) * self.situation.wanted + EPSILON else None

    def _shrink(self, most: int, recent: int) -> None:
        wanted, down = self.situation.wanted, self.rules.down
        if self.needs.unknown:
            self._limit(Limit.MISSING, wanted)
        elif self.needs.over:
            warming = any(each.warming for each in self.needs.by_metric)
            self._limit(Limit.WARMING if warming else Limit.MISSING, wanted)
        else:
            kept = min(wanted, most)
            if self._is_far_below(recent):
                kept = min(kept, recent)
            elif self.memory.is_regretted(self.at) and self._is_far_below(
                self.memory.most(down.wait(regretted=False), self.at)
            ):
                self._limit(Limit.REGRET, kept)
            self._limit(Limit.WINDOW, max(self.to, kept))
            self._limit(Limit.STEP_DOWN, max(self.to, math.ceil(wanted * (1.0 - down.step) - EPSILON)))

    def _is_far_below(self, level: int) -> bool:
        return level <= (1.0 - self.needless) * self.situation.wanted + EPSILON

    def _highest(self) -> int:
        """The most that the step up allows."""
        base = max(0, self.situation.wanted - self.memory.added(self.rules.up.per, self.at))
        return base + max(1, math.floor(base * self.rules.up.step + EPSILON))

    def _last_replica(self) -> None:
        """Only an idle rule takes the last one away, and only the last; it lets none be for as long as it holds."""
        wanted, idle = self.situation.wanted, self.situation.idleness
        if wanted > 0:
            if wanted == 1 and self.to <= 1 and self._is_idle(idle):
                self._limit(Limit.IDLE, 0)
            else:
                self._limit(Limit.MISSING if self.needs.unknown else Limit.IDLE, max(1, self.to))
        elif idle is not None:
            if idle.holds is None:  # told though it changes nothing: where none is left nobody else would miss it
                self.limits.append(Limited(limit=Limit.MISSING, before=self.to, after=0))
                self.to = 0
            else:
                self._limit(Limit.IDLE, 0 if idle.holds else max(1, self.to))

    def _is_idle(self, idle: Idleness | None) -> bool:
        after = self.rules.idle_for
        if idle is None or idle.holds is not True or after is None or self.needs.unknown:
            return False
        return idle.held_for >= after - EPSILON

    def _bounds(self) -> None:
        bounds = self.situation.bounds
        self._limit(Limit.MIN, max(self.to, bounds.least))
        self._limit(Limit.MAX, min(self.to, bounds.most))

    def _hold(self) -> None:
        """What else there is against a change at this moment."""
        situation, wanted = self.situation, self.situation.wanted
        for holds, limit in (
            (situation.stopped, Limit.STOPPED),  # which is not over with the others
            (situation.updating, Limit.UPDATING),
            (situation.paused_for > 0.0, Limit.OPERATOR),
            (situation.settling, Limit.SETTLING),
        ):
            if holds:
                self._limit(limit, wanted)
        if self.to < wanted:
            if self.needs.unknown or self.needs.missing:
                self._limit(Limit.MISSING, wanted)
            if situation.short:
                self._limit(Limit.FEWER_RUNNING, wanted)
            if self._cools_for(self.memory.shrunk, self.rules.down.per):
                self._limit(Limit.COOLDOWN, wanted)
        if self.to > wanted:
            if situation.room is not None:
                self._limit(Limit.HOST_ROOM, min(self.to, wanted + situation.room.replicas))
            if self._cools_for(self.memory.changed, self.rules.up.cooldown):
                self._limit(Limit.COOLDOWN, wanted)

    def _is_kept(self) -> bool:
        """Whether something keeps it from shrinking of which nobody knows when it is over."""
        situation = self.situation
        return self.needs.missing or situation.short or situation.updating or situation.settling or situation.stopped

    def _cools_for(self, since: float | None, cooldown: float) -> float:
        if since is None:
            return 0.0
        left = since + cooldown - self.at
        return left if left > EPSILON else 0.0

    def _shrinks_in(self, wait: float) -> float | None:
        """Seconds until what is needed now would make it shrink; None while what is against it has no end in sight."""
        wanted, down, memory = self.situation.wanted, self.rules.down, self.memory
        bounds, idle, cooldown = (
            self.situation.bounds,
            self.situation.idleness,
            max(self._cools_for(memory.shrunk, down.per), self.situation.paused_for),
        )
        if self.needs.unknown or self.needs.over or self._is_kept():
            return None
        if wanted > bounds.most:
            return cooldown
        if wanted <= max(1, bounds.least):
            if wanted == 1 > bounds.least and idle is not None and idle.holds and self.rules.idle_for is not None:
                return max(self.rules.idle_for - idle.held_for, cooldown)
            return None
        far = math.floor((1.0 - self.needless) * wanted + EPSILON)
        waits = (memory.falls_below(wanted, down.window, self.at), memory.falls_below(far + 1, wait, self.at))
        known = [each for each in waits if each is not None]
        return max(min(known), cooldown) if known else None
