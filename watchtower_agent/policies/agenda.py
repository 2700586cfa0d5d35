"""The agenda: decisions that wait for their guards, at most one per policy and target. Pure.

A decision from a condition lives as long as the condition fires and is refreshed at every tick. One from an event
waits until a guard releases it, until it is obsolete, or for 15 minutes since the newest event that wants it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Final

from watchtower_agent.model.decision import Decision, Dropped, Held, Mode, Verb
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.approvals import Approvals
from watchtower_agent.policies.guards.question import Evidence
from watchtower_agent.policies.making import PACED, PENDING_FOR
from watchtower_agent.policies.news import is_only_late, worth_telling
from watchtower_agent.policies.obsolescence import in_doubt, obsolete, overtaken
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.precedence import in_order
from watchtower_agent.policies.pruned import needs_plan
from watchtower_agent.policies.reverting import answering
from watchtower_agent.policies.verdict import verdict
from watchtower_agent.policies.waiting import (
    Waiting,
    as_the_conditions,
    beside,
    is_by_hand,
    is_revert,
    key_of,
    moved,
    named,
    takes_the_place,
    takes_turns,
)
from watchtower_agent.state.record import ContainerRecord

_NEWER: Final = "there is newer news, which waits in its place"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What became of the agenda's decisions.

    Attributes:
        passed: May be carried out now; they left the agenda.
        held: Newly stopped, or stopped for another reason than before: worth telling.
        dropped: Given up.
        unplanned: Wishes to prune that no guard stands against: a plan has to be made before more is asked.
        changed: Keys whose entry changed, for the store: the entry, or None when it left.
    """

    passed: tuple[Waiting, ...] = ()
    held: tuple[Held, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    unplanned: tuple[Decision, ...] = ()
    changed: Mapping[tuple[str, str], Waiting | None] = field(default_factory=dict)


@dataclass(slots=True)
class Agenda:
    """The waiting decisions, by policy, target and whether they only tell."""

    waiting: dict[tuple[str, str], Waiting] = field(default_factory=dict)
    _unsaved: set[tuple[str, str]] = field(default_factory=set)
    """Keys of decisions from events that came since the last review: the store does not have them yet."""

    def add(self, decision: Decision, event: EngineEvent | None, *, asked: bool = False) -> bool:
        """Put a decision on the agenda, or refresh the one that waits there. Says whether it is new.

        What a person wants takes the place of what anything else wants: it does not depend on that any more. What an
        event wants that is wanted already waits from this event on. News are not the same news: what no guard was
        asked about yet waits beside, and takes the place of what is held (`overtaken` has given that up).

        Args:
            decision: What is wanted.
            event: The engine event that triggered it; None for others.
            asked: People are asked about what waits there: that goes on under its id.
        """
        key = key_of(decision)
        known = self.waiting.get(key)
        instead = known is not None and takes_the_place(decision, known.decision)
        if known is None or (instead and not asked):
            self._put(key, Waiting(decision=decision, event=event, since=decision.decided_at))
            return True
        if instead:
            kept = replace(decision, id=known.decision.id, correlation_id=known.decision.correlation_id)
            self._put(key, replace(known, decision=kept, event=None))
        elif decision.from_event and known.decision.from_event:
            self._add_to(key, known, decision, event)
        elif not known.decision.from_event and not decision.from_event:
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

    def _add_to(self, key: tuple[str, str], known: Waiting, decision: Decision, event: EngineEvent | None) -> None:
        """Take in what another event wants where the same is wanted already."""
        if decision.id == known.decision.id:
            return
        if decision.verb is Verb.NOTIFY:
            news = Waiting(decision=decision, event=event, held=known.held, since=decision.decided_at)
            self._put(beside(decision) if known.held is None else key, news)
        elif decision.follows == known.decision.follows and not is_by_hand(known.decision):
            expires_at = max(known.decision.expires_at, decision.expires_at)
            later = replace(known.decision, expires_at=expires_at)
            self._put(key, replace(known, decision=later, event=event or known.event, since=decision.decided_at))

    def planned(self, decision: Decision) -> None:
        """The wish that waits there has its plan: the guards are asked about that."""
        key = key_of(decision)
        known = self.waiting.get(key)
        if known is not None and known.decision.id == decision.id:
            self._put(key, replace(known, decision=decision, held=None))

    def restore(self, waiting: Waiting) -> None:
        """Put back what waited when an earlier run of the agent ended, or what was begun and not carried out."""
        key = key_of(waiting.decision)
        if key not in self.waiting:
            self._put(key, waiting)

    def clock_stepped(self, step: float) -> None:
        """The wall clock was stepped by so many seconds: what waits does so for as long as before."""
        for key, waiting in list(self.waiting.items()):
            self._put(key, moved(waiting, step))

    def renamed(self, container_id: str, name: str) -> None:
        """A container has another name: what is wanted of it is wanted of it under that."""
        for key, waiting in list(self.waiting.items()):
            if waiting.decision.target.id == container_id:
                self._put(key, replace(waiting, decision=named(waiting.decision, name)))

    def _put(self, key: tuple[str, str], waiting: Waiting) -> None:
        self.waiting[key] = waiting
        if waiting.decision.from_event:
            self._unsaved.add(key)

    def overtaken(
        self, decision: Decision, record: ContainerRecord | None, now: Instant, *, asked: bool
    ) -> list[Dropped]:
        """Give up what waits in the place of a new decision, when something has made it obsolete.

        Args:
            decision: What is wanted.
            record: Of its target.
            now: The present.
            asked: People are asked about what waits there: that goes on, whoever wants it.
        """
        known = self.waiting.get(key_of(decision))
        if known is None or not known.decision.from_event:
            return []
        if decision.verb is Verb.NOTIFY:  # its place is taken in `add`: how it is held need not be told again
            newer = decision.from_event and known.held is not None and decision.id != known.decision.id
            return [Dropped(decision=known.decision, reason=_NEWER, at=now.wall)] if newer else []
        why = overtaken(known, record, now)
        if not why and not asked and takes_the_place(decision, known.decision):
            why = "it was set off by hand meanwhile"
        return [self._drop(key_of(decision), why, now)] if why else []

    def give_up(self, decision: Decision, why: str, now: Instant) -> list[Dropped]:
        """Give up a decision, if it is what waits in its place."""
        known = self.waiting.get(key_of(decision))
        return [self._drop(key_of(decision), why, now)] if known and known.decision.id == decision.id else []

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
        evidence: Evidence,
        now: Instant,
        *,
        acts: Callable[[str], bool],
        fires: Callable[[str, str], bool | None],
    ) -> Verdicts:
        """Ask the guards about everything that waits.

        Args:
            policies: Those in force.
            evidence: What the guards go by. What passes is entered into its ledger, so that what is asked about after
                it finds it there; a budget of which more is wanted opens a breaker. What is wanted of a target that an
                action is under way on waits without a word.
            now: The present.
            acts: Whether an action of that policy is under way: what a schedule or a person wants is done in turn,
                and so is what follows another container.
            fires: Whether a policy's condition still fires for a target id; None while that is not known.
        """
        reviewed = _Reviewed()
        by_name = {policy.name: policy for policy in policies.policies if policy.mode is not Mode.OFF}
        begun: set[str] = set()
        state = evidence.state

        under_way = set(evidence.under_way)  # and what is begun here
        asked_now = replace(evidence, under_way=under_way)
        self._wait_for_answers(evidence.circumstances.approvals, now)
        for key, waiting in in_order(
            self.waiting.items(), evidence.dependencies, by_name, evidence.ledger, evidence.breakers
        ):
            decision = waiting.decision
            record = state.containers.get(decision.target.id)
            policy = answering(by_name.get(decision.policy), decision, record)
            if policy is None:
                why = f"policy {decision.policy} is not in force any more"
            else:
                why = obsolete(waiting, policy, state, now, fires)
            if policy is None or why:
                self._leave(key, reviewed)
                if not (waiting.held and waiting.held.final):
                    reviewed.dropped.append(Dropped(decision=decision, reason=why, at=now.wall))
                continue
            only_tells = decision.verb is Verb.NOTIFY
            in_turn = takes_turns(decision) and (policy.name in begun or acts(policy.name))
            if not only_tells and (decision.target.id in under_way or in_turn or in_doubt(decision, fires)):
                continue
            question = asked_now.about(decision, policy, record, now)
            held = verdict(question)
            if held is None and needs_plan(decision):
                reviewed.unplanned.append(decision)
                continue
            if held is not None:
                asked = evidence.circumstances.approvals.asked_about(decision) is not None
                self._hold(key, held, reviewed, asked=asked, fires=fires)
                continue
            self._leave(key, reviewed)
            reviewed.passed.append(waiting)
            if not only_tells:
                tried = evidence.ledger.attempts(decision.target.name)
                evidence.ledger.began(decision, now)
                evidence.breakers.began(decision, now, retried=policy.budget if tried else None)
                under_way.add(decision.target.id)
                begun.add(policy.name)
        for key in self._unsaved - reviewed.changed.keys():
            reviewed.changed[key] = self.waiting.get(key)
        self._unsaved.clear()
        return reviewed.verdicts()

    @property
    def news(self) -> bool:
        """Whether something has come since the last review."""
        return bool(self._unsaved)

    def _wait_for_answers(self, approvals: Approvals, now: Instant) -> None:
        """What a person is asked about waits for as long as the question, no longer and no shorter."""
        for approval in approvals.waiting():
            key = key_of(approval.decision)
            waiting, until = self.waiting.get(key), approvals.until(approval.decision, now)
            if waiting is None or until is None or not waiting.decision.from_event:
                continue
            # Both clocks are never quite in step: only what differs by more than that counts.
            if waiting.decision.id == approval.decision.id and abs(waiting.decision.expires_at - until) > 1:
                self._put(key, replace(waiting, decision=replace(waiting.decision, expires_at=until)))

    def _leave(self, key: tuple[str, str], reviewed: _Reviewed) -> None:
        del self.waiting[key]
        reviewed.changed[key] = None

    def _hold(
        self,
        key: tuple[str, str],
        held: Held,
        reviewed: _Reviewed,
        *,
        asked: bool,
        fires: Callable[[str, str], bool | None],
    ) -> None:
        waiting = self.waiting[key]
        if waiting.held is not None and is_only_late(held):
            return  # what held it when it was new is told, and holds it most likely when it is new again
        if key != key_of(waiting.decision):
            key, waiting = self._take_place(key, waiting, reviewed)
        news = worth_telling(waiting.held, held)
        if news:
            reviewed.held.append(held)
        decision = waiting.decision if asked else _patient(waiting.decision, held)
        wants_the_same = is_by_hand(decision) and not is_revert(decision)
        if held.final and wants_the_same and fires(decision.policy, decision.target.id):
            decision = as_the_conditions(decision)  # else it would be decided, and people asked, once more
        if held.final and (decision.from_event or held.decision.verb is Verb.NOTIFY):
            self._leave(key, reviewed)
        elif news or decision is not waiting.decision:
            reviewed.changed[key] = self.waiting[key] = replace(waiting, decision=decision, held=held)
        else:  # no news, but whoever asks is told how it is now
            self.waiting[key] = replace(waiting, held=held)

    def _take_place(
        self, key: tuple[str, str], waiting: Waiting, reviewed: _Reviewed
    ) -> tuple[tuple[str, str], Waiting]:
        """News that waited beside other news, and are held: of those that are held the newest wait."""
        del self.waiting[key]
        self._unsaved.discard(key)
        place = key_of(waiting.decision)
        older = self.waiting.get(place)
        if older is not None:
            reviewed.dropped.append(Dropped(decision=older.decision, reason=_NEWER, at=waiting.since))
            waiting = replace(waiting, held=older.held)
        self._put(place, waiting)
        return place, waiting


@dataclass(slots=True)
class _Reviewed:
    """What one review has found so far."""

    passed: list[Waiting] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    unplanned: list[Decision] = field(default_factory=list)
    changed: dict[tuple[str, str], Waiting | None] = field(default_factory=dict)

    def verdicts(self) -> Verdicts:
        return Verdicts(
            passed=tuple(self.passed),
            held=tuple(self.held),
            dropped=tuple(self.dropped),
            unplanned=tuple(self.unplanned),
            changed=self.changed,
        )


def _patient(decision: Decision, held: Held) -> Decision:
    """What is held for being too much waits beyond its time: else a crash loop would end with nobody trying."""
    if decision.verb is Verb.RESTART_ENGINE:
        return decision  # whoever wanted it meant the engine as it was then
    if not decision.from_event or held.guard not in PACED or held.release_at is None:
        return decision
    latest = held.release_at + PENDING_FOR
    # Both clocks are never quite in step: only what is later by more than that counts.
    return replace(decision, expires_at=latest) if latest > decision.expires_at + 1 else decision
