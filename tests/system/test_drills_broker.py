"""The broker is down, killed, frozen while events flow: everything arrives, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.busy import tag_often, untag
from tests.support.engine import PrivateEngine
from tests.support.numbers import drill
from tests.support.tape import EngineTape

EVENTS = drill(reduced=1500, full=10_000)
KILLS = drill(reduced=3, full=20)
POLICIES = "version: 1\npolicies: []\n"


@pytest.fixture
def tagging_engine(engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """The run's engine, without the tags that the test makes."""
    yield engine
    untag(engine)


def in_order(host: Host) -> bool:
    """Within each topic, what came first happened first."""
    by_topic: dict[str, dict[str, int]] = {}
    for event in host.watch.events:
        by_topic.setdefault(event.topic, {}).setdefault(event.document["id"], int(event.document["sequence"]))
    return all(list(first.values()) == sorted(first.values()) for first in by_topic.values())


async def all_arrived(host: Host, tape: EngineTape) -> None:
    """The subscriber has every event of the engine, each topic's in order."""
    host.engine.docker("tag", "tagged:t0", "tagged:last")
    host.engine.docker("rmi", "tagged:last")
    wanted = set(tape.published())
    await host.watch.until(lambda _: any(event.action == "untag" for event in host.watch.events), timeout=60)
    await host.watch.until(lambda _: wanted <= set(host.watch.engine_events()), timeout=60)
    assert in_order(host)
    assert host.watch.told("agent", "event_gap") == []


@pytest.mark.full
async def test_what_happens_while_the_broker_is_down_arrives_in_order_afterwards(
    tagging_engine: PrivateEngine, make_broker: Callable[..., PrivateBroker], make_host: Callable[..., Host]
) -> None:
    broker = make_broker()
    with EngineTape(tagging_engine) as tape:
        host = make_host(tagging_engine, broker, POLICIES, proxied=False)
        broker.stop()
        host.agent.wait_log("mqtt_down")
        await asyncio.to_thread(tag_often, tagging_engine, EVENTS)
        outbox = host.agent.status()["outbox"]
        assert outbox["depth"] >= EVENTS - 100
        assert outbox["dropped"] == 0
        if EVENTS > 1500:
            host.agent.kill()
            host.agent.start(ready=False)
        broker.start()

        await all_arrived(host, tape)

    assert host.agent.status()["mqtt"]["connected"] is True
    host.agent.stop()
    assert host.agent.query("SELECT count(*) FROM outbox") == [(0,)]


@pytest.mark.full
async def test_what_happens_while_the_broker_is_killed_again_and_again_arrives(
    tagging_engine: PrivateEngine, make_broker: Callable[..., PrivateBroker], make_host: Callable[..., Host]
) -> None:
    broker = make_broker(save_each_change=True)
    with EngineTape(tagging_engine) as tape:
        host = make_host(tagging_engine, broker, POLICIES, proxied=False)
        for _ in range(KILLS):
            tagging = asyncio.create_task(asyncio.to_thread(tag_often, tagging_engine, 100))
            await asyncio.to_thread(tape.wait_more, 50)
            broker.kill()
            await tagging
            broker.start()

        await all_arrived(host, tape)


async def test_what_happens_while_the_broker_is_frozen_arrives_when_it_thaws(
    tagging_engine: PrivateEngine, make_broker: Callable[..., PrivateBroker], make_host: Callable[..., Host]
) -> None:
    broker = make_broker()
    with EngineTape(tagging_engine) as tape:
        host = make_host(tagging_engine, broker, POLICIES, proxied=False)
        broker.freeze()
        await asyncio.to_thread(tag_often, tagging_engine, 300)
        # The agent itself is not held up by it.
        assert host.agent.status()["engine"]["events"] >= 300 - 50
        broker.thaw()

        await all_arrived(host, tape)
