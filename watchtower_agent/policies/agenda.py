"""The agenda: decisions that wait for their guards, at most one per policy and target. Pure.

A decision from a condition lives as long as the condition fires and is refreshed at every tick. One from an event
waits until a guard releases it, until it is obsolete, or for 15 minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from watchtower_agent.model.decision import Decision, Dropped, Guard, Held, Mode, Target, Verb
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.guards.breakers import Breakers
from watchtower_agent.policies.guards.budget import used_up
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.guards.cooldowns import Cooldowns
from watchtower_agent.policies.guards.ledger import Ledger
from watchtower_agent.policies.guards.order import ask
from watchtower_agent.policies.guards.question import Protection, Question
from watchtower_agent.policies.making import PENDING_FOR, container_target
from watchtower_agent.policies.obsolescence import obsolete, overtaken
from watchtower_agent.policies.policy import PolicySet, ScheduleTrigger
from watchtower_agent.policies.waiting import Waiting, key_of, moved
from watchtower_agent.state.dependencies import Dependencies
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord


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

    def clock_stepped(self, step: float) -> None:
        """The wall clock was stepped by so many seconds: what waits does so for as long as before."""
        for key, waiting in list(self.waiting.items()):
            self._put(key, moved(waiting, step))

    def _put(self, key: tuple[str, str], waiting: Waiting) -> None:
        self.waiting[key] = waiting
        if waiting.decision.from_event:
            self._unsaved.add(key)

    def overtaken(self, decision: Decision, record: ContainerRecord | None, now: Instant) -> list[Dropped]:
        """Give up what waits in the place of a new decision, when an event has made it obsolete."""
        known = self.waiting.get(key_of(decision))
        if known is None or not known.decision.from_event or not (why := overtaken(known, record, now)):
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
            if waiting.decision.target.id == by.target.id
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
        ledger: Ledger,
        breakers: Breakers,
        circumstances: Circumstances,
        protection: Protection,
        now: Instant,
        *,
        busy: Callable[[Target], bool],
        acts: Callable[[str], bool],
        fires: Callable[[str, str], bool],
    ) -> Verdicts:
        """Ask the guards about everything that waits.

        Args:
            policies: Those in force.
            state: The host.
            cooldowns: When each policy last acted on each target.
            ledger: What was done; what passes is entered, so that what is asked about after it finds it there.
            breakers: Those that are open; a budget of which more is wanted opens one.
            circumstances: What holds for the host as a whole.
            protection: What no policy may touch.
            now: The present.
            busy: Whether an action on that target is under way: its decisions wait without a word.
            acts: Whether an action of that policy is under way: a scheduled one takes its targets one after the other.
            fires: Whether a policy's condition still fires for a target id.
        """
        reviewed = _Reviewed()
        by_name = {policy.name: policy for policy in policies.policies if policy.mode is not Mode.OFF}
        taken: set[str] = set()
        begun: set[str] = set()
        dependencies = Dependencies(state.containers)

        def under_way(container_id: str) -> bool:
            record = state.containers.get(container_id)
            return container_id in taken or (record is not None and busy(container_target(record)))

        for key, waiting in self._in_order(dependencies):
            decision = waiting.decision
            policy, record = by_name.get(decision.policy), state.containers.get(decision.target.id)
            if policy is None:
                why = f"policy {decision.policy} is not in force any more"
            else:
                why = obsolete(waiting, policy, record, now, fires)
            if policy is None or why:
                self._leave(key, reviewed)
                if not (waiting.held and waiting.held.final):
                    reviewed.dropped.append(Dropped(decision=decision, reason=why, at=now.wall))
                continue
            only_tells = decision.verb is Verb.NOTIFY
            in_turn = isinstance(policy.trigger, ScheduleTrigger) and (policy.name in begun or acts(policy.name))
            if not only_tells and (busy(decision.target) or decision.target.id in taken or in_turn):
                continue
            question = Question(
                decision=decision,
                policy=policy,
                state=state,
                record=record,
                cooldowns=cooldowns,
                ledger=ledger,
                breakers=breakers,
                circumstances=circumstances,
                dependencies=dependencies,
                under_way=under_way,
                protection=protection,
                now=now,
            )
            if (held := _asked(question)) is not None:
                self._hold(key, held, reviewed)
                continue
            self._leave(key, reviewed)
            reviewed.passed.append(waiting)
            if not only_tells:
                ledger.began(decision, now)
                breakers.began(decision, now)
                taken.add(decision.target.id)
                begun.add(policy.name)
        for key in self._unsaved - reviewed.changed.keys():
            reviewed.changed[key] = self.waiting.get(key)
        self._unsaved.clear()
        return reviewed.verdicts()

    def _in_order(self, dependencies: Dependencies) -> list[tuple[tuple[str, str], Waiting]]:
        """As they came, but a container after all that it needs."""
        return sorted(self.waiting.items(), key=lambda item: dependencies.depth(item[1].decision.target.id))

    def _leave(self, key: tuple[str, str], reviewed: _Reviewed) -> None:
        del self.waiting[key]
        reviewed.changed[key] = None

    def _hold(self, key: tuple[str, str], held: Held, reviewed: _Reviewed) -> None:
        waiting = self.waiting[key]
        news = _worth_telling(waiting.held, held)
        if news:
            reviewed.held.append(held)
        decision = _patient(waiting.decision, held)
        if held.final and (held.decision.from_event or held.decision.verb is Verb.NOTIFY):
            self._leave(key, reviewed)
        elif news or decision is not waiting.decision:
            reviewed.changed[key] = self.waiting[key] = replace(waiting, decision=decision, held=held)
        else:  # no news, but whoever asks is told how it is now
            self.waiting[key] = replace(waiting, held=held)


@dataclass(slots=True)
class _Reviewed:
    """What one review has found so far."""

    passed: list[Waiting] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    changed: dict[tuple[str, str], Waiting | None] = field(default_factory=dict)

    def verdicts(self) -> Verdicts:
        return Verdicts(
            passed=tuple(self.passed), held=tuple(self.held), dropped=tuple(self.dropped), changed=self.changed
        )


def _asked(question: Question) -> Held | None:
    """What the guards say; when a budget is used up, what the breaker says that this opens."""
    held = ask(question)
    if held is None or held.guard is not Guard.BUDGET or (spent := used_up(question)) is None:
        return held
    why = f"{spent.words} did not help, and one more is wanted: {question.decision.reason}"
    news = question.breakers.open(spent.scope, spent.budget, question.decision, question.now, why)
    return ask(question) if news else held


def _patient(decision: Decision, held: Held) -> Decision:
    """What is held for being too much waits beyond its time: else a crash loop would end with nobody trying."""
    paced = held.guard in {Guard.BACKOFF, Guard.BREAKER, Guard.BUDGET, Guard.SHARED_CAUSE}
    if not decision.from_event or not paced or held.release_at is None:
        return decision
    latest = held.release_at + PENDING_FOR
    # Both clocks are never quite in step: only what is later by more than that counts.
    return replace(decision, expires_at=latest) if latest > decision.expires_at + 1 else decision


def _worth_telling(before: Held | None, now: Held) -> bool:
    """A held decision is published once per change of the guard, not once per tick."""
    return before is None or before.guard is not now.guard
