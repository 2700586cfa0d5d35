"""Budgets that are never used up, so that their breakers never open. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watchtower_agent.model.decision import Mode
from watchtower_agent.policies.guards.ledger import ATTEMPTS
from watchtower_agent.policies.guards.pacing import DEFAULT_COOLDOWN
from watchtower_agent.policies.linter.coverage import covers
from watchtower_agent.policies.linter.doubt import Doubt
from watchtower_agent.policies.linter.surroundings import Surroundings
from watchtower_agent.policies.policy import Budget, Policy, WhenTrigger
from watchtower_agent.policies.wording import as_written

_LEAST_JITTER = 0.8


def never_used_up(policy: Policy, policies: Sequence[Policy], surroundings: Surroundings) -> Iterator[Doubt]:
    """Budgets of more than there can be. What is not written is not doubted: it is for all policies."""
    budget = policy.budget
    if policy.then.verb is None or policy.selector is None or budget == Budget():
        return
    host = surroundings.host_budget
    if host is not None and budget.most > host.most * (budget.per // host.per + 1):
        yield Doubt(
            policy=policy,
            path=("budget",),
            message=f"this budget is never used up: the host's ends before (guards.host_budget: {host.most} within "
            f"{as_written(host.per)})",
            remedy="write a smaller max, or a larger guards.host_budget",
        )
    elif not _shared(policy, policies) and (fitting := _fitting(policy)) <= budget.most:
        yield Doubt(
            policy=policy,
            path=("budget",),
            message=f"this budget is never used up: with this for, cooldown and backoff at most {fitting} "
            f"{'action begins' if fitting == 1 else 'actions begin'} within {as_written(budget.per)}",
            remedy=f"write a max of {fitting - 1}, or a longer per" if fitting > 1 else "write a longer per",
        )


def _shared(policy: Policy, policies: Sequence[Policy]) -> bool:
    """Whether another policy acts on the same containers: what it does counts, too."""
    return any(
        other is not policy
        and other.mode is Mode.ENFORCE
        and other.then.verb is not None
        and other.selector is not None
        and policy.selector is not None
        and (covers(other.selector, policy.selector) or covers(policy.selector, other.selector))
        for other in policies
    )


def _fitting(policy: Policy) -> int:
    """How many actions begin within the budget's time, one more than it has at most: that one uses it up."""
    verb, budget = policy.then.verb, policy.budget
    assert verb is not None
    hold = policy.trigger.hold if isinstance(policy.trigger, WhenTrigger) else 0.0
    pause = max(hold, DEFAULT_COOLDOWN[verb] if policy.cooldown is None else policy.cooldown)
    begun, delay = 0.0, policy.backoff.initial if verb in ATTEMPTS else 0.0
    for number in range(1, budget.most + 1):
        begun += max(pause, _LEAST_JITTER * min(policy.backoff.longest, delay))
        if begun >= budget.per:
            return number
        delay = min(policy.backoff.longest, delay * policy.backoff.factor)
    return budget.most + 1
