"""What people do to a Swarm's services that an agent scales, and what it makes of that: each has its own service."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.agent import AgentProcess, AgentWatch, Told
from tests.support.announced import Announced
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.engine_watch import in_thread
from tests.support.swarm import create_service, inspect_service, replicas_of, swarm

pytestmark = pytest.mark.only_full
TOPIC = "needs"
SERVICES = ("undone", "none", "image", "anew", "away", "raced")
POLICIES = "version: 1\npolicies:\n" + "\n".join(
    f"  - {{name: {name}, target: {{swarm_service: {name}}}, scale: {{min: 1, max: 6, up: {{cooldown: 5s}}, "
    f"metrics: [{{mqtt: {TOPIC}, value: {name}, target_per_replica: 1}}]}}}}"
    for name in SERVICES
)
LEFT_ALONE = "somebody else changed its number of replicas, which is left alone for a while"


@dataclass(slots=True, kw_only=True)
class Stage:
    """A Swarm of one node, and its agent, which has looked at every service once."""

    engine: PrivateEngine
    needs: Announced
    agent: AgentProcess
    watch: AgentWatch
    service: dict[str, str]

    def replicas(self, name: str) -> int:
        """How many a service is meant to have."""
        return replicas_of(self.engine, self.service[name])

    def scale(self, name: str, replicas: int) -> None:
        """By hand."""
        self.engine.docker("service", "scale", "--detach", f"{name}={replicas}")

    async def limited(self, name: str) -> Told:
        """The event that says why a service stays as it is."""
        told = await self.watch.until_told(
            "policy", "limited", where=lambda told: told.data["policy"] == name, timeout=75
        )
        return told[-1]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with (
        PrivateEngine() as engine,
        swarm(engine),
        PrivateBroker(directory=tmp_path_factory.mktemp("broker")) as broker,
        Announced(broker, TOPIC, **dict.fromkeys(SERVICES, 1.0)) as needs,
    ):
        service = {name: create_service(engine, name) for name in SERVICES}
        agent = AgentProcess(engine_url=engine.url, mqtt_url=broker.url, policies=POLICIES)
        with AgentWatch(broker.port, agent.host) as watch:
            try:
                agent.start()
                yield Stage(engine=engine, needs=needs, agent=agent, watch=watch, service=service)
                agent.stop()
                agent.check_log()
                watch.check()
            finally:
                agent.close()


async def test_who_undoes_a_change_at_once_is_respected_and_told_until_when(stage: Stage) -> None:
    stage.needs.values["undone"] = 2
    undone = stage.service["undone"]
    await stage.watch.until_told("service", "update", where=lambda told: told.actor == undone, timeout=45)
    assert stage.replicas("undone") == 2
    await in_thread(lambda: stage.scale("undone", 1))

    limited = await stage.limited("undone")

    assert limited.reason == f"it stays at 1 and gets no more: {LEFT_ALONE}"
    assert len(stage.watch.told("action", "started", "undone")) == 1
    explained = await in_thread(lambda: stage.agent.explained("undone"))
    assert 800 < explained["service"]["hands_off_for"] < 870
    assert explained["next"]["at"] is not None
    assert re.search(r"left alone for a while; 14 min( \d+ s)? more$", explained["next"]["words"])


async def test_a_service_that_is_scaled_to_none_stays_so(stage: Stage) -> None:
    stage.needs.values["none"] = 3
    await stage.watch.until_told("action", "succeeded", "none", timeout=45)
    await in_thread(lambda: stage.scale("none", 0))

    limited = await stage.limited("none")

    assert limited.reason.startswith("it stays at 0 and gets no more: somebody else wants no replica of it")
    assert stage.replicas("none") == 0


async def test_another_image_is_waited_for_and_no_change_of_the_number(stage: Stage) -> None:
    stage.engine.docker("tag", "busybox:local", "busybox:other")
    update = ("service", "update", "--detach", "--no-resolve-image", "--image=busybox:other", "image")
    await in_thread(lambda: stage.engine.docker(*update, "--update-delay=1s"))
    stage.needs.values["image"] = 2

    await stage.watch.until_told("action", "succeeded", "image", timeout=60)

    spec = inspect_service(stage.engine, stage.service["image"])["Spec"]
    assert spec["TaskTemplate"]["ContainerSpec"]["Image"] == "busybox:other"
    assert stage.replicas("image") == 2


async def test_one_that_is_made_anew_is_scaled_from_what_it_then_has(stage: Stage) -> None:
    stage.needs.values["anew"] = 2
    await stage.watch.until_told("action", "succeeded", "anew", timeout=45)
    await in_thread(lambda: stage.engine.docker("service", "rm", "anew"))
    stage.service["anew"] = await in_thread(lambda: create_service(stage.engine, "anew"))

    again = await stage.watch.until_told("action", "succeeded", "anew", count=2, timeout=60)

    assert [each.data["parameters"]["from"] for each in again] == [1, 1]
    assert stage.replicas("anew") == 2


async def test_who_changes_it_all_the_time_is_made_room_for(stage: Stage) -> None:
    over = threading.Event()

    def relabel() -> None:
        path = f"/services/{stage.service['raced']}"
        while not over.is_set():
            now = stage.engine.api("GET", path)
            spec = {**now["Spec"], "Labels": {"turn": str(now["Version"]["Index"])}}
            stage.engine.api("POST", f"{path}/update", spec, version=str(now["Version"]["Index"]))

    turns = asyncio.create_task(in_thread(relabel))
    try:
        stage.needs.values["raced"] = 2
        failed = await stage.watch.until_told("action", "failed", "raced", count=3, timeout=60)
    finally:
        over.set()
        await asyncio.gather(turns, return_exceptions=True)
    assert all(each.data["numbers"]["conflict"] for each in failed)
    assert len({each.data["decision_id"] for each in failed}) == 3, "each was decided anew"
    (done,) = await stage.watch.until_told("action", "succeeded", "raced", timeout=75)
    assert done.time_ns - failed[2].time_ns > 20_000_000_000
    assert stage.replicas("raced") == 2


async def test_what_was_done_while_the_agent_was_away_is_respected(stage: Stage) -> None:
    """The last one: it ends the agent and starts it again."""
    await in_thread(stage.agent.stop)
    await in_thread(lambda: stage.scale("away", 3))
    stage.needs.values["away"] = 5
    await in_thread(stage.agent.start)

    limited = await stage.limited("away")

    assert limited.reason == f"it stays at 3 and gets no more: {LEFT_ALONE}"
    assert stage.watch.told("action", "started", "away") == []
    assert stage.replicas("undone") == 1, "and so is what was done before"
