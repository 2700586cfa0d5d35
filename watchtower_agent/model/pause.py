"""A person told the agent to keep still for a while: all of it, one policy, or about one container."""

from __future__ import annotations

from enum import StrEnum

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass


class PauseScope(StrEnum):
    """How much of the agent keeps still."""

    AGENT = "agent"
    POLICY = "policy"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """What keeps still, as people name it.

    Attributes:
        scope: All of the agent, one policy, or every policy about one container.
        name: The policy's or the container's, so that it outlasts a reload and a recreate; empty for the agent.
    """

    scope: PauseScope
    name: str = ""

    @property
    def words(self) -> str:
        """What it is, for people."""
        return "the agent" if self.scope is PauseScope.AGENT else f"{self.scope} {self.name}"

    @property
    def arguments(self) -> str:
        """How the commands `pause` and `resume` are told of it."""
        match self.scope:
            case PauseScope.AGENT:
                return "--all"
            case PauseScope.POLICY:
                return self.name
            case PauseScope.CONTAINER:
                return f"--target {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """That it keeps still, and for how long.

    Attributes:
        what: What keeps still.
        since: When it was asked for.
        length: Seconds for which it lasts, as time passes: a step of the wall clock does not count.
        reason: What the person said, empty if nothing.
    """

    what: Paused
    since: Instant
    length: float
    reason: str = ""

    def left(self, now: Instant) -> float:
        """Seconds until it is over; not more than 0 once it is."""
        return self.length - (now.monotonic - self.since.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseAsked:
    """A person asks for a pause; one that there is already is replaced.

    Attributes:
        what: What is to keep still.
        length: Seconds.
        reason: Why, in the person's words.
    """

    what: Paused
    length: float
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeAsked:
    """A person asks for the end of a pause, if there is one.

    Attributes:
        what: What is to go on.
    """

    what: Paused
