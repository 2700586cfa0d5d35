"""Stop a container, gracefully, within its stop timeout."""

from __future__ import annotations

from watchtower_agent.actions.parameters import seconds
from watchtower_agent.model.decision import Decision
from watchtower_agent.ports.engine import Engine


async def stop(engine: Engine, decision: Decision) -> None:
    """Do it, with the stop timeout that the decision carries."""
    await engine.stop(decision.target.id, stop_timeout=seconds(decision, "stop_timeout"))
