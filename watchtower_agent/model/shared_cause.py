"""One cause behind the troubles of many containers: acting on each of them would make an outage worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from watchtower_agent.model.decision import Number
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass


class CauseKind(StrEnum):
    """How a shared cause is recognised."""

    FAILURES = "failures"
    """Many containers died or became unhealthy within a short time."""
    DISK_FULL = "disk_full"
    """There is next to no room left on the file system of the engine's data."""
    ENGINE_RESTARTED = "engine_restarted"
    """The engine's daemon was restarted, and with it most of what it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCauseRule:
    """When many failures are taken for one.

    Attributes:
        share: Percent of the containers that run and that policies may act on; so many may fail, more have a shared
            cause.
        at_least: Fewer failures than this have none, whatever their share.
        within: Seconds in which they are counted.
        hold: Seconds for which nothing is done after a shared cause was seen last; 0: shared causes are not looked for.
        disk: Percent of the file system of the engine's data from which on it is full; 0: it is not looked at.
    """

    share: float = 30.0
    at_least: int = 3
    within: float = 120.0
    hold: float = 300.0
    disk: float = 95.0

    def is_shared(self, failed: int, selected: int) -> bool:
        """Whether so many failures of so many containers have one cause."""
        return failed >= self.at_least and 100 * failed > self.share * selected

    def least(self, selected: int) -> int:
        """The number of failures from which on they have one cause."""
        failed = max(self.at_least, int(self.share * selected / 100))
        while not self.is_shared(failed, selected):
            failed += 1
        return failed


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCount:
    """How many containers failed lately, of those that policies may act on.

    Attributes:
        failed: Those that did, within the time that the rule says.
        selected: All of them that run, or did when they failed.
        rule: By which they are judged.
    """

    failed: int
    selected: int
    rule: SharedCauseRule


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCause:
    """A shared cause that actions are held for.

    Attributes:
        kind: How it was recognised.
        reason: What was seen, in few words for people.
        numbers: The facts behind it.
        since: When it was first seen.
        seen: When it was last seen.
        hold: Seconds for which actions are held after that.
    """

    kind: CauseKind
    reason: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    since: Instant
    seen: Instant
    hold: float

    def left(self, now: Instant) -> float:
        """Seconds until actions are held no longer; not more than 0 once they are not."""
        return self.hold - (now.monotonic - self.seen.monotonic)
