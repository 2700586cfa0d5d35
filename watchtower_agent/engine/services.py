"""What the engine says of a Swarm's services and tasks -> SwarmService. Pure, and safe against junk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchtower_agent.engine.bounds import bounded
from watchtower_agent.engine.container import MAX_LABELS, parse_time
from watchtower_agent.engine.fields import mapping, number, sequence, text
from watchtower_agent.model.service import SwarmService, Task, TaskState

MAX_SERVICES: Final = 1_000
MAX_TASKS: Final = 10_000
"""How many are read of one answer."""

_UPDATING: Final = frozenset({"updating", "paused", "rollback_started", "rollback_paused"})
_STARTING: Final = frozenset({"new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting"})


def swarm_services(services: object, tasks: object, names: frozenset[str]) -> tuple[SwarmService, ...]:
    """The replicated ones of exactly these names, by name.

    Args:
        services: A listing of services. The engine's own filter takes names by how they begin.
        tasks: A listing of their tasks that are meant to run.
        names: Whole names.
    """
    by_service: dict[str, list[Task]] = {}
    for entry in sequence(tasks)[:MAX_TASKS]:
        if (task := _task(mapping(entry))) is not None:
            by_service.setdefault(text(mapping(entry).get("ServiceID")), []).append(task)
    found = {}
    for entry in sequence(services)[:MAX_SERVICES]:
        service = _service(mapping(entry), by_service)
        if service is not None and service.name in names:
            found[service.name] = service
    return tuple(found[name] for name in sorted(found))


def version_of(service: object) -> int | None:
    """Index of its version, as an inspection or a listing has it; None where it has none."""
    return _whole(mapping(mapping(service).get("Version")).get("Index"))


def replicas_of(service: object) -> int | None:
    """How many replicas it is meant to have; None for one that is not replicated."""
    mode = mapping(mapping(mapping(service).get("Spec")).get("Mode"))
    replicated = mode.get("Replicated")
    if not isinstance(replicated, Mapping):
        return None
    # The engine takes one for granted where the number is left out.
    return 1 if replicated.get("Replicas") is None else _whole(replicated.get("Replicas"))


def with_replicas(service: object, replicas: int) -> dict[str, object]:
    """Its specification with another number of replicas, and nothing else of it touched, known or not."""
    spec = {str(key): value for key, value in mapping(mapping(service).get("Spec")).items()}
    mode = mapping(spec.get("Mode"))
    spec["Mode"] = {**mode, "Replicated": {**mapping(mode.get("Replicated")), "Replicas": replicas}}
    return spec


def _service(entry: Mapping[object, object], tasks: Mapping[str, list[Task]]) -> SwarmService | None:
    spec = mapping(entry.get("Spec"))
    identity, name = text(entry.get("ID")), text(spec.get("Name"))
    version, replicas = version_of(entry), replicas_of(entry)
    if not identity or not name or version is None or replicas is None:
        return None
    labels = {text(key): text(value) for key, value in mapping(spec.get("Labels")).items()}
    return SwarmService(
        id=identity,
        name=name,
        labels=bounded(labels, always=frozenset(), most=MAX_LABELS),
        replicas=replicas,
        version=version,
        updating=text(mapping(entry.get("UpdateStatus")).get("State")) in _UPDATING,
        tasks=tuple(sorted(tasks.get(identity, ()), key=lambda task: (task.slot, task.id))),
    )


def _task(entry: Mapping[object, object]) -> Task | None:
    identity = text(entry.get("ID"))
    if not identity:
        return None
    status = mapping(entry.get("Status"))
    return Task(
        id=identity,
        slot=_whole(entry.get("Slot")) or 0,
        node_id=text(entry.get("NodeID")),
        container_id=text(mapping(status.get("ContainerStatus")).get("ContainerID")),
        state=_state(text(status.get("State"))),
        since=parse_time(status.get("Timestamp")),
    )


def _state(word: str) -> TaskState:
    if word == "running":
        return TaskState.RUNNING
    return TaskState.STARTING if word in _STARTING else TaskState.ENDED


def _whole(value: object) -> int | None:
    """A whole number that is not negative, not by way of a float: versions are large. None for anything else."""
    return value if isinstance(value, int) and number(value) is not None and value >= 0 else None
