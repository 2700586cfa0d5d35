"""The broker is down, killed, frozen while events flow: everything arrives, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.support.agent import Host, of_engine, told
from tests.support.arrivals import all_arrived, all_told, in_order
from tests.support.broker import PrivateBroker
from tests.support.busy import tag_often, untag
from tests.support.engine import PrivateEngine
from tests.support.numbers import drill
from tests.support.puback_oracle import PubackOracle
from tests.support.tape import EngineTape, Recorded

EVENTS = drill(reduced=1500, full=10_000)
KILLS = drill(reduced=3, full=20)
UNSAVED = 40
"""Messages that a broker may have acknowledged and not saved when it is killed: twice what is on its way at once."""
POLICIES = "version: 1\npolicies: []\n"


@pytest.fixture
def tagging_engine(engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """The run's engine, without the tags that the test makes."""
    yield engine
    untag(engine)


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
    kept_at_a_kill: set[Recorded] = set()
    with EngineTape(tagging_engine) as tape, PubackOracle(broker.port) as oracle:
        host = make_host(tagging_engine, broker, POLICIES, proxied=False, mqtt_port=oracle.port)
        for _ in range(KILLS):
            tagging = asyncio.create_task(asyncio.to_thread(tag_often, tagging_engine, 100))
            await asyncio.to_thread(tape.wait_more, 50)
            before = len(oracle.acknowledged)
            broker.kill()
            await tagging
            kept_at_a_kill.update(acknowledged(oracle, since=max(0, before - UNSAVED)))
            broker.start()

        await all_told(host)
        wanted = set(tape.published())
        # What is promised ends at the acknowledgement: of all that happened, the broker gave it.
        await host.watch.until(lambda _: wanted <= set(acknowledged(oracle)), timeout=60)
        # What it acknowledged right before a kill -9 and had not saved yet, it may have lost. Nothing else.
        await host.watch.until(lambda _: wanted <= set(host.watch.engine_events()) | kept_at_a_kill, timeout=60)
        assert in_order(host)
        assert host.watch.told("agent", "event_gap") == []


def acknowledged(oracle: PubackOracle, *, since: int = 0) -> list[Recorded]:
    """What the broker acknowledged of the engine's events."""
    heard = ((topic, payload[payload.index(b'{"specversion"') :]) for topic, payload in _events(oracle, since))
    return of_engine(told(topic, payload, 0.0) for topic, payload in heard)


def _events(oracle: PubackOracle, since: int) -> list[tuple[str, bytes]]:
    return [(topic, payload) for topic, payload in oracle.acknowledged[since:] if "/event/" in topic]


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
