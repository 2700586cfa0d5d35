"""Which of a container's lives it is: from a start to its end. Pure.

An event tells that a container was started, and when the engine wrote the event; an inspection tells a moment later
when it really started (StartedAt). So a start may become known late, and exactly only later: that is the same life.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from watchtower_agent.model.values import dataclass
from watchtower_agent.state.record import ContainerRecord

TOLD_WITHIN: Final = 1.0
"""Seconds from a container's StartedAt to the stamp of the event that tells of it, on the engine's own clock."""


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a container, as far as it is known.

    Attributes:
        started: When it began, by whatever told last, seconds since the epoch; None when nothing did.
        inspected: The same as an inspection told it; None while none has.
    """

    started: float | None
    inspected: float | None

    def continued(self, now: Life) -> Life | None:
        """The same life, with what is known of it now; None when it is another one.

        Args:
            now: The container's present life.
        """
        if now == self:
            return self
        if self.inspected is None and now.inspected is not None:
            same = self.started is None or now.inspected <= self.started + TOLD_WITHIN
        elif now.inspected is not None:
            same = now.inspected == self.inspected
        elif self.inspected is not None and now.started is not None:
            same = 0 <= now.started - self.inspected <= TOLD_WITHIN  # its event came after the inspection
        else:
            same = now.started == self.started
        if not same:
            return None
        return now if now.inspected is not None else replace(now, inspected=self.inspected)


def life_of(record: ContainerRecord) -> Life:
    """The present life of a container, or its last one when it does not run."""
    detail = record.container.detail
    return Life(started=record.started, inspected=detail.started_at if detail is not None else None)
