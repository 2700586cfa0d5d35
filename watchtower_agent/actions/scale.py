"""Change a service's number of replicas, in whichever way it has them."""

from __future__ import annotations

from collections.abc import Mapping

from watchtower_agent.actions.scale_clones import grow, shrink
from watchtower_agent.actions.scale_service import scale_service
from watchtower_agent.model.decision import Decision, Number
from watchtower_agent.ports.engine import Engine


async def scale(engine: Engine, decision: Decision) -> Mapping[str, Number]:
    """Do it: a Swarm is told the number, clones are made or removed.

    Returns:
        What was done, for the outcome.
    """
    if "service_id" in decision.parameters:
        return await scale_service(engine, decision)
    return await (grow if "original" in decision.parameters else shrink)(engine, decision)
