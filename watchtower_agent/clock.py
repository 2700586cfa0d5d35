"""The host's clocks: the only module that reads them."""

from __future__ import annotations

import time

from watchtower_agent.model.instant import Instant


class SystemClock:
    """The clocks of this host, behind the `Clock` port."""

    def now(self) -> Instant:
        """The present moment on both clocks."""
        return Instant(wall=time.time(), monotonic=time.monotonic())
