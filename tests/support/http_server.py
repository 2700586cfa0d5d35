"""A server on a loopback port that answers as the test wants: byte by byte, without end, or not at all."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Behaviour = Callable[[socket.socket, threading.Event], None]
"""What it does with a connection on which a question came, until the event is set."""


@dataclass(slots=True)
class HttpServer:
    """What it was asked.

    Attributes:
        port: On 127.0.0.1.
        behave: What it does with the next question; may be changed.
        asked: Each head, in order.
        news: Set at each question; whoever waits clears it.
    """

    port: int
    behave: Behaviour
    asked: list[str] = field(default_factory=list)
    news: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, target: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{target}"

    @property
    def targets(self) -> list[str]:
        return [head.split(" ")[1] for head in self.asked]


def body(content: bytes | str, *, status: str = "200 OK", length: int | None = None, headers: str = "") -> Behaviour:
    """An answer in one piece, as long as it says unless told otherwise."""
    raw = content.encode() if isinstance(content, str) else content

    def behave(line: socket.socket, _: threading.Event) -> None:
        said = len(raw) if length is None else length
        line.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {said}\r\n{headers}\r\n".encode() + raw)

    return behave


def raw(content: bytes) -> Behaviour:
    """These bytes, and the end."""
    return lambda line, _: line.sendall(content)


def drip(start: bytes, drop: bytes) -> Behaviour:
    """Some bytes, and then a drop now and then for ever: no read of it ever takes long."""

    def behave(line: socket.socket, over: threading.Event) -> None:
        line.sendall(start)
        while not over.wait(0.02):
            line.sendall(drop)

    return behave


def silent(_: socket.socket, over: threading.Event) -> None:
    """No word."""
    over.wait()


@contextlib.contextmanager
def http_server(behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> Iterator[HttpServer]:
    """A server; every connection has a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HttpServer(listener.getsockname()[1], behave)
        threads = [threading.Thread(target=_accept, args=(listener, server, tls), daemon=True)]
        threads[0].start()
        try:
            yield server
        finally:
            server.over.set()
            listener.shutdown(socket.SHUT_RDWR)
            threads[0].join(10)


def _accept(listener: socket.socket, server: HttpServer, tls: ssl.SSLContext | None) -> None:
    workers = []
    with contextlib.suppress(OSError):  # the test is over
        while True:
            line, _ = listener.accept()
            workers.append(threading.Thread(target=_answer, args=(line, server, tls), daemon=True))
            workers[-1].start()
    for worker in workers:
        worker.join(10)


def _answer(line: socket.socket, server: HttpServer, tls: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:  # who asks may hang up
        line = stack.enter_context(line if tls is None else tls.wrap_socket(line, server_side=True))
        head = b""
        while b"\r\n\r\n" not in head:
            piece = line.recv(65536)
            if not piece:
                return
            head += piece
        server.asked.append(head.decode("latin-1"))
        server.news.set()
        server.behave(line, server.over)
