"""The verbs of scaling and resizing, on the fake and on a real engine: what is built on one holds on the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Protocol

import pytest

from tests.support.core import NOW
from tests.support.engine import PrivateEngine
from tests.support.engine_watch import engine_calls
from tests.support.fake_engine import FakeEngine
from tests.support.swarm import create_service, inspect_service, remove_services, swarm
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.engine.services import replicas_of, version_of
from watchtower_agent.errors import AbsentError, ConflictError, PermanentError
from watchtower_agent.model.container import Container, ContainerDetail, ContainerStatus
from watchtower_agent.model.service import CLONE_OF, CLONED_BY, CLONED_FOR, CloneFacts, SwarmService
from watchtower_agent.ports.engine import Engine

NOBODY = "f" * 64
MIB = 2**20
LABELS = {"tier": "web"}


class Stage(Protocol):
    """An engine, and what there is on it."""

    engine: Engine

    def container(
        self, name: str, *, labels: Mapping[str, str] = LABELS, in_host_network: bool = False, volume: str = ""
    ) -> str:
        """A running one, with 64 MiB of memory and half a core."""
        ...

    def service(self, name: str, replicas: int) -> str:
        """A replicated one."""
        ...

    def version(self, service: str) -> int:
        """Index of its present version."""
        ...

    def replicas(self, service: str) -> int | None:
        """How many it is meant to have."""
        ...


class FakeStage:
    def __init__(self) -> None:
        self.fake = FakeEngine()
        self.engine: Engine = self.fake

    def container(
        self, name: str, *, labels: Mapping[str, str] = LABELS, in_host_network: bool = False, volume: str = ""
    ) -> str:
        cloning = CloneFacts(
            blockers=("it is in the host's network",) if in_host_network else (),
            volumes=(f"{volume} at /data",) if volume else (),
        )
        detail = ContainerDetail(started_at=NOW, cpu_granted=0.5, cpu_limit=0.5, memory_limit=64 * MIB, cloning=cloning)
        return self.fake.put(
            Container(
                id=hashlib.sha256(name.encode()).hexdigest(),
                name=name,
                image="busybox:local",
                labels=dict(labels),
                status=ContainerStatus.RUNNING,
                created_at=NOW,
                detail=detail,
            )
        )

    def service(self, name: str, replicas: int) -> str:
        self.fake.services[name] = SwarmService(id=name, name=name, replicas=replicas, version=11)
        return name

    def version(self, service: str) -> int:
        return self.fake.services[service].version

    def replicas(self, service: str) -> int | None:
        return self.fake.services[service].replicas


class RealStage:
    def __init__(self, engine: PrivateEngine, docker: Engine) -> None:
        self.engine = docker
        self._private = engine

    def container(
        self, name: str, *, labels: Mapping[str, str] = LABELS, in_host_network: bool = False, volume: str = ""
    ) -> str:
        options = ["--memory=64m", "--cpus=0.5", *([f"--volume={volume}:/data"] if volume else [])]
        network = "host" if in_host_network else "none"
        return self._private.run(name, labels=labels, options=options, network=network)

    def service(self, name: str, replicas: int) -> str:
        return create_service(self._private, name, replicas=replicas)

    def version(self, service: str) -> int:
        version = version_of(inspect_service(self._private, service))
        assert version is not None
        return version

    def replicas(self, service: str) -> int | None:
        return replicas_of(inspect_service(self._private, service))


@pytest.fixture(scope="module")
def leader() -> Iterator[PrivateEngine]:
    with PrivateEngine() as engine, swarm(engine):
        yield engine


@pytest.fixture(params=["fake", "real"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if request.param == "fake":
        yield FakeStage()
        return
    engine: PrivateEngine = request.getfixturevalue("leader")
    with (
        closing(engine_calls(engine.url, timeout=5)) as calls,
        closing(DockerEngine(calls, clock=SystemClock())) as docker,
    ):
        yield RealStage(engine, docker)
    remove_services(engine)
    engine.sweep()


async def test_a_service_gets_another_number_of_replicas(stage: Stage) -> None:
    shop = stage.service("shop", 2)
    version = stage.version(shop)
    await stage.engine.scale_service(shop, replicas=3, version=version)
    assert stage.replicas(shop) == 3
    assert stage.version(shop) > version


async def test_a_service_that_was_changed_meanwhile_is_left_as_it_is(stage: Stage) -> None:
    shop = stage.service("shop", 2)
    stale = stage.version(shop)
    await stage.engine.scale_service(shop, replicas=3, version=stale)
    with pytest.raises(ConflictError, match="shop"):
        await stage.engine.scale_service(shop, replicas=9, version=stale)
    assert stage.replicas(shop) == 3


async def test_what_has_its_number_is_not_written_to(stage: Stage) -> None:
    shop = stage.service("shop", 2)
    version = stage.version(shop)
    await stage.engine.scale_service(shop, replicas=2, version=version)
    assert stage.version(shop) == version


async def test_a_clone_runs_beside_its_original_and_says_whose_it_is(stage: Stage) -> None:
    web = stage.container("web")
    made = await stage.engine.clone(web, policy="busy", decision="d1", shared=False)
    clone = await stage.engine.inspect(made)
    assert (clone.id, clone.name, clone.status) == (made, "web-clone-1", ContainerStatus.RUNNING)
    assert clone.labels == {**LABELS, CLONE_OF: web, CLONED_BY: "d1", CLONED_FOR: "busy"}
    assert (await stage.engine.inspect(web)).labels == LABELS


async def test_a_clone_of_a_clone_names_the_original_and_the_lowest_free_number_is_taken(stage: Stage) -> None:
    web = stage.container("web")
    first, second = [await stage.engine.clone(web, policy="busy", decision="d1", shared=False) for _ in range(2)]
    await stage.engine.remove_clone(first, stop_timeout=None)
    third = await stage.engine.inspect(await stage.engine.clone(second, policy="busy", decision="d2", shared=False))
    assert (await stage.engine.inspect(second)).name == "web-clone-2"
    assert (third.name, third.labels[CLONE_OF], third.labels[CLONED_BY]) == ("web-clone-1", web, "d2")


async def test_what_stands_against_a_clone_is_named_and_none_is_made(stage: Stage) -> None:
    web = stage.container("web", in_host_network=True)
    detail = (await stage.engine.inspect(web)).detail
    assert detail
    assert [reason.partition(",")[0] for reason in detail.cloning.blockers] == ["it is in the host's network"]
    with pytest.raises(PermanentError, match="it is in the host's network"):
        await stage.engine.clone(web, policy="busy", decision="d1", shared=True)


async def test_writable_volumes_are_shared_only_where_the_policy_says_so(stage: Stage) -> None:
    web = stage.container("web", volume="files")
    detail = (await stage.engine.inspect(web)).detail
    assert detail
    assert detail.cloning == CloneFacts(volumes=("files at /data",))
    with pytest.raises(PermanentError, match="files at /data"):
        await stage.engine.clone(web, policy="busy", decision="d1", shared=False)
    clone = await stage.engine.inspect(await stage.engine.clone(web, policy="busy", decision="d1", shared=True))
    assert clone.running


async def test_only_clones_are_removed(stage: Stage) -> None:
    web = stage.container("web")
    clone = await stage.engine.clone(web, policy="busy", decision="d1", shared=False)
    with pytest.raises(PermanentError, match=CLONE_OF):
        await stage.engine.remove_clone(web, stop_timeout=None)
    await stage.engine.remove_clone(clone, stop_timeout=1)
    assert (await stage.engine.inspect(web)).running
    with pytest.raises(AbsentError):
        await stage.engine.inspect(clone)


async def test_limits_are_changed_and_what_was_before_is_told(stage: Stage) -> None:
    web = stage.container("web")
    before = await stage.engine.resize(web, memory=96 * MIB, cpu=0.75)
    assert before == {"memory": 64 * MIB, "memory_swap": 128 * MIB, "cpu": 0.5}
    again = await stage.engine.resize(web, memory=None, cpu=0.25)
    assert (again["memory"], again["cpu"]) == (96 * MIB, 0.75)
    detail = (await stage.engine.inspect(web)).detail
    assert detail
    assert (detail.memory_limit, detail.cpu_granted, detail.cpu_limit) == (96 * MIB, 0.25, 0.25)


async def test_who_is_gone_is_absent(stage: Stage) -> None:
    for call in (
        stage.engine.scale_service("nosuchservice", replicas=1, version=1),
        stage.engine.clone(NOBODY, policy="p", decision="d", shared=True),
        stage.engine.remove_clone(NOBODY, stop_timeout=1),
        stage.engine.resize(NOBODY, memory=64 * MIB, cpu=None),
    ):
        with pytest.raises(AbsentError):
            await call
