"""Wishes, from whatever wants something to the agenda: under which name and id, instead of what else, told. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace

from watchtower_agent.loop.approving import Approving
from watchtower_agent.loop.breaking import Breaking
from watchtower_agent.loop.prune_planning import PrunePlanning
from watchtower_agent.loop.publication import Publication
from watchtower_agent.loop.under_way import UnderWay
from watchtower_agent.model.decision import Decision, Dropped, Verb
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.agenda import Agenda
from watchtower_agent.policies.asked import as_asked
from watchtower_agent.policies.evaluate import Conditions
from watchtower_agent.policies.making import digest
from watchtower_agent.policies.pruned import needs_plan
from watchtower_agent.policies.waiting import Waiting, is_revert, key_of, named
from watchtower_agent.state.host_state import HostState


@dataclass(slots=True)
class Wishes:
    """The one way onto the agenda: nothing that is wanted is forgotten without a word.

    Attributes:
        state: The host.
        publication: Where they are told.
        agenda: Where they wait for their guards.
        conditions: Follows the conditions over time.
        breaking: What was done too often.
        approving: What people are asked about.
        under_way: What is being done.
        planning: Plans of pruning.
        last: Policy name -> its newest decision to act.
    """

    state: HostState
    publication: Publication
    agenda: Agenda
    conditions: Conditions
    breaking: Breaking
    approving: Approving
    under_way: UnderWay
    planning: PrunePlanning
    last: dict[str, Decision] = field(default_factory=dict)

    def want(self, decision: Decision, now: Instant, event: EngineEvent | None = None) -> None:
        """Take in what something wants.

        Args:
            decision: What is wanted.
            now: The present.
            event: The engine event that triggered it; None for others.
        """
        if not decision.from_event and decision.verb is not Verb.NOTIFY and self.under_way.busy(decision.target):
            return  # the timers of conditions start anew when the action ends
        if needs_plan(decision) and self._need_not_wait(decision, now):
            return
        record, decision = self.state.containers.get(decision.target.id), self._as_asked(self.as_called_now(decision))
        decision = self._as_another_try(decision)
        # A revert is the opposite of what people were asked about: of that they are asked anew.
        asked = not is_revert(decision) and self.approving.is_open_about(self.agenda.waiting.get(key_of(decision)))
        self.give_up(self.agenda.overtaken(decision, record, now, asked=asked), now)
        if self.agenda.add(decision, event, asked=asked) and decision.verb is not Verb.NOTIFY:
            if needs_plan(decision):
                self.last[decision.policy] = decision  # it is told with its plan
            else:
                self.decided(decision, now)

    def want_again(self, decision: Decision, waiting: Waiting | None, now: Instant) -> None:
        """What was wanted did not happen: it is wanted still, unless overtaken."""
        again = replace(decision, id=digest("again", decision.id), approval="")
        fires = self.conditions.fires(decision.policy, decision.target.id)
        self.approving.again(decision, again, now, fires=fires)
        self.want(again, now, waiting.event if waiting is not None else None)

    def decided(self, decision: Decision, now: Instant) -> None:
        """Tell of a decision: it is known by now what is to be done."""
        self.last[decision.policy] = decision
        self.publication.tell(decision, decision.correlation_id, now)

    def give_up(self, dropped: Sequence[Dropped], now: Instant) -> None:
        """Tell of decisions that are given up: they have left the agenda."""
        for each in dropped:
            self.publication.tell(each, each.decision.correlation_id, now)
            self.approving.dropped(each, now)

    def as_called_now(self, decision: Decision) -> Decision:
        """The same about its target under the name that it has by now: what guards count goes by that."""
        record = self.state.containers.get(decision.target.id)
        return decision if record is None else named(decision, record.container.name)

    def _need_not_wait(self, wish: Decision, now: Instant) -> bool:
        """Whether a condition wants to prune what it has a plan for, or what there is nothing of."""
        waiting = self.agenda.waiting.get(key_of(wish))
        is_planned = waiting is not None and not needs_plan(waiting.decision)
        return self.planning.rests(wish, now) or (is_planned and not wish.from_event)

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
