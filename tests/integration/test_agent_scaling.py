"""Services of a Swarm are scaled by the whole agent: what it does, says and leaves alone, by commands and events."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.agent import AgentProcess, AgentWatch, Told
from tests.support.announced import Announced
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.engine_watch import in_thread
from tests.support.load import Load
from tests.support.swarm import create_loaded_service, create_service, inspect_service, replicas_of, swarm

CPU = "cpu.percent_of_limit"
DEPTH = "queue/orders/depth"
BY_CPU = f"metrics: [{{metric: {CPU}, target: 50%}}]"
QUICK = "up: {window: 10s, cooldown: 5s}, down: {window: 20s, fast: 25% after 10s, step: 50% per 5s}"
POLICIES = f"""
version: 1
policies:
  - {{name: web, target: {{swarm_service: web}}, scale: {{min: 1, max: 6, {BY_CPU}, {QUICK}}}}}
  - {{name: by-hand, target: {{swarm_service: by-hand}}, scale: {{min: 1, max: 6, {BY_CPU}, {QUICK}}}}}
  - {{name: kept, target: {{swarm_service: kept}}, scale: {{min: 2, max: 6, {BY_CPU}, {QUICK}}}}}
  - {{name: asks, mode: approve, target: {{swarm_service: asks}}, scale: {{min: 2, max: 6, {BY_CPU}, {QUICK}}}}}
  - name: queue
    target: {{swarm_service: queue}}
    scale:
      min: 1
      max: 6
      metrics: [{{mqtt: {DEPTH}, value: depth, target_per_replica: 30, stale_after: 5s}}]
      up: {{step: 200% per 30s}}
      down: {{window: 20s, fast: 25% after 10s, step: 50% per 5s}}
"""


@dataclass(slots=True, kw_only=True)
class Stage:
    """A Swarm of one node with services, a broker of its own, and one agent for all of the module's tests."""

    engine: PrivateEngine
    broker: PrivateBroker
    depth: Announced
    agent: AgentProcess
    watch: AgentWatch
    load: dict[str, Load]
    service: dict[str, str]

    def replicas(self, name: str) -> int:
        """How many a service is meant to have."""
        return replicas_of(self.engine, self.service[name])

    def version(self, name: str) -> int:
        """Goes up with every change of a service."""
        return int(inspect_service(self.engine, self.service[name])["Version"]["Index"])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    load = {name: Load(tmp_path_factory.mktemp(name)) for name in ("web", "by-hand")}
    with (
        PrivateEngine() as engine,
        swarm(engine),
        PrivateBroker(directory=tmp_path_factory.mktemp("broker")) as broker,
        Announced(broker, DEPTH, depth=75) as depth,
    ):
        service = {
            name: create_loaded_service(engine, name, each, replicas=2 if name == "by-hand" else 1)
            for name, each in load.items()
        }
        service |= {name: create_service(engine, name) for name in ("asks", "queue")}
        service["kept"] = create_service(engine, "kept", Labels={"watchtower-agent.protect": "true"})
        agent = AgentProcess(engine_url=engine.url, mqtt_url=broker.url, policies=POLICIES)
        with AgentWatch(broker.port, agent.host) as watch:
            try:
                agent.start()
                load["web"].level(90)
                agent.wait_log("action_ended", policy="web", timeout=45)  # from now on it knows what there is
                engine.docker("service", "scale", "--detach", "by-hand=3")
                load["by-hand"].level(100)
                yield Stage(
                    engine=engine, broker=broker, depth=depth, agent=agent, watch=watch, load=load, service=service
                )
                agent.stop()
                agent.check_log()
                watch.check()
            finally:
                agent.close()


async def web_grown(stage: Stage) -> Told:
    """It has grown by now; from then on it has less to do."""
    grown = (await stage.watch.until_told("action", "succeeded", "web", timeout=45))[0]
    stage.load["web"].level(15)
    return grown


async def test_a_service_grows_to_what_it_needs_and_says_why(stage: Stage) -> None:
    grown = await web_grown(stage)

    assert stage.replicas("web") == 2
    decided, begun = (stage.watch.told(*each, "web")[0] for each in (("policy", "decision"), ("action", "started")))
    numbers = decided.data["numbers"]
    assert numbers["replicas.wanted"] == 1
    assert numbers["to"] == math.ceil(max(numbers["need"], numbers["jump"] or 0)) == 2
    assert numbers[f"{CPU} target"] == 50
    assert 70 < numbers[CPU] < 110
    assert decided.reason.startswith("needs ")
    assert f"{CPU} is " in decided.reason
    assert decided.correlation == begun.correlation == grown.correlation
    assert (grown.key, grown.data["target"]["kind"]) == ("web", "service")


async def test_a_queue_s_depth_makes_a_service_grow(stage: Stage) -> None:
    (grown,) = await stage.watch.until_told("action", "succeeded", "queue", timeout=45)

    (decided,) = stage.watch.told("policy", "decision", "queue")
    assert f"mqtt {DEPTH} depth is 75 (one replica for 30)" in decided.reason
    assert decided.correlation == grown.correlation
    assert stage.replicas("queue") == 3


async def test_explain_says_value_target_recommendation_and_limit(stage: Stage) -> None:
    await stage.watch.until_told("action", "succeeded", "queue", timeout=45)

    while (service := (await in_thread(lambda: stage.agent.explained("queue")))["service"])["running"] < 3:
        await stage.watch.until_told("container", "start", where=lambda told: told.name.startswith("queue.3."))
    page = await in_thread(lambda: stage.agent.command("explain", "queue"))

    (metric,) = service["metrics"]
    assert (metric["name"], metric["value"], metric["target"], metric["need"]) == (f"mqtt {DEPTH} depth", 75, 30, 2.5)
    assert (service["wanted"], service["to"], service["min"], service["max"], service["acts"]) == (3, 3, 1, 6, True)
    assert "3 wanted, 3 running, 1 to 6 allowed" in page
    assert "2.5 now" in page
    assert f"mqtt {DEPTH} depth" in page


async def test_the_label_on_a_service_protects_it(stage: Stage) -> None:
    held = await stage.watch.until_held("kept", "kept")

    assert held.guard == "protected"
    assert stage.replicas("kept") == 1
    assert stage.watch.told("action", "started", "kept") == []


async def test_people_are_asked_and_what_they_approve_is_done(stage: Stage) -> None:
    (question,) = await stage.watch.until_told("policy", "approval_asked", "asks", timeout=45)
    assert stage.replicas("asks") == 1
    assert (question.data["parameters"]["from"], question.data["parameters"]["to"]) == (1, 2)

    await in_thread(lambda: stage.agent.command("approve", question.data["approval"]))

    (done,) = await stage.watch.until_told("action", "succeeded", "asks")
    assert stage.replicas("asks") == 2
    assert done.correlation == question.correlation


async def test_while_the_broker_is_away_nothing_shrinks_and_an_event_says_why(stage: Stage) -> None:
    await stage.watch.until_told("action", "succeeded", "queue", timeout=45)
    before = stage.version("queue")
    stage.broker.stop()
    stage.depth.values["depth"] = 20  # which one replica is enough for

    await in_thread(lambda: stage.agent.wait_log("policy_limited", policy="queue", timeout=60))

    assert stage.version("queue") == before
    page = await in_thread(lambda: stage.agent.command("explain", "queue"))
    assert "stays at 3" in page
    assert "stale" in page
    stage.broker.start()
    (limited,) = await stage.watch.until_told(
        "policy", "limited", where=lambda told: told.data["policy"] == "queue", timeout=60
    )
    assert re.fullmatch(
        rf"it stays at 3 and gets no fewer: not everything is known \(mqtt {DEPTH} depth is not known: "
        r"stale: \d+ s old, stale_after 5 s\)",
        limited.reason,
    )


async def test_what_somebody_scaled_by_hand_is_left_alone_and_told(stage: Stage) -> None:
    (limited,) = await stage.watch.until_told(
        "policy", "limited", where=lambda told: told.data["policy"] == "by-hand", timeout=75
    )

    assert limited.reason == (
        "it stays at 3 and gets no more: somebody else changed its number of replicas, which is left alone for a while"
    )
    assert limited.data["need"] > 3.4
    assert stage.replicas("by-hand") == 3
    assert stage.watch.told("action", "started", "by-hand") == []

    service = (await in_thread(lambda: stage.agent.explained("by-hand")))["service"]
    page = await in_thread(lambda: stage.agent.command("explain", "by-hand"))
    assert service["limits"][-1]["limit"] == "operator"
    assert "somebody else changed it, which is left alone for a while" in page
    assert "needs more" not in page


async def test_a_service_shrinks_after_its_window(stage: Stage) -> None:
    grown = await web_grown(stage)

    shrunk = (await stage.watch.until_told("action", "succeeded", "web", count=2, timeout=60))[1]

    assert stage.replicas("web") == 1
    assert shrunk.time_ns - grown.time_ns > 10_000_000_000  # the shorter wait: until it grew, more was needed
    reason = stage.watch.told("policy", "decision", "web")[-1].reason
    assert reason.startswith("needed 1 replica at most for "), reason


async def test_what_was_held_back_is_done_once_the_broker_tells_again(stage: Stage) -> None:
    stage.depth.values["depth"] = 20

    shrunk = (await stage.watch.until_told("action", "succeeded", "queue", count=2, timeout=60))[1]

    assert (shrunk.data["parameters"]["from"], shrunk.data["parameters"]["to"]) == (3, 2)
