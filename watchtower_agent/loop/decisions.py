"""What the policies want, from the wish to its outcome: wanted, held, begun, ended. Pure.

The ledger's invariants are kept here: never two actions under way on one target, none that a guard forbids, and
nothing that is wanted is forgotten without a word, not even by a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from watchtower_agent.loop.breaking import Breaking
from watchtower_agent.loop.cooling import Cooling
from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.commit import Record
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Decision, Dropped, Edge, Guard, Held, Mode, Target, Verb
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import ContainerObserved, Resume
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.policies.agenda import Agenda
from watchtower_agent.policies.evaluate import Conditions
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.guards.cooldowns import Cooldowns
from watchtower_agent.policies.guards.order import ask
from watchtower_agent.policies.guards.question import Protection, Question
from watchtower_agent.policies.making import PENDING_FOR, digest, last_resort
from watchtower_agent.policies.obsolescence import in_doubt, obsolete
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.triggers import triggered
from watchtower_agent.policies.waiting import (
    Waiting,
    moved,
    restored,
    stored_forms,
    waiting_json,
)
from watchtower_agent.state.dependencies import Dependencies
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.interrupted import Interrupted, deadline, left_stopped
from watchtower_agent.state.record import ContainerRecord

_ENDS_A_LIFE = frozenset({Verb.RESTART, Verb.START, Verb.STOP, Verb.KILL})
"""Verbs after which nothing is left of what was decided about a container's earlier life."""


@dataclass(slots=True)
class Decisions:
    """Everything that is wanted, waits or is under way.

    Attributes:
        state: The host.
        publication: Where facts are told; what is to be done and remembered goes into its effects of the step.
        protection: What no policy may touch.
        interval: Seconds between samples.
        policies: Those in force.
        agenda: What waits for its guards.
        cooling: When each policy last acted on each target.
        conditions: Follows the conditions over time.
        last: Policy name -> its newest decision to act.
        breaking: What was done too often.
        circumstances: What holds for the host as a whole.
    """

    state: HostState
    publication: Publication
    protection: Protection
    interval: float
    policies: PolicySet = field(default_factory=PolicySet)
    agenda: Agenda = field(default_factory=Agenda)
    conditions: Conditions = field(default_factory=Conditions)
    last: dict[str, Decision] = field(default_factory=dict)
    breaking: Breaking = field(init=False)
    cooling: Cooling = field(init=False)
    circumstances: Circumstances = field(default_factory=Circumstances)
    _policies_known: bool = False
    _open: dict[str, Intent] = field(default_factory=dict)
    _interrupted: Interrupted = field(default_factory=Interrupted)
    _begun: dict[str, Waiting] = field(default_factory=dict)
    """Decisions from events under way, by id, with what triggered them: an action that was not carried out after all
    is wanted still."""

    def __post_init__(self) -> None:
        self.breaking = Breaking(self.state, self.publication)
        self.cooling = Cooling(self.publication)

    def resume(self, resume: Resume, interrupted: Sequence[Intent], now: Instant, *, stepped: float) -> None:
        """Take in what the store remembers of an earlier run; the state has its records already.

        Args:
            resume: What it remembers.
            interrupted: Intents without an outcome.
            now: The present.
            stepped: Seconds by which the wall clock was stepped since; `clock_stepped` is yet to be told of them.
        """
        then = now.wall - stepped
        self.cooling.resume(resume, now)
        self.breaking.resume(resume, now)
        pending = [restored(stored, now, then) for stored in resume.records.get("pending", {}).values()]
        known = [each for each in pending if each is not None and each.decision.expires_at > then]
        for waiting in sorted(known, key=lambda each: (each.since, each.decision.target.name)):
            self.agenda.restore(waiting)
        for decision_id, stored in resume.records.get("begun", {}).items():
            begun = restored(stored, now, then)
            if begun is not None:
                self._begun[decision_id] = begun
        for intent in interrupted:
            self._interrupted.add(intent, then)
            self.state.apply_intent(intent, until=deadline(intent))
        for record in self.state.containers.values():
            if record.own is not None and record.own.ended is None:
                record.own = None  # its intent is in no ledger: it is not under way

    def clock_stepped(self, step: float) -> None:
        """The wall clock was stepped by so many seconds: whatever waits does so for as long as before."""
        self.agenda.clock_stepped(step)
        self._interrupted.clock_stepped(step)
        for key, begun in self._begun.items():
            self._begun[key] = moved(begun, step)
            self.publication.out.records.append(Record(kind="begun", key=key, value=waiting_json(self._begun[key])))

    def policies_changed(self, policies: PolicySet) -> None:
        """From now on these are in force."""
        self.policies, self._policies_known = policies, True

    # --- wanted ---------------------------------------------------------------------------------------

    def evaluate(self, now: Instant) -> None:
        """Ask every condition."""
        wanted = self.conditions.evaluate(self.policies, self.state, now, self.interval)
        for edge in wanted.edges:
            record = self.state.containers.get(edge.target.id)
            self.publication.tell(edge, edge.correlation_id, now, record=record)
            self.trigger(edge, record, edge.correlation_id, now)
        for decision in wanted.decisions:
            self._want(decision, None, now)

    def trigger(
        self, event: EngineEvent | Notice | Edge, record: ContainerRecord | None, correlation: str, now: Instant
    ) -> None:
        """See which policies an event sets off.

        Args:
            event: Of the engine, or the agent's own.
            record: The container it is about.
            correlation: Of the event.
            now: The present.
        """
        for decision in triggered(self.policies, self.state, event, record, correlation, now):
            self._want(decision, event if isinstance(event, EngineEvent) else None, now)

    def want(self, decisions: Iterable[Decision], now: Instant) -> None:
        """Take in what a schedule wants."""
        for decision in decisions:
            self._want(decision, None, now)

    def _want(self, decision: Decision, event: EngineEvent | None, now: Instant) -> None:
        if not decision.from_event and decision.verb is not Verb.NOTIFY and self._busy(decision.target):
            return  # the timers of conditions start anew when the action ends
        self._give_up(self.agenda.overtaken(decision, self.state.containers.get(decision.target.id), now), now)
        if self.agenda.add(decision, event) and decision.verb is not Verb.NOTIFY:
            self.last[decision.policy] = decision
            self.publication.tell(decision, decision.correlation_id, now)

    # --- reviewed, begun ------------------------------------------------------------------------------

    def review(self, now: Instant) -> None:
        """Ask the guards about everything that waits, and begin what they let pass."""
        if not self._policies_known:
            return  # what waited in an earlier run is asked about once its policies are there
        verdicts = self.agenda.review(
            self.policies,
            self.state,
            self.cooling.cooldowns,
            self.breaking.ledger,
            self.breaking.breakers,
            self.circumstances,
            self.protection,
            now,
            busy=self._busy,
            acts=self._acts,
            fires=self._fires(now),
        )
        for held in verdicts.held:
            self.publication.tell(held, held.decision.correlation_id, now)
        self._give_up(verdicts.dropped, now)
        for waiting in verdicts.passed:
            self._begin(waiting, now)
        for key, value in stored_forms(verdicts.changed):
            self.publication.out.records.append(Record(kind="pending", key=key, value=value))
        self._tell_of_breakers(now)

    def look_at_breakers(self, now: Instant) -> None:
        """See who has recovered, and whether what breakers let pass has helped."""
        if self._policies_known:
            acting = [w.decision for w in self.agenda.waiting.values() if w.decision.verb is not Verb.NOTIFY]
            wanted = {decision.target.name for decision in acting}
            self.breaking.look(self.policies, now, busy=self._busy, wanted=wanted)

    def _tell_of_breakers(self, now: Instant) -> None:
        for turn, notice in self.breaking.turned(now):
            correlation = notice.correlation_id or self.publication.next_correlation()
            self.publication.tell(notice, correlation, now)
            self.trigger(notice, None, correlation, now)
            if turn.decision is not None and turn.ends_in_a_stop and self._is_up(turn.decision.target):
                self._want(last_resort(turn.decision, now), None, now)

    def _give_up(self, dropped: Sequence[Dropped], now: Instant) -> None:
        for each in dropped:
            self.publication.tell(each, each.decision.correlation_id, now)

    def _begin(self, waiting: Waiting, now: Instant) -> None:
        decision = waiting.decision
        record = self.state.containers.get(decision.target.id)
        detail = record.container.detail if record else None
        before = detail.started_at if detail else None
        intent = Intent(decision=decision, at=now.wall, started_at_before=before, moment=now)
        self._cool(decision, now)
        if decision.verb is Verb.NOTIFY:
            outcome = Outcome(
                decision=decision,
                result=Result.SUCCEEDED,
                reason=str(decision.parameters.get("message") or decision.reason),
                started_at=now.wall,
                finished_at=now.wall,
                numbers=decision.numbers,
                moment=now,
            )
            self.publication.out.told.append(intent)
            self.publication.out.outcomes.append(outcome)
            self.publication.tell(outcome, decision.correlation_id, now, record=record)
            return
        self._open[decision.target.id] = intent
        if decision.from_event:
            self._begun[decision.id] = waiting
            self.publication.out.records.append(Record(kind="begun", key=decision.id, value=waiting_json(waiting)))
        self._give_up(self.agenda.acted(decision, now), now)
        self.conditions.acted(decision.target, now)
        self.publication.out.intents.append(intent)
        self.publication.tell(intent, decision.correlation_id, now, record=record)

    def to_inspect(self, now: Instant) -> list[str]:
        """Where only time tells: interrupted actions, and what the engine may or may not restart by itself."""
        unsure = {Guard.RESTART_POLICY, Guard.STALE}
        held = [w for w in self.agenda.waiting.values() if w.held is not None and w.held.guard in unsure]
        return self._interrupted.due(now.wall) + [w.decision.target.id for w in held if w.decision.target.id]

    def recheck(self, intent: Intent, now: Instant) -> Held | Dropped | None:
        """Whether it is wanted still, and every guard once more, immediately before the write.

        The action itself does not count among those that were done. Only with this yes does the action begin: what
        happens to the target before, while the intent becomes durable or waits for its turn, is somebody else's doing,
        and is seen as that.

        Returns:
            Held by a guard, or given up since it came too late; None: go on.
        """
        waiting = self._begun.get(intent.decision.id)
        waiting = waiting or Waiting(decision=intent.decision, since=intent.decision.decided_at)
        decision = waiting.decision
        policy, record = self._policy(decision.policy), self.state.containers.get(decision.target.id)
        fires = self._fires(now)
        if policy is None or policy.mode is Mode.OFF:
            why = f"policy {decision.policy} is not in force any more"
        else:
            why = obsolete(waiting, policy, record, now, fires)
            if not why and in_doubt(decision, fires):
                why = "it is not known at this moment whether its condition holds"
        if policy is None or why:
            return Dropped(decision=decision, reason=why, at=now.wall)
        held = ask(
            Question(
                decision=decision,
                policy=policy,
                state=self.state,
                record=record,
                cooldowns=Cooldowns(),
                ledger=self.breaking.ledger,
                breakers=self.breaking.breakers,
                circumstances=self.circumstances,
                dependencies=Dependencies(self.state.containers),
                under_way=self._under_way,
                protection=self.protection,
                now=now,
            )
        )
        if held is None:
            self.state.apply_intent(replace(intent, at=now.wall))
        return held

    # --- ended ----------------------------------------------------------------------------------------

    def ended(self, outcome: Outcome, now: Instant) -> None:
        """Take in how an action ended."""
        decision, outcome = outcome.decision, replace(outcome, moment=now)
        waiting = self._begun.pop(decision.id, None)
        if waiting is not None:
            self.publication.out.records.append(Record(kind="begun", key=decision.id, value=None))
        self._open.pop(decision.target.id, None)
        self.state.apply_outcome(outcome)
        self.conditions.acted(decision.target, now)
        self.breaking.ended(outcome, now)
        if outcome.result is not Result.ABANDONED:
            self._cool(decision, now)
        self.publication.out.outcomes.append(outcome)
        record = self.state.containers.get(decision.target.id)
        self.publication.tell(outcome, decision.correlation_id, now, record=record)
        if record is not None:
            self.publication.out.inspect[decision.target.id] = None
        done = outcome.result is Result.SUCCEEDED or outcome.numbers.get("engine_did_it") is True
        if done and decision.verb in _ENDS_A_LIFE:
            self._give_up(self.agenda.acted(decision, now, events_before=outcome.started_at), now)
        if outcome.result is Result.ABANDONED and "guard" in outcome.numbers and decision.from_event:
            self._want_again(decision if waiting is None else waiting.decision, waiting, now)

    def under_way(self, target_id: str) -> Intent | None:
        """What is being done to that target, if anything."""
        return self._open.get(target_id)

    def interrupted_targets(self) -> list[str]:
        """Ids of the targets of actions that a crash of the agent interrupted, and that are not settled yet."""
        return list(self._interrupted.intents)

    def settle_gone(self, container_id: str, now: Instant) -> None:
        """A container is not there any more: what was interrupted about it is over."""
        if container_id in self._interrupted.intents:
            self.settle(
                ContainerObserved(container_id=container_id, container=None, after_position=0, at=now.wall), now
            )

    def settle(self, seen: ContainerObserved, now: Instant) -> None:
        """What became of an action that a crash of the agent interrupted, as far as an inspection tells."""
        intent = self._interrupted.intents.get(seen.container_id)
        if intent is None:
            return
        waiting = self._begun.get(intent.decision.id)
        outcome = self._interrupted.resolve(seen, now.wall)
        if outcome is None:
            return
        self.ended(outcome, now)
        if outcome.numbers.get("engine_did_it") is not False or seen.container is None:
            return
        decision = intent.decision if waiting is None else waiting.decision
        if left_stopped(intent, seen):
            # The engine got no further than the stop: whoever wanted a restart wants the start, whatever its trigger.
            self.state.ended_by_agent(seen.container_id)
            decision = replace(decision, from_event=True, expires_at=now.wall + PENDING_FOR)
        if decision.from_event and decision.expires_at > now.wall:
            self._want_again(decision, waiting, now)

    def _want_again(self, decision: Decision, waiting: Waiting | None, now: Instant) -> None:
        """What was wanted did not happen: it is wanted still, unless overtaken; the cooldown holds it back."""
        again = replace(decision, id=digest("again", decision.id))
        self._want(again, waiting.event if waiting is not None else None, now)

    # --- remembered -----------------------------------------------------------------------------------

    def _cool(self, decision: Decision, now: Instant) -> None:
        self.cooling.acted(decision, self._policy(decision.policy), now)

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        out = self.publication.out
        self.cooling.remember_again()
        for key, value in stored_forms(self.agenda.waiting):
            out.records.append(Record(kind="pending", key=key, value=value))
        for key, waiting in self._begun.items():
            out.records.append(Record(kind="begun", key=key, value=waiting_json(waiting)))
        out.intents_again.extend(self._open.values())
        self.breaking.remember_again()

    def forget_cooldowns(self, now: Instant) -> None:
        """Names of targets come and go: what counts no more is not kept for ever."""
        if self._policies_known:
            self.cooling.forget(self.policies, now)

    def _fires(self, now: Instant) -> Callable[[str, str], bool | None]:
        return lambda policy, target_id: self.conditions.still_fires(self._policy(policy), target_id, self.state, now)

    def _busy(self, target: Target) -> bool:
        return bool(target.id) and self._under_way(target.id)

    def _under_way(self, container_id: str) -> bool:
        return container_id in self._open or container_id in self._interrupted.intents

    def _is_up(self, target: Target) -> bool:
        """Whether a stop would change anything: it runs, or the engine is about to start it again."""
        record = self.state.containers.get(target.id)
        return record is not None and (
            record.container.running or record.container.status is ContainerStatus.RESTARTING
        )

    def _acts(self, policy: str) -> bool:
        """Whether an action of that policy is under way."""
        under_way = (*self._open.values(), *self._interrupted.intents.values())
        return any(intent.decision.policy == policy for intent in under_way)

    def _policy(self, name: str) -> Policy | None:
        return next((policy for policy in self.policies.policies if policy.name == name), None)
