"""What a listing or an inspection shows that no event had told, as synthetic events. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from watchtower_agent.model.container import Container, ContainerStatus, Health
from watchtower_agent.model.engine_event import EngineEvent, EventKind, Origin


def conclude(container: Container, action: str, at: float, *, engine_id: str, detail: str = "") -> EngineEvent:
    """A synthetic event: it happened while nobody could see it.

    Args:
        container: Whom it is about, as it was seen.
        action: In the engine's words.
        at: When the engine was asked, seconds since the epoch: when it really happened is not known.
        engine_id: Part of the event's id.
        detail: What would follow the colon.
    """
    time_ns = int(at * 1e9)
    digest = hashlib.sha256(f"synthetic\0{engine_id}\0{time_ns}\0{action}\0{detail}\0{container.id}".encode())
    attributes = {**container.labels, "name": container.name, "image": container.image}
    if action == "die" and not container.running and container.detail and container.detail.exit_code is not None:
        attributes["exitCode"] = str(container.detail.exit_code)
    return EngineEvent(
        id=digest.hexdigest()[:32],
        kind=EventKind.CONTAINER,
        action=action,
        detail=detail,
        actor_id=container.id,
        attributes=attributes,
        time_ns=time_ns,
        origin=Origin.SYNTHETIC,
    )


def changes(known: Container, seen: Container) -> Iterator[tuple[str, str]]:
    """Actions and details that lead from what is known to what was seen, in the order of the engine."""
    was, now = known.running, seen.running
    if now and not was:
        yield from _begun(seen)
    elif was and not now:
        yield "die", ""
    else:
        if known.status is ContainerStatus.RUNNING and seen.status is ContainerStatus.PAUSED:
            yield "pause", ""
        elif known.status is ContainerStatus.PAUSED and seen.status is ContainerStatus.RUNNING:
            yield "unpause", ""
        if now and seen.health is not known.health:
            yield from _verdict(seen)


def lives_between(known: Container, seen: Container) -> Iterable[tuple[str, str]]:
    """What a start and an end did that left no other trace than a later StartedAt; else nothing."""
    after = seen.detail.started_at if seen.detail else None
    if after is None or known.detail is None or known.running is not seen.running:
        return ()
    before = known.detail.started_at
    if before is None and known.status is not ContainerStatus.CREATED:
        return ()  # it began since the last inspection: nothing to compare with
    if before is not None and after <= before:
        return ()
    return (("die", ""), *_begun(seen)) if seen.running else (("start", ""), ("die", ""))


def _begun(seen: Container) -> Iterator[tuple[str, str]]:
    yield "start", ""
    if seen.status is ContainerStatus.PAUSED:
        yield "pause", ""
    yield from _verdict(seen)


def _verdict(seen: Container) -> Iterator[tuple[str, str]]:
    """The engine has no event for `starting`: every start leads there by itself."""
    if seen.health in {Health.HEALTHY, Health.UNHEALTHY}:
        yield "health_status", seen.health.value
