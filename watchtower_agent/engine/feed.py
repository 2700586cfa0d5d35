"""One open answer of `/events`, as lines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from http.client import HTTPException

from watchtower_agent.engine.event import MAX_LINE, shortened
from watchtower_agent.engine.transport import Stream


def split_lines(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The lines that each chunk ends; of one that is longer than MAX_LINE only its begin and its end.

    What follows the last end of a line is none: the connection was cut.
    """
    rest, head = b"", b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        if head and whole:
            whole[0] = shortened(head, whole[0])
            head = b""
        if len(rest) > MAX_LINE:
            head = head or rest
            rest = rest[-MAX_LINE // 2 :]
        if lines := [shortened(line, line) if len(line) > MAX_LINE else line for line in whole if line.strip()]:
            yield lines


class EventFeed:
    """Reads lines in one thread; any thread may `abort` it.

    Args:
        stream: Of an answer whose head was read.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def lines(self) -> Iterator[list[bytes]]:
        """Batches of lines as they arrive. Ends without an error when the engine ends the stream or it is aborted."""
        with contextlib.suppress(OSError, HTTPException, ValueError):
            yield from split_lines(self._stream.chunks())

    @property
    def gathers(self) -> bool:
        """Whether it can be left for a moment; see `leave` and `more`."""
        return self._stream.gathers

    def leave(self, seconds: float) -> None:
        """Let lines come together for so long, or until the stream ends. By the thread that reads."""
        self._stream.leave(seconds)

    def more(self) -> bool:
        """Whether more than was read is here already. By the thread that reads."""
        return self._stream.more()

    def abort(self) -> None:
        """Make a blocked read return."""
        self._stream.abort()

    def close(self) -> None:
        """Close the connection. Only by the thread that reads, after it has stopped."""
        self._stream.close()
