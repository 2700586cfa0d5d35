"""One interruption of the connection to the engine: short ones are not worth an event, long ones are exactly one."""

from __future__ import annotations

import asyncio

from watchtower_agent.engine.sink import Sink
from watchtower_agent.model.observation import EngineLost
from watchtower_agent.model.values import dataclass
from watchtower_agent.ports.clock import Clock


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the connection is interrupted.

    Attributes:
        why: A sentence for people.
        ours: The agent itself opens the connection anew, and nothing says that the engine is not there.
    """

    why: str
    ours: bool = False


class Outage:
    """Says once that the engine is lost, when it is not back soon.

    An interruption of the agent's own making is a loss only once a try to reconnect has failed: a slow engine is there.

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
        self._cause = Cause("")
        self._failure = ""
        self._reported = False
        self._begun = 0.0

    @property
    def pending(self) -> bool:
        """Whether the connection is interrupted."""
        return self._pending

    @property
    def reported(self) -> bool:
        """Whether this interruption was reported as a loss."""
        return self._reported

    def begin(self, cause: Cause) -> None:
        """The connection is gone."""
        self._pending, self._cause, self._failure = True, cause, ""
        self._begun = self._clock.now().monotonic
        if not cause.ours:
            self._report_in(self._after)

    def failed(self, failure: str) -> None:
        """A try to reconnect failed."""
        first, self._failure = not self._failure, failure
        if first and self._cause.ours:
            self._report_in(self._begun + self._after - self._clock.now().monotonic)

    def end(self) -> None:
        """The connection is back, or the agent ends."""
        self._pending = self._reported = False
        if self._timer is not None:
            self._timer.cancel()

    def _report_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self._report)

    def _report(self) -> None:
        self._reported = True
        reason = f"{self._cause.why}; {self._failure or 'the engine does not answer yet'}"
        self._sink(EngineLost(reason=reason, at=self._clock.now().wall))
