"""What is known of a service at one moment: all that a recommendation rests on beside its memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field

from watchtower_agent.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One of those that are meant to run; not one that is being taken away.

    Attributes:
        name: Which.
        healthy_for: Seconds since it became healthy (or runs, without a health check); None while it is not.
        values: Metric -> its mean over the last seconds (`Growth.window`); absent where that is not known.
        newest: Metric -> its mean over the very last ones (`Growth.jump_window`); where it is absent, `values` count.
    """

    name: str
    healthy_for: float | None
    values: Mapping[str, float] = field(default_factory=dict)
    newest: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMetric:
    """A metric of the replicas themselves.

    Attributes:
        name: As the catalogue has it.
        target: What it should be of each replica.

    Raises:
        ValueError: No target that anything could be divided by.
    """

    name: str
    target: float

    def __post_init__(self) -> None:
        _require_target(self.name, self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalMetric:
    """A metric of the whole service that comes from elsewhere: the depth of a queue, say.

    Attributes:
        name: Where it comes from.
        target: How much of it one replica is for.
        value: What it was last; None while that is not known.
        age: Seconds since then.
        stale_after: Seconds after which nobody knows any more.
        why: Why nothing newer is known, in few words; empty where that can't be told, or there is nothing to tell.

    Raises:
        ValueError: No target that anything could be divided by.
    """

    name: str
    target: float
    value: float | None
    age: float = 0.0
    stale_after: float = 60.0
    why: str = ""

    def __post_init__(self) -> None:
        _require_target(self.name, self.target)


Metric = OwnMetric | ExternalMetric
"""What a service can be scaled by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How few and how many there may be at this moment, schedules included.

    Attributes:
        least: `min`.
        most: `max`.

    Raises:
        ValueError: They cross, or are no numbers of replicas.
    """

    least: int
    most: int

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most or self.most < 1:
            raise ValueError(f"min is at least 0 and not above max, max at least 1: {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRoom:
    """What a host has for more clones.

    Attributes:
        available: Bytes of memory; None where that is not known.
        reserve: Bytes that have to stay free.
        per_replica: Bytes that one more takes: its largest of P95 working set and reservation; None: not known.
        promised: Bytes of those available that others will take: replicas that began only now have not taken theirs.
    """

    available: float | None
    reserve: float
    per_replica: float | None
    promised: float = 0.0

    @property
    def replicas(self) -> int:
        """How many more there is room for; none where it is not known how much there is, or how much one takes."""
        if self.available is None or self.per_replica is None or not math.isfinite(self.available):
            return 0
        if self.per_replica <= 0.0 or not math.isfinite(self.per_replica):
            return 0
        return max(0, int((self.available - self.reserve - self.promised) // self.per_replica))


@dataclass(frozen=True, slots=True, kw_only=True)
class Idleness:
    """What the idle rule's condition says.

    Attributes:
        holds: Whether it is true; None: not known.
        held_for: Seconds for which it has been true.
    """

    holds: bool | None
    held_for: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A service at one moment.

    Attributes:
        wanted: How many replicas it is meant to have, as its orchestrator has it.
        replicas: Those that there are.
        metrics: What it is scaled by.
        bounds: How few and how many.
        running: How many run; None: as many as there are.
        updating: An update or rollback is under way.
        paused_for: Seconds for which a person's own doing, or a pause, is respected; 0: nobody said anything.
        settling: Somebody makes, stops or removes its containers at present: nobody knows yet what comes of it.
        stopped: Somebody wants none of it, and no rule of the policy does.
        room: What the host has for more; None: somebody else finds the room.
        idleness: Of the idle rule; None: there is none.
    """

    wanted: int
    replicas: tuple[Replica, ...]
    metrics: tuple[Metric, ...]
    bounds: Bounds
    running: int | None = None
    updating: bool = False
    paused_for: float = 0.0
    settling: bool = False
    stopped: bool = False
    room: HostRoom | None = None
    idleness: Idleness | None = None

    @property
    def short(self) -> bool:
        """Fewer run than are wanted."""
        return (len(self.replicas) if self.running is None else self.running) < self.wanted


def _require_target(name: str, target: float) -> None:
    if not (math.isfinite(target) and target > 0.0):
        raise ValueError(f"the target of {name} is {target}; it has to be above 0")
