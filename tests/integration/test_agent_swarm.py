"""A Swarm that begins while the agent runs: its events are published by the leader's agent, from then on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.engine_watch import FAST, EngineWatch, in_thread
from tests.support.schema import strict_json
from watchtower_agent.model.observation import EngineDescribed, EngineFound


@pytest.fixture
def swarming(own_engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """An engine that may join a Swarm, and has left it afterwards."""
    yield own_engine
    own_engine.docker("swarm", "leave", "--force", check=False)


def begin(engine: PrivateEngine) -> None:
    engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:0")


async def test_the_agent_publishes_the_events_of_a_swarm_that_began_after_it(
    swarming: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = make_host(swarming, module_broker, "version: 1\npolicies: []\n", proxied=False)
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    await in_thread(lambda: begin(swarming))
    await in_thread(lambda: swarming.docker("secret", "create", "first", str(secret)))
    [told] = await host.watch.until_told("secret", "create")
    assert told.data["attributes"]["name"] == "first"
    said = [strict_json(message.payload) for message in host.watch.messages if message.topic.endswith("/info")]
    assert said[-1]["engine"]["swarm_leader"]
    assert len(host.watch.told("engine", "up")) == 1
    assert not host.watch.told("agent", "event_gap")


async def test_whether_the_engine_leads_a_swarm_is_asked_at_audits_too(swarming: PrivateEngine) -> None:
    async with EngineWatch(swarming.url, timing=replace(FAST, audit_every=0.3)) as watch:
        await watch.until_listed()
        await in_thread(lambda: begin(swarming))
        await watch.until(lambda: any(told.info.swarm_leader for told in watch.of(EngineDescribed)))
        assert watch.of(EngineDescribed)[-1].info.swarm_node_id
        await in_thread(lambda: swarming.docker("swarm", "leave", "--force"))
        await watch.until(lambda: not watch.of(EngineDescribed)[-1].info.swarm_leader)
        assert len(watch.of(EngineFound)) == 1, "it was there all the time"
        assert watch.session.info == watch.of(EngineDescribed)[-1].info
