"""Freeze a container's processes, and let them go on."""

from __future__ import annotations

from watchtower_agent.model.decision import Decision
from watchtower_agent.ports.engine import Engine


async def pause(engine: Engine, decision: Decision) -> None:
    """Freeze them."""
    await engine.pause(decision.target.id)


async def unpause(engine: Engine, decision: Decision) -> None:
    """Let them go on."""
    await engine.unpause(decision.target.id)
