"""The agenda as the store keeps it: decisions that wait, over restarts of the agent. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from watchtower_agent.model.commit import Record
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import Resume
from watchtower_agent.policies.waiting import Waiting, restored, stored_forms

KIND: Final = "pending"
"""Of the records that the store keeps."""


def remembered(resume: Resume, now: Instant, then: float) -> list[Waiting]:
    """What waited as an earlier run ended and has not expired since, those that came first before the others.

    Args:
        resume: What the store remembers.
        now: The present.
        then: The present on the earlier run's wall clock.
    """
    pending = [restored(stored, now, then) for stored in resume.records.get(KIND, {}).values()]
    known = [each for each in pending if each is not None and each.decision.expires_at > then]
    return sorted(known, key=lambda each: (each.since, each.decision.target.name))


def records(changed: Mapping[tuple[str, str], Waiting | None]) -> Iterator[Record]:
    """What the store has to write, of entries of the agenda; None: the entry has left."""
    for key, value in stored_forms(changed):
        yield Record(kind=KIND, key=key, value=value)
