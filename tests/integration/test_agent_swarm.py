"""A Swarm that begins while the agent runs: its events are published by the leader's agent, from then on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.agent import Host, Json
from tests.support.broker import PrivateBroker
from tests.support.engine import IDLE, IMAGE, PrivateEngine
from tests.support.engine_watch import FAST, EngineWatch, in_thread
from tests.support.schema import strict_json
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import EngineDescribed, EngineFound, SiblingObserved, SiblingReplica
from watchtower_agent.sources.siblings import Siblings


@pytest.fixture
def swarming(own_engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """An engine that may join a Swarm, and has left it afterwards."""
    yield own_engine
    own_engine.docker("swarm", "leave", "--force", check=False)


RESTART_ALL = """
version: 1
policies:
  - {name: restart-all, select: {name: "*"}, when: status == "running", then: {restart: {}}}
"""


def begin(engine: PrivateEngine) -> None:
    engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:0")


def said(host: Host) -> list[Json]:
    """What the agent has told of itself and its engine, in order."""
    return [strict_json(message.payload) for message in host.watch.messages if message.topic.endswith("/info")]


async def test_the_agent_publishes_the_events_of_a_swarm_that_began_after_it(
    swarming: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = make_host(swarming, module_broker, RESTART_ALL, proxied=False)
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    await in_thread(lambda: begin(swarming))
    # What the Swarm does in the first moments of its own the engine itself does not tell.
    await host.watch.until(lambda _: any(each.get("engine", {}).get("swarm_leader") for each in said(host)), timeout=30)
    await in_thread(lambda: swarming.docker("secret", "create", "first", str(secret)))
    [told] = await host.watch.until_told("secret", "create")
    assert told.data["attributes"]["name"] == "first"
    assert said(host)[-1]["engine"]["swarm_leader"]
    assert len(host.watch.told("engine", "up")) == 1
    assert not host.watch.told("agent", "event_gap")

    # Its tasks, and what carries the labels of Kubernetes, are replaced by those who own them: no policy touches them.
    swarming.run("pod", labels={"io.kubernetes.pod.name": "pod"})
    service = ("--detach", "--no-resolve-image", "--name=shop", IMAGE, *IDLE)
    await in_thread(lambda: swarming.docker("service", "create", *service))
    held = await host.watch.until_told("policy", "held", count=2, where=lambda told: told.guard == "protected")
    assert {told.data["target"]["name"].partition(".")[0] for told in held} == {"pod", "shop"}
    assert all(told.data["final"] and "owned by an orchestrator" in told.reason for told in held)
    assert not host.watch.told("action", "started")


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


SCALED = """
version: 1
policies:
  - name: web
    mode: shadow
    target: {swarm_service: shop}
    scale:
      min: 1
      max: 2
      metrics: [{metric: memory.usage, target: 512MiB}]
"""


async def test_tasks_of_a_scaled_service_are_told_of_more_often_and_with_their_means(
    swarming: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    await in_thread(lambda: begin(swarming))
    for name in ("shop", "other"):
        service = ("--detach", "--no-resolve-image", f"--name={name}", IMAGE, *IDLE)
        await in_thread(lambda service=service: swarming.docker("service", "create", *service))  # type: ignore[misc] # a default binds it
    often = {"mqtt": {"metrics": {"interval": "60s"}}}
    host = make_host(swarming, module_broker, SCALED, proxied=False, settings=often)
    topic = f"watchtower/v1/{host.agent.host}/metrics"
    siblings = Siblings("watchtower", "another")
    now = Instant(wall=0.0, monotonic=0.0)

    def told() -> list[SiblingObserved]:
        """As an agent on another node reads it."""
        seen = (
            siblings.take(siblings.host_of(topic), message.payload, now)
            for message in host.watch.messages
            if message.topic == topic
        )
        return [batch for batch in seen if batch is not None]

    def known() -> list[SiblingReplica]:
        return [replica for batch in told() for replica in batch.replicas if replica.means]

    await host.watch.until(lambda _: bool(known()), timeout=30)

    assert told()[-1].interval == 5.0
    assert told()[-1].node
    [other] = [replica for replica in told()[-1].replicas if replica.service == "other"]
    assert other.means == {}
    assert {replica.service for replica in known()} == {"shop"}
    assert {"avg(memory.usage, 5s)"} <= known()[-1].means.keys() <= {"avg(memory.usage, 20s)", "avg(memory.usage, 5s)"}
    assert all(value > 0 for value in known()[-1].means.values())
