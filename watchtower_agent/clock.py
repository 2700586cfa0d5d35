"""The host's clocks, read here alone, but for the sampler's thread and those who wait by the event loop's own."""

from __future__ import annotations

import time
from pathlib import Path

from watchtower_agent.model.instant import Instant


class SystemClock:
    """The clocks of this host, behind the `Clock` port."""

    def __init__(self) -> None:
        try:
            self._boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            self._boot = ""  # cooldowns of an earlier run are then measured by the wall clock

    def now(self) -> Instant:
        """The present moment on both clocks."""
        monotonic = time.monotonic()
        asleep = max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - monotonic)
        return Instant(wall=time.time(), monotonic=monotonic, boot=self._boot, asleep=asleep)


def monotonic() -> float:
    """Seconds on the monotonic clock alone."""
    return time.monotonic()
