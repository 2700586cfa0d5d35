"""What is remembered of a container from look to look, by its name: a recreated one goes on with it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Final, Self

from watchtower_agent.model.boots import UNKNOWN, Boots
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.resizing.demand import EPSILON, CpuDemand, MemoryDemand
from watchtower_agent.policies.resizing.rules import DAY, HOUR, Rules
from watchtower_agent.policies.resizing.situation import Situation
from watchtower_agent.policies.resizing.standing import SAME, Standing
from watchtower_agent.policies.resizing.storing import age, items, mapping, moment, number

FORGOTTEN_AFTER: Final = 14 * DAY
"""Seconds without a look after which what was used says nothing any more."""
KILL_COUNTS_FOR: Final = 2 * HOUR
"""Seconds for which an OOM kill asks for more memory."""
_CHANGES: Final = 32
"""Changes that are remembered at most: more than any budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kills:
    """What follows from processes that were killed for want of memory.

    Attributes:
        need: Bytes that the limit should be since then; None: nothing is asked for.
        at: When the last one was.
        at_max: When the last one was to which nothing but a larger `max` can answer.
        raises: When limits were raised after kills, as far as that counts.
    """

    need: float | None = None
    at: float | None = None
    at_max: float | None = None
    raises: tuple[float, ...] = ()

    def killed(self, limit: float, rules: Rules, at: float) -> Self:
        """The same after one more, at that limit."""
        if rules.memory is None or limit > rules.memory.most * (1.0 + SAME):
            return replace(self, at=at)
        if limit >= rules.memory.most * (1.0 - SAME):
            return replace(self, at=at, at_max=at)
        return replace(self, at=at, need=max(rules.killed_factor * limit, limit + rules.killed_bytes))

    def passed(self, before: float | None, limit: float, most: float, at: float) -> Self:
        """The same after time passed, and perhaps the limit changed."""
        raises = tuple(each for each in self.raises if at - each < HOUR - EPSILON)
        need = self.need
        if need is not None and before is not None and limit > before * (1.0 + SAME):
            raises = (*raises, at)[-_CHANGES:]
        if self.at is None or at - self.at >= KILL_COUNTS_FOR or limit >= min(need or 0.0, most) * (1.0 - SAME):
            need = None
        at_max = self.at_max
        if at_max is not None and (at - at_max >= HOUR or not most * (1.0 - SAME) <= limit <= most * (1.0 + SAME)):
            at_max = None
        return replace(self, raises=raises, need=need, at_max=at_max)

    def stored(self, now: float) -> dict[str, object]:
        """As a JSON object for the next run."""
        return {
            "need": self.need,
            "at": age(self.at, now),
            "at_max": age(self.at_max, now),
            "raises": [now - each for each in self.raises],
        }

    @classmethod
    def restored(cls, stored: object, origin: float) -> Self:
        """The inverse of `stored`; raises KeyError, TypeError or ValueError for what is no such object."""
        known = mapping(stored)
        return cls(
            need=None if known["need"] is None else number(known["need"]),
            at=moment(known["at"], origin),
            at_max=moment(known["at_max"], origin),
            raises=tuple(origin - number(each) for each in items(known["raises"], _CHANGES)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """All of it. Moments are seconds on the monotonic clock: no step of the wall clock moves them.

    Attributes:
        container_id: Of the container that was looked at last; empty before the first look.
        looked: When that was.
        cpu: What it needed of CPU.
        memory: What it needed of memory.
        cpu_limit: Its CPU limit, as it changed.
        memory_limit: Its memory limit, as it changed.
        kills: What follows from OOM kills.
        changes: When the agent changed limits, as far as the budget asks.
    """

    container_id: str = ""
    looked: float | None = None
    cpu: CpuDemand = field(default_factory=CpuDemand)
    memory: MemoryDemand = field(default_factory=MemoryDemand)
    cpu_limit: Standing = field(default_factory=Standing)
    memory_limit: Standing = field(default_factory=Standing)
    kills: Kills = field(default_factory=Kills)
    changes: tuple[float, ...] = ()

    def seen(self, situation: Situation, rules: Rules, at: float) -> Self:
        """The same after one more look."""
        before = self
        if self.looked is not None and at - self.looked > FORGOTTEN_AFTER:
            before = replace(self, cpu=CpuDemand(), memory=MemoryDemand())
        recreated = bool(self.container_id) and situation.container_id != self.container_id
        cpu_limit = self.cpu_limit.seen(situation.cpu, at, recreated=recreated)
        memory_limit = self.memory_limit.seen(situation.memory, at, recreated=recreated)
        changes = tuple(each for each in self.changes if at - each < HOUR - EPSILON)
        if _given_anew(self.cpu_limit, cpu_limit) or _given_anew(self.memory_limit, memory_limit):
            changes = (*changes, at)[-_CHANGES:]
        memory, kills = before.memory.seen(situation.measured, rules, at), self.kills
        most = rules.memory.most if rules.memory is not None else situation.memory
        kills = kills.passed(None if recreated else self.memory_limit.limit, situation.memory, most, at)
        if situation.killed:
            memory_limit = memory_limit.not_low()
            kills = kills.killed(situation.memory, rules, at)
            if math.isfinite(situation.memory):
                memory = memory.peaked(situation.memory, rules, at)
        return replace(
            before,
            container_id=situation.container_id,
            looked=at,
            cpu=before.cpu.seen(situation.measured, rules, at),
            memory=memory,
            cpu_limit=cpu_limit,
            memory_limit=memory_limit,
            kills=kills,
            changes=changes,
        )

    @property
    def originals(self) -> tuple[float | None, float | None]:
        """Limits of memory and CPU before the agent changed them, infinite for none; None: it is as others made it."""
        return self.memory_limit.original, self.cpu_limit.original

    @property
    def changed_by_others(self) -> Mapping[str, float]:
        """`memory` and `cpu`, where somebody else changed that limit last -> when, on the monotonic clock."""
        limits = {"memory": self.memory_limit, "cpu": self.cpu_limit}
        found = {name: limit.changed for name, limit in limits.items() if limit.given is None}
        return {name: at for name, at in found.items() if at is not None}

    def by_hand(self, rules: Rules) -> float | None:
        """When somebody else changed a limit of this container last, on the monotonic clock; None: nobody did.

        Of a resource that these rules leave another policy of the agent may have changed it.
        """
        limits = ((rules.memory, self.memory_limit), (rules.cpu, self.cpu_limit))
        acts = (limit.by_hand for bounds, limit in limits if bounds is not None)
        return max((at for at in acts if at is not None), default=None)

    @property
    def has_originals(self) -> bool:
        """Whether the agent has changed any of them."""
        return self.originals != (None, None)

    @property
    def may_have_originals(self) -> bool:
        """The same, or it may be about to turn out so: what has begun is done before it is seen."""
        return self.has_originals or any(each.expected is not None for each in (self.memory_limit, self.cpu_limit))

    def begun(self, *, memory: float | None, cpu: float | None) -> Self:
        """The same, as the agent begins to change limits: where such a one is seen next, it is the agent's doing.

        Args:
            memory: Bytes; None: that one stays.
            cpu: Cores; None: that one stays.
        """
        memory_limit, cpu_limit = self.memory_limit, self.cpu_limit
        return replace(
            self,
            memory_limit=memory_limit if memory is None else memory_limit.begun(memory),
            cpu_limit=cpu_limit if cpu is None else cpu_limit.begun(cpu),
        )

    def handed_back(self) -> Self:
        """The same, about to be changed by hand: the limits that are seen next are a person's."""
        return replace(self, memory_limit=self.memory_limit.not_expected(), cpu_limit=self.cpu_limit.not_expected())

    def given_back(self) -> Self:
        """The same, once the limits are as others had made them."""
        return replace(self, memory_limit=self.memory_limit.not_given(), cpu_limit=self.cpu_limit.not_given())

    def has_to_be_stored(self, before: Past) -> bool:
        """Whether it has to be stored at once: limits, kills, what has begun.

        What was used can wait for some minutes: who loses that lowers later.

        Args:
            before: As it was stored last.
        """
        return (
            self.container_id != before.container_id
            or self.kills != before.kills
            or self.changes != before.changes
            or self.memory_limit.not_low() != before.memory_limit.not_low()
            or self.cpu_limit.not_low() != before.cpu_limit.not_low()
        )

    def stored(self, now: Instant) -> dict[str, object]:
        """As a JSON object for the next run: how long ago everything was, and when that was written."""
        at = now.monotonic
        return {
            "at": now.stored(),
            "container_id": self.container_id,
            "looked": age(self.looked, at),
            "cpu": self.cpu.stored(at),
            "memory": self.memory.stored(at),
            "cpu_limit": self.cpu_limit.stored(at),
            "memory_limit": self.memory_limit.stored(at),
            "kills": self.kills.stored(at),
            "changes": [at - each for each in self.changes],
        }

    @classmethod
    def restored(cls, stored: Mapping[str, object], now: Instant, boots: Boots = UNKNOWN) -> Self | None:
        """The inverse of `stored`, on the clocks of this run; None for what is no such object.

        Args:
            stored: As it was written.
            now: The present.
            boots: Earlier ones of the host.
        """
        written, container_id = stored.get("at"), stored.get("container_id")
        earlier = Instant.restored(written) if isinstance(written, Mapping) else None
        if earlier is None or not isinstance(container_id, str):
            return None
        origin = boots.carried(earlier, now).monotonic
        try:
            return cls(
                container_id=container_id,
                looked=moment(stored["looked"], origin),
                cpu=CpuDemand.restored(stored["cpu"], origin),
                memory=MemoryDemand.restored(stored["memory"], origin),
                cpu_limit=Standing.restored(stored["cpu_limit"], origin),
                memory_limit=Standing.restored(stored["memory_limit"], origin),
                kills=Kills.restored(stored["kills"], origin),
                changes=tuple(origin - number(each) for each in items(stored["changes"], _CHANGES)),
            )
        except (KeyError, TypeError, ValueError):
            return None


def _given_anew(before: Standing, after: Standing) -> bool:
    """Whether the agent's own change was seen."""
    return after.given is not None and after.changed != before.changed
