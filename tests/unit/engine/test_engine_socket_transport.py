"""Requests over a unix socket, against a server of the test's own that answers as it is told."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.raw_server import CLOSE, OK, Server
from watchtower_agent.engine.socket_transport import SocketConnection, SocketTransport

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_THE_END = b"HTTP/1.0 200 OK\r\n\r\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "s")
    yield server
    server.close()


@pytest.fixture
def transport(server: Server, tmp_path: Path) -> Iterator[SocketTransport]:  # noqa: ARG001 - it must listen
    transport = SocketTransport(partial(SocketConnection, str(tmp_path / "s")))
    yield transport
    transport.close()


def ask(transport: SocketTransport, target: str = "/x?a=b") -> bytes:
    return transport.ask("POST", target, timeout=0.5).content


def test_requests_share_a_connection(server: Server, transport: SocketTransport) -> None:
    server.answers = [OK, OK, b"HTTP/1.1 204 No Content\r\n\r\n", OK]
    assert [ask(transport) for _ in range(4)] == [b"OK", b"OK", b"", b"OK"]
    assert (server.connections, server.requests) == (1, 4 * ["POST /x?a=b"])


def test_a_connection_that_was_closed_meanwhile_is_not_used(server: Server, transport: SocketTransport) -> None:
    server.answers = [OK, OK]
    ask(transport)
    server.hang_up()
    assert ask(transport) == b"OK"
    assert server.connections == 2


def test_an_answer_that_ends_with_its_connection(server: Server, transport: SocketTransport) -> None:
    server.answers = [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK", OK]
    assert [ask(transport), ask(transport)] == [b"OK", b"OK"]
    assert server.connections == 2


def test_what_may_have_reached_the_engine_is_asked_once(server: Server, transport: SocketTransport) -> None:
    server.answers = [OK, CLOSE]
    ask(transport)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(transport)
    assert len(server.requests) == 2


def test_an_engine_that_does_not_answer(server: Server, transport: SocketTransport) -> None:
    server.answers = [None, OK]
    with pytest.raises(TimeoutError):
        transport.ask("GET", "/x", timeout=0.05)
    assert ask(transport) == b"OK"  # on another connection: the late answer would be taken for this one
    assert server.connections == 2


@pytest.mark.parametrize("head", [CHUNKED, UNTIL_THE_END])
def test_a_stream_is_waited_for_beyond_the_time_limit_until_it_is_aborted(
    server: Server, transport: SocketTransport, head: bytes
) -> None:
    server.answers = [head + (b"3\r\none\r\n" if head is CHUNKED else b"one")]
    stream = transport.open("/events", timeout=0.05)
    chunks = stream.chunks()
    assert (stream.status(), next(chunks)) == (200, b"one")
    threading.Timer(0.2, stream.abort).start()
    with pytest.raises((StopIteration, http.client.IncompleteRead)):
        next(chunks)
    stream.close()


@pytest.mark.parametrize("head", [CHUNKED, UNTIL_THE_END])
def test_a_stream_that_is_left_alone_tells_what_has_come_since(
    server: Server, transport: SocketTransport, head: bytes
) -> None:
    def part(text: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(text), text) if head is CHUNKED else text

    server.answers = [head + part(b"one")]
    stream = transport.open("/events", timeout=0.05)
    chunks = stream.chunks()
    assert stream.gathers
    assert next(chunks) == b"one"
    assert not stream.more()
    threading.Timer(0.05, server.write, [part(b"two") + part(b"three")]).start()
    begun = time.monotonic()
    stream.leave(0.2)
    assert time.monotonic() - begun >= 0.2, "what comes wakes nobody"
    assert stream.more()
    assert b"".join(itertools.islice(chunks, 2 if head is CHUNKED else 1)) == b"twothree"
    assert not stream.more()
    threading.Timer(0.05, server.hang_up).start()
    begun = time.monotonic()
    stream.leave(60.0)
    assert time.monotonic() - begun < 30, "its end does"
    with contextlib.suppress(http.client.IncompleteRead):
        assert list(chunks) == []
    stream.close()


@pytest.mark.parametrize("size", [3, 8192 - 6, 8192 - 5, 8192 - 4])  # what is read at once may end with a chunk's text
@pytest.mark.parametrize("cut", range(1, 5))
def test_what_ends_a_part_is_no_more_of_it_wherever_it_was_cut(
    server: Server, transport: SocketTransport, size: int, cut: int
) -> None:
    text = b"a" * (size - 1) + b"\n"
    part = b"%x\r\n%s\r\n" % (size, text)
    server.answers = [CHUNKED + part[:-cut]]
    stream = transport.open("/events", timeout=0.05)
    chunks = stream.chunks()
    came = b""
    while len(came) < size - max(0, cut - 2):
        came += next(chunks)
    assert not stream.more()
    for place in range(len(part) - cut, len(part)):
        server.write(part[place : place + 1])
        if len(came) < size:
            assert stream.more(), "of the text"
            came += next(chunks)
        assert not stream.more(), "there is nothing to be read, and whoever tried would wait"
    assert came == text
    server.write(part)
    assert stream.more()
    stream.close()


def test_a_stream_that_is_left_alone_can_be_aborted(server: Server, transport: SocketTransport) -> None:
    server.answers = [CHUNKED]
    stream = transport.open("/events", timeout=0.5)
    threading.Timer(0.05, stream.abort).start()
    begun = time.monotonic()
    stream.leave(60.0)
    assert time.monotonic() - begun < 30
    stream.close()


def test_no_connection_is_left_behind(server: Server, transport: SocketTransport) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    server.answers = [OK, CHUNKED, CLOSE]
    ask(transport)
    stream = transport.open("/events", timeout=0.5)
    stream.close()
    transport.close()
    with pytest.raises(http.client.RemoteDisconnected):
        ask(transport)
    server.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
