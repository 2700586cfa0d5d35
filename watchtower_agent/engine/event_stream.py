"""The reader of the engine's event stream: a thread that reads and hands over, and does nothing else.

A subscriber that stops reading slows down every event-emitting call of the engine by about 100 ms and loses events
without an error. So the reader waits for nobody: when its buffer is full it ends the stream, and a resync follows.
In a storm it reads in gulps, some tens of milliseconds apart, which the socket between holds: to wake for each event
interrupts the engine, on the same cores, and the agent's own loop, thousands of times for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TypeVarTuple

from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.feed import EventFeed
from watchtower_agent.errors import WatchtowerError

CAPACITY = 100_000
"""Events that may wait for the loop."""

CAPACITY_BYTES = 256 * 1024 * 1024
"""Bytes that may wait for the loop: 100,000 events with large labels would not fit in memory."""

_AT_ONCE = 500
"""Lines that are handed over without more being waited for."""
FLOOD = 100
"""Lines at once, after which the stream is not left alone the next time: the socket between holds 90 to 170."""

Ts = TypeVarTuple("Ts")


class StreamEnd(StrEnum):
    """Why a stream gives no more lines."""

    CLOSED = "its event stream ended"
    OVERFLOW = "events came faster than the agent could take them"
    ABORTED = "the agent ended the event stream"


class EventStream:
    """One subscription. Owned by the event loop; its reader is a daemon thread.

    Args:
        calls: The blocking API.
        since_ns: The engine replays its ring from this stamp on.
        capacity: Events that may wait in the buffer.
        capacity_bytes: Bytes that may wait in the buffer.
    """

    def __init__(
        self,
        calls: EngineCalls,
        *,
        since_ns: int,
        capacity: int = CAPACITY,
        capacity_bytes: int = CAPACITY_BYTES,
    ) -> None:
        self._calls = calls
        self._since_ns = since_ns
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._is_open = False
        self._finished = asyncio.Event()
        self._ready = asyncio.Event()
        self._thread = threading.Thread(target=self._read, name="engine-events", daemon=True)
        # Shared with the reader, under the lock, which is only ever held for a moment.
        self._lock = threading.Lock()
        self._buffer: deque[bytes] = deque()
        self._bytes = 0
        self._waking = False
        self._ended: StreamEnd | None = None
        self._abort: StreamEnd | None = None
        self._stop_reading: Callable[[], None] = _nothing
        # One writes, the other reads.
        self._gathers = False
        self._gather_until = 0.0

    async def open(self) -> None:
        """Subscribe.

        Raises:
            TemporaryError: The engine does not answer.
        """
        self._thread.start()
        await self._opened
        self._is_open = True

    async def take(self, limit: int) -> list[bytes]:
        """The next lines, as soon as there are any; empty when the stream has ended and all were taken."""
        while True:
            with self._lock:
                lines = [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]
                self._bytes -= sum(map(len, lines))
                if lines or self._ended:
                    return lines
                self._ready.clear()
                self._waking = False
            await self._ready.wait()

    async def gather(self, seconds: float) -> None:
        """Let lines come together for so long, or until the stream ends: a replay must not be waited for.

        Where the reader can, it is left to it, and what comes does not even wake its thread; else it is waited for.
        """
        if self._gathers:
            self._gather_until = self._loop.time() + seconds
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._finished.wait()

    @property
    def end(self) -> StreamEnd | None:
        """Why it ended; None while it goes on."""
        with self._lock:
            return self._ended

    @property
    def waiting(self) -> int:
        """Events in the buffer."""
        return len(self._buffer)

    async def close(self) -> None:
        """End the subscription and wait until the reader is gone, which is at once."""
        with self._lock:
            self._abort = StreamEnd.ABORTED
            stop = self._stop_reading
        stop()
        if self._is_open:
            await self._finished.wait()
        # Else it still asks, or was refused: its thread ends by the request's own time limit, nobody waits for it.

    def _read(self) -> None:
        try:
            feed = self._calls.open_events(self._since_ns)
        except WatchtowerError as error:
            self._finish(StreamEnd.CLOSED, error)
            return
        with self._lock:
            self._stop_reading = feed.abort
            aborted = self._abort is not None
        end = StreamEnd.CLOSED
        try:
            if not aborted:
                self._tell(self._settle_opened, None)
                self._gathers = feed.gathers
                for lines in self._gathered(feed):
                    if not self._offer(lines):
                        end = StreamEnd.OVERFLOW
                        break
        finally:
            with self._lock:
                self._stop_reading = _nothing
            feed.close()
            self._finish(end, None)

    def _gathered(self, feed: EventFeed) -> Iterator[list[bytes]]:
        """Lines as they come; while they are to be gathered, all that came meanwhile in one go."""
        held: list[bytes] = []
        gathering, flood = False, False
        for lines in feed.lines():
            held += lines
            wait = self._gather_until - self._loop.time()
            gathering = gathering or wait > 0
            if gathering and len(held) < _AT_ONCE:
                if feed.more():
                    continue
                if wait > 0 and not flood:
                    feed.leave(wait)
                    if feed.more():
                        continue
            flood = len(held) >= FLOOD
            yield held
            held, gathering = [], False
        if held:
            yield held

    def _offer(self, lines: list[bytes]) -> bool:
        """Put lines into the buffer and wake the loop, once for however many come before it wakes.

        Returns:
            False when there is no room.
        """
        size = sum(map(len, lines))
        with self._lock:
            if len(self._buffer) + len(lines) > self._capacity or self._bytes + size > self._capacity_bytes:
                return False
            self._buffer.extend(lines)
            self._bytes += size
            wake, self._waking = not self._waking, True
        if wake:
            self._tell(self._ready.set)
        return True

    def _finish(self, end: StreamEnd, error: WatchtowerError | None) -> None:
        with self._lock:
            self._ended = self._abort or end
        self._tell(self._settle_opened, error)
        self._tell(self._ready.set)
        self._tell(self._finished.set)

    def _settle_opened(self, error: WatchtowerError | None) -> None:
        if not self._opened.done():
            if error is None:
                self._opened.set_result(None)
            else:
                self._opened.set_exception(error)

    def _tell(self, function: Callable[[*Ts], object], *args: *Ts) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return  # the loop is closed: the agent has ended


def _nothing() -> None:
    """Nothing is being read: nothing is to be stopped."""
