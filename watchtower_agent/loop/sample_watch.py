"""The sampler as the loop sees it: what it can't read, and whether it reads at all. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Final

from watchtower_agent.loop import announcements
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.model.values import dataclass

SILENT_AFTER: Final = 10.0
"""Seconds, and ticks, for which no tick may come before the sampler counts as held up."""
SAMPLER: Final = "sampler"


@dataclass(slots=True)
class SampleWatch:
    """Says once that something can't be sampled, and once that it can be again.

    A reading that never returns is left behind by the sampler after some seconds, and told as any other failure. Where
    many hang one after the other no tick comes for longer. Then conditions are asked without it: what it tells of is
    not known any more, what the engine tells of still is.

    Attributes:
        interval: Seconds between ticks.
        say: Publishes a notice, and sees what it sets off.
        failing: Collector -> what is wrong.
    """

    interval: float
    say: Callable[[Notice, Instant], None]
    failing: dict[str, str] = field(default_factory=dict)
    _heard: float | None = None
    _suspected: float | None = None
    _ticked: float = 0.0

    def heard(self, batch: SampleBatch, now: Instant) -> None:
        """A tick has come."""
        self._heard, self._suspected = now.monotonic, None
        failing = dict(batch.failures)
        for name in failing.keys() - self.failing.keys():
            self.say(announcements.sampling_degraded(name, failing[name], now.wall), now)
        for name in self.failing.keys() - failing.keys():
            self.say(announcements.sampling_restored(name, now.wall), now)
        self.failing = failing

    def held_up(self, now: Instant, waits_for: str = "") -> bool:
        """Whether it is time for a tick and none comes. Says so when that begins.

        Args:
            now: The present.
            waits_for: What the tick waits for, in words, as far as can be told.
        """
        if self._heard is None:
            self._heard = now.monotonic
        at_least = max(1.0, self.interval)
        silent_for = now.monotonic - self._heard
        if silent_for <= SILENT_AFTER * at_least:
            return False
        if self._suspected is None:
            # It may be the agent itself that was held up, by a signal or a disk: what waits comes with the next steps.
            self._suspected = now.monotonic
        if now.monotonic - self._suspected < 2 * at_least or now.monotonic - self._ticked < self.interval:
            return False
        if SAMPLER not in self.failing:
            why = (
                f"Nothing was sampled for {silent_for:.0f} s: {waits_for or 'a file of the host does not answer'}. "
                "Until that comes back what is sampled is unknown; events and what the engine tells go on."
            )
            self.failing[SAMPLER] = why
            self.say(announcements.sampling_degraded(SAMPLER, why, now.wall), now)
        self._ticked = now.monotonic
        return True
