"""The list of endpoints on a real engine: for each need no more is asked than is listed for it, and no less."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests.support.engine import PrivateEngine
from tests.support.engine_watch import EngineWatch, engine_calls, in_thread
from tests.support.proxy import EngineProxy
from tests.support.small_disk import built_image
from tests.support.swarm import create_service, remove_services, swarm
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.engine.endpoints import ENDPOINTS, Endpoint, Need, endpoint_of
from watchtower_agent.engine.service_calls import read_services
from watchtower_agent.errors import KeptError, WatchtowerError


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """An engine that leads a Swarm of its own, and an agent's way to it."""

    engine: PrivateEngine
    calls: EngineCalls
    docker: DockerEngine
    proxy: EngineProxy


Use = Callable[[Bench], Awaitable[None]]


async def watch(on: Bench) -> None:
    async with EngineWatch(on.proxy.url) as watching:
        await watching.until_listed()
        web = await in_thread(lambda: on.engine.docker("create", "--name=web", "busybox:local"))
        await watching.until(lambda: "create" in watching.actions("web"))
        await in_thread(lambda: watching.calls.inspect(web))
        await in_thread(watching.calls.ping)


async def node(on: Bench) -> None:
    assert on.calls.connect().info.swarm_leader


async def stats(on: Bench) -> None:
    assert on.calls.stats(on.engine.run("web"))


async def heal(on: Bench) -> None:
    web = on.engine.run("web")
    await on.docker.restart(web, stop_timeout=1.0)
    await on.docker.pause(web)
    await on.docker.unpause(web)
    await on.docker.kill(web, signal="KILL")
    on.engine.docker("wait", "web")
    await on.docker.start(web)
    await on.docker.stop(web, stop_timeout=1.0)


async def services(on: Bench) -> None:
    create_service(on.engine, "shop", replicas=1)
    (found,) = read_services(on.calls, frozenset({"shop"}))
    await on.docker.scale_service(found.id, replicas=2, version=found.version)


async def clones(on: Bench) -> None:
    for network in ("front", "back"):
        on.engine.docker("network", "create", network)
    labels = {"project": "shop", "service": "web", "container-number": "1"}
    compose = {f"com.docker.compose.{name}": value for name, value in labels.items()}
    web = on.engine.run("shop-web-1", network="front", labels=compose)
    on.engine.docker("network", "connect", "back", web)
    on.engine.docker("exec", web, "touch", "/written")  # Compose may have put it there: it is looked at
    clone = await on.docker.clone(web, policy="p", decision="d", shared=False)
    await on.docker.start(clone)
    await on.docker.remove_clone(clone, stop_timeout=1.0)


async def resize(on: Bench) -> None:
    web = on.engine.run("web", options=["--memory=64m"])
    await on.docker.resize(web, memory=96 * 2**20, cpu=None)


async def prune(on: Bench) -> None:
    on.engine.docker("create", "--name=old", "busybox:local", "true")
    on.engine.docker("network", "create", "unused")
    on.engine.docker("volume", "create", "unused")
    built_image(on.engine, "built:1", "RUN echo 1 > /first")
    on.engine.docker("rmi", "built:1")
    on.engine.load_image("twice:1")
    on.engine.docker("tag", "twice:1", "twice:2")

    await on.docker.disk_contents()
    disk = await on.docker.disk_usage()
    (old,) = (each for each in disk.containers if each.name == "old")
    (network,) = (each for each in disk.networks if each.name == "unused")
    (volume,) = (each for each in disk.volumes if each.name == "unused")
    image = next(each for each in disk.images if "twice:1" in each.tags)
    await on.docker.remove_container(old.id, finished_at=old.finished_at)
    await on.docker.remove_network(network.id)
    await on.docker.remove_volume(volume.name, created_at=volume.created_at or 0.0)
    with contextlib.suppress(KeptError):
        await on.docker.remove_cache(disk.cache[0].id, unused_since=SystemClock().now().wall)
    refusing = on.proxy.reject("DELETE", "/images/sha256:*")
    with pytest.raises(WatchtowerError):
        await on.docker.remove_image(image.id, tags=frozenset(image.tags))  # what was begun is taken back
    refusing.release()
    await on.docker.remove_image(image.id, tags=frozenset(image.tags))


USES: dict[Need, Use] = {
    Need.WATCH: watch,
    Need.SWARM: node,
    Need.STATS: stats,
    Need.HEAL: heal,
    Need.SERVICES: services,
    Need.CLONES: clones,
    Need.RESIZE: resize,
    Need.PRUNE: prune,
}


@pytest.fixture(scope="module")
def leader() -> Iterator[PrivateEngine]:
    """An engine that leads a Swarm of its own."""
    with PrivateEngine() as engine, swarm(engine):
        yield engine


def asked(proxy: EngineProxy) -> set[Endpoint]:
    """What was asked for, as endpoints."""
    found = {endpoint_of(request.method, request.path) for request in proxy.requests}
    return {endpoint for endpoint in found if endpoint is not None}


@pytest.mark.parametrize("need", list(Need), ids=lambda need: need.name.lower())
async def test_what_is_listed_for_a_need_is_all_that_it_takes_and_all_of_it_is_asked(
    leader: PrivateEngine, need: Need
) -> None:
    with (
        EngineProxy(leader.socket, needs=frozenset({Need.WATCH, Need.SWARM, need})) as proxy,
        closing(engine_calls(proxy.url, timeout=10)) as calls,
        closing(DockerEngine(calls, clock=SystemClock())) as docker,
    ):
        try:
            await USES[need](Bench(engine=leader, calls=calls, docker=docker, proxy=proxy))
        finally:
            remove_services(leader)
            leader.sweep()

        assert proxy.out_of_bounds == []
        listed = {endpoint for endpoint in ENDPOINTS if need in endpoint.needs}
        assert listed - asked(proxy) == set(), "listed for it, and never asked"
        watching = {endpoint for endpoint in ENDPOINTS if {Need.WATCH, Need.SWARM} & set(endpoint.needs)}
        assert asked(proxy) - listed - watching == set(), "asked, and not listed for it"
