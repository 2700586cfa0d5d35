"""Containers whose inspection hangs while the engine answers otherwise: told once, and when they are back. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Final

from watchtower_agent.loop import announcements
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import ContainerObserved, InspectionHung
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.host_state import HostState

_ALIVE_WITHIN: Final = 0.75
"""Of the time that an inspection waited: an engine that gave no sign of life for longer may be what hangs."""


@dataclass(slots=True)
class HangWatch:
    """Tells a container that hangs from an engine that does.

    The engine holds a container's lock while the runtime below it is asked to do something. Where that never returns,
    nothing can be known of the container or done to it; the engine and all others go on.

    Attributes:
        state: Of the host.
        say: Publishes a notice, and sees what it sets off.
        since: Container -> since when it hangs, seconds since the epoch.
    """

    state: HostState
    say: Callable[[Notice, Instant], None]
    since: dict[str, float] = field(default_factory=dict)

    def hung(self, seen: InspectionHung, now: Instant) -> None:
        """An inspection got no answer."""
        record, engine = self.state.containers.get(seen.container_id), self.state.engine
        if record is None or seen.container_id in self.since or not (engine.connected and engine.responding):
            return
        silent = now.monotonic - engine.alive_at if engine.alive_at is not None else seen.waited
        if silent > _ALIVE_WITHIN * seen.waited and seen.tries == 1:
            return
        self.since[seen.container_id] = seen.at - seen.waited
        self.say(announcements.container_hangs(record, seen.waited, now.wall), now)

    def answered(self, seen: ContainerObserved, now: Instant) -> None:
        """An inspection was answered."""
        since = self.since.pop(seen.container_id, None)
        record = self.state.containers.get(seen.container_id)
        if since is not None and record is not None:
            self.say(announcements.container_answers(record, now.wall - since, now.wall), now)

    def gone(self, container_id: str) -> None:
        """It was removed."""
        self.since.pop(container_id, None)

    def engine_lost(self) -> None:
        """What hangs is the engine, or was ended with it."""
        self.since.clear()
