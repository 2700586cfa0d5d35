"""How long the link waits before it tries its broker again."""

from __future__ import annotations

import asyncio

import pytest

from watchtower_agent.publishing.broker_options import MqttOptions
from watchtower_agent.publishing.link import MqttLink
from watchtower_agent.publishing.mqtt import MqttConnection


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
