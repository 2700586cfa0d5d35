"""What the policies want, from the wish to its outcome: the parts put together, and asked in their order. Pure.

So the ledger's invariants are kept: never two actions under way on one target, none that a guard forbids, and
nothing that is wanted is forgotten without a word, not even by a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace
from functools import cache

from watchtower_agent.loop import stored_agenda
from watchtower_agent.loop.acting import Acting
from watchtower_agent.loop.approving import Approving
from watchtower_agent.loop.breaking import Breaking
from watchtower_agent.loop.cooling import Cooling
from watchtower_agent.loop.doubts import Doubts
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
from watchtower_agent.loop.wishes import Wishes
from watchtower_agent.model.decision import Decision, Edge, Held, TargetKind
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.outcome import Intent, Outcome, Unsettled
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.agenda import Agenda
from watchtower_agent.policies.evaluate import Conditions
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.guards.order import stops_pass
from watchtower_agent.policies.guards.question import Evidence
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.reverting import answering
from watchtower_agent.policies.review import review
from watchtower_agent.policies.triggers import triggered
from watchtower_agent.policies.verification import Verdict
from watchtower_agent.policies.waiting import Waiting
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord


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
        wishes: The way onto the agenda, of whatever is wanted.
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
    wishes: Wishes = field(init=False)
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
    _acting: Acting = field(init=False)
    _doubts: Doubts = field(init=False)
    _policies_known: bool = False
    _seen: list[Verdict] = field(default_factory=list)
    """What events of this step told of what was done."""

    def __post_init__(self) -> None:
        self.breaking = Breaking(self.state, self.publication, self.circumstances)
        self.cooling = Cooling(self.publication)
        self.approving = Approving(self.publication, self.circumstances.approvals)
        self.verifying = Verifying(self.state, self.publication)
        self.pruning = Pruning(
            self.state,
            self.publication,
            self.circumstances,
            say=self.say,
            stops=self._stops_pass,
            ended=self.returned,
        )
        self.under_way = UnderWay.of(self.state, self.publication, ended=self.returned, wanted_again=self._want_again)
        self.wishes = Wishes(
            self.state,
            self.publication,
            self.agenda,
            self.conditions,
            self.breaking,
            self.approving,
            self.under_way,
            self.pruning.planning,
        )
        self.resizing = Resizing(
            self.state,
            self.publication,
            self.interval,
            want=self.wishes.want,
            busy=self.under_way.busy,
            say=self.say,
            asked=self.approving.asked_about,
        )
        self.scaling = Scaling(
            self.state,
            self.publication,
            self.interval,
            want=self.wishes.want,
            busy=self.under_way.busy,
            say=self.say,
            lowered=self.resizing.lowered,
        )
        self.prune_wishes = PruneWishes(self.state.host, self.agenda, self.pruning, self.approving, self.wishes)
        self.engine_restarts = EngineRestarts(self.state, self.publication, self.circumstances)
        self._acting = Acting(
            state=self.state,
            publication=self.publication,
            wishes=self.wishes,
            agenda=self.agenda,
            conditions=self.conditions,
            cooling=self.cooling,
            breaking=self.breaking,
            approving=self.approving,
            under_way=self.under_way,
            verifying=self.verifying,
            scaling=self.scaling,
            resizing=self.resizing,
            pruning=self.pruning,
            engine_restarts=self.engine_restarts,
        )
        self._doubts = Doubts(self.state, self.agenda, self.under_way.settling)
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
        for waiting in (*stored_agenda.remembered(resume, now, then), *self.approving.resume(resume, now)):
            self.agenda.restore(replace(waiting, decision=self.wishes.as_called_now(waiting.decision)))
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
        self.prune_wishes.policies = self._acting.policies = policies

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
            self.wishes.want(decision, now)

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
            self.wishes.want(decision, now, event if isinstance(event, EngineEvent) else None)

    def look_at_strategies(self, now: Instant) -> None:
        """See how many replicas services should have, and which limits containers."""
        if self._policies_known:
            self.scaling.look(now)
            self.resizing.look(now)
            for outcome in (*self.scaling.interrupted(now), *self.engine_restarts.interrupted(now)):
                self._acting.ended(outcome, now)

    def say(self, notice: Notice, now: Instant) -> None:
        """Tell something of the agent's own, and see which policies that sets off."""
        correlation = notice.correlation_id or self.publication.next_correlation()
        self.publication.tell(notice, correlation, now)
        self.trigger(notice, None, correlation, now)

    def want(self, decisions: Iterable[Decision], now: Instant) -> None:
        """Take in what a schedule wants."""
        for decision in decisions:
            self.wishes.want(decision, now)

    def _stops_pass(self, decision: Decision, now: Instant) -> Held | None:
        policy = self.policies.named(decision.policy)
        return None if policy is None else stops_pass(decision, policy, self.evidence(), now)

    # --- reviewed, begun ------------------------------------------------------------------------------

    def review(self, now: Instant) -> None:
        """Ask the guards about everything that waits, and begin what they let pass."""
        if not self._policies_known:
            return  # what waited in an earlier run is asked about once its policies are there
        self.prune_wishes.without_plan(now)
        verdicts = review(
            self.agenda,
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
        self.wishes.give_up(verdicts.dropped, now)
        self.prune_wishes.want_plans(verdicts.unplanned, now)
        for waiting in verdicts.passed:
            self._acting.begins(waiting, now)
        self.publication.out.records.extend(stored_agenda.records(verdicts.changed))
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
        self._acting.judged(seen, now)
        if self._policies_known:
            self.resizing.look_at_killed(now)

    def look_at_breakers(self, now: Instant) -> None:
        """See who has recovered, and whether what was done has helped."""
        if self._policies_known:
            self._acting.judged(self.verifying.look(now), now)
            self.breaking.look(
                self.policies,
                self.circumstances.protection.host_budget,
                now,
                busy=self.under_way.busy,
                verifies=self.verifying.looks_at,
                wanted=[each.decision for each in self.agenda.waiting.values()],
            )

    def look_at_approvals(self, now: Instant) -> None:
        """End those whose time has come."""
        self.wishes.give_up(list(self.approving.look(self.agenda, now)), now)
        self._telling.of_approvals(now)

    def to_inspect(self, now: Instant) -> list[str]:
        """Ids of containers of which only time tells how they are."""
        return self._doubts.due(now)

    def evidence(self) -> Evidence:
        """What the guards go by at present."""
        return self._evidence.under(self.policies)

    # --- ended ----------------------------------------------------------------------------------------

    def returned(self, seen: Outcome | Unsettled, now: Instant) -> None:
        """Take in how a call to the engine ended."""
        if isinstance(seen, Unsettled):
            self._acting.unsettled(seen, now)
        else:
            self._acting.ended(seen, now)

    def _want_again(self, decision: Decision, waiting: Waiting | None, now: Instant) -> None:
        self.wishes.want_again(decision, waiting, now)

    # --- remembered -----------------------------------------------------------------------------------

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        self.cooling.remember_again()
        self.publication.out.records.extend(stored_agenda.records(self.agenda.waiting))
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

    def answering(self, decision: Decision, record: ContainerRecord | None) -> Policy | None:
        """The policy by which guards go."""
        return answering(self.policies.named(decision.policy), decision, record)
