"""When each policy last began to prune (or the engine was restarted), and why it can't at present. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Final

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass

KEPT: Final = 86400.0
"""Seconds for which a pass counts: no budget looks further back."""
MOST_KEPT: Final = 1_000
"""Passes of one policy that are remembered: more within a day are counted by nobody who wants few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlisted:
    """The engine could not tell what it keeps: without that nothing is planned.

    Attributes:
        reason: One sentence for people.
        until: When it is asked again, monotonic seconds.
    """

    reason: str
    until: float


@dataclass(slots=True)
class Passes:
    """Passes of pruning, by policy.

    Attributes:
        by: Policy -> id of the decision and when it was begun, in that order.
        unlisted: Why there can be none at present; None: nothing is known to stand against one.
    """

    by: dict[str, list[tuple[str, Instant]]] = field(default_factory=dict)
    unlisted: Unlisted | None = None

    def began(self, policy: str, decision_id: str, now: Instant) -> None:
        """One begins."""
        known = [each for each in self.by.get(policy, []) if now.passed_since(each[1]) < KEPT]
        self.by[policy] = [*known[-MOST_KEPT + 1 :], (decision_id, now)]

    def undone(self, policy: str, decision_id: str) -> None:
        """One did not come about after all."""
        self.by[policy] = [each for each in self.by.get(policy, []) if each[0] != decision_id]

    def within(self, policy: str, seconds: float, now: Instant, *, other_than: str = "") -> Sequence[Instant]:
        """When those of so many last seconds were begun, the oldest first."""
        known = self.by.get(policy, [])
        return [at for each, at in known if each != other_than and now.passed_since(at) < seconds]
