"""The engine's service, as systemd tells of it, and whether it is the agent's to restart. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from watchtower_agent.model.values import dataclass

YOUNG: Final = 120.0
"""Seconds from its start in which an engine is left alone: with many containers it takes long until it answers."""

_AT_REST: Final = frozenset({"active", "failed"})


class Sign(StrEnum):
    """What came of asking the engine for a sign of life."""

    ANSWERS = "answers"
    SILENT = "silent"
    """It does not answer in time, hangs up, or nobody listens where it should."""
    OUT_OF_REACH = "out_of_reach"
    """The way to it fails, which says nothing of the engine: no such address, no permission, a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """A service of systemd at one moment.

    Attributes:
        name: Of the unit.
        load: `loaded`, `not-found`, `masked`, …
        active: `active`, `inactive`, `failed`, `activating`, `deactivating`, …
        sub: The same in the words of services: `running`, `dead`, `auto-restart`, …
        job: What systemd was asked to do with it and has not done yet.
        active_since: When it became active, on the monotonic clock, seconds; None when it never was.
        invocation: Another one for each of its starts; empty where systemd does not tell.
        system: Of the machine: `running`, `degraded`, `stopping`, …; empty where systemd does not tell.
    """

    name: str
    load: str
    active: str
    sub: str = ""
    job: bool = False
    active_since: float | None = None
    invocation: str = ""
    system: str = ""

    def hands_off(self, now: float) -> str:
        """Why it is not the agent's to restart, one sentence for people; empty where it is.

        Args:
            now: The monotonic clock, seconds.
        """
        name = self.name
        young = 0.0 if self.active_since is None else YOUNG - (now - self.active_since)
        reasons = (
            (self.load != "loaded", f"systemd has no unit {name} ({self.load}): engine.unit names the engine's"),
            (self.system == "stopping", "this machine is shutting down"),
            (self.active == "inactive", f"{name} was stopped ({self.sub}): whoever did that starts it again"),
            (self.active == "deactivating", f"{name} is being stopped: that is somebody else's doing"),
            (self.job or self.active not in _AT_REST, f"systemd is at {name} already ({self.active}, {self.sub})"),
            (
                self.active == "active" and 0 < young <= YOUNG,
                f"{name} has been running for {YOUNG - young:.0f} s only: it gets {YOUNG:.0f} s to come up",
            ),
        )
        return next((why for true, why in reasons if true), "")

    def started_since(self, before: UnitState) -> bool:
        """Whether it runs, in another life than that one."""
        if self.job or self.active != "active":
            return False
        return (self.invocation, self.active_since) != (before.invocation, before.active_since)

    def has_ended(self) -> bool:
        """Whether it does not run, and systemd does nothing about that."""
        return not self.job and self.active in {"failed", "inactive"}
