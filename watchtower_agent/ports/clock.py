"""The host's clocks, as the loop reads them."""

from __future__ import annotations

from typing import Protocol

from watchtower_agent.model.instant import Instant


class Clock(Protocol):
    """The host's clocks."""

    def now(self) -> Instant:
        """The present moment on both clocks."""
        ...
