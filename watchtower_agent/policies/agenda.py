"""The agenda: decisions that wait for their guards, at most one per policy and target. Pure.

A decision from a condition lives as long as the condition fires and is refreshed at every tick. One from an event
waits until a guard releases it, until it is obsolete, or for 15 minutes since the newest event that wants it.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import Final

from watchtower_agent.model.decision import Decision, Dropped, Verb
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.approvals import Approvals
from watchtower_agent.policies.obsolescence import overtaken
from watchtower_agent.policies.waiting import (
    Waiting,
    beside,
    is_by_hand,
    key_of,
    moved,
    named,
    takes_the_place,
)
from watchtower_agent.state.record import ContainerRecord

_NEWER: Final = "there is newer news, which waits in its place"


@dataclass(slots=True)
class Agenda:
    """The waiting decisions, by policy, target and whether they only tell."""

    waiting: dict[tuple[str, str], Waiting] = field(default_factory=dict)
    _unsaved: dict[tuple[str, str], None] = field(default_factory=dict)
    """Keys, in order, of what the store does not have yet as it is."""

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

    def wait_for_answers(self, approvals: Approvals, now: Instant) -> None:
        """What a person is asked about waits for as long as the question, no longer and no shorter."""
        for approval in approvals.waiting():
            key = key_of(approval.decision)
            waiting, until = self.waiting.get(key), approvals.until(approval.decision, now)
            if waiting is None or until is None or not waiting.decision.from_event:
                continue
            # Both clocks are never quite in step: only what differs by more than that counts.
            if waiting.decision.id == approval.decision.id and abs(waiting.decision.expires_at - until) > 1:
                self._put(key, replace(waiting, decision=replace(waiting.decision, expires_at=until)))

    def _put(self, key: tuple[str, str], waiting: Waiting) -> None:
        self.waiting[key] = waiting
        if waiting.decision.from_event:
            self._unsaved[key] = None

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
        return Dropped(decision=self.leave(key).decision, reason=why, at=now.wall)

    # --- reviewed -------------------------------------------------------------------------------------

    def leave(self, key: tuple[str, str]) -> Waiting:
        """What waits there does so no more."""
        self._unsaved[key] = None
        return self.waiting.pop(key)

    def hold(self, key: tuple[str, str], waiting: Waiting, *, news: bool) -> None:
        """A guard holds what waits there.

        Args:
            key: Where.
            waiting: As it waits from now on.
            news: So does it in the store; else only whoever asks is told how it is now.
        """
        self.waiting[key] = waiting
        if news:
            self._unsaved[key] = None

    def take_place(self, key: tuple[str, str]) -> tuple[tuple[str, str], list[Dropped]]:
        """News that waited beside other news, and are held: of those that are held the newest wait.

        Returns:
            Where it waits now, and what is given up for it.
        """
        waiting = self.waiting.pop(key)
        self._unsaved.pop(key, None)
        place = key_of(waiting.decision)
        older = self.waiting.get(place)
        if older is None:
            self._put(place, waiting)
            return place, []
        self._put(place, replace(waiting, held=older.held))
        return place, [Dropped(decision=older.decision, reason=_NEWER, at=waiting.since)]

    @property
    def news(self) -> bool:
        """Whether something has come since the last review."""
        return bool(self._unsaved)

    def changes(self) -> dict[tuple[str, str], Waiting | None]:
        """Keys whose entry has changed since this was asked last, for the store: the entry, or None when it left."""
        changed, self._unsaved = self._unsaved, {}
        return {key: self.waiting.get(key) for key in changed}
