"""The guards in their order, and which verbs each is asked about; the first that stops a decision names itself. Pure.

Asked when a decision is made, again whenever something changes while it waits, and once more just before the write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from watchtower_agent.model.decision import Decision, Held, Mode, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.guards.budget import breaker, budget
from watchtower_agent.policies.guards.dependency import dependency
from watchtower_agent.policies.guards.engine_restart import engine_budget
from watchtower_agent.policies.guards.intent import operator_intent
from watchtower_agent.policies.guards.knowledge import engine_down, stale
from watchtower_agent.policies.guards.ledger import ATTEMPTS
from watchtower_agent.policies.guards.pacing import backoff, cooldown, pass_budget
from watchtower_agent.policies.guards.permission import mode, outside_window, paused
from watchtower_agent.policies.guards.preflight import preflight
from watchtower_agent.policies.guards.protected import protected
from watchtower_agent.policies.guards.question import Evidence, Question
from watchtower_agent.policies.guards.readiness import restart_policy, starting
from watchtower_agent.policies.guards.shared_cause import shared_cause
from watchtower_agent.policies.policy import Policy

_EVERY: Final = frozenset(Verb)
_WRITES: Final = _EVERY - {Verb.NOTIFY}
_BY_ENGINE: Final = _WRITES - {Verb.RESTART_ENGINE}
"""Verbs that the engine is asked for. Its own restart is what is left where it does not answer."""
_ON_CONTAINERS: Final = _BY_ENGINE - {Verb.SCALE, Verb.RESIZE, Verb.PRUNE}
"""Verbs that end, begin or freeze a container. How often a service is scaled and a container resized, and whom of it a
person's doing keeps away, their own rules say: they are strategies, not answers to trouble."""

ORDER: Final[tuple[tuple[Callable[[Question], Held | None], frozenset[Verb]], ...]] = (
    (protected, _WRITES),
    (mode, _EVERY),
    (paused, _EVERY),
    (outside_window, _WRITES),
    (operator_intent, _BY_ENGINE - {Verb.SCALE, Verb.PRUNE}),
    (engine_down, _BY_ENGINE),
    (stale, _BY_ENGINE),
    (starting, _ON_CONTAINERS),
    (restart_policy, ATTEMPTS),
    (dependency, _ON_CONTAINERS),
    (preflight, frozenset({Verb.SCALE, Verb.PRUNE})),
    (cooldown, _EVERY - {Verb.SCALE, Verb.RESIZE}),
    (backoff, ATTEMPTS),
    (breaker, _ON_CONTAINERS),
    (budget, _ON_CONTAINERS),
    (pass_budget, frozenset({Verb.PRUNE})),
    (engine_budget, frozenset({Verb.RESTART_ENGINE})),
    (shared_cause, _BY_ENGINE - {Verb.PRUNE}),
)

_BETWEEN_REMOVALS: Final[tuple[Callable[[Question], Held | None], ...]] = (mode, paused, engine_down)

PACING: Final = frozenset({cooldown, backoff, breaker, budget})
"""What they limit, a last resort ends."""


def ask(question: Question, *, as_if_approved: bool = False, unpaced: bool = False) -> Held | None:
    """The first guard that stops the decision, or None when it may be carried out.

    Args:
        question: What the guards may look at.
        as_if_approved: Leave out the policy's mode: what would stop it still if a person had approved it?
        unpaced: Leave out what limits how much is done: does anything else speak against it?
    """
    return next(objections(question, as_if_approved=as_if_approved, unpaced=unpaced), None)


def objections(question: Question, *, as_if_approved: bool = False, unpaced: bool = False) -> Iterator[Held]:
    """What every guard has against the decision, in their order; the arguments are those of `ask`."""
    unpaced = unpaced or question.decision.last_resort
    for guard, verbs in ORDER:
        if question.decision.verb not in verbs or (unpaced and guard in PACING):
            continue
        if as_if_approved and guard is mode:
            continue
        held = guard(question)
        if held is not None:
            yield held


def stops_pass(decision: Decision, policy: Policy, evidence: Evidence, now: Instant) -> Held | None:
    """What ends a pass of pruning between two of its objects.

    That its window closes does not, nor that its approval ends: a person has approved exactly this, and it has begun
    in time.

    Args:
        decision: What is being done.
        policy: Which policy wanted it.
        evidence: What the guards go by.
        now: The present.
    """
    if decision.approval and policy.mode is Mode.APPROVE:
        policy = replace(policy, mode=Mode.ENFORCE)
    question = evidence.about(decision, policy, None, now)
    return next((held for guard in _BETWEEN_REMOVALS if (held := guard(question)) is not None), None)
