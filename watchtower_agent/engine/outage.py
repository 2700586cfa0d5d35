"""One interruption of the connection to the engine: short ones are not worth an event, long ones are exactly one."""

from __future__ import annotations

import asyncio

from watchtower_agent.engine.sink import Sink
from watchtower_agent.model.observation import EngineLost
from watchtower_agent.ports import Clock


class Outage:
    """Says once that the engine is lost, when it is not back soon.

    Args:
        sink: Takes the observation, on the event loop.
        clock: The host's clocks.
        after: Seconds after which an interruption is reported.
    """

    def __init__(self, *, sink: Sink, clock: Clock, after: float) -> None:
        self._sink = sink
        self._clock = clock
        self._after = after
        self._timer: asyncio.TimerHandle | None = None
        self._pending = False
        self._cause = ""
        self._failure = ""
        self._reported = False

    @property
    def pending(self) -> bool:
        """Whether the connection is interrupted."""
        return self._pending

    @property
    def reported(self) -> bool:
        """Whether this interruption was reported as a loss."""
        return self._reported

    def begin(self, cause: str) -> None:
        """The connection is gone."""
        self._pending, self._cause, self._failure = True, cause, ""
        self._timer = asyncio.get_running_loop().call_later(self._after, self._report)

    def failed(self, failure: str) -> None:
        """A try to reconnect failed."""
        self._failure = failure

    def end(self) -> None:
        """The connection is back, or the agent ends."""
        self._pending = self._reported = False
        if self._timer is not None:
            self._timer.cancel()

    def _report(self) -> None:
        self._reported = True
        reason = (
            f"{self._cause}; {self._failure}" if self._failure else f"{self._cause}; the engine does not answer yet"
        )
        self._sink(EngineLost(reason=reason, at=self._clock.now().wall))
