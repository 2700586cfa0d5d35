"""The guards in their order, and which verbs each is asked about; the first that stops a decision names itself. Pure.

Asked when a decision is made, again whenever something changes while it waits, and once more just before the write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from watchtower_agent.model.decision import Held, Verb
from watchtower_agent.policies.guards.budget import breaker, budget
from watchtower_agent.policies.guards.dependency import dependency
from watchtower_agent.policies.guards.intent import operator_intent
from watchtower_agent.policies.guards.knowledge import engine_down, stale
from watchtower_agent.policies.guards.ledger import ATTEMPTS
from watchtower_agent.policies.guards.pacing import backoff, cooldown
from watchtower_agent.policies.guards.permission import mode, outside_window, paused
from watchtower_agent.policies.guards.protected import protected
from watchtower_agent.policies.guards.question import Question
from watchtower_agent.policies.guards.readiness import restart_policy, starting
from watchtower_agent.policies.guards.shared_cause import shared_cause

_EVERY: Final = frozenset(Verb)
_ON_CONTAINERS: Final = _EVERY - {Verb.NOTIFY}

_ORDER: Final[tuple[tuple[Callable[[Question], Held | None], frozenset[Verb]], ...]] = (
    (protected, _ON_CONTAINERS),
    (mode, _EVERY),
    (paused, _EVERY),
    (outside_window, _ON_CONTAINERS),
    (operator_intent, _ON_CONTAINERS),
    (engine_down, _ON_CONTAINERS),
    (stale, _ON_CONTAINERS),
    (starting, _ON_CONTAINERS),
    (restart_policy, ATTEMPTS),
    (dependency, _ON_CONTAINERS),
    (cooldown, _EVERY),
    (backoff, ATTEMPTS),
    (breaker, _ON_CONTAINERS),
    (budget, _ON_CONTAINERS),
    (shared_cause, _ON_CONTAINERS),
)


_PACING: Final = frozenset({cooldown, backoff, breaker, budget})
"""What they limit, a last resort ends."""


def ask(question: Question) -> Held | None:
    """The first guard that stops the decision, or None when it may be carried out."""
    for guard, verbs in _ORDER:
        if question.decision.verb not in verbs or (question.decision.last_resort and guard in _PACING):
            continue
        held = guard(question)
        if held is not None:
            return held
    return None
