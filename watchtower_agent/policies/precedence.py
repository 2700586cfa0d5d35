"""Who is asked about first among all that waits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from watchtower_agent.policies.guards.breakers import Breakers
from watchtower_agent.policies.guards.ledger import Ledger, policy_scope
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.waiting import Waiting
from watchtower_agent.state.dependencies import Dependencies


def in_order(
    waiting: Iterable[tuple[tuple[str, str], Waiting]],
    dependencies: Dependencies,
    policies: Mapping[str, Policy],
    ledger: Ledger,
    breakers: Breakers,
) -> list[tuple[tuple[str, str], Waiting]]:
    """A container after all that it needs, by itself or by its policy's `depends`; then who was tried least.

    So what can't be mended takes no room in a budget, and no probe, from what may be; nor does a policy whose own
    breaker is not closed from the others. Else as they came.

    Args:
        waiting: With their keys, as they came.
        dependencies: Which containers need which others.
        policies: Those in force, by name.
        ledger: What was done.
        breakers: Those that are not closed.
    """
    after: dict[str, int] = {}

    def depth(each: Waiting) -> int:
        target, policy = each.decision.target.id, policies.get(each.decision.policy)
        own = dependencies.depth(target)
        if policy is None or not policy.depends:
            return own
        needed = dependencies.picked(policy.name, policy.picks_needs, policy.selects).needs
        if target in needed:
            return own
        if policy.name not in after:
            after[policy.name] = 1 + max(map(dependencies.depth, needed), default=-1)
        return max(own, after[policy.name])

    def tried(each: Waiting) -> int:
        return len(ledger.attempts(each.decision.target.name))

    def doubted(each: Waiting) -> bool:
        return policy_scope(each.decision.policy) in breakers.by

    return sorted(waiting, key=lambda item: (depth(item[1]), doubted(item[1]), tried(item[1])))
