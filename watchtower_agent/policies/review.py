"""A review of the agenda: the guards are asked about everything that waits, and what they say has its effect. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace

from watchtower_agent.model.decision import Decision, Dropped, Held, Mode, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.agenda import Agenda
from watchtower_agent.policies.guards.question import Evidence
from watchtower_agent.policies.making import PACED, PENDING_FOR
from watchtower_agent.policies.news import is_only_late, worth_telling
from watchtower_agent.policies.obsolescence import in_doubt, obsolete
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.precedence import in_order
from watchtower_agent.policies.pruned import needs_plan
from watchtower_agent.policies.reverting import answering
from watchtower_agent.policies.verdict import verdict
from watchtower_agent.policies.waiting import Waiting, as_the_conditions, is_by_hand, is_revert, key_of, takes_turns


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


def review(
    agenda: Agenda,
    policies: PolicySet,
    evidence: Evidence,
    now: Instant,
    *,
    acts: Callable[[str], bool],
    fires: Callable[[str, str], bool | None],
) -> Verdicts:
    """Ask the guards about everything that waits.

    Args:
        agenda: What waits.
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
    agenda.wait_for_answers(evidence.circumstances.approvals, now)
    for key, waiting in in_order(
        agenda.waiting.items(), evidence.dependencies, by_name, evidence.ledger, evidence.breakers
    ):
        decision = waiting.decision
        record = state.containers.get(decision.target.id)
        policy = answering(by_name.get(decision.policy), decision, record)
        if policy is None:
            why = f"policy {decision.policy} is not in force any more"
        else:
            why = obsolete(waiting, policy, state, now, fires)
        if policy is None or why:
            agenda.leave(key)
            if not (waiting.held and waiting.held.final):
                reviewed.dropped.append(Dropped(decision=decision, reason=why, at=now.wall))
            continue
        only_tells = decision.verb is Verb.NOTIFY
        in_turn = takes_turns(decision) and (policy.name in begun or acts(policy.name))
        if not only_tells and (decision.target.id in under_way or in_turn or in_doubt(decision, fires)):
            continue
        held = verdict(asked_now.about(decision, policy, record, now))
        if held is None and needs_plan(decision):
            reviewed.unplanned.append(decision)
            continue
        if held is not None:
            asked = evidence.circumstances.approvals.asked_about(decision) is not None
            _hold(agenda, key, held, reviewed, asked=asked, fires=fires)
            continue
        agenda.leave(key)
        reviewed.passed.append(waiting)
        if not only_tells:
            tried = evidence.ledger.attempts(decision.target.name)
            evidence.ledger.began(decision, now)
            evidence.breakers.began(decision, now, retried=policy.budget if tried else None)
            under_way.add(decision.target.id)
            begun.add(policy.name)
    return reviewed.verdicts(agenda.changes())


@dataclass(slots=True)
class _Reviewed:
    """What one review has found so far."""

    passed: list[Waiting] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    unplanned: list[Decision] = field(default_factory=list)

    def verdicts(self, changed: Mapping[tuple[str, str], Waiting | None]) -> Verdicts:
        return Verdicts(
            passed=tuple(self.passed),
            held=tuple(self.held),
            dropped=tuple(self.dropped),
            unplanned=tuple(self.unplanned),
            changed=changed,
        )


def _hold(
    agenda: Agenda,
    key: tuple[str, str],
    held: Held,
    reviewed: _Reviewed,
    *,
    asked: bool,
    fires: Callable[[str, str], bool | None],
) -> None:
    waiting = agenda.waiting[key]
    if waiting.held is not None and is_only_late(held):
        return  # what held it when it was new is told, and holds it most likely when it is new again
    if key != key_of(waiting.decision):
        key, dropped = agenda.take_place(key)
        reviewed.dropped += dropped
        waiting = agenda.waiting[key]
    news = worth_telling(waiting.held, held)
    if news:
        reviewed.held.append(held)
    decision = waiting.decision if asked else _patient(waiting.decision, held)
    wants_the_same = is_by_hand(decision) and not is_revert(decision)
    if held.final and wants_the_same and fires(decision.policy, decision.target.id):
        decision = as_the_conditions(decision)  # else it would be decided, and people asked, once more
    if held.final and (decision.from_event or held.decision.verb is Verb.NOTIFY):
        agenda.leave(key)
    else:
        changed = news or decision is not waiting.decision
        agenda.hold(key, replace(waiting, decision=decision, held=held), news=changed)


def _patient(decision: Decision, held: Held) -> Decision:
    """What is held for being too much waits beyond its time: else a crash loop would end with nobody trying."""
    if decision.verb is Verb.RESTART_ENGINE:
        return decision  # whoever wanted it meant the engine as it was then
    if not decision.from_event or held.guard not in PACED or held.release_at is None:
        return decision
    latest = held.release_at + PENDING_FOR
    # Both clocks are never quite in step: only what is later by more than that counts.
    return replace(decision, expires_at=latest) if latest > decision.expires_at + 1 else decision
