"""Who ended a container: the agent, a person, or the container itself? Pure.

The engine's own order of events tells: `docker stop`, `restart`, `rm -f` and Compose send `kill` before `die`;
crashes and OOM kills do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from watchtower_agent.model.decision import Verb
from watchtower_agent.model.engine_event import EngineEvent, Origin

HANDS_OFF = 15 * 60.0
"""Seconds for which the agent leaves alone what a person acted on."""

_TERMINATING = frozenset({"TERM", "INT", "QUIT", "HUP", "KILL"})
_NUMBERS = {"1": "HUP", "2": "INT", "3": "QUIT", "9": "KILL", "15": "TERM"}
_HUP_COUNTS_FOR = 10.0
"""Seconds. Many servers reload on HUP and live on: a later end is not that signal's doing."""

_LOST_KILL_COUNTS_FOR = 60.0
"""Seconds after a gap in the events within which an end may belong to a stop whose `kill` was lost in it."""

_OWN_EVENTS_BEFORE = 0.5
_OWN_EVENTS_AFTER = 2.0
"""Seconds by which the engine's stamps may differ from the begin and end of our call."""


class EndCause(StrEnum):
    """Who ended a container."""

    NONE = "none"
    """It never ended, or runs again."""
    AGENT = "agent"
    OPERATOR = "operator"
    ITSELF = "itself"
    """It crashed, finished, or was killed for memory."""
    UNKNOWN = "unknown"
    """It ended while the agent was away, and the engine's ring did not keep how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorIntent:
    """A person acted on a container: the agent keeps its hands off.

    Attributes:
        action: `stop`, `kill` or `restart`.
        at: Seconds since the epoch.
        until: When it stops counting for a container that runs; one that is stopped stays stopped.
    """

    action: str
    at: float
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAction:
    """The agent's newest action on a container.

    Attributes:
        verb: What it did.
        begun: When the intent was written, seconds since the epoch.
        ended: When the call returned; None while it is under way.
    """

    verb: Verb
    begun: float
    ended: float | None

    def covers(self, time: float) -> bool:
        """Whether an event with that stamp is this action's doing."""
        return time >= self.begun - _OWN_EVENTS_BEFORE and (
            self.ended is None or time <= self.ended + _OWN_EVENTS_AFTER
        )


def signal_name(signal: str) -> str:
    """`TERM` for `15`, `SIGTERM` and `term`."""
    word = signal.strip().upper().removeprefix("SIG")
    return _NUMBERS.get(word, word)


def is_terminating(signal: str, stop_signal: str) -> bool:
    """Whether a signal is meant to end a container: one of the usual, or its own stop signal."""
    name = signal_name(signal)
    return name in _TERMINATING or name == signal_name(stop_signal)


def operator_act(action: str, at: float) -> OperatorIntent:
    """A person did that, then."""
    return OperatorIntent(action=action, at=at, until=at + HANDS_OFF)


def end_cause(
    die: EngineEvent, *, ours: bool, kill_at: float | None, kill_signal: str, uncertain_until: float
) -> EndCause:
    """Who ended it, by what preceded its `die`.

    Args:
        die: The event.
        ours: An open or just finished action of the agent covers it.
        kill_at: When a terminating signal that was not ours was sent in this life, seconds since the epoch.
        kill_signal: Which.
        uncertain_until: Events were lost up to then, seconds since the epoch; 0 when none were.
    """
    if ours:
        return EndCause.AGENT
    if kill_at is not None and not (signal_name(kill_signal) == "HUP" and die.time - kill_at > _HUP_COUNTS_FOR):
        return EndCause.OPERATOR
    lost = die.origin is Origin.REPLAY and die.time <= uncertain_until + _LOST_KILL_COUNTS_FOR
    if lost or die.origin is Origin.SYNTHETIC:
        return EndCause.UNKNOWN
    return EndCause.ITSELF
