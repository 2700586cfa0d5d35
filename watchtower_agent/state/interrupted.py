"""Actions of which no answer came, since the agent or the engine ended or hung: what did the engine do? Pure."""

from __future__ import annotations

from collections.abc import Mapping

from watchtower_agent.model.container import Container, ContainerStatus
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.observation import ContainerObserved
from watchtower_agent.model.outcome import Intent, Outcome, Result, Unsettled
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.attribution import signal_name
from watchtower_agent.state.own_action import stop_timeout

_MARGIN = 5.0
"""Seconds that the engine may need beyond that to do what an interrupted call asked for."""
_FOR_EVER = 3600.0
"""Seconds after which it is settled what became of a stop of a container that is never to be killed."""
_CLOCKS_DIFFER = 1.0
"""Seconds by which the engine's StartedAt may precede the intent that caused it."""
_ROUNDING = 0.001
"""Cores: a quota counts in whole microseconds."""
_ASK_AGAIN = 10.0
"""Seconds after which an inspection that was not answered is asked for again."""
_LEFT_AS = {
    Verb.UNPAUSE: ContainerStatus.RUNNING,
    Verb.PAUSE: ContainerStatus.PAUSED,
}


@dataclass(slots=True)
class _Open:
    """An intent of which it is not known what the engine did.

    Attributes:
        intent: What was begun.
        since: From when on the engine has its time, seconds since the epoch.
        patience: Seconds that it has, as far as the container is known.
        call: How the call ended; None for one of an earlier run.
        asked: When an inspection was asked for last, seconds since the epoch.
    """

    intent: Intent
    since: float
    patience: float
    call: Unsettled | None = None
    asked: float = 0.0

    @property
    def over(self) -> float:
        """From when on a no counts: the engine has had its time; seconds since the epoch."""
        return self.since + self.patience

    @property
    def refused(self) -> bool:
        """The engine does no more about it."""
        return self.call is not None and self.call.answered

    def learn(self, container: Container) -> None:
        """An inspection tells the container's own stop timeout, if nothing has before."""
        if container.detail is not None and not self.refused:
            self.patience = patience(self.intent, container)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of an intent.

    Attributes:
        outcome: For the ledger.
        left_stopped: A restart ended its container and did not start it.
        unanswered: The engine has said nothing of it: it may never have been asked.
    """

    outcome: Outcome
    left_stopped: bool = False
    unanswered: bool = True


class Interrupted:
    """Intents without an outcome, by target, until an inspection tells what became of them."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    @property
    def intents(self) -> Mapping[str, Intent]:
        """Target id -> what was interrupted."""
        return {target: each.intent for target, each in self._open.items()}

    def __contains__(self, target_id: object) -> bool:
        return target_id in self._open

    def add(self, intent: Intent, now: float, container: Container | None = None) -> None:
        """An earlier run of the agent began that. The engine's time is never longer from `now` on than it was.

        Args:
            intent: What was begun.
            now: Seconds since the epoch.
            container: Its target, as far as it is known.
        """
        self._open[intent.decision.target.id] = _Open(intent, min(intent.at, now), patience(intent, container))

    def unsettled(self, call: Unsettled, now: float, container: Container | None = None) -> None:
        """A call of this run ended without telling what the engine did.

        Args:
            call: How it ended.
            now: Seconds since the epoch.
            container: Its target, as far as it is known.
        """
        allowed = 0.0 if call.answered else patience(call.intent, container)
        self._open[call.intent.decision.target.id] = _Open(call.intent, now, allowed, call, now)

    def engine_is_back(self, now: float) -> None:
        """An engine that was frozen does now what it was asked for before."""
        for each in self._open.values():
            if each.call is not None and not each.refused:
                each.since = max(each.since, now)

    def clock_stepped(self, step: float) -> None:
        """The wall clock was stepped by so many seconds: the engine has as long as before."""
        for each in self._open.values():
            each.since += step
            each.asked += step

    def due(self, now: float) -> list[str]:
        """Targets to inspect now: the engine has had its time, whatever it was asked for must be done."""
        due = [target for target, each in self._open.items() if now >= each.over and now - each.asked >= _ASK_AGAIN]
        for target in due:
            self._open[target].asked = now
        return due

    def resolve(self, seen: ContainerObserved, now: float) -> Settled | None:
        """What an inspection tells of the interrupted action on that container; None when it can't tell yet."""
        known = self._open.get(seen.container_id)
        if known is None:
            return None
        intent = known.intent
        if seen.container is not None:
            known.learn(seen.container)
        done = engine_did(intent, seen.container) if seen.container is not None else False
        if not done and seen.container is not None and seen.at < known.over:
            return None
        del self._open[seen.container_id]
        detail = seen.container.detail if seen.container else None
        outcome = Outcome(
            decision=intent.decision,
            result=_result(known.call, done=done),
            reason=_words(intent, known.call, seen, done=done),
            started_at=intent.at if known.call is None else known.call.started_at,
            finished_at=now,
            numbers={"engine_did_it": done, "container_started_at": detail.started_at if detail else None},
        )
        # What ended later than the engine can have done it is not of this action.
        until = deadline(intent, seen.container) if known.call is None else known.over + _CLOCKS_DIFFER
        return Settled(outcome=outcome, left_stopped=left_stopped(intent, seen, until), unanswered=not known.refused)


def _result(call: Unsettled | None, *, done: bool | None) -> Result:
    if call is None:
        return Result.INTERRUPTED
    return Result.SUCCEEDED if done and not call.answered else Result.FAILED


def _words(intent: Intent, call: Unsettled | None, seen: ContainerObserved, *, done: bool | None) -> str:
    name, verb = intent.decision.target.name, intent.decision.verb
    if seen.container is None:
        ending = f"{name} is gone"
    elif done is None:
        ending = f"whether the engine did {verb} {name} can't be told"
    elif done:
        ending = f"the engine did {verb} {name}"
    else:
        ending = f"the engine did not {verb} {name}"
    return f"{'the agent ended during this action' if call is None else call.reason}; {ending}"


def deadline(intent: Intent, container: Container | None = None) -> float:
    """When the engine must have done what it was asked for, if the call reached it; seconds since the epoch."""
    return intent.at + patience(intent, container)


def patience(intent: Intent, container: Container | None = None) -> float:
    """Seconds in which the engine does what it is asked for.

    Args:
        intent: What it is asked for.
        container: Its target: its own stop timeout counts where the policy has none. None where it is not known.
    """
    if intent.decision.verb not in {Verb.RESTART, Verb.STOP}:
        return _MARGIN
    waits = stop_timeout(intent, container)
    return (_FOR_EVER if waits is None else waits) + _MARGIN


def engine_did(intent: Intent, container: Container) -> bool | None:
    """Whether the container is as the action would have left it; None for what leaves no trace."""
    match intent.decision.verb:
        case Verb.RESTART | Verb.START as verb:
            running = verb is Verb.START and container.status is ContainerStatus.RUNNING
            return running or _began(intent, container)
        case Verb.UNPAUSE | Verb.PAUSE as verb:
            return container.status is _LEFT_AS[verb]
        case Verb.STOP:
            return _ended(intent, container)
        case Verb.KILL:
            return _killed(intent, container)
        case Verb.RESIZE:
            return _resized(intent, container)
        case _:
            return True


def _began(intent: Intent, container: Container) -> bool:
    """Whether it has begun another life since the intent. That may be over again: it was started all the same."""
    started = container.detail.started_at if container.detail else None
    before = intent.started_at_before
    return started is not None and started > intent.at - _CLOCKS_DIFFER and (before is None or started > before)


def _ended(intent: Intent, container: Container) -> bool | None:
    """What has begun another life since may have been ended by us, and started by somebody else."""
    if not container.running:
        return True
    return None if _began(intent, container) else False


def _killed(intent: Intent, container: Container) -> bool | None:
    """Whether a signal did what it does: only KILL ends whatever it is sent to.

    What any other did leaves no trace: a program may take it for something else (a reload on HUP), or take its time.
    """
    signal = intent.decision.parameters.get("signal")
    if not container.running or not isinstance(signal, str) or signal_name(signal) == "KILL":
        return _ended(intent, container)
    return None


def _resized(intent: Intent, container: Container) -> bool | None:
    """Whether it has the limits that it was to get; that one was lifted can't be told: the engine only raises it."""
    memory, cpu = (intent.decision.parameters.get(name) for name in ("memory", "cpu"))
    if container.detail is None or 0 in {memory, cpu}:
        return None
    has_memory = memory is None or container.detail.memory_limit == memory
    granted = container.detail.cpu_granted
    return has_memory and (not isinstance(cpu, int | float) or (granted is not None and abs(granted - cpu) < _ROUNDING))


def left_stopped(intent: Intent, seen: ContainerObserved, until: float) -> bool:
    """Whether an interrupted restart ended its container, by then (seconds since the epoch), and did not start it."""
    container = seen.container
    if intent.decision.verb is not Verb.RESTART or container is None or container.detail is None:
        return False
    ended = container.detail.finished_at
    exited = container.status is ContainerStatus.EXITED
    return exited and ended is not None and intent.at - _CLOCKS_DIFFER <= ended <= until
