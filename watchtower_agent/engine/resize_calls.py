"""The calls that change a container's limits, and look whether they are in force, blocking."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.fields import mapping, number
from watchtower_agent.engine.limits import Limits, Room, differences, limits_of, wanted
from watchtower_agent.errors import PermanentError, UnansweredError


def resize(
    calls: EngineCalls, container_id: str, *, memory: int | None, cpu: float | None, timeout: float
) -> Mapping[str, float | int | None]:
    """Change them, and read them back.

    Args:
        calls: The blocking API.
        container_id: Full id.
        memory: Bytes; 0 for none, as far as that can be; None to leave it.
        cpu: Cores; 0 for none, as far as that can be; None to leave it.
        timeout: Seconds for the write.

    Returns:
        What was before.

    Raises:
        PermanentError: The engine refused, or has something else than it was told.
    """
    what = f"resizing container {container_id[:12]}"
    calls.not_podman(what)  # it tells limits otherwise than it was told
    path = f"/containers/{quote(container_id, safe='')}"
    before = _read(calls, path, what)
    room = _room(calls, what) if memory == 0 or cpu == 0 else None
    body = wanted(before, memory=memory, cpu=cpu, room=room)
    if body:
        try:
            calls.post(f"{path}/update", what=what, body=body, timeout=timeout)
        except UnansweredError:
            if differences(body, _read(calls, path, what)):
                raise
        elsewise = differences(body, _read(calls, path, what))
        if elsewise:
            raise PermanentError(f"{what}: the engine took it and has something else: {'; '.join(elsewise)}")
    return {"memory": before.memory, "memory_swap": before.swap, "cpu": before.cpu}


def _read(calls: EngineCalls, path: str, what: str) -> Limits:
    return limits_of(calls.get(f"{path}/json", what=what))


def _room(calls: EngineCalls, what: str) -> Room:
    info = mapping(calls.get("/info", what=what))
    memory, cores = int(number(info.get("MemTotal")) or 0), int(number(info.get("NCPU")) or 0)
    if memory <= 0 or cores <= 0:
        raise PermanentError(f"{what}: the engine does not say how much its host has, so no limit can be lifted")
    return Room(memory=memory, cores=cores)
