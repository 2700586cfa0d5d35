"""A real Swarm: a service is scaled and nothing else of it is touched; who runs where is asked for again and again."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Self, TypeVar

import pytest

from tests.support.engine import PrivateEngine
from tests.support.engine_watch import engine_calls, in_thread
from tests.support.patience import patient
from tests.support.proxy import EngineProxy
from tests.support.swarm import create_service, inspect_service, remove_services, swarm
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.engine.service_calls import read_services
from watchtower_agent.engine.service_watch import ServiceWatch
from watchtower_agent.engine.services import version_of
from watchtower_agent.errors import ConflictError, PermanentError, UnansweredError
from watchtower_agent.model.observation import ServicesObserved
from watchtower_agent.model.service import SwarmService, TaskState

RICH = {
    "Labels": {"team": "shop", "empty": ""},
    "UpdateConfig": {"Parallelism": 2, "Delay": 1_500_000_000, "FailureAction": "pause", "MaxFailureRatio": 0.25},
    "RollbackConfig": {"Parallelism": 1, "Order": "stop-first"},
    "EndpointSpec": {"Mode": "dnsrr"},
    "container": {
        "Env": ["A=1", "B=ü"],
        "Labels": {"task": "label"},
        "StopGracePeriod": 1_000_000_000,
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1_000_000_000, "Retries": 2},
        "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
    },
}


@pytest.fixture(scope="module")
def leading() -> Iterator[PrivateEngine]:
    with PrivateEngine() as engine, swarm(engine):
        yield engine


@pytest.fixture
def leader(leading: PrivateEngine) -> Iterator[PrivateEngine]:
    yield leading
    remove_services(leading)
    leading.sweep()


@pytest.fixture
def calls(leader: PrivateEngine) -> Iterator[EngineCalls]:
    with closing(engine_calls(leader.url, timeout=5)) as calls:
        yield calls


@pytest.fixture
def docker(calls: EngineCalls) -> Iterator[DockerEngine]:
    with closing(DockerEngine(calls, clock=SystemClock())) as docker:
        yield docker


T = TypeVar("T")


async def until(look: Callable[[], T], wanted: Callable[[T], bool]) -> T:
    """Look again and again, until it is as wanted: the Swarm does things in its own time."""
    async with asyncio.timeout(patient(30)):
        while True:
            seen = await in_thread(look)
            if wanted(seen):
                return seen
            await asyncio.sleep(0.05)


async def running(calls: EngineCalls, name: str, count: int) -> SwarmService:
    """Wait until that many of its tasks run, and no others are meant to."""
    (service,) = await until(
        lambda: read_services(calls, frozenset({name})), lambda seen: seen[0].running == count == len(seen[0].tasks)
    )
    return service


async def test_only_the_number_of_replicas_is_changed(
    leader: PrivateEngine, calls: EngineCalls, docker: DockerEngine
) -> None:
    shop = create_service(leader, "shop", replicas=1, **RICH)  # type: ignore[arg-type] # fields of any type, by name
    (first,) = (await running(calls, "shop", 1)).tasks
    before = inspect_service(leader, shop)
    version = version_of(before)
    assert version is not None
    await docker.scale_service(shop, replicas=2, version=version)

    after = inspect_service(leader, shop)
    expected = copy.deepcopy(before["Spec"])
    expected["Mode"]["Replicated"]["Replicas"] = 2
    assert after["Spec"] == expected
    assert after["PreviousSpec"] == before["Spec"]
    assert after.get("UpdateStatus") == before.get("UpdateStatus"), "nothing is rolled out"
    service = await running(calls, "shop", 2)
    assert first in service.tasks, "the task that ran goes on"
    assert (service.replicas, service.labels) == (2, {"team": "shop", "empty": ""})
    hosts = {task.node_id for task in service.tasks}
    assert hosts == {leader.api("GET", "/info")["Swarm"]["NodeID"]}
    theirs = {task.container_id for task in service.tasks}
    assert theirs == {container["Id"] for container in leader.api("GET", "/containers/json")}


async def test_scaling_rolls_nothing_out_after_an_update_either(
    leader: PrivateEngine, calls: EngineCalls, docker: DockerEngine
) -> None:
    shop = create_service(leader, "shop", replicas=1, UpdateConfig={"Monitor": 1})
    await running(calls, "shop", 1)
    leader.docker("service", "update", "--env-add=NEW=1", "--no-resolve-image", "--detach", "shop")
    before = await until(
        lambda: inspect_service(leader, shop), lambda seen: seen.get("UpdateStatus", {}).get("State") == "completed"
    )
    (first,) = (await running(calls, "shop", 1)).tasks
    await docker.scale_service(shop, replicas=2, version=before["Version"]["Index"])
    assert first in (await running(calls, "shop", 2)).tasks
    # The engine forgets the end of an update at the next change of the service, as it does at `docker service scale`.
    assert inspect_service(leader, shop).get("UpdateStatus") is None


async def test_a_change_between_the_look_and_the_write_is_a_conflict(leader: PrivateEngine) -> None:
    shop = create_service(leader, "shop", replicas=1)
    version = inspect_service(leader, shop)["Version"]["Index"]
    with (
        EngineProxy(leader.socket) as proxy,
        closing(engine_calls(proxy.url, timeout=5)) as calls,
        closing(DockerEngine(calls, clock=SystemClock())) as docker,
    ):
        held = proxy.hold("POST", "/services/*/update")
        write = asyncio.create_task(docker.scale_service(shop, replicas=3, version=version))
        await asyncio.to_thread(held.wait)
        leader.docker("service", "update", "--label-add=operator=was-here", "--detach", "--no-resolve-image", "shop")
        held.release()
        with pytest.raises(ConflictError, match="update out of sequence"):
            await write
    spec = inspect_service(leader, shop)["Spec"]
    assert (spec["Mode"]["Replicated"]["Replicas"], spec["Labels"]) == (1, {"operator": "was-here"})


async def test_a_write_whose_answer_is_lost_is_looked_at_before_it_is_called_unanswered(leader: PrivateEngine) -> None:
    shop = create_service(leader, "shop", replicas=1)
    version = inspect_service(leader, shop)["Version"]["Index"]
    with (
        EngineProxy(leader.socket) as proxy,
        closing(engine_calls(proxy.url, timeout=5)) as calls,
        closing(DockerEngine(calls, clock=SystemClock(), margin=1)) as docker,
    ):
        swallowed = proxy.blackhole("POST", "/services/*/update")
        with pytest.raises(UnansweredError):
            await docker.scale_service(shop, replicas=2, version=version)
        swallowed.release()
        assert inspect_service(leader, shop)["Version"]["Index"] == version
        proxy.lose_answers("/services/*/update")
        await docker.scale_service(shop, replicas=2, version=version)
        assert inspect_service(leader, shop)["Spec"]["Mode"]["Replicated"]["Replicas"] == 2


async def test_a_global_service_is_not_scaled(leader: PrivateEngine, calls: EngineCalls, docker: DockerEngine) -> None:
    every = create_service(leader, "every", replicas=None)
    version = inspect_service(leader, every)["Version"]["Index"]
    with pytest.raises(PermanentError, match="every is not replicated"):
        await docker.scale_service(every, replicas=2, version=version)
    assert read_services(calls, frozenset({"every"})) == ()


async def test_services_are_found_by_their_whole_names(leader: PrivateEngine, calls: EngineCalls) -> None:
    for name in ("web", "web-2", "other"):
        create_service(leader, name, replicas=0)
    assert [service.name for service in read_services(calls, frozenset({"web", "none"}))] == ["web"]
    assert [service.name for service in read_services(calls, frozenset({"web", "web-2"}))] == ["web", "web-2"]


async def test_an_update_under_way_and_tasks_that_do_not_run_yet_show(
    leader: PrivateEngine, calls: EngineCalls
) -> None:
    sick = {"Test": ["CMD", "false"], "Interval": 60_000_000_000, "StartPeriod": 60_000_000_000}
    create_service(leader, "slow", replicas=1, container={"Healthcheck": sick})
    create_service(leader, "shop", replicas=2, UpdateConfig={"Parallelism": 1, "Delay": 600_000_000_000})
    await running(calls, "shop", 2)
    leader.docker("service", "update", "--env-add=NEW=1", "--detach", "--no-resolve-image", "shop")
    (shop, slow) = await until(lambda: read_services(calls, frozenset({"shop", "slow"})), lambda seen: seen[0].updating)
    assert shop.name == "shop"
    assert not slow.updating
    assert {task.state for task in slow.tasks} == {TaskState.STARTING}


class Watch:
    """A ServiceWatch under test, with what it tells."""

    def __init__(self, calls: EngineCalls, *, manager: Callable[[], str] | None = None, every: float = 60.0) -> None:
        self.told: list[ServicesObserved] = []
        self._news = asyncio.Event()
        node = calls.connect().info.swarm_node_id
        told = manager or (lambda: node)
        self.watch = ServiceWatch(calls=calls, clock=SystemClock(), sink=self._take, manager=told, every=every)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.watch.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _take(self, seen: ServicesObserved) -> None:
        self.told.append(seen)
        self._news.set()

    async def next(self) -> ServicesObserved:
        count = len(self.told)
        async with asyncio.timeout(patient(10)):
            while len(self.told) == count:
                self._news.clear()
                await self._news.wait()
        return self.told[count]


async def test_what_is_followed_is_told_at_once_after_news_and_ever_again(
    leader: PrivateEngine, calls: EngineCalls
) -> None:
    shop = create_service(leader, "shop", replicas=0)
    async with Watch(calls) as watch:
        watch.watch.follow(frozenset({"shop", "none"}))
        first = await watch.next()
        assert first.asked == {"shop", "none"}
        assert first.leads
        assert [(service.id, service.replicas) for service in first.services] == [(shop, 0)]
        leader.docker("service", "scale", "--detach", "shop=1")
        begun = SystemClock().now()
        for _ in range(20):
            watch.watch.look()
            await asyncio.sleep(0.002)  # events come one by one
        second = await watch.next()
        assert second.services[0].replicas == 1
        assert second.services[0].version > first.services[0].version
        assert begun.monotonic <= second.moment <= begun.monotonic + patient(0.3)
        assert abs(second.at - begun.wall) < patient(1)
        watch.watch.follow(frozenset())
        watch.watch.look()
        watch.watch.follow(frozenset({"none"}))
        third = await watch.next()
        assert (set(third.asked), third.services) == ({"none"}, ())
        assert len(watch.told) == 3, "twenty reasons to look were one look, and nobody was asked about nothing"
    async with Watch(calls, every=0.05) as often:
        often.watch.follow(frozenset({"shop"}))
        for _ in range(3):
            await often.next()


async def test_nothing_is_asked_of_an_engine_that_is_no_manager(leader: PrivateEngine) -> None:
    with EngineProxy(leader.socket) as proxy, closing(engine_calls(proxy.url)) as calls:
        node, doubts, thrice = "", 0, asyncio.Event()

        def manager() -> str:
            nonlocal doubts
            doubts += 1
            if doubts > 3:
                thrice.set()
            return node

        async with Watch(calls, manager=manager, every=0.02) as watch:
            watch.watch.follow(frozenset({"shop"}))
            await asyncio.wait_for(thrice.wait(), patient(10))
            assert proxy.seen("GET", "/services*") == []
            node = calls.connect().info.swarm_node_id
            assert (await watch.next()).asked == {"shop"}


async def test_an_engine_that_does_not_answer_tells_nothing_and_is_asked_again(leader: PrivateEngine) -> None:
    create_service(leader, "shop", replicas=0)
    with EngineProxy(leader.socket) as proxy, closing(engine_calls(proxy.url)) as calls:
        async with Watch(calls, every=0.02) as watch:
            refused = proxy.reject("GET", "*/services")
            watch.watch.follow(frozenset({"shop"}))
            await asyncio.to_thread(lambda: proxy.wait_seen("GET", "*/services", 3))
            assert watch.told == [], "what was known gets old"
            refused.release()
            assert (await watch.next()).services[0].name == "shop"
