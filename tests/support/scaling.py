"""A service that is looked at again and again, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.scaling.memory import Memory
from watchtower_agent.policies.scaling.recommendation import Limit, Recommendation
from watchtower_agent.policies.scaling.rules import Rules
from watchtower_agent.policies.scaling.situation import (
    Bounds,
    ExternalMetric,
    OwnMetric,
    Replica,
    Situation,
)
from watchtower_agent.policies.scaling.tracking import Look, look

CPU = "cpu.percent_of_limit"
TARGET = 60.0
LONG = 3600.0


def replica(load: float | None, healthy_for: float | None = LONG, name: str = "web") -> Replica:
    """One with so much to do, as a share of its target; None: nobody knows."""
    return Replica(name=name, healthy_for=healthy_for, values={} if load is None else {CPU: load * TARGET})


def service(needs: float, wanted: int, **others: object) -> Situation:
    """One that needs so many replicas, which all have the same to do and their value."""
    situation = Situation(
        wanted=wanted,
        replicas=(replica(needs / wanted),) * wanted if wanted else (),
        metrics=(OwnMetric(name=CPU, target=TARGET),),
        bounds=Bounds(least=1, most=100),
    )
    return replace(situation, **others)  # type: ignore[arg-type] # fields by name


def queue(depth: float | None, age: float = 0.0) -> ExternalMetric:
    """A queue of which each replica takes ten."""
    return ExternalMetric(name="queue", target=10.0, value=depth, age=age, stale_after=60.0)


class Watched:
    """A service, looked at once a second.

    Attributes:
        rules: How it is scaled.
        memory: As of the last look.
        now: Seconds on the monotonic clock.
        wanted: How many replicas it is meant to have.
        last: What came of the last look.
    """

    def __init__(self, wanted: int, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.memory = Memory()
        self.now = 1000.0
        self.wall = 1.7e9
        self.wanted = wanted
        self.last: Look

    @property
    def instant(self) -> Instant:
        """The present."""
        return Instant(wall=self.wall, monotonic=self.now, boot="b")

    def see(self, situation: Situation) -> Recommendation:
        """Look once; a second later is the next time."""
        self.last = look(self.rules, situation, self.memory, self.instant)
        self.memory = self.last.memory
        self.now += 1.0
        self.wall += 1.0
        return self.last.recommendation

    def needs(self, needs: float, seconds: int = 1, *, obeys: bool = False, **others: object) -> Recommendation:
        """It needs so many replicas for so many looks; `obeys`: each recommendation is carried out."""
        recommendation = None
        for _ in range(seconds):
            recommendation = self.see(service(needs, self.wanted, **others))
            if obeys:
                self.wanted = recommendation.to
        assert recommendation is not None
        return recommendation

    def sees(self, replicas: Sequence[Replica], **others: object) -> Recommendation:
        """Look once at exactly these."""
        return self.see(service(1.0, self.wanted, replicas=tuple(replicas), **others))


def limits(recommendation: Recommendation) -> list[Limit]:
    """Which were at work, in the order of their turn."""
    return [each.limit for each in recommendation.limits]
