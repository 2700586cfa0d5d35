"""Whoever asks over HTTP, well or badly: what is answered, and that nobody keeps it from others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from tests.support.broker import free_port
from tests.support.exposition import container, exposition
from watchtower_agent.model.exposition import Exposition
from watchtower_agent.serving import metric_table
from watchtower_agent.serving.http import MOST_CONNECTIONS, MOST_SCRAPES, HttpServer
from watchtower_agent.serving.http_request import LONGEST_HEAD


class _Agent:
    """Is well, unless told otherwise."""

    def __init__(self, containers: int = 3) -> None:
        self.wrong: Sequence[str] = ()
        self.told = exposition([container(number) for number in range(containers)])
        self.asked = 0

    def ailing(self) -> Sequence[str]:
        return self.wrong

    def not_ready(self) -> Sequence[str]:
        return self.wrong

    async def exposition(self) -> Exposition:
        self.asked += 1
        return self.told


async def _until(known: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while True:
            if known():
                return
            await asyncio.sleep(0.005)


@asynccontextmanager
async def _serving(agent: _Agent, **options: float) -> AsyncIterator[int]:
    server = HttpServer("127.0.0.1", free_port(), labels={}, **{"request_time": 0.5, "retry": 0.02, **options})
    task = asyncio.create_task(server.run(agent))
    await _until(lambda: server.listening)
    try:
        yield int(server.listening.rpartition(":")[2])
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert server.listening == ""


async def _said(port: int, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def _get(port: int, path: str, method: str = "GET", headers: str = "") -> tuple[int, str]:
    answer = (await _said(port, f"{method} {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n".encode())).decode()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split(" ")[1]), body


async def test_metrics_health_and_readiness_are_answered() -> None:
    agent = _Agent()
    async with _serving(agent) as port:
        status, body = await _get(port, "/metrics?x=1")
        assert status == 200
        assert 'container_threads{id="/docker/' in body
        assert not body.endswith("# EOF\n")
        accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4\r\n"
        assert (await _get(port, "/metrics", headers=accept))[1].endswith("# EOF\n")
        assert await _get(port, "/healthz") == (200, "alive\n")
        assert await _get(port, "/readyz") == (200, "ready\n")
        agent.wrong = ("the engine is not connected: \ud800", "the broker is not connected")
        assert await _get(port, "/readyz") == (503, "the engine is not connected: ?\nthe broker is not connected\n")
        assert (await _get(port, "/healthz"))[0] == 503
        assert (await _get(port, "/other"))[0] == 404


async def test_head_has_the_length_and_no_body() -> None:
    async with _serving(_Agent()) as port:
        answer = await _said(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")
        length = int(answer.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
        assert length == len((await _get(port, "/metrics"))[1].encode())
        assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"405"),
        (b"GET /metrics HTTP/2.0\r\n\r\n", b"400"),
        (b"GET http://evil/metrics HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"GET /m\xc3\xa9trics HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400"),
        (b"GET /" + b"a" * LONGEST_HEAD + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * LONGEST_HEAD, b"431"),
    ],
)
async def test_a_request_that_is_none_is_refused(raw: bytes, status: bytes) -> None:
    async with _serving(_Agent()) as port:
        assert (await _said(port, raw)).startswith(b"HTTP/1.1 " + status)
        assert (await _get(port, "/healthz"))[0] == 200


async def test_one_request_is_answered_a_connection() -> None:
    async with _serving(_Agent()) as port:
        answer = await _said(port, b"GET /healthz HTTP/1.1\r\n\r\n" * 3)
        assert answer.count(b"HTTP/1.1 200") == 1
        assert b"Connection: close" in answer


async def test_those_who_say_nothing_are_let_go() -> None:
    async with _serving(_Agent(), request_time=0.3) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
        for reader, writer in silent:
            with suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 30) == b""
            writer.close()
        assert (await _get(port, "/healthz"))[0] == 200


async def test_no_more_than_a_few_are_held() -> None:
    async with _serving(_Agent(), request_time=60.0) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
        try:
            with suppress(ConnectionError):
                assert await _said(port, b"GET /healthz HTTP/1.1\r\n\r\n") == b"", "one more than that is not heard"
        finally:
            for _, writer in silent:
                writer.close()
        async with asyncio.timeout(30):
            while not (await _said(port, b"GET /healthz HTTP/1.1\r\n\r\n")):
                pass


async def test_those_who_do_not_read_are_let_go() -> None:
    async with _serving(_Agent(2000), answer_time=0.5) as port:
        lines = []
        for _ in range(MOST_SCRAPES):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            writer.transport.pause_reading()  # type: ignore[attr-defined] # of a transport that reads, which this one is
            writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
            lines.append(writer)
        assert (await _get(port, "/healthz"))[0] == 200
        async with asyncio.timeout(20):
            while (await _get(port, "/metrics"))[0] != 200:
                pass
        for writer in lines:
            writer.close()


async def test_four_hundred_containers_are_told_a_piece_at_a_time() -> None:
    agent, turns = _Agent(400), 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(turn)

    async with _serving(agent) as port:
        await _get(port, "/metrics")  # the library is loaded by now
        turn()
        status, body = await _get(port, "/metrics")
    assert status == 200
    assert body.count("\n") > 8000
    metrics = len(metric_table.OWN) + len(metric_table.OF_CONTAINERS)
    assert turns > metrics, "whoever has something to do waits for one metric, not for all"


async def test_a_port_that_is_in_use_is_tried_again() -> None:
    listener = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    server = HttpServer("127.0.0.1", port, labels={}, retry=0.02)
    task = asyncio.create_task(server.run(_Agent()))
    async with listener:
        await _until(lambda: server.error)
    assert server.listening == ""
    assert server.error == (f"The address 127.0.0.1:{port} (http.listen) can't be listened on: address already in use.")
    await _until(lambda: server.listening)
    assert server.error == ""
    assert (await _get(port, "/healthz"))[0] == 200
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
