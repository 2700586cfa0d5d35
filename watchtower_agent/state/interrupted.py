"""Actions that a crash of the agent interrupted: what did the engine really do? Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from watchtower_agent.model.container import Container, ContainerStatus
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.observation import ContainerObserved
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.state.attribution import is_terminating
from watchtower_agent.state.own_action import ENGINE_DEFAULT_STOP

_MARGIN = 5.0
"""Seconds that the engine may need beyond that to do what an interrupted call asked for."""
_CLOCKS_DIFFER = 1.0
"""Seconds by which the engine's StartedAt may precede the intent that caused it."""
_ASK_AGAIN = 10.0
"""Seconds after which an inspection that was not answered is asked for again."""


@dataclass(slots=True)
class Interrupted:
    """Intents without an outcome, by target, until an inspection tells what became of them.

    Attributes:
        intents: Target id -> what was interrupted.
    """

    intents: dict[str, Intent] = field(default_factory=dict)
    _over: dict[str, float] = field(default_factory=dict)
    """Target id -> when the engine must have done it, seconds since the epoch."""
    _asked: dict[str, float] = field(default_factory=dict)

    def add(self, intent: Intent, now: float) -> None:
        """An earlier run of the agent began that. The engine's time is never longer from `now` on than it was."""
        target, over = intent.decision.target.id, deadline(intent)
        self.intents[target] = intent
        self._over[target] = min(over, now + over - intent.at)

    def clock_stepped(self, step: float) -> None:
        """The wall clock was stepped by so many seconds: the engine has as long as before."""
        for moments in (self._over, self._asked):
            moments.update({target: at + step for target, at in moments.items()})

    def due(self, now: float) -> list[str]:
        """Targets to inspect now: the engine has had its time, whatever it was asked for must be done."""
        due = [
            target
            for target, over in self._over.items()
            if now >= over and now - self._asked.get(target, 0.0) >= _ASK_AGAIN
        ]
        self._asked.update(dict.fromkeys(due, now))
        return due

    def resolve(self, seen: ContainerObserved, now: float) -> Outcome | None:
        """What an inspection tells of the interrupted action on that container; None when it can't tell yet."""
        intent = self.intents.get(seen.container_id)
        if intent is None:
            return None
        done = engine_did(intent, seen.container) if seen.container is not None else False
        if not done and seen.container is not None and seen.at < self._over[seen.container_id]:
            return None
        del self.intents[seen.container_id], self._over[seen.container_id]
        self._asked.pop(seen.container_id, None)
        name = intent.decision.target.name
        if seen.container is None:
            ending = f"{name} is gone"
        elif done is None:
            ending = f"whether the engine did {intent.decision.verb} {name} can't be told"
        elif done:
            ending = f"the engine did {intent.decision.verb} {name}"
        else:
            ending = f"the engine did not {intent.decision.verb} {name}"
        detail = seen.container.detail if seen.container else None
        return Outcome(
            decision=intent.decision,
            result=Result.INTERRUPTED,
            reason=f"the agent ended during this action; {ending}",
            started_at=intent.at,
            finished_at=now,
            numbers={"engine_did_it": done, "container_started_at": detail.started_at if detail else None},
        )


def deadline(intent: Intent) -> float:
    """When the engine must have done what it was asked for, if the call reached it; seconds since the epoch."""
    if intent.decision.verb not in {Verb.RESTART, Verb.STOP}:
        return intent.at + _MARGIN
    wanted = intent.decision.parameters.get("stop_timeout")
    return intent.at + (float(wanted) if isinstance(wanted, int | float) else ENGINE_DEFAULT_STOP) + _MARGIN


def engine_did(intent: Intent, container: Container) -> bool | None:
    """Whether the container is as the action would have left it; None for what leaves no trace."""
    match intent.decision.verb:
        case Verb.RESTART:
            return _restarted(intent, container)
        case Verb.START | Verb.UNPAUSE:
            return container.status is ContainerStatus.RUNNING
        case Verb.STOP:
            return not container.running
        case Verb.KILL:
            return _killed(intent, container)
        case Verb.PAUSE:
            return container.status is ContainerStatus.PAUSED
        case _:
            return True


def _restarted(intent: Intent, container: Container) -> bool:
    """It may have ended again since: it was restarted all the same."""
    started = container.detail.started_at if container.detail else None
    before = intent.started_at_before
    return started is not None and started > intent.at - _CLOCKS_DIFFER and (before is None or started > before)


def _killed(intent: Intent, container: Container) -> bool | None:
    """A signal that does not end a container leaves no trace."""
    signal = intent.decision.parameters.get("signal")
    stop_signal = container.detail.stop_signal if container.detail else "SIGTERM"
    if not container.running:
        return True
    return None if isinstance(signal, str) and not is_terminating(signal, stop_signal) else False


def left_stopped(intent: Intent, seen: ContainerObserved) -> bool:
    """Whether an interrupted restart ended its container and did not start it."""
    container = seen.container
    if intent.decision.verb is not Verb.RESTART or container is None or container.detail is None:
        return False
    ended = container.detail.finished_at
    exited = container.status is ContainerStatus.EXITED
    return exited and ended is not None and intent.at - _CLOCKS_DIFFER <= ended <= deadline(intent)
