"""Commands through a real broker: what it brings late, and what it is to keep."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker import PersistentSubscriber, PrivateBroker
from tests.support.control import FakeControl
from tests.support.inbound import speaker
from tests.support.publishing import Station, station
from watchtower_agent.clock import SystemClock
from watchtower_agent.publishing.broker_options import MqttOptions, MqttProtocol
from watchtower_agent.publishing.topics import Topics
from watchtower_agent.serving.commands import Commands

TOPICS = Topics(base="watchtower", host="h1")
APPROVE = f"{TOPICS.commands}approve"


@contextlib.asynccontextmanager
async def commanded(
    folder: Path, broker: PrivateBroker, control: FakeControl, protocol: MqttProtocol = MqttProtocol.V5
) -> AsyncIterator[Station]:
    """A station that takes approvals, and has subscribed to them."""
    options = MqttOptions(url=broker.url, host="h1", client_id="watchtower-h1", protocol=protocol)
    granted = broker.log.count("Sending SUBACK to watchtower-h1")
    async with station(folder, options) as agent:
        commands = Commands(
            control,
            agent.publisher,
            allowed=["approve"],
            topics=(TOPICS.commands, TOPICS.replies),
            clock=SystemClock(),
        )
        running = asyncio.create_task(commands.run())
        commands.listen()
        try:
            await agent.until(lambda: broker.log.count("Sending SUBACK to watchtower-h1") > granted)
            yield agent
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def words(number: object) -> str:
    return json.dumps({"id": f"r{number}", "approval": f"a{number}"})


async def replied(subscriber: PersistentSubscriber, sender: str, count: int = 1) -> dict[str, Any]:
    """The newest of so many replies."""
    found = await subscriber.until_topic(f"/reply/{sender}", count=count)
    newest: dict[str, Any] = json.loads(found[-1].payload)
    return newest


async def said_until_done(say: Callable[..., None], subscriber: PersistentSubscriber, number: str) -> int:
    """Say it again as long as it may have come before the agent; how often that was."""
    for count in range(1, 1000):
        say(APPROVE, words(number))
        if (await replied(subscriber, f"r{number}", count))["ok"]:
            return count
    raise AssertionError("it was never done")


@pytest.mark.parametrize("protocol", MqttProtocol)
async def test_none_is_done_that_came_while_the_agent_was_away_however_many(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber, protocol: MqttProtocol
) -> None:
    control = FakeControl()
    with speaker(broker.port) as say:
        async with commanded(tmp_path, broker, control, protocol):
            asked = await said_until_done(say, subscriber, "-there")
        for number in range(60):  # the broker sends 20 at once, and the others as these are acknowledged
            say(APPROVE, words(number))
        async with commanded(tmp_path, broker, control, protocol):
            await subscriber.until_topic("/reply/", count=asked + 60)
            assert [each["approve"] for each in control.asked] == ["a-there"]
            await said_until_done(say, subscriber, "-again")
    assert [each["approve"] for each in control.asked] == ["a-there", "a-again"]
    refused = [json.loads(each.payload) for each in subscriber.on("/reply/r")]
    assert any("may have come while the agent was away" in each.get("error", "") for each in refused)


async def test_a_command_that_is_to_be_kept_is_not_done_where_the_broker_says_so(
    tmp_path: Path, broker: PrivateBroker, subscriber: PersistentSubscriber
) -> None:
    control = FakeControl()
    with speaker(broker.port) as say:
        async with commanded(tmp_path, broker, control):
            asked = await said_until_done(say, subscriber, "-there")
            say(APPROVE, words("-kept"), retain=True)
            say(APPROVE, "", retain=True)
            say(APPROVE, words("-new"))
            assert (await replied(subscriber, "r-new"))["ok"]
    assert [each["approve"] for each in control.asked] == ["a-there", "a-new"]
    *before, reply = subscriber.on("/reply/")
    assert len(before) == asked
    assert (reply.retain, reply.content_type, reply.expiry) == (False, "application/json", 60)
