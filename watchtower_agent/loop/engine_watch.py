"""The engine as a service: lost and found, alive, listed; what events may be missing. Pure."""

from __future__ import annotations

from collections.abc import Callable

from watchtower_agent.loop import announcements
from watchtower_agent.loop.meanwhile import Meanwhile
from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.engine_event import EngineEvent
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import (
    EngineDescribed,
    EngineFound,
    EngineLost,
    EnginePinged,
    GapObserved,
    ImagesCounted,
)
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.host_state import HostState

EngineTold = EngineFound | EngineDescribed | EngineLost | EnginePinged | ImagesCounted | GapObserved
"""What is told of the engine as a service."""

SIGNS_MISSED = 3
"""Pings or samples, whichever take longer, that may fail to come before what is known of containers is out of date."""

_GOES_DOWN = 60.0
"""Seconds within which a daemon that is told to end ends its containers, before it can be seen that it has gone."""


@dataclass(slots=True)
class EngineWatch:
    """Follows the engine, and says when it goes and when it is back.

    Attributes:
        state: Whose engine it is.
        publication: Told which engine it is.
        say: Publishes a notice, and sees what it sets off.
    """

    state: HostState
    publication: Publication
    say: Callable[[Notice, Instant], None]
    _lost_at: float | None = None
    """Since when it is told that the engine is lost; None while it is not."""
    _up: Meanwhile | None = None
    """The engine was found and is not listed yet."""

    def take(self, seen: EngineTold, now: Instant) -> None:
        """What the engine room tells."""
        engine = self.state.engine
        match seen:
            case EngineFound():
                self._found(seen, now)
            case EngineDescribed():
                engine.info = seen.info
                self.publication.engine_changed(seen.info)
            case EngineLost():
                self._lost(seen, now)
            case EnginePinged():
                engine.responding, engine.latency = True, seen.latency
                self.alive(now)
            case ImagesCounted():
                engine.images = seen.count
                if seen.count is not None:
                    self.alive(now)
            case GapObserved():
                self._gap(seen, now)

    def _lost(self, seen: EngineLost, now: Instant) -> None:
        engine = self.state.engine
        engine.connected, engine.responding, engine.listed = False, False, False
        engine.latency = engine.event_lag = engine.images = None  # what it was is not what it is
        engine.since, engine.last_error = seen.at, seen.reason
        if self._lost_at is None:  # else it came back for a moment, too short to be listed
            self._lost_at = seen.at
            self.say(announcements.engine_down(seen, now.wall), now)

    def _gap(self, seen: GapObserved, now: Instant) -> None:
        engine = self.state.engine
        engine.gaps += 1
        if not seen.seen_by_the_agent:
            # What was lost may have changed any container. The session lists them anew after each such gap.
            engine.listed = False
            engine.uncertain_until = max(engine.uncertain_until, seen.until)
            if self._up is not None:
                self._up.may_lack(seen)
        self.say(announcements.event_gap(seen, now.wall), now)

    def _found(self, seen: EngineFound, now: Instant) -> None:
        engine = self.state.engine
        engine.info, engine.connected, engine.responding, engine.since = seen.info, True, True, seen.at
        engine.listed = False
        self.alive(now)
        engine.restarts += seen.restarted
        if seen.restarted and self._lost_at is not None:
            engine.restarting = (self._lost_at - _GOES_DOWN, seen.at)
        engine.clock_offset = seen.clock_offset
        engine.last_error = ""
        self.publication.engine_changed(seen.info)
        self._up = self._up or Meanwhile(found=seen, first=not self.state.baseline)
        self._up.found_again(seen)

    def alive(self, now: Instant, *, ago: float = 0.0) -> None:
        """It gave a sign of life, so many seconds ago."""
        engine = self.state.engine
        at = now.monotonic - ago
        engine.alive_at = at if engine.alive_at is None else max(engine.alive_at, at)

    def event(self, event: EngineEvent) -> None:
        """One of its events; it may tell of the time in which the engine was out of reach."""
        if self._up is not None:
            self._up.take(event)

    def listed(self, now: Instant) -> None:
        """Its containers were listed, and the differences told.

        What changed meanwhile is known only now: subscribers hear of each change, and then that the engine is up. A
        listing that comes after the engine was lost again does not tell that.
        """
        if self._up is not None and self.state.engine.connected:
            up, self._up, lost_at, self._lost_at = self._up, None, self._lost_at, None
            self.say(announcements.engine_up(up, lost_at, now.wall), now)
