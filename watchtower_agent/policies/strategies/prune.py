"""What a policy says of what it prunes: `prune:`, loaded and checked. Pure."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Final

from watchtower_agent.model.removal import Space
from watchtower_agent.model.values import dataclass
from watchtower_agent.model.window import Window
from watchtower_agent.policies.conditions.condition import Condition
from watchtower_agent.policies.conditions.truth import UNKNOWN, Truth, Value
from watchtower_agent.policies.pruning.rules import Rules

COOLDOWN: Final = 600.0
"""Seconds between two passes of a policy unless it says otherwise."""
MOST_PASSES, PASSES_PER = 6, 3600.0
"""Passes within so many seconds, unless a policy says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """`prune:` of a policy. Unlike the other strategies it has a trigger beside it, which sets off one pass.

    Attributes:
        rules: What a pass may delete. Its own `until` stays unset: a policy's is a condition.
        until: What ends a pass once it is true, about the disk alone (`ConditionScope.DISK`); None: a pass ends with
            its plan.
    """

    rules: Rules = field(default_factory=Rules)
    until: Condition | None = None

    def permitted(self, *, volumes: bool) -> Rules:
        """What a pass may delete by the policy and by the agent's settings.

        Args:
            volumes: The settings let volumes be deleted (`allow.prune_volumes`).
        """
        return self.rules if volumes else replace(self.rules, volumes=None)

    def reached(self, space: Space | None) -> Truth:
        """Whether a pass has freed what it should: to be asked before the first deletion and after each.

        Args:
            space: As it was just measured, not as sampled before; None: it can't be.

        Returns:
            False where nothing but the plan ends a pass; None, where there is an `until`, while that is not known.
        """
        return False if self.until is None else self.until.evaluate(_Measured(space))


class _Measured:
    """The data-root's file system as a subject of conditions."""

    __slots__ = ("_space",)

    def __init__(self, space: Space | None) -> None:
        self._space = space

    def value(self, name: str) -> Value:
        """The value of a `host.disk.…` name."""
        space = self._space
        if space is None:
            return UNKNOWN
        match name:
            case "host.disk.percent":
                return _percent(space.free, space.total)
            case "host.disk.inodes_percent":
                # Where there are as many as fit (btrfs), none are ever short: bytes alone say when it is enough.
                return _percent(space.free_inodes, space.inodes) if space.inodes or not space.total else 0.0
            case "host.disk.free":
                return space.free
            case _:
                return UNKNOWN

    def window(self, window: Window) -> Value:  # noqa: ARG002 - the protocol's shape; one measurement has no past
        """UNKNOWN: one measurement has no past."""
        return UNKNOWN

    def label(self, key: str) -> Value:  # noqa: ARG002 - the protocol's shape; a file system has no labels
        """UNKNOWN: a file system has no labels."""
        return UNKNOWN

    def attribute(self, key: str) -> Value:  # noqa: ARG002 - the protocol's shape; no event is at hand
        """UNKNOWN: no event is at hand."""
        return UNKNOWN


def _percent(free: int, total: int) -> Value:
    """What is used of it."""
    return 100.0 * (total - free) / total if total else UNKNOWN
