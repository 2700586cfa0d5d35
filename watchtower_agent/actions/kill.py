"""Send a container's main process a signal."""

from __future__ import annotations

from watchtower_agent.actions.parameters import text
from watchtower_agent.model.decision import Decision
from watchtower_agent.ports.engine import Engine


async def kill(engine: Engine, decision: Decision) -> None:
    """Do it, with the signal that the decision carries, KILL by default."""
    await engine.kill(decision.target.id, signal=text(decision, "signal"))
