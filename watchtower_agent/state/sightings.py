"""What a listing or an inspection shows of one container: how its record changes, what no event had told. Pure.

Both are pictures of a moment, which events may have overtaken: whether they are taken in at all is HostState's to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from watchtower_agent.model.container import Container, ContainerStatus
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.observation import ContainerObserved
from watchtower_agent.state.attribution import EndCause
from watchtower_agent.state.differences import Difference, changes, conclude, given_up, is_named, vanished
from watchtower_agent.state.record import ContainerRecord, end_not_seen, ended_by_itself

_EVENT_MAY_LAG = 1.5
"""Seconds by which an inspection may be ahead of the event that tells the same. Longer than an interruption of the
event stream that is not told as a loss: after one the event comes in a replay."""


def concluded(container: Container, happened: Iterable[Difference], at: float, *, engine_id: str) -> list[EngineEvent]:
    """What must have happened to a container, as synthetic events."""
    return [conclude(container, difference, at, engine_id=engine_id) for difference in happened]


# --- listings -------------------------------------------------------------------------------------------


def under_its_image(known: ContainerRecord, listed: Container) -> Container:
    """A listing tells an id instead of the image's name once the name was given to another image.

    An inspection and an event go on telling the name under which the container was made. What protects or selects it
    by that name does so still.
    """
    return replace(listed, image=known.container.image or listed.image)


def take_as_baseline(record: ContainerRecord, listed: Container) -> None:
    """The first listing ever has a container that an event told of before: it is as it was listed."""
    record.container = replace(under_its_image(record, listed), detail=record.container.detail)
    if record.end_cause is EndCause.NONE:
        record.end_cause = end_not_seen(listed)


def described_anew(known: ContainerRecord, listed: Container) -> Container:
    """Networks and labels of a listing are newer than what is known; names and states come with the events."""
    was = known.container
    if was.status is None:
        was = replace(was, status=listed.status, health=listed.health)
        known.end_cause = end_not_seen(listed)
    return replace(
        listed,
        name=was.name if is_named(was) or not is_named(listed) else listed.name,
        status=was.status,
        health=was.health,
        published_ports=listed.published_ports or was.published_ports,  # a listing has none of a stopped one
        detail=was.detail,
    )


# --- inspections ----------------------------------------------------------------------------------------


def not_told(record: ContainerRecord, seen: ContainerObserved, *, baseline: bool, engine_id: str) -> list[EngineEvent]:
    """What an inspection shows that no event had told.

    Args:
        record: What is known of the container.
        seen: The inspection.
        baseline: Whether a difference is an event: one that the engine does not know any more is gone in any case.
        engine_id: Part of the events' ids.
    """
    known, fresh = record.container, seen.container
    if fresh is None:
        return concluded(known, vanished(known), seen.at, engine_id=engine_id)
    if not baseline:
        return []
    events = concluded(fresh, changes(known, fresh), seen.at, engine_id=engine_id)
    if ended_by_itself(record) and all(event.action == "rename" for event in events):
        events += concluded(fresh, given_up(known, fresh, record.restarts), seen.at, engine_id=engine_id)
    return events


def may_be_on_its_way(record: ContainerRecord, at: float) -> bool:
    """The engine changes a container before it tells: what differs once may only be ahead of its event.

    Args:
        record: What is known of the container; remembers when an inspection first differed.
        at: When the engine was asked, seconds since the epoch.
    """
    if record.doubted is None:
        record.doubted = at
    return 0 <= at - record.doubted < _EVENT_MAY_LAG


def as_inspected(record: ContainerRecord, inspected: Container, told: set[str]) -> Container:
    """The container as its record is to describe it now; when it ended is put into the record.

    Args:
        record: What is known of the container.
        inspected: The answer.
        told: Actions of the synthetic events concluded from it: they bring states and a name along.
    """
    detail = inspected.detail
    if detail is not None:
        record.exit_code = detail.exit_code if not inspected.running else record.exit_code
        record.ended = detail.finished_at or record.ended
        record.settled_after_end = inspected.status is ContainerStatus.EXITED
    if record.container.status is None:
        record.end_cause = end_not_seen(inspected)
    if told - {"rename"}:
        inspected = replace(inspected, status=record.container.status, health=record.container.health)
    if "rename" in told or not is_named(inspected):
        inspected = replace(inspected, name=record.container.name)
    return inspected
