"""Which limits a container should have, with every number that led there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.resizing.demand import Needed
from watchtower_agent.policies.resizing.rules import Bounds
from watchtower_agent.policies.resizing.standing import SAME
from watchtower_agent.policies.resizing.storing import finite

Number = float | int | str | bool | None


class Resource(StrEnum):
    """What is limited."""

    MEMORY = "memory"
    CPU = "cpu"


class Verdict(StrEnum):
    """What should become of a limit."""

    KEEP = "keep"
    RAISE = "raise"
    LOWER = "lower"
    REAPPLY = "reapply"
    """The container was recreated without the limit that it had: it is to have that again."""
    AT_MAX = "at_max"
    """It was OOM-killed at `max`: only a person can help it. Critical."""


class Limit(StrEnum):
    """What keeps a limit from being what is needed."""

    KILLS = "kills"
    """After OOM kills it was raised as often as may be within an hour."""
    UNKNOWN = "unknown"
    """Nothing is known of what is used, or not of what is used at present."""
    MIN = "min"
    MAX = "max"
    PEAK = "peak"
    """So much was used once within some days."""
    RESERVATION = "reservation"
    """So much is reserved for it."""
    TOLERANCE = "tolerance"
    """It is near enough."""
    DATA = "data"
    """Too little was measured to lower anything."""
    HELD = "held"
    """Less has not been enough for long."""
    STEP = "step"
    """So much at most is taken away at once."""
    WORKING_SET = "working_set"
    """The working set would fill nearly all of it: the kernel might kill."""
    COOLDOWN = "cooldown"
    """It changed only now."""
    OPERATOR = "operator"
    """A person changed one of its limits only now."""
    BUDGET = "budget"
    """As many changes as may be were made within an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """One at work.

    Attributes:
        limit: Which.
        before: What it was asked for, bytes or cores; infinite: no limit.
        after: What it left.
    """

    limit: Limit
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What should become of one limit. Bytes or cores; infinite is no limit.

    Attributes:
        resource: Of what.
        verdict: What should become of it.
        current: What it is.
        to: What it should be.
        base: From what one went on: what the agent gave, where a recreated container has lost that; else `current`.
        needed: What is needed, and since when that is known.
        used: What is used at present; None: not known.
        kill_need: Bytes that an OOM kill asks for; None: it does not.
        limits: What was at work between what is needed and `to`, in the order of its turn.
        bounds: How small and how large it may be.
        data: Seconds that have to be measured before it is lowered.
        low: Seconds measured for which a much smaller limit was recommended.
        may_raise_in: Seconds until it may be raised.
        may_lower_in: Seconds until it would be lowered, if all stays as it is; None: it would not.
    """

    resource: Resource
    verdict: Verdict
    current: float
    to: float
    base: float
    needed: Needed
    used: float | None
    kill_need: float | None
    limits: tuple[Limited, ...]
    bounds: Bounds
    data: float
    low: float
    may_raise_in: float
    may_lower_in: float | None

    @property
    def moves(self) -> bool:
        """Whether it should change."""
        return self.to != self.current

    @property
    def is_at_max(self) -> bool:
        """Whether it is as large as it may be."""
        return self.bounds.most * (1.0 - SAME) <= self.current < math.inf

    @property
    def desired(self) -> float:
        """What it would be without anything else at work."""
        return self.limits[0].before if self.limits else self.to

    @property
    def limit(self) -> Limit | None:
        """What had the last word; None: it is, or will be, what is needed."""
        return self.limits[-1].limit if self.limits else None

    def numbers(self) -> Mapping[str, Number]:
        """Everything by plain names; no limit is None."""
        numbers: dict[str, Number] = {
            "limit": finite(self.current),
            "to": finite(self.to),
            "base": finite(self.base),
            "desired": finite(self.desired),
            "verdict": self.verdict.value,
            "p95": self.needed.p95,
            "recent": self.needed.recent,
            "present": self.needed.present,
            "peak": self.needed.peak,
            "used": self.used,
            "kill_need": self.kill_need,
            "min": self.bounds.least,
            "max": self.bounds.most,
            "measured": self.needed.measured,
            "data": self.data,
            "low": self.low,
            "held_by": self.limit.value if self.limit is not None else None,
            "may_raise_in": self.may_raise_in,
            "may_lower_in": self.may_lower_in,
        }
        return {f"{self.resource} {name}": number for name, number in numbers.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What should become of a container's limits: one change for both.

    Attributes:
        memory: Of its memory limit; None: it is left alone.
        cpu: Of its CPU limit; None: it is left alone.
        changes: How many changes the last hour has seen.
        budget: How many it may see.
    """

    memory: Advice | None
    cpu: Advice | None
    changes: int
    budget: int

    @property
    def moves(self) -> bool:
        """Whether anything should change."""
        return any(each.moves for each in self.advices)

    @property
    def advices(self) -> tuple[Advice, ...]:
        """Of each resource that is looked at."""
        return tuple(each for each in (self.memory, self.cpu) if each is not None)

    @property
    def lowers(self) -> bool:
        """Whether a limit should become smaller: some guards hold only that."""
        return any(each.to < each.current for each in self.advices)

    @property
    def at_max(self) -> bool:
        """It was OOM-killed within the hour, and its memory limit is as large as it may be."""
        return self.memory is not None and self.memory.verdict is Verdict.AT_MAX

    def numbers(self) -> Mapping[str, Number]:
        """Everything by plain names, as decisions carry it."""
        numbers: dict[str, Number] = {"changes": self.changes, "budget": self.budget}
        for each in self.advices:
            numbers |= each.numbers()
        return numbers
