"""What bears on a target beside its own policy: the restart of what it needs, and another policy's stop. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from watchtower_agent.loop.decisions import Decisions
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.following import done_to, how
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.wording import lasting
from watchtower_agent.state.dependencies import Dependencies


class Neighbours:
    """Looked at between two steps of the loop.

    Args:
        decisions: What is wanted, done, and looked at.
        dependencies: Who needs whom.
        now: The present.
    """

    def __init__(self, decisions: Decisions, dependencies: Dependencies, now: Instant) -> None:
        self._decisions, self._dependencies, self._now = decisions, dependencies, now

    def follows(self, policy: Policy, container_id: str) -> str:
        """After which container that the policy brought back it is to be restarted, and why; empty: after none."""
        return self._followers.get((policy.name, container_id), "")

    def has(self, policy: Policy, container_id: str) -> bool:
        """Whether it is to be restarted, or waits to be, after another one, though the policy may not select it."""
        key = policy.name, container_id
        return key in self._followers or (policy.name, f"follow:{container_id}") in self._decisions.agenda.waiting

    def wanting(self, container_id: str) -> Iterator[Policy]:
        """Policies that want something done to it."""
        by_name = {policy.name: policy for policy in self._decisions.policies.policies}
        for waiting in self._decisions.agenda.waiting.values():
            policy = by_name.get(waiting.decision.policy)
            if waiting.decision.target.id == container_id and policy is not None and policy.then.verb is not None:
                yield policy

    @cached_property
    def _followers(self) -> Mapping[tuple[str, str], str]:
        """Of what was brought back, and is not known to be well yet: whom that takes along."""
        found = {}
        for asked in self._decisions.verifying.by.values():
            root, done = asked.decision.target, done_to(asked.decision)
            if self._decisions.under_way.busy(root):
                continue
            ago = lasting(self._now.passed_since(asked.since))
            for container_id, need in self._dependencies.followers(root.id):
                record = self._decisions.state.containers.get(container_id)
                if record is not None and record.container.running:
                    why = f"restarted once {root.name} is well again, {how(need)}: that was {done} {ago} ago"
                    found[asked.decision.policy, container_id] = why
        return found
