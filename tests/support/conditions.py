"""Whom a test asks conditions about."""

from __future__ import annotations

from collections.abc import Mapping

from watchtower_agent.model.window import Window
from watchtower_agent.policies.conditions.tree import quoted
from watchtower_agent.policies.conditions.truth import UNKNOWN, Value


class Facts:
    """A subject that knows what it was told."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def value(self, name: str) -> Value:
        return self._values.get(name, UNKNOWN)

    def window(self, window: Window) -> Value:
        return self._values.get(self.past(window), UNKNOWN)

    @staticmethod
    def past(window: Window) -> str:
        return f"{window.function}({window.name}, {window.seconds:g}s)"

    def label(self, key: str) -> Value:
        return self._values.get(f"labels[{quoted(key)}]", "")

    def attribute(self, key: str) -> Value:
        return self._values.get(f"event.attributes[{quoted(key)}]", "")
