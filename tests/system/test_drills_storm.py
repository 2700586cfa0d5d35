"""A storm of container events: none lost, none counted twice, and at its end the picture is right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.support.agent import AgentWatch, Host
from tests.support.broker import PrivateBroker
from tests.support.busy import live_short, rename_often
from tests.support.engine import PrivateEngine
from tests.support.numbers import drill
from tests.support.schema import strict_json
from tests.support.tape import EngineTape

EVENTS = drill(reduced=800, full=4000)
RENAMING, LIVING = 6, 2
POLICIES = """
version: 1
policies:
  - name: revive
    select: {labels: {heal: "true"}}
    on: {container: die}
    then: {restart: {}}
"""


@pytest.mark.full
async def test_none_is_lost_and_none_is_counted_twice(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    lives = EVENTS // 200
    renames = (EVENTS - 5 * lives * LIVING) // RENAMING
    with EngineTape(engine) as tape:
        host = make_host(engine, module_broker, POLICIES, proxied=False)
        await asyncio.gather(
            *(asyncio.to_thread(rename_often, engine, f"storm-{number}", renames) for number in range(RENAMING)),
            *(asyncio.to_thread(live_short, engine, f"short-{number}", lives) for number in range(LIVING)),
        )
        engine.run("last", options=("--rm",))
        await host.watch.until_told("container", "start", "last", timeout=60)

        assert len(tape.published("container")) >= EVENTS
        assert sorted(host.watch.engine_events(), key=str) == sorted(tape.published(), key=str)
        assert host.agent.status()["engine"]["events"] == len(tape.events)
        assert host.agent.status()["engine"]["gaps"] == 0
    ids = [event.document["id"] for event in host.watch.events]
    assert len(ids) == len(set(ids))
    sequences = [int(event.document["sequence"]) for event in host.watch.events]
    assert sorted(sequences) == list(range(min(sequences), min(sequences) + len(sequences)))
    # What is promised is the order within a topic: messages of several topics are under way at once.
    last: dict[str, int] = {}
    for event, sequence in zip(host.watch.events, sequences, strict=True):
        assert sequence > last.get(event.topic, 0)
        last[event.topic] = sequence
    assert {event.origin for event in host.watch.told("container")} == {"stream"}
    await only_those_that_exist(host)


async def only_those_that_exist(host: Host) -> None:
    """Who subscribes now is told of each container under its last name, and of no other."""
    names = {container["Names"][0].lstrip("/") for container in host.engine.api("GET", "/containers/json", all="true")}
    with AgentWatch(host.broker.port, host.agent.host) as late:

        def retained() -> set[str]:
            newest = {m.topic: m.payload for m in late.messages if "/state/container/" in m.topic}
            return {str(strict_json(payload)["name"]) for payload in newest.values() if payload}

        # What a storm holds back is cleared moments later: who subscribes in between is told of that, too.
        await late.until(lambda _: retained() == names)
        assert retained() == names
