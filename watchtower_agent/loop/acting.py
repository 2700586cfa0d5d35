"""Actions, from their beginning to whether they helped: whoever counts, waits or remembers hears of each. Pure.

In which order they do matters: what is told first, and what the next one goes by, depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace
from typing import Final

from watchtower_agent.loop.approving import Approving
from watchtower_agent.loop.breaking import Breaking
from watchtower_agent.loop.cooling import Cooling
from watchtower_agent.loop.engine_restarts import EngineRestarts
from watchtower_agent.loop.pruning import Pruning
from watchtower_agent.loop.publication import Publication
from watchtower_agent.loop.resizing import Resizing
from watchtower_agent.loop.scaling import Scaling
from watchtower_agent.loop.under_way import UnderWay
from watchtower_agent.loop.verifying import Verifying
from watchtower_agent.loop.wishes import Wishes
from watchtower_agent.model.decision import Decision, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Intent, Outcome, Result, Unsettled
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.agenda import Agenda
from watchtower_agent.policies.evaluate import Conditions
from watchtower_agent.policies.following import following
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.pruned import planned_anew
from watchtower_agent.policies.verification import Effect, Verdict
from watchtower_agent.policies.waiting import Waiting
from watchtower_agent.state.host_state import HostState

_ENDS_A_LIFE: Final = frozenset({Verb.RESTART, Verb.START, Verb.STOP, Verb.KILL})
"""Verbs after which nothing is left of what was decided about a container's earlier life."""


@dataclass(slots=True, kw_only=True)
class Acting:
    """Keeps to the ledger: what begins has an intent there, and each intent gets one outcome.

    Attributes:
        state: The host.
        publication: Where facts are told; what is to be done and remembered goes into its effects of the step.
        wishes: Where it goes what is wanted once more, or after it.
        agenda: Where that waits which an action may make needless.
        conditions: Follows the conditions over time.
        cooling: When each policy last acted on each target.
        breaking: What was done too often.
        approving: What people are asked about.
        under_way: What is being done.
        verifying: Whether what brought a target back has helped.
        scaling: Services, and how many replicas they should have.
        resizing: Containers, and which limits they should have.
        pruning: What may be deleted from the engine's disk.
        engine_restarts: How often the engine was restarted.
        policies: Those in force.
    """

    state: HostState
    publication: Publication
    wishes: Wishes
    agenda: Agenda
    conditions: Conditions
    cooling: Cooling
    breaking: Breaking
    approving: Approving
    under_way: UnderWay
    verifying: Verifying
    scaling: Scaling
    resizing: Resizing
    pruning: Pruning
    engine_restarts: EngineRestarts
    policies: PolicySet = field(default_factory=PolicySet)

    def begins(self, waiting: Waiting, now: Instant) -> None:
        """No guard stands against it: it is about to be done."""
        decision = self.approving.approvals.began(waiting.decision, now)
        waiting = replace(waiting, decision=decision)
        record = self.state.containers.get(decision.target.id)
        # Of a life that was not inspected yet its event tells when it began.
        before = record.started if record else None
        intent = Intent(decision=decision, at=now.wall, started_at_before=before, moment=now)
        self.cooling.begins(decision, self.policies.named(decision.policy), now)
        if decision.verb is Verb.NOTIFY:
            self._notifies(intent, now)
            return
        self.under_way.begins(waiting, intent)
        if decision.verb is Verb.SCALE:
            self.scaling.begins(decision)
        elif decision.verb is Verb.RESIZE:
            self.resizing.begins(decision, now)
        self.engine_restarts.begins(decision, now)
        self.judged(self.verifying.acts(decision, now), now)
        self.wishes.give_up(self.agenda.acted(decision, now), now)
        self.conditions.acted(decision.target, now)
        # What is pruned the loop asks for itself, one removal after the other.
        out = self.publication.out
        (out.begun if decision.verb is Verb.PRUNE else out.intents).append(intent)
        self.publication.tell(intent, decision.correlation_id, now, record=record)
        if decision.verb is Verb.PRUNE:
            self.pruning.begins(intent, now)

    def _notifies(self, intent: Intent, now: Instant) -> None:
        """To tell people is all that is done: that is over as it begins."""
        decision = intent.decision
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
        record = self.state.containers.get(decision.target.id)
        self.publication.tell(outcome, decision.correlation_id, now, record=record)

    def unsettled(self, call: Unsettled, now: Instant) -> None:
        """A call ended without telling what became of its target: nothing else is done to that until it is known."""
        self.under_way.unsettled(call, now)
        self.publication.out.inspect[call.intent.decision.target.id] = None

    def ended(self, outcome: Outcome, now: Instant) -> None:
        """An action has ended, however."""
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
        policy = self.policies.named(decision.policy)
        self.cooling.ended(decision, policy, now, asked=outcome.asked, name=name)
        self.publication.out.outcomes.append(outcome)
        self.publication.tell(outcome, decision.correlation_id, now, record=record)
        if record is not None:
            self.publication.out.inspect[decision.target.id] = None
        done = outcome.result is Result.SUCCEEDED or outcome.numbers.get("engine_did_it") is True
        if done and decision.verb in _ENDS_A_LIFE:
            self.wishes.give_up(self.agenda.acted(decision, now, events_before=outcome.started_at), now)
        if decision.verb is Verb.PRUNE and outcome.result is Result.INTERRUPTED:
            self.wishes.want(planned_anew(decision, now), now)
        if _is_wanted_still(decision, outcome):
            self.wishes.want_again(decision if waiting is None else waiting.decision, waiting, now)

    def judged(self, verdicts: Iterable[Verdict], now: Instant) -> None:
        """It is known of these whether they helped."""
        for verdict in verdicts:
            self.breaking.verified(verdict, now)
            # What is acted on again takes others along after that.
            if verdict.effect is Effect.HELPED and not self.under_way.busy(verdict.verification.decision.target):
                for decision in following(verdict.verification.decision, self.state, now):
                    self.wishes.want(decision, now)


def _is_wanted_still(decision: Decision, outcome: Outcome) -> bool:
    """Whether that was not done which waits for its moment: a guard came in between, or the engine did not start it."""
    patient = decision.from_event or bool(decision.approval)
    held = outcome.result is Result.ABANDONED and "guard" in outcome.numbers
    refused = outcome.result is Result.FAILED and decision.verb is Verb.START
    return (patient and held) or (decision.from_event and refused)
