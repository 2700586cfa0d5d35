"""Pings over a unix socket, against a server of the test's own that answers as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.raw_server import CLOSE, OK, Server
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.errors import TemporaryError

PING = "GET /_ping"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "s")
    yield server
    server.close()


@pytest.fixture
def calls(server: Server, tmp_path: Path) -> Iterator[EngineCalls]:  # noqa: ARG001 - it must listen
    calls = EngineCalls(EngineAddress(url=f"unix://{tmp_path / 's'}", source="test"), clock=SystemClock(), timeout=0.3)
    yield calls
    calls.close()


def test_all_pings_share_one_connection(server: Server, calls: EngineCalls) -> None:
    server.answers = [OK, OK, OK]
    assert all(0 <= calls.ping() < 10 for _ in range(3))
    assert (server.connections, server.requests) == (1, 3 * [PING])


def test_a_connection_that_the_engine_closed_meanwhile_is_no_failure(server: Server, calls: EngineCalls) -> None:
    server.answers = [OK, CLOSE, OK, OK]
    calls.ping()
    calls.ping()
    calls.ping()
    assert (server.connections, server.requests) == (2, 4 * [PING])


def test_an_engine_that_closes_each_connection_does_not_live(server: Server, calls: EngineCalls) -> None:
    server.answers = [CLOSE, OK, CLOSE, CLOSE, OK]
    with pytest.raises(TemporaryError, match="a ping:"):
        calls.ping()
    calls.ping()
    with pytest.raises(TemporaryError, match="a ping:"):
        calls.ping()
    calls.ping()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "did not answer in time"),
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "500 Internal Server Error"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000, "200 OK"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "headers"),
    ],
    ids=["silence", "error", "not http", "endless", "too many headers"],
)
def test_what_is_no_sign_of_life(server: Server, calls: EngineCalls, answer: bytes | None, words: str) -> None:
    server.answers = [OK, answer, OK]
    calls.ping()
    with pytest.raises(TemporaryError, match=words):
        calls.ping()
    calls.ping()


def test_nobody_listens(server: Server, calls: EngineCalls) -> None:
    server.close()
    with pytest.raises(TemporaryError, match="is the engine running"):
        calls.ping()


def test_no_connection_is_left_behind(server: Server, calls: EngineCalls) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    server.answers = [OK, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"]
    calls.ping()
    with pytest.raises(TemporaryError):
        calls.ping()
    server.answers = [OK]
    calls.ping()
    calls.close()
    server.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_who_asks_while_all_is_closed_is_answered_and_leaves_no_connection_open(
    server: Server, calls: EngineCalls
) -> None:
    version = b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"ApiVersion": "1.44"}'
    info = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"Images": 3}'
    calls.close()
    server.answers = [OK, OK, version, info, version, info]
    calls.ping()
    calls.ping()
    assert server.connections == 2
    assert (calls.images(), calls.images()) == (3, 3)
    assert server.connections == 6
