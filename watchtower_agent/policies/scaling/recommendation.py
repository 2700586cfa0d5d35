"""How many replicas a service should have, with every number that led there."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.scaling.needs import MetricNeed
from watchtower_agent.policies.scaling.situation import Bounds


class Limit(StrEnum):
    """What keeps the number from being what is needed at this moment."""

    TOLERANCE = "tolerance"
    """More are needed, but not by enough to be worth a change."""
    STEP_UP = "step_up"
    """So many at most may be added within a time."""
    WINDOW = "window"
    """As many were needed a short while ago."""
    REGRET = "regret"
    """The same, and for longer, since a shrink was regretted."""
    STEP_DOWN = "step_down"
    """So many at most may go at once."""
    WARMING = "warming"
    """Those that count are above target, and others do not count yet."""
    MISSING = "missing"
    """A metric, or a replica's value, is not known."""
    IDLE = "idle"
    """Only an idle rule takes the last replica away, or lets none be."""
    MIN = "min"
    MAX = "max"
    UPDATING = "updating"
    """The service is being updated or rolled back."""
    OPERATOR = "operator"
    """A person's doing, or a pause, is respected."""
    SETTLING = "settling"
    """What somebody does to its containers is let come to its end."""
    STOPPED = "stopped"
    """A person wants none of it to run."""
    FEWER_RUNNING = "fewer_running"
    """Fewer run than are wanted."""
    HOST_ROOM = "host_room"
    """The host has no memory for more."""
    COOLDOWN = "cooldown"
    """The number changed only now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """One limit at work.

    Attributes:
        limit: Which.
        before: Replicas that it was asked for.
        after: Replicas that it left.
    """

    limit: Limit
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What should become of a service's number of replicas.

    Attributes:
        wanted: How many it is meant to have.
        to: How many it should be meant to have.
        needs: What each metric says.
        metric: Name of the one that needs most; empty while none is known.
        need: How many replicas that takes, not rounded, as far as is known; 0 while nothing is.
        jump: How many the very last seconds took, where that is so much more that it counts; else None.
        tolerance: Share of the wanted replicas beyond them that is tolerated at this moment.
        needless: Share of them that must have become needless for the shorter wait, at this moment.
        most: The most that was needed within the window, whole.
        window: Seconds of it.
        recent: The most that was needed within the shorter wait, whole.
        wait: Seconds of the shorter wait, as it is now.
        regretted: A shrink was regretted lately: the shorter wait is longer.
        limits: What was at work between what is needed and `to`, in the order of its turn.
        bounds: How few and how many there may be.
        running: How many run.
        room: How many more the host has room for; None: nobody asked.
        may_grow_in: Seconds until the number may grow.
        may_shrink_in: Seconds until it would shrink, at the latest, if all stays as it is; None: it would not.
    """

    wanted: int
    to: int
    needs: tuple[MetricNeed, ...]
    metric: str
    need: float
    jump: float | None
    tolerance: float
    needless: float
    most: int
    window: float
    recent: int
    wait: float
    regretted: bool
    limits: tuple[Limited, ...]
    bounds: Bounds
    running: int
    room: int | None
    may_grow_in: float
    may_shrink_in: float | None

    @property
    def moves(self) -> bool:
        """Whether it should change."""
        return self.to != self.wanted

    @property
    def desired(self) -> int:
        """How many there would be without any limit."""
        return self.limits[0].before if self.limits else self.to

    @property
    def limit(self) -> Limit | None:
        """The limit that had the last word; None: there are, or will be, as many as are needed."""
        return self.limits[-1].limit if self.limits else None

    def numbers(self) -> Mapping[str, float | int | str | bool | None]:
        """Everything by plain names, as decisions carry it."""
        numbers: dict[str, float | int | str | bool | None] = {
            "replicas.wanted": self.wanted,
            "replicas.running": self.running,
            "to": self.to,
            "desired": self.desired,
            "metric": self.metric,
            "need": self.need,
            "jump": self.jump,
            "tolerance": self.tolerance,
            "needless": self.needless,
            "most": self.most,
            "window": self.window,
            "recent": self.recent,
            "wait": self.wait,
            "regretted": self.regretted,
            "min": self.bounds.least,
            "max": self.bounds.most,
            "room": self.room,
            "limit": self.limit.value if self.limit is not None else None,
            "may_grow_in": self.may_grow_in,
            "may_shrink_in": self.may_shrink_in,
        }
        for each in self.needs:
            numbers[each.metric] = each.value
            numbers[f"{each.metric} target"] = each.target
            numbers[f"{each.metric} ratio"] = each.ratio
            numbers[f"{each.metric} need"] = each.need
            numbers[f"{each.metric} replicas"] = f"{each.counted} known, {each.missing} missing, {each.warming} warming"
            if each.why:
                numbers[f"{each.metric} unknown"] = each.why
        return numbers
