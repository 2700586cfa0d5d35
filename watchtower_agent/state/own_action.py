"""The agent's newest action on a container: which of the engine's events are its doing? Pure.

A person may act on the container while the engine carries our call out. The engine does not say who asked, but a call
causes known events, each once: what is beyond them is somebody else's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.outcome import Intent
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.attribution import signal_name

_OWN_EVENTS_BEFORE = 0.5
_OWN_EVENTS_AFTER = 2.0
"""Seconds by which the engine's stamps may differ from the begin and end of our call."""

ASKED_AT_ONCE = 0.25
"""Seconds from the intent to the first of its doings on a container that runs. The engine is asked within some ms."""

ENGINE_DEFAULT_STOP = 10.0
"""Seconds the engine waits between stop signal and KILL unless told otherwise."""

_CAUSES: Mapping[Verb, frozenset[str]] = {
    # On a signal the engine lets a paused container go on.
    Verb.RESTART: frozenset({"kill", "unpause", "die", "stop", "start", "restart"}),
    Verb.STOP: frozenset({"kill", "unpause", "die", "stop"}),
    Verb.KILL: frozenset({"kill", "unpause", "die"}),
    Verb.START: frozenset({"start"}),
    Verb.PAUSE: frozenset({"pause"}),
    Verb.UNPAUSE: frozenset({"unpause"}),
    Verb.RESIZE: frozenset({"update"}),
}
"""What a verb makes the engine tell of its container: each once, but for `kill`, which tells one signal each."""

_COMPLETE: Mapping[Verb, frozenset[str]] = {
    Verb.RESTART: frozenset({"restart"}),
    # In either order.
    Verb.STOP: frozenset({"die", "stop"}),
    Verb.KILL: frozenset({"die"}),
    Verb.START: frozenset({"start"}),
    Verb.PAUSE: frozenset({"pause"}),
    Verb.UNPAUSE: frozenset({"unpause"}),
    Verb.RESIZE: frozenset({"update"}),
}
"""After these nothing comes that is its doing."""

_COMPLETE_FOR_PODMAN: Mapping[Verb, frozenset[str]] = {
    **_COMPLETE,
    Verb.RESTART: frozenset({"start"}),  # it tells of the restart first
    Verb.STOP: frozenset({"die"}),
}

_SIGNAL, _THE_KILL = "signal", "signal KILL"
"""How a `kill` that was seen is remembered: the verb's own signal, and the KILL once its stop timeout is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAction:
    """The agent's newest action on a container.

    Attributes:
        verb: What it did.
        begun: When the intent was written, seconds since the epoch.
        ended: When the call returned; None while it is under way.
        correlation_id: Of the decision: the events that the action causes share it.
        begun_again: When the container started under it, seconds since the epoch: what ends it later is not ours.
        complete: Its last event was seen: `ended` is that event's stamp, and nothing later is ours.
        signal: The one that it sends; empty where that is not known: any may be it.
        kill_after: Seconds after that signal from which a KILL is the engine's own; None: it never sends one.
        signalled: When that signal was seen, seconds since the epoch; None while it was not.
        seen: Which of the events that it causes were seen.
        crossed: A person acted on the container under it: an end is theirs, and they are not forgotten by its start.
    """

    verb: Verb
    begun: float
    ended: float | None
    correlation_id: str = ""
    begun_again: float | None = None
    complete: bool = False
    signal: str = ""
    kill_after: float | None = 0.0
    signalled: float | None = None
    seen: tuple[str, ...] = ()
    crossed: bool = False

    def covers(self, event: EngineEvent, signal: str = "") -> bool:
        """Whether an event of the container is this action's doing.

        Args:
            event: Of the container.
            signal: Of a `kill`; empty where the engine did not tell it.
        """
        if event.action not in _CAUSES.get(self.verb, ()) or not self._at_its_time(event):
            return False
        if event.action in {"kill", "die", "stop"} and self.begun_again is not None:
            return False
        if event.action == "kill":
            return self._which(event, signal) is not None
        return event.action not in self.seen and not (event.action == "die" and self.crossed)

    def after(self, event: EngineEvent, signal: str = "") -> OwnAction:
        """The action, once an event that it covers was seen."""
        what = self._which(event, signal) if event.action == "kill" else event.action
        seen = (*self.seen, what) if what is not None else self.seen
        done = replace(
            self,
            seen=seen,
            signalled=event.time if what == _SIGNAL else self.signalled,
            begun_again=event.time if event.action == "start" else self.begun_again,
        )
        complete = _COMPLETE_FOR_PODMAN if event.podman else _COMPLETE
        if complete.get(self.verb, frozenset()) <= set(seen):
            return replace(done, ended=event.time, complete=True)
        return done

    def crossed_by(self, event: EngineEvent) -> OwnAction:
        """The action, once a person's act was seen: under it, if it has not come to its own start or end."""
        under_it = not self.complete and self.begun_again is None and self._at_its_time(event)
        return replace(self, crossed=True) if under_it else self

    def tells_of_the_life_before(self, stop: EngineEvent) -> bool:
        """Whether a person's `stop` is about the life that ended under this action, though told after its start."""
        again = self.begun_again
        return self.crossed and again is not None and stop.time - again <= _OWN_EVENTS_AFTER

    def began_at_once(self, ended: float | None, *, within: float = ASKED_AT_ONCE) -> bool:
        """Whether its signal was sent, or else its container ended, right after the intent, as a call of ours does it.

        Where a crash of the agent interrupted the action, or the engine never answered, it may have done nothing about
        it: what comes later may as well be somebody else's doing. An end before the intent is none of this action's,
        and no matter here.

        Args:
            ended: When the container ended, seconds since the epoch; None when that is not known.
            within: Seconds that count as right after.
        """
        first = ended if self.signalled is None else self.signalled
        return first is not None and first <= self.begun + within

    def _at_its_time(self, event: EngineEvent) -> bool:
        if event.time < self.begun - _OWN_EVENTS_BEFORE:
            return False
        if self.ended is None:
            return True
        return event.time <= self.ended + (0.0 if self.complete else _OWN_EVENTS_AFTER)

    def _which(self, kill: EngineEvent, signal: str) -> str | None:
        """Which of the signals that it may still send; None: somebody else's."""
        name, own = signal_name(signal), signal_name(self.signal)
        if _SIGNAL not in self.seen and (not name or not own or name == own):
            return _SIGNAL
        if name not in {"", "KILL"} or _THE_KILL in self.seen or self.kill_after is None:
            return None
        since = self.begun if self.signalled is None else self.signalled
        return _THE_KILL if kill.time >= since + self.kill_after - _OWN_EVENTS_BEFORE else None


def own_action(intent: Intent, container: Container, *, ended: float | None) -> OwnAction:
    """What an intent makes the engine do with its container.

    Args:
        intent: What is about to be done.
        container: Its target.
        ended: When the engine must have done it, seconds since the epoch; None while that is not known.
    """
    decision = intent.decision
    signal, kill_after = "", None
    if decision.verb is Verb.KILL:
        signal = str(decision.parameters.get("signal") or "KILL")
    elif decision.verb in {Verb.RESTART, Verb.STOP}:
        signal = container.detail.stop_signal if container.detail is not None else ""
        kill_after = stop_timeout(intent, container)
    return OwnAction(
        verb=decision.verb,
        begun=intent.at,
        ended=ended,
        correlation_id=decision.correlation_id,
        signal=signal,
        kill_after=kill_after,
    )


def stop_timeout(intent: Intent, container: Container | None) -> float | None:
    """Seconds between stop signal and KILL; None: the engine waits for ever.

    Args:
        intent: What it is asked for.
        container: Its target; None, or without its inspection: it counts as one without a stop timeout of its own.
    """
    wanted = intent.decision.parameters.get("stop_timeout")
    own = container.detail.stop_timeout if container is not None and container.detail is not None else None
    if isinstance(wanted, int | float):
        return float(math.ceil(wanted))  # as the engine is asked
    if own is None:
        return ENGINE_DEFAULT_STOP
    return own if own >= 0 else None
