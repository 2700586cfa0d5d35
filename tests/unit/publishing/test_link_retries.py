"""How long the link waits before it tries its broker again."""

from __future__ import annotations

import asyncio

import pytest

from watchtower_agent.publishing import client
from watchtower_agent.publishing.broker_options import MqttOptions, parse_broker_url
from watchtower_agent.publishing.link import MqttLink
from watchtower_agent.publishing.mqtt import MqttConnection, RefusedError, connect


async def test_agents_that_lost_one_broker_come_back_spread_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []
    tries: asyncio.Queue[None] = asyncio.Queue()

    def chance(low: float, high: float) -> float:
        asked.append((low, high))
        return 0.001  # no wait is so short without it

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.put_nowait(None)
        writer.close()

    async def serve(_connection: MqttConnection) -> None:
        raise AssertionError("nobody takes the connection")

    monkeypatch.setattr("random.uniform", chance)
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        link = MqttLink(MqttOptions(url=f"mqtt://127.0.0.1:{port}", host="h1", client_id="h1"), delays=(60.0, 60.0))
        running = asyncio.create_task(link.run(serve))
        async with asyncio.timeout(10):
            for _ in range(3):
                await tries.get()
        link.stop()
        await running
    assert link.pause == 60.0
    assert set(asked) == {(0.5, 1.0)}


async def test_an_attempt_that_is_given_up_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the kernel sends its CONNECT for minutes where packets are lost, and it throws out the next connection."""
    ends: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"h1")
            ends.put_nowait(await reader.read(-1))
        except ConnectionError as error:
            ends.put_nowait(error)
        writer.close()

    monkeypatch.setattr(client, "_CONNECT_TIMEOUT", 0.1)
    async with await asyncio.start_server(keep_silent, "127.0.0.1", 0) as server:
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(RefusedError):
            await connect(MqttOptions(url=url, host="h1", client_id="h1"), parse_broker_url(url))
        async with asyncio.timeout(10):
            assert isinstance(await ends.get(), ConnectionResetError), "not ended in order: what waits is not sent"
    await asyncio.sleep(0)  # the client's task of chores, which was cancelled, ends
