"""The agenda: decisions that wait for their guards, at most one per policy and target. Pure.

A decision from a condition lives as long as the condition fires and is refreshed at every tick. One from an event
waits until a guard releases it, until it is obsolete, or for 15 minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from watchtower_agent.model.decision import Decision, Dropped, Held, Mode, Number, Target, TargetKind, Verb
from watchtower_agent.model.engine_event import EngineEvent, EventKind, Origin
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.guards import Cooldowns, Protection, Question, ask
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.triggers import still_true
from watchtower_agent.record import ContainerRecord
from watchtower_agent.state import HostState


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One decision on the agenda.

    Attributes:
        decision: As it is now; its id and correlation stay while it waits.
        event: The engine event that triggered it, for asking whether it is still true; None for others.
        held: What stopped it when it was last asked; None before.
        since: When it came, seconds since the epoch.
    """

    decision: Decision
    event: EngineEvent | None = None
    held: Held | None = None
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What became of the agenda's decisions.

    Attributes:
        passed: May be carried out now; they left the agenda.
        held: Newly stopped, or stopped for another reason than before: worth telling.
        dropped: Given up.
        changed: Keys whose entry changed, for the store: the entry, or None when it left.
    """

    passed: tuple[Waiting, ...] = ()
    held: tuple[Held, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    changed: Mapping[tuple[str, str], Waiting | None] = field(default_factory=dict)


@dataclass(slots=True)
class Agenda:
    """The waiting decisions, by policy, target and whether they only tell."""

    waiting: dict[tuple[str, str], Waiting] = field(default_factory=dict)
    _unsaved: set[tuple[str, str]] = field(default_factory=set)
    """Keys of decisions from events that came since the last review: the store does not have them yet."""

    def add(self, decision: Decision, event: EngineEvent | None) -> bool:
        """Put a decision on the agenda, or refresh the one that waits there. Says whether it is new."""
        key = key_of(decision)
        known = self.waiting.get(key)
        if known is None:
            self._put(key, Waiting(decision=decision, event=event, since=decision.decided_at))
            return True
        if not known.decision.from_event and not decision.from_event:
            self.waiting[key] = replace(
                known,
                decision=replace(
                    known.decision,
                    reason=decision.reason,
                    numbers=decision.numbers,
                    parameters=decision.parameters,
                    expires_at=decision.expires_at,
                ),
            )
        return False

    def restore(self, waiting: Waiting) -> None:
        """Put back what waited when an earlier run of the agent ended, or what was begun and not carried out."""
        key = key_of(waiting.decision)
        if key not in self.waiting:
            self._put(key, waiting)

    def _put(self, key: tuple[str, str], waiting: Waiting) -> None:
        self.waiting[key] = waiting
        if waiting.decision.from_event:
            self._unsaved.add(key)

    def overtaken(self, decision: Decision, record: ContainerRecord | None, now: Instant) -> list[Dropped]:
        """Give up what waits in the place of a new decision, when an event has made it obsolete."""
        known = self.waiting.get(key_of(decision))
        if known is None or not known.decision.from_event or not (why := _overtaken(known, record, now)):
            return []
        return [self._drop(key_of(decision), why, now)]

    def acted(self, by: Decision, now: Instant, *, events_before: float | None = None) -> list[Dropped]:
        """Give up what was wanted of a target that another decision acted on: it would be done twice.

        Args:
            by: What is, or was, done.
            now: The present.
            events_before: None while it is being done: then only what conditions wanted is given up, since their
                timers start anew. Else also what events wanted before then, seconds since the epoch.
        """
        why = f"policy {by.policy} did a {by.verb} of {by.target.name} meanwhile"
        over = [
            key
            for key, waiting in self.waiting.items()
            if waiting.decision.target == by.target
            and waiting.decision.verb is not Verb.NOTIFY
            and not (waiting.held and waiting.held.final)
            and (not waiting.decision.from_event or (events_before is not None and waiting.since <= events_before))
        ]
        return [self._drop(key, why, now) for key in over]

    def _drop(self, key: tuple[str, str], why: str, now: Instant) -> Dropped:
        waiting = self.waiting.pop(key)
        self._unsaved.add(key)  # so that the next review tells the store
        return Dropped(decision=waiting.decision, reason=why, at=now.wall)

    def review(
        self,
        policies: PolicySet,
        state: HostState,
        cooldowns: Cooldowns,
        protection: Protection,
        now: Instant,
        *,
        busy: Callable[[Target], bool],
        fires: Callable[[str, str], bool],
    ) -> Verdicts:
        """Ask the guards about everything that waits.

        Args:
            policies: Those in force.
            state: The host.
            cooldowns: When each policy last acted on each target.
            protection: What no policy may touch.
            now: The present.
            busy: Whether an action on that target is under way: its decisions wait without a word.
            fires: Whether a policy's condition still fires for a target id.
        """
        passed: list[Waiting] = []
        held: list[Held] = []
        dropped: list[Dropped] = []
        changed: dict[tuple[str, str], Waiting | None] = {}
        by_name = {policy.name: policy for policy in policies.policies}
        taken: set[str] = set()
        for key, waiting in list(self.waiting.items()):
            decision = waiting.decision
            policy = by_name.get(decision.policy)
            why = _obsolete(waiting, policy, state, now, fires)
            if policy is None or why:
                del self.waiting[key]
                changed[key] = None
                if not (waiting.held and waiting.held.final):
                    dropped.append(Dropped(decision=decision, reason=why, at=now.wall))
                continue
            if decision.verb is not Verb.NOTIFY and (busy(decision.target) or decision.target.id in taken):
                continue
            question = Question(
                decision=decision,
                policy=policy,
                state=state,
                record=state.containers.get(decision.target.id),
                cooldowns=cooldowns,
                protection=protection,
                now=now,
            )
            verdict = ask(question)
            if verdict is None:
                del self.waiting[key]
                changed[key] = None
                passed.append(waiting)
                if decision.verb is not Verb.NOTIFY:
                    taken.add(decision.target.id)
                continue
            if _worth_telling(waiting.held, verdict):
                held.append(verdict)
            if verdict.final and (decision.from_event or decision.verb is Verb.NOTIFY):
                del self.waiting[key]
                changed[key] = None
                continue
            if waiting.held is None or _worth_telling(waiting.held, verdict):
                changed[key] = self.waiting[key] = replace(waiting, held=verdict)
        for key in self._unsaved - changed.keys():
            changed[key] = self.waiting.get(key)
        self._unsaved.clear()
        return Verdicts(passed=tuple(passed), held=tuple(held), dropped=tuple(dropped), changed=changed)


def _worth_telling(before: Held | None, now: Held) -> bool:
    """A held decision is published once per change of the guard, not once per tick."""
    return before is None or before.guard is not now.guard


def key_of(decision: Decision) -> tuple[str, str]:
    """A policy has at most one action and one notification waiting per target."""
    kind = "notify" if decision.verb is Verb.NOTIFY else "act"
    return decision.policy, f"{kind}:{decision.target.id}"


def _obsolete(
    waiting: Waiting, policy: Policy | None, state: HostState, now: Instant, fires: Callable[[str, str], bool]
) -> str:
    """Why a waiting decision is not wanted any more; empty while it is."""
    decision = waiting.decision
    target = decision.target
    record = state.containers.get(target.id)
    if policy is None or policy.mode is Mode.OFF:
        return f"policy {decision.policy} is not in force any more"
    if decision.verb is Verb.NOTIFY:
        return _old_news(waiting, policy, record, now)
    if policy.then.verb is not decision.verb:
        return f"policy {decision.policy} does not {decision.verb} any more"
    if target.kind is TargetKind.CONTAINER and record is None:
        return f"{target.name} was removed"
    if record is not None and policy.selector is not None and not policy.selector.matches(record.container):
        return f"policy {decision.policy} does not select {target.name} any more"
    if decision.from_event:
        return _overtaken(waiting, record, now)
    return "" if fires(decision.policy, target.id) else "its condition does not hold any more"


def _old_news(waiting: Waiting, policy: Policy, record: ContainerRecord | None, now: Instant) -> str:
    """Why a notification is not worth telling any more; empty while it is."""
    event = waiting.event
    if policy.then.notify is None:
        return f"policy {policy.name} does not notify any more"
    if now.wall > waiting.decision.expires_at:
        return _too_old(waiting, now)
    missed = event is not None and event.origin in {Origin.REPLAY, Origin.SYNTHETIC}
    if event is not None and missed and record is not None and not still_true(event, record):
        return f"{waiting.decision.target.name} has changed since"
    return ""


def _too_old(waiting: Waiting, now: Instant) -> str:
    return f"it waited for {(now.wall - waiting.decision.decided_at) / 60:.0f} min"


def _overtaken(waiting: Waiting, record: ContainerRecord | None, now: Instant) -> str:
    """Why a decision from an event came too late; empty while it did not."""
    decision = waiting.decision
    if now.wall > decision.expires_at:
        return _too_old(waiting, now)
    if record is None:
        return ""
    name = record.container.name
    if waiting.event is not None and not still_true(waiting.event, record):
        return f"{name} has been {'started' if record.container.running else 'stopped'} meanwhile"
    begun = record.started
    cause = waiting.event.time if waiting.event is not None else decision.decided_at
    if decision.verb in {Verb.RESTART, Verb.START} and begun is not None and begun > cause:
        return f"{name} has been started meanwhile"
    return ""


# --- the store's form -----------------------------------------------------------------------------------


def waiting_json(waiting: Waiting) -> dict[str, object]:
    """What the store keeps of a decision from an event, so that an agent that died remembers it."""
    decision, event = waiting.decision, waiting.event
    return {
        "id": decision.id,
        "policy": decision.policy,
        "target_id": decision.target.id,
        "target_name": decision.target.name,
        "target_kind": decision.target.kind.value,
        "verb": decision.verb.value,
        "reason": decision.reason,
        "numbers": dict(decision.numbers),
        "parameters": dict(decision.parameters),
        "correlation_id": decision.correlation_id,
        "cause_id": decision.cause_id,
        "decided_at": decision.decided_at,
        "expires_at": decision.expires_at,
        "since": waiting.since,
        "event_action": event.action if event else "",
        "event_detail": event.detail if event else "",
        "event_time_ns": event.time_ns if event else 0,
    }


def waiting_from_json(stored: Mapping[str, object]) -> Waiting:
    """The inverse of `waiting_json`.

    Raises:
        KeyError, ValueError, TypeError: What is stored is not such a decision.
    """
    numbers, parameters = stored["numbers"], stored["parameters"]
    if not isinstance(numbers, dict) or not isinstance(parameters, dict):
        raise TypeError("numbers and parameters are JSON objects")
    target = Target(
        kind=TargetKind(str(stored["target_kind"])),
        id=str(stored["target_id"]),
        name=str(stored["target_name"]),
    )
    decision = Decision(
        id=str(stored["id"]),
        policy=str(stored["policy"]),
        target=target,
        verb=Verb(str(stored["verb"])),
        reason=str(stored["reason"]),
        numbers=_numbers(numbers),
        parameters=_numbers(parameters),
        correlation_id=str(stored["correlation_id"]),
        cause_id=str(stored["cause_id"]),
        from_event=True,
        decided_at=float(str(stored["decided_at"])),
        expires_at=float(str(stored["expires_at"])),
    )
    event = None
    if stored["event_action"]:
        event = EngineEvent(
            id=decision.cause_id,
            kind=EventKind.CONTAINER,
            action=str(stored["event_action"]),
            detail=str(stored["event_detail"]),
            actor_id=target.id,
            attributes={"name": target.name},
            time_ns=int(str(stored["event_time_ns"])),
            origin=Origin.REPLAY,
        )
    return Waiting(decision=decision, event=event, since=float(str(stored["since"])))


def _numbers(values: Mapping[object, object]) -> dict[str, Number]:
    return {str(k): v for k, v in values.items() if v is None or isinstance(v, float | int | str | bool)}


def stored_forms(changed: Mapping[tuple[str, str], Waiting | None]) -> Iterator[tuple[str, dict[str, object] | None]]:
    """What the store has to write: decisions from events only, for conditions are seen again at the next tick."""
    for (policy, target), waiting in changed.items():
        if waiting is None:
            yield f"{policy}\0{target}", None
        elif waiting.decision.from_event:
            yield f"{policy}\0{target}", waiting_json(waiting)
