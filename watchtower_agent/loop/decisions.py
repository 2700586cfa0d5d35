"""What the policies want, from the wish to its outcome: wanted, held, begun, ended. Pure.

The ledger's invariants are kept here: never two actions under way on one target, none that a guard forbids, and
nothing that is wanted is forgotten without a word, not even by a crash.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from functools import cache

from watchtower_agent.loop.approving import Approving
from watchtower_agent.loop.breaking import Breaking
from watchtower_agent.loop.cooling import Cooling
from watchtower_agent.loop.engine_restarts import EngineRestarts
from watchtower_agent.loop.present_evidence import PresentEvidence
from watchtower_agent.loop.prune_wishes import PruneWishes
from watchtower_agent.loop.pruning import Pruning
from watchtower_agent.loop.publication import Publication
from watchtower_agent.loop.resizing import Resizing
from watchtower_agent.loop.scaling import Scaling
from watchtower_agent.loop.telling import Telling
from watchtower_agent.loop.under_way import UnderWay
from watchtower_agent.loop.verifying import Verifying
from watchtower_agent.model.commit import Record
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Decision, Dropped, Edge, Guard, Held, Mode, Number, Target, TargetKind, Verb
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.outcome import Intent, Outcome, Result, Unsettled
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.agenda import Agenda
from watchtower_agent.policies.asked import as_asked
from watchtower_agent.policies.evaluate import Conditions
from watchtower_agent.policies.following import following
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.guards.knowledge import engine_down
from watchtower_agent.policies.guards.permission import mode, paused
from watchtower_agent.policies.guards.question import Evidence
from watchtower_agent.policies.making import digest
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.pruned import needs_plan, planned_anew
from watchtower_agent.policies.reverting import answering, lowered_limits
from watchtower_agent.policies.triggers import triggered
from watchtower_agent.policies.verification import Effect, Verdict
from watchtower_agent.policies.waiting import Waiting, is_revert, key_of, named, restored, stored_forms
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

_ASK_AGAIN = 1.0
"""Seconds after which an inspection is asked for again. It waits until nobody has asked for a while: asking at every
tick would put it off."""
_LOOK_AGAIN = 10.0
"""Seconds after which the same is done for a container of which nothing is wanted. The engine waits for up to 60 s."""

_ENDS_A_LIFE = frozenset({Verb.RESTART, Verb.START, Verb.STOP, Verb.KILL})
"""Verbs after which nothing is left of what was decided about a container's earlier life."""


@dataclass(slots=True)
class Decisions:
    """Everything that is wanted, waits or is under way.

    Attributes:
        state: The host.
        publication: Where facts are told; what is to be done and remembered goes into its effects of the step.
        interval: Seconds between samples.
        policies: Those in force.
        agenda: What waits for its guards.
        cooling: When each policy last acted on each target.
        under_way: What is being done.
        verifying: Whether what brought a target back has helped.
        conditions: Follows the conditions over time.
        last: Policy name -> its newest decision to act.
        breaking: What was done too often.
        approving: What people are asked about.
        scaling: Services, and how many replicas they should have.
        resizing: Containers, and which limits they should have.
        pruning: What may be deleted from the engine's disk.
        prune_wishes: What waits for that, and for its plan.
        engine_restarts: How often the engine was restarted.
        circumstances: What holds for the host as a whole.
    """

    state: HostState
    publication: Publication
    interval: float
    policies: PolicySet = field(default_factory=PolicySet)
    agenda: Agenda = field(default_factory=Agenda)
    conditions: Conditions = field(default_factory=Conditions)
    last: dict[str, Decision] = field(default_factory=dict)
    breaking: Breaking = field(init=False)
    cooling: Cooling = field(init=False)
    approving: Approving = field(init=False)
    under_way: UnderWay = field(init=False)
    verifying: Verifying = field(init=False)
    scaling: Scaling = field(init=False)
    resizing: Resizing = field(init=False)
    pruning: Pruning = field(init=False)
    prune_wishes: PruneWishes = field(init=False)
    engine_restarts: EngineRestarts = field(init=False)
    circumstances: Circumstances = field(default_factory=Circumstances)
    _evidence: PresentEvidence = field(init=False)
    _telling: Telling = field(init=False)
    _policies_known: bool = False
    _seen: list[Verdict] = field(default_factory=list)
    """What events of this step told of what was done."""
    _asked: dict[str, float] = field(default_factory=dict)
    """Target id -> when an inspection was asked for last, since a decision about it waits for that; monotonic."""

    def __post_init__(self) -> None:
        self.breaking = Breaking(self.state, self.publication, self.circumstances)
        self.cooling = Cooling(self.publication)
        self.approving = Approving(self.publication, self.circumstances.approvals)
        self.verifying = Verifying(self.state, self.publication)
        self.scaling = Scaling(
            self.state,
            self.publication,
            self.interval,
            want=self._want_one,
            busy=self._is_busy,
            say=self.say,
            lowered=self._lowered_limits,
        )
        self.resizing = Resizing(
            self.state,
            self.publication,
            self.interval,
            want=self._want_one,
            busy=self._is_busy,
            say=self.say,
            asked=self.approving.asked_about,
        )
        self.pruning = Pruning(
            self.state,
            self.publication,
            self.circumstances,
            say=self.say,
            stops=self._stops_pass,
            ended=self._ended,
        )
        self.engine_restarts = EngineRestarts(self.state, self.publication, self.circumstances)
        self.prune_wishes = PruneWishes(
            self.state.host,
            self.agenda,
            self.pruning,
            self.approving,
            want=self._want_one,
            give_up=self._give_up,
            decided=self._decided,
        )
        self.under_way = UnderWay.of(self.state, self.publication, ended=self._ended, wanted_again=self._want_again)
        self._evidence = PresentEvidence(self.state, self.circumstances, self.cooling, self.breaking, self.under_way)
        self._telling = Telling(
            self.state, self.publication, self.breaking, self.approving, trigger=self.trigger, want=self.want
        )

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
        self.verifying.resume(resume, now)
        pending = [restored(stored, now, then) for stored in resume.records.get("pending", {}).values()]
        known = [each for each in pending if each is not None and each.decision.expires_at > then]
        known.sort(key=lambda each: (each.since, each.decision.target.name))
        for waiting in (*known, *self.approving.resume(resume, now)):
            self.agenda.restore(replace(waiting, decision=self.as_called_now(waiting.decision)))
        self.under_way.resume(resume, now, then)
        of_containers = [each for each in interrupted if each.decision.target.kind is TargetKind.CONTAINER]
        self.under_way.settling.resume(of_containers, then)
        self.scaling.resume(resume, interrupted, now)
        self.resizing.resume(resume, now)
        self.pruning.resume(resume, interrupted, now)
        self.engine_restarts.resume(resume, interrupted, now)
        for record in self.state.containers.values():
            if record.own is not None and record.own.ended is None:
                record.own = None  # its intent is in no ledger: it is not under way

    def clock_stepped(self, step: float) -> None:
        """The wall clock was stepped by so many seconds: whatever waits does so for as long as before."""
        self.agenda.clock_stepped(step)
        self.under_way.clock_stepped(step)

    def policies_changed(self, policies: PolicySet) -> None:
        """From now on these are in force."""
        self.policies, self._policies_known = policies, True
        self.breaking.follow(policies)
        self.scaling.follow(policies)
        self.resizing.follow(policies)
        self.pruning.follow(policies)
        self.prune_wishes.policies = policies

    # --- wanted ---------------------------------------------------------------------------------------

    def evaluate(self, now: Instant) -> None:
        """Ask every condition."""
        wanted = self.conditions.evaluate(self.policies, self.state, now, self.interval)
        for edge in wanted.edges:
            if edge.firing:
                self.approving.fires(edge)
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

    def look_at_strategies(self, now: Instant) -> None:
        """See how many replicas services should have, and which limits containers."""
        if self._policies_known:
            self.scaling.look(now)
            self.resizing.look(now)
            for outcome in (*self.scaling.interrupted(now), *self.engine_restarts.interrupted(now)):
                self._ended(outcome, now)

    def say(self, notice: Notice, now: Instant) -> None:
        """Tell something of the agent's own, and see which policies that sets off."""
        correlation = notice.correlation_id or self.publication.next_correlation()
        self.publication.tell(notice, correlation, now)
        self.trigger(notice, None, correlation, now)

    def _want_one(self, decision: Decision, now: Instant) -> None:
        self._want(decision, None, now)

    def _lowered_limits(self, record: ContainerRecord, now: Instant) -> Mapping[str, Number]:
        return lowered_limits(self.resizing.pasts_of(record.container.name).values(), record, now)

    def _is_busy(self, target: Target) -> bool:
        return self.under_way.busy(target)

    def want(self, decisions: Iterable[Decision], now: Instant) -> None:
        """Take in what a schedule wants."""
        for decision in decisions:
            self._want(decision, None, now)

    def _want(self, decision: Decision, event: EngineEvent | None, now: Instant) -> None:
        if not decision.from_event and decision.verb is not Verb.NOTIFY and self.under_way.busy(decision.target):
            return  # the timers of conditions start anew when the action ends
        if needs_plan(decision) and self.prune_wishes.need_not_wait(decision, now):
            return
        record, decision = self.state.containers.get(decision.target.id), self._as_asked(self.as_called_now(decision))
        decision = self._as_another_try(decision)
        # A revert is the opposite of what people were asked about: of that they are asked anew.
        asked = not is_revert(decision) and self.approving.is_open_about(self.agenda.waiting.get(key_of(decision)))
        self._give_up(self.agenda.overtaken(decision, record, now, asked=asked), now)
        if self.agenda.add(decision, event, asked=asked) and decision.verb is not Verb.NOTIFY:
            if needs_plan(decision):
                self.last[decision.policy] = decision  # it is told with its plan
            else:
                self._decided(decision, now)

    def _as_asked(self, decision: Decision) -> Decision:
        known = self.agenda.waiting.get(key_of(decision))
        if known is None or decision.from_event or self.approving.approvals.of(known.decision) is None:
            return decision
        return as_asked(decision, known.decision)

    def _as_another_try(self, decision: Decision) -> Decision:
        """What a condition still wants after a try that failed has an id of its own, or budgets would count one try."""
        if not decision.from_event:  # an event wants once: what it set off bears another id where it is wanted again
            while self.breaking.ledger.begun(decision) is not None:
                decision = replace(decision, id=digest("again", decision.id))
        return decision

    def _decided(self, decision: Decision, now: Instant) -> None:
        self.last[decision.policy] = decision
        self.publication.tell(decision, decision.correlation_id, now)

    def _stops_pass(self, decision: Decision, now: Instant) -> Held | None:
        """What ends a pass between two of its objects. That its window closes does not, nor that its approval ends."""
        policy = self.policies.named(decision.policy)
        if policy is None:
            return None
        if decision.approval and policy.mode is Mode.APPROVE:
            policy = replace(policy, mode=Mode.ENFORCE)  # a person has approved exactly this, and it has begun in time
        question = self.evidence().about(decision, policy, None, now)
        return next((held for guard in (mode, paused, engine_down) if (held := guard(question)) is not None), None)

    # --- reviewed, begun ------------------------------------------------------------------------------

    def review(self, now: Instant) -> None:
        """Ask the guards about everything that waits, and begin what they let pass."""
        if not self._policies_known:
            return  # what waited in an earlier run is asked about once its policies are there
        self.prune_wishes.without_plan(now)
        verdicts = self.agenda.review(
            self.policies,
            self.evidence(),
            now,
            acts=self.under_way.acts,
            fires=self.fires(now),
        )
        self._telling.of_breakers(self.policies, now)  # before what they hold
        for held in verdicts.held:
            self.publication.tell(held, held.decision.correlation_id, now)
            self.approving.stopped(held, now)
        self._give_up(verdicts.dropped, now)
        self.prune_wishes.want_plans(verdicts.unplanned, now)
        for waiting in verdicts.passed:
            self._begin(waiting, now)
        for key, value in stored_forms(verdicts.changed):
            self.publication.out.records.append(Record(kind="pending", key=key, value=value))
        self.approving.follow(self.agenda, self.under_way.ids, now)
        self._telling.of_breakers(self.policies, now)
        self._telling.of_approvals(now)

    def sees(self, container_id: str, now: Instant, *, killed: bool) -> None:
        """An event of that container was applied: it may tell whether what was done has helped.

        What follows from that waits for `look_at_what_was_seen`: an event that came with it may tell that the cause is
        a shared one.

        Args:
            container_id: Whose.
            now: The present.
            killed: The kernel killed a process of it for want of memory.
        """
        if killed:
            self.resizing.killed(container_id, now)
        if self._policies_known:
            self._seen += self.verifying.sees(container_id, now)

    def look_at_what_was_seen(self, now: Instant) -> None:
        """Draw the conclusions from what events told, now that all of them are known."""
        seen, self._seen = self._seen, []
        self._judged(seen, now)
        if self._policies_known:
            self.resizing.look_at_killed(now)

    def look_at_breakers(self, now: Instant) -> None:
        """See who has recovered, and whether what was done has helped."""
        if self._policies_known:
            self._judged(self.verifying.look(now), now)
            self.breaking.look(
                self.policies,
                self.circumstances.protection.host_budget,
                now,
                busy=self.under_way.busy,
                verifies=self.verifying.looks_at,
                wanted=[each.decision for each in self.agenda.waiting.values()],
            )

    def _judged(self, verdicts: Iterable[Verdict], now: Instant) -> None:
        """It is known of these whether they helped."""
        for verdict in verdicts:
            self.breaking.verified(verdict, now)
            # What is acted on again takes others along after that.
            if verdict.effect is Effect.HELPED and not self.under_way.busy(verdict.verification.decision.target):
                self.want(following(verdict.verification.decision, self.state, now), now)

    def look_at_approvals(self, now: Instant) -> None:
        """End those whose time has come."""
        self._give_up(list(self.approving.look(self.agenda, now)), now)
        self._telling.of_approvals(now)

    def _give_up(self, dropped: Sequence[Dropped], now: Instant) -> None:
        for each in dropped:
            self.publication.tell(each, each.decision.correlation_id, now)
            self.approving.dropped(each, now)

    def _begin(self, waiting: Waiting, now: Instant) -> None:
        decision = self.approving.approvals.began(waiting.decision, now)
        waiting = replace(waiting, decision=decision)
        record = self.state.containers.get(decision.target.id)
        # Of a life that was not inspected yet its event tells when it began.
        before = record.started if record else None
        intent = Intent(decision=decision, at=now.wall, started_at_before=before, moment=now)
        self.cooling.begins(decision, self.policies.named(decision.policy), now)
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
        self.under_way.begins(waiting, intent)
        if decision.verb is Verb.SCALE:
            self.scaling.begins(decision, now)
        elif decision.verb is Verb.RESIZE:
            self.resizing.begins(decision, now)
        self.engine_restarts.begins(decision, now)
        self._judged(self.verifying.acts(decision, now), now)
        self._give_up(self.agenda.acted(decision, now), now)
        self.conditions.acted(decision.target, now)
        # What is pruned the loop asks for itself, one removal after the other.
        out = self.publication.out
        (out.begun if decision.verb is Verb.PRUNE else out.intents).append(intent)
        self.publication.tell(intent, decision.correlation_id, now, record=record)
        if decision.verb is Verb.PRUNE:
            self.pruning.begins(intent, now)

    def to_inspect(self, now: Instant) -> list[str]:
        """Where only time tells: interrupted actions, and what the engine may or may not restart by itself.

        Whether that is killed while the engine waits to restart it, or can't be started, is told by no event.
        """
        unsure = {Guard.RESTART_POLICY, Guard.STALE}
        held = [w for w in self.agenda.waiting.values() if w.held is not None and w.held.guard in unsure]
        of_containers = (w.decision.target for w in held if w.decision.target.kind is TargetKind.CONTAINER)
        after = {
            each: _LOOK_AGAIN
            for each, record in self.state.containers.items()
            if record.container.status is ContainerStatus.RESTARTING
        } | {target.id: _ASK_AGAIN for target in of_containers}
        asked = {target: self._asked[target] for target in after if target in self._asked}
        due = [target for target, least in after.items() if now.monotonic - asked.get(target, -math.inf) >= least]
        self._asked = asked | dict.fromkeys(due, now.monotonic)
        return self.under_way.settling.due(now) + due

    def evidence(self) -> Evidence:
        """What the guards go by at present."""
        return self._evidence.under(self.policies)

    # --- ended ----------------------------------------------------------------------------------------

    def returned(self, seen: Outcome | Unsettled, now: Instant) -> None:
        """Take in how a call to the engine ended."""
        if isinstance(seen, Unsettled):
            self._unsettled(seen, now)
        else:
            self._ended(seen, now)

    def _ended(self, outcome: Outcome, now: Instant) -> None:
        """Take in how an action ended."""
        decision, outcome = outcome.decision, replace(outcome, moment=now)
        waiting = self.under_way.ended(decision)
        self.state.apply_outcome(outcome)
        self.conditions.acted(decision.target, now)
        self.breaking.ended(outcome, now)
        self.approving.ended(outcome, now)
        self.verifying.ended(outcome, now)
        self.engine_restarts.ended(outcome)
        if decision.verb is Verb.SCALE:
            self.scaling.ended(outcome, now)
        elif decision.verb is Verb.RESIZE:
            self.resizing.ended(outcome, now)
        record = self.state.containers.get(decision.target.id)
        name = None if record is None else record.container.name
        self.cooling.ended(decision, self.policies.named(decision.policy), now, asked=outcome.asked, name=name)
        self.publication.out.outcomes.append(outcome)
        self.publication.tell(outcome, decision.correlation_id, now, record=record)
        if record is not None:
            self.publication.out.inspect[decision.target.id] = None
        done = outcome.result is Result.SUCCEEDED or outcome.numbers.get("engine_did_it") is True
        if done and decision.verb in _ENDS_A_LIFE:
            self._give_up(self.agenda.acted(decision, now, events_before=outcome.started_at), now)
        if decision.verb is Verb.PRUNE and outcome.result is Result.INTERRUPTED:
            self._want_one(planned_anew(decision, now), now)
        patient = decision.from_event or bool(decision.approval)
        held = outcome.result is Result.ABANDONED and "guard" in outcome.numbers
        refused = outcome.result is Result.FAILED and decision.verb is Verb.START
        if (patient and held) or (decision.from_event and refused):
            self._want_again(decision if waiting is None else waiting.decision, waiting, now)

    def _unsettled(self, call: Unsettled, now: Instant) -> None:
        """A call ended without telling what became of its target: nothing else is done to that until it is known."""
        self.under_way.unsettled(call, now)
        self.publication.out.inspect[call.intent.decision.target.id] = None

    def _want_again(self, decision: Decision, waiting: Waiting | None, now: Instant) -> None:
        """What was wanted did not happen: it is wanted still, unless overtaken."""
        again = replace(decision, id=digest("again", decision.id), approval="")
        fires = self.conditions.fires(decision.policy, decision.target.id)
        self.approving.again(decision, again, now, fires=fires)
        self._want(again, waiting.event if waiting is not None else None, now)

    # --- remembered -----------------------------------------------------------------------------------

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        out = self.publication.out
        self.cooling.remember_again()
        for key, value in stored_forms(self.agenda.waiting):
            out.records.append(Record(kind="pending", key=key, value=value))
        self.under_way.remember_again()
        self.breaking.remember_again()
        self.approving.remember_again()
        self.verifying.remember_again()
        self.pruning.remember_again()
        self.engine_restarts.remember_again()

    def forget_cooldowns(self, now: Instant) -> None:
        """Names of targets come and go: what counts no more is not kept for ever."""
        if self._policies_known:
            self.cooling.forget(self.policies, now)

    def fires(self, now: Instant) -> Callable[[str, str], bool | None]:
        """Whether a policy's condition fires for a target at this moment: each is asked once."""

        @cache
        def fires(policy: str, target_id: str) -> bool | None:
            if policy in self.scaling.by:
                return self.scaling.wants(policy)
            if self.resizing.resizes(policy):
                return self.resizing.wants(policy, target_id, now)
            before = self.approving.fired_before(policy, target_id)
            return self.conditions.still_fires(
                self.policies.named(policy), target_id, self.state, now, fired_before=before
            )

        return fires

    def as_called_now(self, decision: Decision) -> Decision:
        """The same about its target under the name that it has by now: what guards count goes by that."""
        record = self.state.containers.get(decision.target.id)
        return decision if record is None else named(decision, record.container.name)

    def answering(self, decision: Decision, record: ContainerRecord | None) -> Policy | None:
        """The policy by which guards go."""
        return answering(self.policies.named(decision.policy), decision, record)
