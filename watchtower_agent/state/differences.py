"""What a listing or an inspection shows that no event had told, as synthetic events. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from watchtower_agent.model.container import Container, ContainerStatus, Health
from watchtower_agent.model.engine_event import EngineEvent, EventKind, Origin
from watchtower_agent.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What must have happened, in the engine's words.

    Attributes:
        action: `die`, `rename`, …
        detail: What would follow the colon.
        old_name: Of a rename: the name before it.
    """

    action: str
    detail: str = ""
    old_name: str = ""


def conclude(container: Container, difference: Difference, at: float, *, engine_id: str) -> EngineEvent:
    """A synthetic event: it happened while nobody could see it.

    Args:
        container: Whom it is about, as it was seen.
        difference: What must have happened to it.
        at: When the engine was asked, seconds since the epoch: when it really happened is not known.
        engine_id: Part of the event's id.
    """
    action, detail = difference.action, difference.detail
    time_ns = int(at * 1e9)
    digest = hashlib.sha256(f"synthetic\0{engine_id}\0{time_ns}\0{action}\0{detail}\0{container.id}".encode())
    attributes = {**container.labels, "name": container.name, "image": container.image}
    if action == "die" and not container.running and container.detail and container.detail.exit_code is not None:
        attributes["exitCode"] = str(container.detail.exit_code)
    if action == "rename":
        attributes["oldName"] = f"/{difference.old_name}"  # as the engine writes it
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


def changes(known: Container, seen: Container) -> Iterator[Difference]:
    """What leads from what is known to what was seen, in an order in which the engine could have told it.

    A new name comes first: all else is told under it.
    """
    if is_named(known) and is_named(seen) and known.name != seen.name:
        yield Difference(action="rename", old_name=known.name)
    yield from _lives_between(known, seen) or _state_changes(known, seen)


def appeared(seen: Container) -> Iterator[Difference]:
    """What a container did that nobody had heard of. How many lives it had before the present one is not known."""
    yield Difference(action="create")
    if seen.running:
        yield from _begun(seen)


def vanished(known: Container) -> Iterator[Difference]:
    """What a container did that is not there any more."""
    if known.running:
        yield Difference(action="die")
    yield Difference(action="destroy")


def given_up(known: Container, seen: Container, starts: int) -> Iterator[Difference]:
    """The stop of a container that somebody killed while the engine waited to start it again.

    There is nothing to send a signal to, so the engine tells no `kill`, and no other end than the one before. But it
    had counted the restart that it then did not make. One that it did not decide on is not counted: that container
    used up its retries, or was sent a signal for which the engine gave up its restart policy.

    Args:
        known: The container since its last end, with the restarts that its events tell of.
        seen: As an inspection shows it.
        starts: Those after an end: all that is known of its restarts when it was never inspected before.
    """
    if seen.detail is None or seen.detail.start_failed or seen.status is not ContainerStatus.EXITED:
        return
    if known.detail is None:
        waited, counted = known.status is ContainerStatus.EXITED, starts + 1
    else:
        waited, counted = known.status is ContainerStatus.RESTARTING, known.detail.restart_count
    if waited and seen.detail.restart_count >= counted:
        yield Difference(action="stop")


def is_named(container: Container) -> bool:
    """Whether the engine told its name. Where it told none, a part of the id stands for it."""
    return container.name not in {container.id, container.id[:12], ""}


def _state_changes(known: Container, seen: Container) -> Iterator[Difference]:
    was, now = known.running, seen.running
    if now and not was:
        # Also where its state was not known: what the last listing did not show has been started since.
        yield from _begun(seen)
    elif was and not now:
        if seen.status is not None:
            yield Difference(action="die")
    else:
        if known.status is ContainerStatus.RUNNING and seen.status is ContainerStatus.PAUSED:
            yield Difference(action="pause")
        elif known.status is ContainerStatus.PAUSED and seen.status is ContainerStatus.RUNNING:
            yield Difference(action="unpause")
        if now and seen.health is not known.health:
            yield from _verdict(seen)


def _lives_between(known: Container, seen: Container) -> tuple[Difference, ...]:
    """A start and an end that left no other trace than a later StartedAt; else nothing."""
    after = seen.detail.started_at if seen.detail else None
    if after is None or known.status is None or known.running is not seen.running:
        return ()
    before = known.detail.started_at if known.detail else None
    if before is None and known.status is not ContainerStatus.CREATED:
        return ()  # it began since the last inspection: nothing to compare with
    if before is not None and after <= before:
        return ()
    start, die = Difference(action="start"), Difference(action="die")
    return (die, *_begun(seen)) if seen.running else (start, die)


def _begun(seen: Container) -> Iterator[Difference]:
    yield Difference(action="start")
    if seen.status is ContainerStatus.PAUSED:
        yield Difference(action="pause")
    yield from _verdict(seen)


def _verdict(seen: Container) -> Iterator[Difference]:
    """The engine has no event for `starting`: every start leads there by itself."""
    if seen.health in {Health.HEALTHY, Health.UNHEALTHY}:
        yield Difference(action="health_status", detail=seen.health.value)
