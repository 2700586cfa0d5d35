"""A server on a unix socket that answers as a test tells it, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
CLOSE = b""
"""In place of an answer: the connection is closed."""


class Server:
    """Answers each request with the next of its answers.

    Attributes:
        connections: How many were accepted.
        requests: Method and target of each that came.
    """

    def __init__(self, path: Path) -> None:
        self.connections = 0
        self.requests: list[str] = []
        self.answers: list[bytes | None] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # lets its thread go, which else accepts one more
        self._listener.close()
        for link in self._open:
            link.close()

    def hang_up(self) -> None:
        """Close every connection."""
        for link in self._open:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def write(self, content: bytes) -> None:
        """More, on every connection."""
        for link in self._open:
            link.sendall(content)

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(link)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        with link, contextlib.suppress(OSError):  # the client hung up
            while data := link.recv(65536):
                self.requests.append(data.split(b" HTTP/1.1\r\n")[0].decode())
                answer = self.answers.pop(0)
                if answer == CLOSE:
                    return
                if answer is not None:
                    link.sendall(answer)
