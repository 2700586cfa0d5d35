"""When a condition that is false comes true by nothing but the time that passes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from watchtower_agent.model.window import Window
from watchtower_agent.policies.conditions.closeness import Compared, measured
from watchtower_agent.policies.conditions.tree import Tree
from watchtower_agent.policies.conditions.truth import Subject, Unknown, Value

_GROWING: Final = frozenset({"age", "uptime"})
"""Names whose values grow by a second each second, for as long as nothing happens to the container."""
_PAST: Final = 1e-3
"""Seconds after the moment at which a threshold is reached: then it is passed, too."""


def true_in(tree: Tree, subject: Subject, comparisons: Sequence[Compared], hold: float = 0.0) -> float | None:
    """Seconds until the condition is true if nothing else changes; None: that alone never makes it true for so long.

    Args:
        tree: Of a condition that is false.
        subject: Whom it is asked about, now.
        comparisons: Its comparisons as they stand.
        hold: Seconds for which it has to be true.
    """
    waits = (_wait(each) for each in comparisons if each.truth is False)
    # Each moment is tried: what else is true now may not be by then (uptime < 1h and age > 1d).
    for wait in sorted(each for each in waits if each is not None):
        # Between the two it is true throughout: what only grows passes an upper bound once.
        if all(measured(tree, _Later(subject, wait + later))[0] for later in (_PAST, hold + _PAST)):
            return wait
    return None


def _wait(compared: Compared) -> float | None:
    value, limit = compared.value, compared.limit
    if compared.name not in _GROWING or compared.sign not in {">", ">="}:
        return None
    if not isinstance(value, int | float) or not isinstance(limit, int | float):
        return None
    return max(0.0, limit - value)


class _Later:
    """A subject as it will be in so many seconds if nothing happens."""

    __slots__ = ("_seconds", "_subject")

    def __init__(self, subject: Subject, seconds: float) -> None:
        self._subject, self._seconds = subject, seconds

    def value(self, name: str) -> Value:
        value = self._subject.value(name)
        if name not in _GROWING or isinstance(value, str | Unknown):
            return value
        return value + self._seconds

    def window(self, window: Window) -> Value:
        return self._subject.window(window)

    def label(self, key: str) -> Value:
        return self._subject.label(key)

    def attribute(self, key: str) -> Value:
        return self._subject.attribute(key)
