"""An engine in memory whose clock can be set back, which no test may do to the machine.

Its ring behaves as the real one's (`daemon/events` of the engine): events stand in the order in which they happened;
`since` is looked for backwards and ends at the first older stamp; what is later than `until` is skipped, unless that is
0; and an answer whose `until` is in its future comes then.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.calls import EngineCalls, EngineGreeting
from watchtower_agent.engine.continuity import RING
from watchtower_agent.engine.feed import EventFeed, split_lines
from watchtower_agent.engine.translation import EngineTimeoutError
from watchtower_agent.model.container import Container
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import EngineInfo

INFO = EngineInfo(id="scripted", name="h1", version="26.1", api_version="1.45")


class SteppedClock:
    """The host's clocks; the wall clock can be set."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> Instant:
        real = SystemClock().now()
        return Instant(wall=real.wall + self.offset, monotonic=real.monotonic)


class ScriptedFeed(EventFeed):
    """One open subscription.

    Attributes:
        left: Seconds of each time that it was to be left alone.
    """

    def __init__(self, replay: Sequence[bytes], *, can_gather: bool) -> None:
        self.can_gather = can_gather
        self.live: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()
        self.left: list[float] = []
        self._over = threading.Event()
        if replay:
            self.live.put(list(replay))

    def lines(self) -> Iterator[list[bytes]]:
        while (lines := self.live.get()) is not None:
            yield lines

    @property
    def gathers(self) -> bool:
        return self.can_gather

    def leave(self, seconds: float) -> None:
        self.left.append(seconds)
        self._over.wait(seconds)

    def more(self) -> bool:
        return not self.live.empty()

    def abort(self) -> None:
        self._over.set()
        self.live.put(None)

    def close(self) -> None:
        """Nothing is held."""


class ScriptedEngine(EngineCalls):
    """In the place of the calls to a real one, on the clock of the agent's own host.

    Attributes:
        clock: Of the agent's own host.
        process: Behind its socket; None: not to be known.
        started_at: When that was started.
        info: What it says of itself.
        described: How often it was asked for that anew.
        listed: How often its containers were listed.
        looked_back: How often it was asked for past events, which each audit does once.
        feeds: Its open subscriptions.
        hung: Answers that would have come too late: their end is in the engine's future.
        can_gather: Its streams can be left alone for a moment, as those over a socket of this host.
        knows_zero: An end at 0 gives the whole ring; else nothing, as an engine might that takes it by its word.
    """

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__(EngineAddress(url="tcp://scripted:2375", source="settings"), clock=clock)
        self.clock = clock
        self.process: tuple[int, int] | None = (7, 7)
        self.started_at: float | None = None
        self.info = INFO
        self.hung = 0
        self.described = 0
        self.listed = 0
        self.looked_back = 0
        self.can_gather = True
        self.knows_zero = True
        self._kept: list[tuple[int, bytes]] = []
        self.feeds: list[ScriptedFeed] = []
        self._state = threading.Lock()

    # What a test does.

    def happen(
        self, *names: str, kind: str = "volume", action: str = "create", scope: str = "local", lost: bool = False
    ) -> None:
        """Volumes of these names are created now, all at once; lost on the way to the subscribers if so told."""
        with self._state:
            fresh = [self._line(kind, name, action, scope) for name in names]
            self._kept = [*self._kept, *fresh][-RING:]
            for feed in self.feeds if not lost else ():
                feed.live.put([line for _, line in fresh])

    def write(self, *texts: bytes, lost: bool = False) -> None:
        """It writes lines as they are, now; lost on the way to the subscribers if so told."""
        stamp = int(self._clock.now().wall * 1e9)
        with self._state:
            # The real calls' way of splitting: what is too long is never held whole.
            fresh = [line for lines in split_lines(text + b"\n" for text in texts) for line in lines]
            self._kept = [*self._kept, *((stamp, line) for line in fresh)][-RING:]
            for feed in self.feeds if not lost else ():
                feed.live.put(fresh)

    def cut(self) -> None:
        """End every subscription."""
        with self._state:
            for feed in self.feeds:
                feed.abort()
            self.feeds.clear()

    def restart(self) -> None:
        """A new daemon, whose ring is empty."""
        self.cut()
        self._kept = []
        self.process = None if self.process is None else (self.process[0] + 1, 9)

    def _line(self, kind: str, name: str, action: str, scope: str) -> tuple[int, bytes]:
        stamp = int(self._clock.now().wall * 1e9)
        event = {"Type": kind, "Action": action, "Actor": {"ID": name}, "scope": scope, "timeNano": stamp}
        return stamp, json.dumps(event).encode()

    # What the session asks.

    def connect(self) -> EngineGreeting:
        return EngineGreeting(info=replace(self.info, started_at=self.started_at), process=self.process)

    def describe(self, before: EngineInfo) -> EngineInfo:
        self.described += 1
        return replace(self.info, pid=before.pid)

    def ping(self) -> float:
        return 0.0

    def containers(self) -> tuple[Container, ...]:
        self.listed += 1
        return ()

    def images(self) -> int | None:
        return 0

    def past_events(self, since_ns: int, until_ns: int) -> Sequence[bytes]:
        self.looked_back += 1
        if max(since_ns, until_ns) > (self._clock.now().wall + 1) * 1e9:
            self.hung += 1
            raise EngineTimeoutError("reading past events: the engine did not answer in time")
        with self._state:
            return [line for at, line in self._since(since_ns) if at <= max(since_ns, until_ns)]

    def whole_ring(self) -> Sequence[bytes]:
        with self._state:
            return [line for _, line in self._kept] if self.knows_zero else []

    def open_events(self, since_ns: int) -> EventFeed:
        with self._state:
            feed = ScriptedFeed([line for _, line in self._since(since_ns)], can_gather=self.can_gather)
            self.feeds.append(feed)
            return feed

    def _since(self, since_ns: int) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        for at, line in reversed(self._kept):
            if at < since_ns:
                break
            found.append((at, line))
        return found[::-1]
