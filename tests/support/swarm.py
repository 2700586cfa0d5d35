"""A Swarm of one private engine, and services in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.support.engine import IDLE, IMAGE, PrivateEngine
from tests.support.load import WORK, Load


@contextlib.contextmanager
def swarm(engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """The engine leads a Swarm of its own, and has left it afterwards."""
    engine.api("POST", "/swarm/init", {"ListenAddr": "127.0.0.1:0", "AdvertiseAddr": "127.0.0.1"})
    try:
        yield engine
    finally:
        engine.api("POST", "/swarm/leave", force="true")


def create_service(
    engine: PrivateEngine,
    name: str,
    *,
    replicas: int | None = 1,
    command: Sequence[str] = IDLE,
    container: Mapping[str, object] | None = None,
    task: Mapping[str, object] | None = None,
    **spec: object,
) -> str:
    """A service of the private engine's image.

    Args:
        engine: Leads the Swarm.
        name: The service's.
        replicas: How many; None for a global one.
        command: What its tasks run.
        container: Further fields of the tasks' `ContainerSpec`.
        task: Further fields of its `TaskTemplate`.
        spec: Further fields of its `Spec`.

    Returns:
        Its id.
    """
    mode = {"Global": {}} if replicas is None else {"Replicated": {"Replicas": replicas}}
    body = {
        "Name": name,
        "Mode": mode,
        "TaskTemplate": {
            "ContainerSpec": {"Image": IMAGE, "Command": list(command), **(container or {})},
            **(task or {}),
        },
        **spec,
    }
    made: dict[str, Any] = engine.api("POST", "/services/create", body)
    return str(made["ID"])


def create_loaded_service(
    engine: PrivateEngine, name: str, load: Load, *, replicas: int, constraints: Sequence[str] = (), **spec: object
) -> str:
    """A service whose tasks use as much CPU as a file says.

    Args:
        engine: Leads the Swarm.
        name: The service's.
        load: How much.
        replicas: How many.
        constraints: Where its tasks may be.
        spec: Further fields of its `Spec`.

    Returns:
        Its id.
    """
    return create_service(
        engine,
        name,
        replicas=replicas,
        command=WORK,
        container={"Mounts": load.mounts, "StopGracePeriod": 3_000_000_000},
        task={
            "Resources": {"Limits": {"NanoCPUs": round(load.cores * 1e9)}},
            "Placement": {"Constraints": list(constraints)},
        },
        **spec,
    )


def replicas_of(engine: PrivateEngine, identity: str) -> int:
    """How many it is meant to have."""
    return int(inspect_service(engine, identity)["Spec"]["Mode"]["Replicated"]["Replicas"])


def nodes_of(engine: PrivateEngine, identity: str) -> list[str]:
    """Ids of the nodes where its tasks run, one for each task."""
    tasks = engine.api("GET", "/tasks", filters=json.dumps({"service": [identity], "desired-state": ["running"]}))
    return [each["NodeID"] for each in tasks if each["Status"]["State"] == "running"]


def inspect_service(engine: PrivateEngine, identity: str) -> dict[str, Any]:
    """Everything that the engine says of it."""
    found: dict[str, Any] = engine.api("GET", f"/services/{identity}")
    return found


def remove_services(engine: PrivateEngine) -> None:
    """All of them."""
    for service in engine.api("GET", "/services"):
        engine.api("DELETE", f"/services/{service['ID']}")
