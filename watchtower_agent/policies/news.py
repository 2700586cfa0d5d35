"""When what holds a decision has changed so much that people are told again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchtower_agent.model.decision import Guard, Held, Number

_KIND: Final[Mapping[Guard, str]] = {
    Guard.PAUSED: "paused",
    Guard.OPERATOR_INTENT: "operator_action",
    Guard.DEPENDENCY: "dependency",
    Guard.BREAKER: "scope",
    Guard.BUDGET: "scope",
    Guard.SHARED_CAUSE: "cause",
}
"""Which of a guard's numbers says what kind of reason it has."""
_SLIDING: Final = frozenset({Guard.RESTART_POLICY, Guard.SHARED_CAUSE})
"""Guards that hold for so long after something was seen last: while it is seen, they let go later each time."""
_SAME: Final[Mapping[Number, Number]] = {"kill": "stop"}
"""`docker stop` is told as a kill, an end and a stop."""
_LATER = 60.0
"""Seconds by which a decision has to be let go later than was told."""
_SHARE = 0.1
"""Of what was left, by which it has to be later, too."""


def worth_telling(before: Held | None, now: Held) -> bool:
    """Whether a decision is held for another reason, or for clearly longer: told per change, not per sample.

    Args:
        before: What held it when it was last asked about; None when nothing did.
        now: What holds it.
    """
    if before is None or before.guard is not now.guard or before.final is not now.final:
        return True
    return _kind(before) != _kind(now) or _later(before, now)


def is_only_late(held: Held) -> bool:
    """Whether nothing but its age holds a decision: where samples are slow it is so before each of them."""
    return held.guard is Guard.STALE and "expired_for" in held.numbers


def _kind(held: Held) -> Number:
    kind = held.numbers.get(_KIND.get(held.guard, ""))
    return _SAME.get(kind, kind)


def _later(before: Held, now: Held) -> bool:
    if now.guard in _SLIDING:
        return False
    if before.release_at is None or now.release_at is None:
        return before.release_at is not now.release_at
    left = before.release_at - (before.release_at if before.at is None else before.at)
    return now.release_at - before.release_at > max(_LATER, _SHARE * left)
