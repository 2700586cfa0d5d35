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


def number(decision: Decision, name: str) -> float | None:
    """A number; None when the decision names none."""
    value = decision.parameters.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def whole(decision: Decision, name: str) -> int | None:
    """A whole number; None when the decision names none."""
    value = number(decision, name)
    return None if value is None else int(value)


def flag(decision: Decision, name: str) -> bool:
    """A yes or no; no when the decision says nothing."""
    return decision.parameters.get(name) is True
