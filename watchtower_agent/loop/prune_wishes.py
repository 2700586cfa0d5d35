"""Wishes to prune, from the agenda to their plans: made once it is known what there is, given up when over. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from watchtower_agent.loop.approving import Approving
from watchtower_agent.loop.pruning import Pruning
from watchtower_agent.loop.wishes import Wishes
from watchtower_agent.model.decision import Decision, Mode
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.removal import DiskListed, DiskUnlisted, Look, PlanAsked, PruneAsked, Removed, Retagged
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.agenda import Agenda
from watchtower_agent.policies.by_hand import decisions_by_hand
from watchtower_agent.policies.making import host_target
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.pruned import needs_plan, plan_of
from watchtower_agent.policies.waiting import is_by_hand, key_of


@dataclass(slots=True)
class PruneWishes:
    """Decisions to prune that wait, with a plan or for one.

    Attributes:
        host: The host's name.
        agenda: Where they wait.
        pruning: Makes plans and carries them out.
        approving: What people are asked about.
        wishes: The way onto the agenda, and where it is told who left it.
        policies: Those in force.
    """

    host: str
    agenda: Agenda
    pruning: Pruning
    approving: Approving
    wishes: Wishes
    policies: PolicySet = field(default_factory=PolicySet)
    _ready: frozenset[str] = frozenset()
    """Ids of the wishes against which no guard stood when they were last asked."""

    def disk_seen(self, seen: DiskListed | DiskUnlisted | Removed | Retagged, now: Instant) -> None:
        """The engine has told what it keeps, or what came of something that it was asked for."""
        if isinstance(seen, Removed):
            self.pruning.removed(seen, now)
        elif isinstance(seen, Retagged):
            self.pruning.owed.retagged(seen)
        elif isinstance(seen, DiskUnlisted):
            self.pruning.unlisted(seen, now)
        else:
            self.pruning.listed(seen, now)
            if seen.look is Look.SIZES:
                self._plan(seen, now)

    def plan_asked(self, asked: PlanAsked, now: Instant) -> None:
        """A person wants to see what policies would delete."""
        self.pruning.listed(asked.listed, now, by_hand=True)
        for policy in self.policies.policies:
            if policy.name in asked.policies and policy.prune is not None and policy.mode is not Mode.OFF:
                target = host_target(policy, self.host)
                wish = next(decisions_by_hand(policy, target, None, asked.correlation_id, now))
                self.pruning.planning.plan(wish, asked.listed, now, shown=True)

    def prune_asked(self, asked: PruneAsked, now: Instant) -> None:
        """A person wants a plan carried out that they were shown. Nothing, if it is over or another is asked about."""
        decision = self.pruning.planning.wanted(asked.plan, asked.policy, now)
        if decision is None:
            return
        waiting = self.agenda.waiting.get(key_of(decision))
        if self.approving.is_open_about(waiting):
            return  # else its id would be for another plan than they were told of
        if waiting is not None and is_by_hand(waiting.decision) and waiting.decision.id != decision.id:
            self.wishes.give_up(
                self.agenda.give_up(waiting.decision, "a person wants another plan carried out", now), now
            )
        self.wishes.want(decision, now)

    def want_plans(self, wishes: Sequence[Decision], now: Instant) -> None:
        """No guard stands against these: what may be deleted has to be known, unless there is enough space by now."""
        short = [wish for wish in wishes if not self.pruning.planning.has_enough(wish, now)]
        for wish in (each for each in wishes if each not in short):
            self.pruning.planning.rest(wish, now)
            self.wishes.give_up(self.agenda.give_up(wish, "there is as much space as the policy wants", now), now)
        self._ready = frozenset(wish.id for wish in short)
        if short:
            self.pruning.want_plans()

    def without_plan(self, now: Instant) -> None:
        """Give up what has a plan that is over: what a condition wants it goes on wanting, with a new plan."""
        for waiting in list(self.agenda.waiting.values()):
            decision = waiting.decision
            if plan_of(decision) and (why := self.pruning.planning.no_plan(decision, now)):
                dropped = self.agenda.give_up(decision, why, now)
                if not (waiting.held and waiting.held.final):
                    self.wishes.give_up(dropped, now)
        self.pruning.planning.plans.keep({plan_of(each.decision) for each in self.agenda.waiting.values()})

    def _plan(self, seen: DiskListed, now: Instant) -> None:
        """Make plans of what policies wish to delete."""
        wishes = [each.decision for each in self.agenda.waiting.values() if needs_plan(each.decision)]
        for wish in (each for each in wishes if each.id in self._ready):
            decision = self.pruning.planning.plan(wish, seen, now)
            if decision is None:
                self.wishes.give_up(self.agenda.give_up(wish, "nothing may be deleted", now), now)
                continue
            self.agenda.planned(decision)
            self.wishes.decided(decision, now)
