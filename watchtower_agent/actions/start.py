"""Start a container that does not run."""

from __future__ import annotations

from watchtower_agent.model.decision import Decision
from watchtower_agent.ports.engine import Engine


async def start(engine: Engine, decision: Decision) -> None:
    """Do it; a container that runs already is left as it is."""
    await engine.start(decision.target.id)
