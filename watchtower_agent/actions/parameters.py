"""Parameters of a decision, as the verbs need them."""

from __future__ import annotations

from watchtower_agent.model.decision import Decision


def seconds(decision: Decision, name: str) -> float | None:
    """A duration in seconds; None when the decision leaves it to the container."""
    value = decision.parameters.get(name)
    return float(value) if isinstance(value, int | float) else None


def text(decision: Decision, name: str) -> str | None:
    """A text; None when the decision leaves it to the engine."""
    value = decision.parameters.get(name)
    return value if isinstance(value, str) else None
