"""What every guard says to one question, the ones that let it pass among them: for people who want to know. Pure.

Each guard is asked as `order` asks it, so what holds here holds there. It changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Final

from watchtower_agent.model.decision import Decision, Guard, Held, Number, Verb
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.budget import breaker, breaker_passes, budget, budget_passes
from watchtower_agent.policies.guards.dependency import dependency, dependency_passes
from watchtower_agent.policies.guards.engine_restart import engine_budget, engine_budget_passes
from watchtower_agent.policies.guards.intent import operator_intent, operator_intent_passes
from watchtower_agent.policies.guards.knowledge import engine_down, engine_down_passes, stale, stale_passes
from watchtower_agent.policies.guards.order import ORDER, PACING
from watchtower_agent.policies.guards.pacing import (
    backoff,
    backoff_passes,
    cooldown,
    cooldown_passes,
    pass_budget,
    pass_budget_passes,
)
from watchtower_agent.policies.guards.permission import (
    mode,
    mode_passes,
    outside_window,
    outside_window_passes,
    paused,
    paused_passes,
)
from watchtower_agent.policies.guards.preflight import preflight, preflight_passes
from watchtower_agent.policies.guards.protected import protected, protected_passes
from watchtower_agent.policies.guards.question import Passed, Question
from watchtower_agent.policies.guards.readiness import (
    restart_policy,
    restart_policy_passes,
    starting,
    starting_passes,
)
from watchtower_agent.policies.guards.shared_cause import shared_cause, shared_cause_passes


class Stance(StrEnum):
    """What a guard says."""

    HOLDS = "holds"
    PASSES = "passes"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one guard says to a question.

    Attributes:
        guard: Which.
        stance: Whether it holds the decision.
        reason: One sentence for people.
        numbers: What it looked at.
        release_at: Of one that holds: when it would let the decision pass, seconds since the epoch; None: not known.
        final: Of one that holds: it will never let it pass.
    """

    guard: Guard
    stance: Stance
    reason: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    release_at: float | None = None
    final: bool = False

    @property
    def holds(self) -> bool:
        """Whether it stops the decision."""
        return self.stance is Stance.HOLDS


_PASSES: Final[Mapping[Callable[[Question], Held | None], tuple[Guard, Callable[[Question], Passed]]]] = {
    protected: (Guard.PROTECTED, protected_passes),
    mode: (Guard.MODE, mode_passes),
    paused: (Guard.PAUSED, paused_passes),
    outside_window: (Guard.OUTSIDE_WINDOW, outside_window_passes),
    operator_intent: (Guard.OPERATOR_INTENT, operator_intent_passes),
    engine_down: (Guard.ENGINE_DOWN, engine_down_passes),
    stale: (Guard.STALE, stale_passes),
    starting: (Guard.STARTING, starting_passes),
    restart_policy: (Guard.RESTART_POLICY, restart_policy_passes),
    dependency: (Guard.DEPENDENCY, dependency_passes),
    preflight: (Guard.PREFLIGHT, preflight_passes),
    cooldown: (Guard.COOLDOWN, cooldown_passes),
    backoff: (Guard.BACKOFF, backoff_passes),
    breaker: (Guard.BREAKER, breaker_passes),
    budget: (Guard.BUDGET, budget_passes),
    pass_budget: (Guard.BUDGET, pass_budget_passes),
    engine_budget: (Guard.BUDGET, engine_budget_passes),
    shared_cause: (Guard.SHARED_CAUSE, shared_cause_passes),
}

_OTHER_BUDGETS: Final[Mapping[Verb, Callable[[Question], Held | None]]] = {
    Verb.PRUNE: pass_budget,
    Verb.RESTART_ENGINE: engine_budget,
}
_BUDGETS: Final = frozenset({budget, *_OTHER_BUDGETS.values()})


def account(question: Question) -> tuple[Statement, ...]:
    """What every guard says, in the order in which they are asked."""
    decision, found = question.decision, []
    for ask, verbs in ORDER:
        guard, passes = _PASSES[ask]
        if ask in _BUDGETS and ask is not _OTHER_BUDGETS.get(decision.verb, budget):
            continue  # each verb has one budget
        if decision.verb not in verbs or (decision.last_resort and ask in PACING):
            found.append(Statement(guard=guard, stance=Stance.NOT_ASKED, reason=_not_asked(decision)))
        elif (held := ask(question)) is not None:
            found.append(_holds(held))
        else:
            passed = passes(question)
            found.append(Statement(guard=guard, stance=Stance.PASSES, reason=passed.reason, numbers=passed.numbers))
    return tuple(found)


def first_holding(statements: Sequence[Statement]) -> Statement | None:
    """The one that would name itself; None when the decision may be carried out."""
    return next((each for each in statements if each.holds), None)


def _holds(held: Held) -> Statement:
    return Statement(
        guard=held.guard,
        stance=Stance.HOLDS,
        reason=held.reason,
        numbers=held.numbers,
        release_at=held.release_at,
        final=held.final,
    )


def _not_asked(decision: Decision) -> str:
    return "it is not asked about " + ("the stop that answers a breaker" if decision.last_resort else decision.verb)
