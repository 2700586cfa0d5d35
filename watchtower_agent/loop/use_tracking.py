"""Keeps track of when everything on the engine's disk was last used, and says when it has to be listed. Pure."""

from __future__ import annotations

import math
from typing import Final

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.commit import Record
from watchtower_agent.model.engine_event import EngineEvent, EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import EngineFound, EngineLost, GapObserved, Resume
from watchtower_agent.model.removal import DiskListed
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.pruning.rows import Rows
from watchtower_agent.policies.pruning.usage import Usage
from watchtower_agent.state.host_state import HostState

KIND: Final = "use"
"""Of the records that the store keeps."""
_LIST_EVERY: Final = 3600.0
"""Seconds between two listings: what was first seen counts as used then, and doubts last until the next one."""
_LIST_AGAIN: Final = 60.0
"""Seconds after which it is tried again where the engine did not tell."""


@dataclass(slots=True)
class UseTracking:
    """When everything was last used, as long as there is a policy that prunes, be it off.

    Attributes:
        state: The host.
        publication: Where effects of the step go.
        usage: What is known; None while there is no such policy.
    """

    state: HostState
    publication: Publication
    usage: Usage | None = None
    _due: float = -math.inf
    """When the engine has to be asked what it keeps, monotonic."""
    _lost: bool = False
    _asleep: Usage | None = None
    """Which images Compose projects mean, for a policy that prunes later on; None while there is one."""

    def resume(self, resume: Resume, now: Instant) -> None:
        """Take in what the store remembers of an earlier run. Policies that prune nothing let the uses go again."""
        rows = resume.records.get(KIND, {})
        if rows:
            self.usage = Usage.restored(rows, now, Boots.restored(resume.records.get("clock", {}), now))

    def follow(self, *, prunes: bool) -> None:
        """From now on some policy prunes, or none does: then nobody looks, and no use is remembered.

        Which images a Compose project means is, for it may be down when a policy prunes again: nothing would tell.
        """
        if prunes and self.usage is None:
            self.usage, self._asleep, self._due = self._asleep or Usage(), None, -math.inf
        elif not prunes and self.usage is not None:
            keys = dict.fromkeys(self.usage.keys())
            self._asleep, self.usage = self.usage.projects_alone(), None
            self._asleep.remember_again()
            self._write({**keys, **self._asleep.images.projects.rows()})

    def event(self, event: EngineEvent, now: Instant) -> None:
        """Something happened at the engine, or was concluded to have."""
        if self.usage is None:
            return
        record = self.state.containers.get(event.actor_id) if event.kind is EventKind.CONTAINER else None
        self.usage.event(event, now, record.container.image_id if record is not None else "")

    def engine(self, seen: object, now: Instant) -> None:
        """The engine was lost or found, or events of it were."""
        if self.usage is None:
            return
        if isinstance(seen, GapObserved) and not seen.seen_by_the_agent:
            self.usage.missed(now)
            self._due = -math.inf
        elif isinstance(seen, EngineLost) or (isinstance(seen, EngineFound) and (seen.restarted or self._lost)):
            # An agent that was away itself has missed nothing that the engine's events don't tell it.
            self.usage.engine_away(now)
            self._due = -math.inf
        self._lost = isinstance(seen, EngineLost) or (self._lost and not isinstance(seen, EngineFound))

    def listed(self, seen: DiskListed, now: Instant) -> None:
        """This is what there is."""
        if self.usage is not None:
            self.usage.listed(seen.disk, now)
            self._due = now.monotonic + _LIST_EVERY

    def unlisted(self, now: Instant) -> None:
        """The engine did not tell."""
        self._due = now.monotonic + _LIST_AGAIN

    def is_due(self, now: Instant) -> bool:
        """Whether it is time for a listing: of an engine that answers and whose containers are known."""
        return self.usage is not None and self.state.engine.listed and now.monotonic >= self._due

    def remember(self, now: Instant) -> None:
        """What has changed goes with the cursor of the events that changed it."""
        known = self.usage or self._asleep
        if known is not None:
            self._write(known.changes(now))

    def remember_again(self) -> None:
        """The store was lost while running."""
        known = self.usage or self._asleep
        if known is not None:
            known.remember_again()

    def _write(self, rows: Rows) -> None:
        self.publication.out.records.extend(Record(kind=KIND, key=key, value=row) for key, row in rows.items())
