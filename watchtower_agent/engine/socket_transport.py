"""Requests over a socket, without the SDK: it takes several times as long for each, and long to be loaded."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from watchtower_agent.engine.transport import NO_HEADERS, Answer

_CHUNK: Final = 65536
_CHUNK_END: Final = b"\r\n"
_KEPT: Final = 16
"""Idle connections kept: as many as there are threads that call."""


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """As the class above, there."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.settimeout(self.timeout)
            link.connect(self._path)
        except BaseException:
            link.close()
            raise
        self.sock = link

    def wait_at_most(self, seconds: float) -> None:
        """From now on, for each part of an answer."""
        self.timeout = seconds
        if self.sock is not None:
            self.sock.settimeout(seconds)

    def exchange(self, method: str, target: str, body: Mapping[str, object] | None) -> http.client.HTTPResponse:
        """One request, with JSON or without, until the head of its answer has come."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        self.request(method, target, body=content, headers=headers)
        return self.getresponse()

    def end(self) -> None:
        """Close it, and end whatever carried it. Its answer, too, has been read or is given up."""
        self.close()

    def is_quiet(self) -> bool:
        """Whether it may be used again: an engine that hangs up says so, and nothing else comes unasked."""
        if self.sock is None:
            return False
        poll = select.poll()  # unlike `select`, it knows descriptors above 1,023
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)


class SocketTransport:
    """Implements `Transport`, with connections that are kept between requests.

    Args:
        new: Makes a connection, given seconds for each part of an answer.
        kept: How many idle connections are kept.
    """

    def __init__(self, new: Callable[[float], SocketConnection], *, kept: int = _KEPT) -> None:
        self._new = new
        self._kept = kept
        self._lock = threading.Lock()
        self._idle: list[SocketConnection] = []
        self._closed = False

    def ask(self, method: str, target: str, *, body: Mapping[str, object] | None = None, timeout: float) -> Answer:
        """One request, with JSON or without; `timeout` in seconds for each part of the answer."""
        connection = self._take(timeout)
        try:
            response = connection.exchange(method, target, body)
            content = response.read()
        except BaseException:
            connection.end()
            raise
        self._give_back(connection)
        headers = {name.lower(): value for name, value in response.getheaders()} if method == "HEAD" else NO_HEADERS
        return Answer(status=response.status, content=content, headers=headers)

    def open(self, target: str, *, timeout: float) -> SocketStream:
        """GET what has no end; `timeout` in seconds until its begin."""
        connection = self._new(timeout)
        try:
            connection.connect()
            link = connection.sock
            return SocketStream(connection, link, connection.exchange("GET", target, None))
        except BaseException:
            connection.end()
            raise

    def close(self) -> None:
        """Close idle connections; the others follow when their answers were read."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.end()

    def _take(self, timeout: float) -> SocketConnection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._new(timeout)
            if connection.is_quiet():
                connection.wait_at_most(timeout)
                return connection
            connection.end()

    def _give_back(self, connection: SocketConnection) -> None:
        if connection.sock is None:  # the engine wanted it closed after the answer
            connection.end()
            return
        with self._lock:
            if not self._closed and len(self._idle) < self._kept:
                self._idle.append(connection)
                return
        connection.end()


class SocketStream:
    """Implements `Stream`.

    Args:
        connection: Its own.
        link: What the answer comes over; the connection forgets it where the answer ends with it.
        response: Its head was read.
    """

    gathers = True

    def __init__(self, connection: SocketConnection, link: socket.socket, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._link = link
        self._response = response

    def status(self) -> int:
        """Of HTTP."""
        return self._response.status

    def chunks(self) -> Iterator[bytes]:
        """Its body as it arrives, waited for without a limit."""
        # The time limit was for the answer's head. Whether a silent stream lives is the pings' business.
        self._link.settimeout(None)
        while data := self._response.read1(_CHUNK):
            yield data

    def leave(self, seconds: float) -> None:
        """Let its body come together for so long, or until it ends."""
        poll = select.poll()
        poll.register(self._link, select.POLLRDHUP)  # not for what can be read
        poll.poll(seconds * 1000)

    def more(self) -> bool:
        """Whether more of its body is here already; never waits."""
        # What ends a chunk is no more of the body: it is read with the next chunk, for which a reader would wait.
        ends = len(_CHUNK_END) if self._response.chunk_left == 0 else 0
        try:
            self._link.settimeout(0)
            try:
                held = len(self._response.fp.peek(1))  # takes from the socket only if nothing is held
            finally:
                self._link.settimeout(None)
            return held > ends or held + self._waiting(ends + 1) > ends
        except (OSError, ValueError, AttributeError):
            return True  # who reads it hears why

    def _waiting(self, most: int) -> int:
        """How many bytes the socket holds, counted no further than that."""
        try:
            return len(self._link.recv(most, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return 0

    def rest(self) -> bytes:
        """What is left of its body, where it has an end after all: within the request's time limit."""
        return self._response.read()

    def abort(self) -> None:
        """Make a blocked read return."""
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._response.close()
        self._link.close()
        self._connection.end()
