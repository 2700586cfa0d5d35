"""Tell a Swarm how many replicas a service is meant to have."""

from __future__ import annotations

from collections.abc import Mapping

from watchtower_agent.actions.parameters import text, whole
from watchtower_agent.errors import PermanentError
from watchtower_agent.model.decision import Decision, Number
from watchtower_agent.ports.engine import Engine


async def scale_service(engine: Engine, decision: Decision) -> Mapping[str, Number]:
    """Do it, for `service_id` at `version`, to `to`.

    Returns:
        `to`.
    """
    service, to, version = text(decision, "service_id"), whole(decision, "to"), whole(decision, "version")
    if service is None or to is None or version is None:
        raise PermanentError(f"scaling {decision.target.name}: the decision names no service, number or version")
    await engine.scale_service(service, replicas=to, version=version)
    return {"to": to}
