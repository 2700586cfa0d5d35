"""The calls that look at a Swarm's services and scale one, blocking."""

from __future__ import annotations

import contextlib
import json
from urllib.parse import quote

from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.fields import mapping, sequence, text
from watchtower_agent.engine.services import MAX_SERVICES, replicas_of, swarm_services, version_of, with_replicas
from watchtower_agent.errors import ConflictError, PermanentError, UnansweredError, WatchtowerError
from watchtower_agent.model.service import SwarmService


def read_services(calls: EngineCalls, names: frozenset[str]) -> tuple[SwarmService, ...]:
    """The replicated services of these names, with the tasks that are meant to run.

    Args:
        calls: The blocking API.
        names: Whole names, at least one: the engine's filter takes nothing for everything.
    """
    query = {"filters": json.dumps({"name": sorted(names)})}
    services = calls.get("/services", what="asking for the Swarm's services", params=query)
    found = [mapping(service) for service in sequence(services)[:MAX_SERVICES]]
    ids = [text(service.get("ID")) for service in found if text(mapping(service.get("Spec")).get("Name")) in names]
    if not ids:
        return ()
    query = {"filters": json.dumps({"service": sorted(ids), "desired-state": ["running"]})}
    tasks = calls.get("/tasks", what="asking for the tasks of the Swarm's services", params=query)
    return swarm_services(services, tasks, names)


def scale(calls: EngineCalls, service_id: str, *, replicas: int, version: int, timeout: float) -> None:
    """Change how many replicas a service is meant to have, and nothing else: what is unknown here is kept.

    Args:
        calls: The blocking API.
        service_id: The service's.
        replicas: How many.
        version: Index of the version that was looked at.
        timeout: Seconds for the write.

    Raises:
        ConflictError: The service is at another version by now.
        PermanentError: It is not replicated.
    """
    what = f"scaling service {service_id[:12]}"
    path = f"/services/{quote(service_id, safe='')}"
    service = calls.get(path, what=what)
    name = text(mapping(mapping(service).get("Spec")).get("Name")) or service_id[:12]
    present, wanted_now = version_of(service), replicas_of(service)
    if present != version:
        raise ConflictError(f"{what}: {name} was changed since it was looked at (version {present}, not {version})")
    if wanted_now is None:
        raise PermanentError(f"{what}: {name} is not replicated: the Swarm itself says how many tasks it has")
    if wanted_now == replicas:
        return
    query, body = {"version": str(version)}, with_replicas(service, replicas)
    try:
        calls.post(f"{path}/update", what=what, params=query, body=body, timeout=timeout)
    except UnansweredError:
        with contextlib.suppress(WatchtowerError):
            after = calls.get(path, what=what)
            # Another version with that number: the engine did it, or somebody else did the same.
            if version_of(after) != version and replicas_of(after) == replicas:
                return
        raise
