"""One open answer of `/events`, as lines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import requests
import urllib3

from watchtower_agent.engine.event import MAX_LINE, shortened


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
        response: Of a streaming request whose head was read.
    """

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self._raw: urllib3.HTTPResponse = response.raw
        connection = self._raw.connection
        if connection is not None and connection.sock is not None:
            # The time limit was for the answer's head. Whether a silent stream lives is the pings' business.
            connection.sock.settimeout(None)

    def lines(self) -> Iterator[list[bytes]]:
        """Batches of lines as they arrive. Ends without an error when the engine ends the stream or it is aborted."""
        with contextlib.suppress(urllib3.exceptions.HTTPError, requests.RequestException, OSError, ValueError):
            yield from split_lines(self._chunks())

    def abort(self) -> None:
        """Make a blocked read return."""
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            self._raw.shutdown()

    def close(self) -> None:
        """Close the connection. Only by the thread that reads, after it has stopped."""
        with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
            self._response.close()

    def _chunks(self) -> Iterator[bytes]:
        if self._raw.chunked:
            yield from self._raw.read_chunked()
            return
        # A proxy may have turned the chunked answer into one that ends with the connection.
        while data := self._raw.read1(65536):
            yield data
