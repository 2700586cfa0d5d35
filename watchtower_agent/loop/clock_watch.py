"""The host's clocks as the loop sees them: steps of the wall clock, boots, and what the next start must know. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.boots import UNKNOWN, Boots
from watchtower_agent.model.commit import Record
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.clock_steps import ClockSteps, Stamped
from watchtower_agent.state.host_state import HostState

KIND: Final = "clock"
"""Of the records that the store keeps."""
_KEEP: Final = 60.0
"""Seconds after which it is written anew when the clock was looked at last: while the agent is away it may be set."""


@dataclass(slots=True)
class ClockWatch:
    """Looks at the clocks before each step.

    Attributes:
        state: The host.
        publication: Where effects of the step go.
    """

    state: HostState
    publication: Publication
    _seen: Instant | None = None
    """When the wall clock was looked at; moved when it was stepped. Durable."""
    _boots: Boots = UNKNOWN
    """Earlier boots of the host, on the monotonic clock of this one. Durable."""
    _kept: float | None = None
    """When that was written last, on the monotonic clock."""
    _kept_stamps: Mapping[Stamped, float] = field(default_factory=dict)
    """Which stamps from before steps were written last. They may be thousands, and are not written each minute."""

    def resume(self, resume: Resume, now: Instant) -> float:
        """Take in what an earlier run stored. Gives the seconds by which the wall clock was stepped since."""
        known = resume.records.get(KIND, {})
        self._seen, self._boots = Instant.restored(known.get("seen")), Boots.restored(known, now)
        self.state.clock = ClockSteps.restored(known.get("steps", {}), known.get("stamps", {}))
        self._kept_stamps = self.state.clock.known
        self.state.mark_starts()
        return now.stepped_since(self._seen)

    def look(self, now: Instant, *, last: bool = False) -> float:
        """Within a boot wall and monotonic clock differ by the same, until somebody steps the wall clock.

        Args:
            now: The present.
            last: No step of the loop will follow.

        Returns:
            Seconds by which the wall clock was stepped; 0 where it was not.
        """
        step = now.stepped_since(self._seen)
        anew = self._seen is None or self._seen.boot != now.boot
        if step or anew:
            self._seen = now
        if anew:
            self._remember_boots()
        due = self._kept is None or now.monotonic - self._kept >= _KEEP
        if self.state.look_at_clock(now) or step or anew or due or last:
            self._kept = now.monotonic
            self._remember()
        if self.state.clock.known is not self._kept_stamps:
            self._remember_stamps()
        return step

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        self._remember()
        self._remember_stamps()
        self._remember_boots()

    def _remember(self) -> None:
        if self._seen is not None:
            records = self.publication.out.records
            records.append(Record(kind=KIND, key="seen", value=self._seen.stored()))
            records.append(Record(kind=KIND, key="steps", value=self.state.clock.stored()))

    def _remember_stamps(self) -> None:
        self._kept_stamps = self.state.clock.known
        self.publication.out.records.append(Record(kind=KIND, key="stamps", value=self.state.clock.stored_stamps()))

    def _remember_boots(self) -> None:
        """With the clock of a new boot: else what was done to it before would be forgotten by the next start."""
        self.publication.out.records.append(Record(kind=KIND, key="boots", value=self._boots.stored()))
