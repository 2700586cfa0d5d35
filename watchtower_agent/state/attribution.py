"""Who ended a container: the agent, a person, or the container itself? Pure.

The engine's own order of events tells: `docker stop`, `restart`, `rm -f` and Compose send `kill` before `die`;
crashes and OOM kills do not.
"""

from __future__ import annotations

from enum import StrEnum

from watchtower_agent.model.values import dataclass

HANDS_OFF = 15 * 60.0
"""Seconds for which the agent leaves alone what a person acted on."""

_TERMINATING = frozenset({"TERM", "INT", "QUIT", "HUP", "KILL"})
_NAMES = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT "
    "CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)
"""Of Linux, from 1 on: the engine tells numbers, images and people write names."""
_REAL_TIME_FROM, _REAL_TIME_TO = 34, 64
_NUMBERS = {str(number): name for number, name in enumerate(_NAMES.split(), start=1)}
_SAME = (
    {"IOT": "ABRT", "CLD": "CHLD", "POLL": "IO", "RTMIN": str(_REAL_TIME_FROM), "RTMAX": str(_REAL_TIME_TO)}
    | {f"RTMIN+{n}": str(_REAL_TIME_FROM + n) for n in range(16)}
    | {f"RTMAX-{n}": str(_REAL_TIME_TO - n) for n in range(15)}
)
_SURVIVED_COUNTS_FOR = {"HUP": 10.0, "QUIT": 10.0}
"""Seconds. Many servers reload on HUP, some dump their threads on QUIT, and live on: a later end is not its doing."""

_LOST_KILL_COUNTS_FOR = 60.0
"""Seconds after a gap in the events within which an end may belong to a stop whose `kill` was lost in it."""


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


def signal_name(signal: str) -> str:
    """`TERM` for `15`, `SIGTERM` and `term`; the number of a real-time signal (`37` for `SIGRTMIN+3`)."""
    word = signal.strip().upper().removeprefix("SIG")
    word = _SAME.get(word, word)
    return _NUMBERS.get(word, word)


def is_terminating(signal: str, stop_signal: str) -> bool:
    """Whether a signal is meant to end a container: one of the usual, or its own stop signal."""
    name = signal_name(signal)
    return name in _TERMINATING or name == signal_name(stop_signal)


def is_reload(signal: str, stop_signal: str) -> bool:
    """Whether a terminating signal is one on which many programs do something else and live on.

    The container's own stop signal is none: who sends it means to stop it. `stop_signal` is empty while not known.
    """
    name = signal_name(signal)
    return bool(stop_signal) and name in _SURVIVED_COUNTS_FOR and name != signal_name(stop_signal)


def signal_ended_it(signal: str, stop_signal: str, seconds: float) -> bool:
    """Whether an end so many seconds after a signal is that signal's doing.

    KILL is never survived. Any other is, by a program that handles it: what ends it after the time for which the
    agent keeps its hands off anyway is something else. (A slower stop tells by its own `stop` event.)

    Args:
        signal: As the engine told it, empty if it did not.
        stop_signal: The container's own; empty while not known: then any signal may be it.
        seconds: From the signal to the end.
    """
    name = signal_name(signal)
    if name == "KILL":
        return True
    if name and stop_signal and not is_terminating(signal, stop_signal):
        return False
    return seconds <= (_SURVIVED_COUNTS_FOR[name] if is_reload(signal, stop_signal) else HANDS_OFF)


def operator_act(action: str, at: float) -> OperatorIntent:
    """A person did that, then."""
    return OperatorIntent(action=action, at=at, until=at + HANDS_OFF)


def end_cause(
    at: float,
    *,
    concluded: bool,
    ours: bool,
    kill_at: float | None,
    kill_signal: str,
    stop_signal: str,
    stopped: bool,
    started: float | None,
    uncertain_until: float,
) -> EndCause:
    """Who ended it, by what preceded its `die`.

    Args:
        at: When it ended, seconds since the epoch.
        concluded: Only a comparison told of the end.
        ours: An open or just finished action of the agent covers it.
        kill_at: When a terminating signal that was not ours was sent in this life, seconds since the epoch.
        kill_signal: Which.
        stop_signal: The container's own; empty while not known.
        stopped: A `stop` that was not ours was told in this life: the engine may tell of the end after it.
        started: When this life began, seconds since the epoch; None when not known.
        uncertain_until: Events were lost up to then, seconds since the epoch; 0 when none were.
    """
    if ours:
        return EndCause.AGENT
    if stopped or (kill_at is not None and signal_ended_it(kill_signal, stop_signal, at - kill_at)):
        return EndCause.OPERATOR
    # A life that began after the gap has lost no `kill` in it.
    lost = at <= uncertain_until + _LOST_KILL_COUNTS_FOR and (started is None or started <= uncertain_until)
    if lost or concluded:
        return EndCause.UNKNOWN
    return EndCause.ITSELF
