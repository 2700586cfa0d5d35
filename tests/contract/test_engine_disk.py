"""What an engine keeps on its disk, and what is deleted of it, on the fake and on a real engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Protocol

import pytest

from tests.support.core import NOW
from tests.support.engine import PrivateEngine
from tests.support.engine_watch import engine_calls
from tests.support.fake_engine import FakeEngine
from tests.support.small_disk import built_image, sweep_images
from tests.support.swarm import create_service, inspect_service, remove_services, swarm
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.errors import AbsentError, KeptError
from watchtower_agent.model.disk_usage import CacheRecord, Image, KeptContainer, Network, Volume
from watchtower_agent.ports.engine import Engine

NOBODY = "f" * 64


class Stage(Protocol):
    """An engine, and what others do with it."""

    engine: Engine

    def image(self, tag: str) -> str:
        """Make one."""
        ...

    def tag(self, image: str, tag: str) -> None:
        """Name it also, or instead of the image that was named so."""
        ...

    def container(self, name: str, image: str, *, state: str = "exited", network: str = "", volume: str = "") -> str:
        """Make one: `created`, `exited` or `running`. Its network may be another one's: `container:NAME`."""
        ...

    def run_again(self, container: str) -> None:
        """It runs, and ends."""
        ...

    def network(self, name: str, *, swarm: bool = False) -> str:
        """Make one, of this host or of the Swarm."""
        ...

    def volume(self, name: str) -> None:
        """Make one, or anew."""
        ...

    def service(self, image: str, *, before: str = "", volume: str = "") -> None:
        """Make one without a replica; `before` it had another image."""
        ...

    def build(self) -> None:
        """Leave two records in the build cache that no image shares, the second upon the first."""
        ...


class FakeStage:
    def __init__(self) -> None:
        self.fake = FakeEngine()
        self.fake.disk = replace(self.fake.disk, networks=(Network(id="b" * 64, name="bridge", predefined=True),))
        self.engine: Engine = self.fake
        self._now = NOW

    def image(self, tag: str) -> str:
        made = Image(id=f"sha256:{_hash(tag)}", size=1000, created_at=self._tick())
        self.fake.disk = replace(self.fake.disk, images=(*self.fake.disk.images, made))
        self.tag(made.id, tag)
        return made.id

    def tag(self, image: str, tag: str) -> None:
        def renamed(each: Image) -> Image:
            others = tuple(other for other in each.tags if other != tag)
            return replace(each, tags=(*others, tag) if each.id == image else others)

        self.fake.disk = replace(self.fake.disk, images=tuple(map(renamed, self.fake.disk.images)))

    def container(self, name: str, image: str, *, state: str = "exited", network: str = "", volume: str = "") -> str:
        joined = _hash(network.removeprefix("container:")) if network.startswith("container:") else ""
        made = KeptContainer(
            id=_hash(name),
            name=name,
            image_id=image,
            status=state,
            finished_at=self._tick() if state == "exited" else None,
            networks=(network,) if network and not joined else (),
            joins=(joined,) if joined else (),
            volumes=(volume,) if volume else (),
        )
        self.fake.disk = replace(self.fake.disk, containers=(*self.fake.disk.containers, made))
        return made.id

    def run_again(self, container: str) -> None:
        def ended(each: KeptContainer) -> KeptContainer:
            return replace(each, finished_at=self._tick()) if each.id == container else each

        self.fake.disk = replace(self.fake.disk, containers=tuple(map(ended, self.fake.disk.containers)))

    def network(self, name: str, *, swarm: bool = False) -> str:
        made = Network(id=_hash(name), name=name, swarm=swarm)
        self.fake.disk = replace(self.fake.disk, networks=(*self.fake.disk.networks, made))
        return made.id

    def volume(self, name: str) -> None:
        others = tuple(each for each in self.fake.disk.volumes if each.name != name)
        made = Volume(name=name, created_at=self._tick())
        self.fake.disk = replace(self.fake.disk, volumes=(*others, made))

    def service(self, image: str, *, before: str = "", volume: str = "") -> None:
        images, volumes = frozenset({image, before} - {""}), frozenset({volume} - {""})
        self.fake.disk = replace(self.fake.disk, service_images=images, service_volumes=volumes)

    def build(self) -> None:
        used = self.fake.disk.at
        first = CacheRecord(id="first", size=2000, used_at=used)
        second = CacheRecord(id="second", parents=("first",), size=1000, used_at=used)
        self.fake.disk = replace(self.fake.disk, cache=(first, second))

    def _tick(self) -> float:
        self._now += 1
        return self._now


class RealStage:
    def __init__(self, engine: PrivateEngine, docker: Engine) -> None:
        self.engine = docker
        self._private = engine

    def image(self, tag: str) -> str:
        self._private.load_image(tag)
        return str(self._private.api("GET", f"/images/{tag}/json")["Id"])

    def tag(self, image: str, tag: str) -> None:
        self._private.docker("tag", image, tag)

    def container(self, name: str, image: str, *, state: str = "exited", network: str = "", volume: str = "") -> str:
        options = [f"--name={name}", f"--network={network or 'none'}", *([f"--volume={volume}:/v"] if volume else [])]
        made = self._private.docker("create", *options, image, "sleep", "300" if state == "running" else "0")
        if state == "running":
            self._private.docker("start", made)
        elif state == "exited":
            self.run_again(made)
        return made

    def run_again(self, container: str) -> None:
        self._private.docker("start", "--attach", container)
        # Those who wait are told before the engine's listing is: it answers an inspection only once both are.
        self._private.api("GET", f"/containers/{container}/json")

    def network(self, name: str, *, swarm: bool = False) -> str:
        driver = "overlay" if swarm else "bridge"
        return self._private.docker("network", "create", f"--driver={driver}", name)

    def volume(self, name: str) -> None:
        self._private.docker("volume", "rm", "--force", name)
        self._private.docker("volume", "create", name)

    def service(self, image: str, *, before: str = "", volume: str = "") -> None:
        mounts = [{"Type": "volume", "Source": volume, "Target": "/v"}] if volume else []
        identity = create_service(
            self._private, "shop", replicas=0, container={"Image": before or image, "Mounts": mounts}
        )
        if before:
            service = inspect_service(self._private, identity)
            spec = service["Spec"]
            spec["TaskTemplate"]["ContainerSpec"]["Image"] = image
            version = str(service["Version"]["Index"])
            self._private.api("POST", f"/services/{identity}/update", spec, version=version)

    def build(self) -> None:
        built_image(self._private, "built:1", "RUN echo 1 > /first", "RUN echo 2 > /second")
        self._private.docker("rmi", "built:1")


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


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
        closing(engine_calls(engine.url, timeout=10)) as calls,
        closing(DockerEngine(calls, clock=SystemClock())) as docker,
    ):
        yield RealStage(engine, docker)
    remove_services(engine)
    engine.sweep()
    sweep_images(engine)


async def image_of(stage: Stage, identity: str) -> Image | None:
    return next((each for each in (await stage.engine.disk_usage()).images if each.id == identity), None)


async def container_of(stage: Stage, identity: str) -> KeptContainer | None:
    return next((each for each in (await stage.engine.disk_usage()).containers if each.id == identity), None)


async def volume_of(stage: Stage, name: str) -> Volume | None:
    return next((each for each in (await stage.engine.disk_usage()).volumes if each.name == name), None)


async def test_what_there_is_and_what_needs_what(stage: Stage) -> None:
    web, front = stage.image("web:1"), stage.network("front")
    stage.volume("files")
    ended = stage.container("ended", web)
    made = stage.container("made", web, state="created", network=front, volume="files")
    stage.service("web:2", before="web:1")
    usage = await stage.engine.disk_usage()
    image = next(each for each in usage.images if each.id == web)
    assert (image.tags, image.digests, image.dangling) == (("web:1",), (), False)
    assert image.size > 0
    by_id = {each.id: each for each in usage.containers}
    assert (by_id[ended].name, by_id[ended].image_id, by_id[ended].status) == ("ended", web, "exited")
    assert by_id[ended].finished_at is not None
    assert (by_id[made].status, by_id[made].finished_at) == ("created", None)
    assert front in by_id[made].networks
    assert by_id[made].volumes == ("files",)
    assert {each.name for each in usage.networks if each.predefined} >= {"bridge"}
    assert [each.name for each in usage.networks if each.id == front and not each.predefined] == ["front"]
    assert [each.anonymous for each in usage.volumes if each.name == "files"] == [False]
    assert usage.service_images == {"web:1", "web:2"}


async def test_a_look_without_sizes_tells_the_same_names_and_needs(stage: Stage) -> None:
    web = stage.image("web:1")
    front = stage.network("front")
    stage.volume("files")
    stage.container("made", web, state="created", network=front, volume="files")
    stage.service("web:2", before="web:1", volume="data")
    usage, contents = await stage.engine.disk_usage(), await stage.engine.disk_contents()
    assert {each.id: (each.tags, each.size) for each in contents.images} == {
        each.id: (each.tags, each.size) for each in usage.images
    }
    assert [(each.id, each.networks, each.volumes) for each in contents.containers] == [
        (each.id, each.networks, each.volumes) for each in usage.containers
    ]
    assert {each.id for each in contents.networks} == {each.id for each in usage.networks}
    assert {(each.name, each.created_at) for each in contents.volumes} == {
        (each.name, each.created_at) for each in usage.volumes
    }
    assert contents.service_images == usage.service_images
    assert contents.service_volumes == usage.service_volumes == {"data"}
    assert contents.cache == ()


async def test_an_image_that_nobody_needs_is_deleted_with_all_its_tags(stage: Stage) -> None:
    web = stage.image("web:1")
    stage.tag(web, "elsewhere/web:1")
    await stage.engine.remove_image(web, tags=frozenset({"web:1", "elsewhere/web:1"}))
    assert await image_of(stage, web) is None


async def test_one_without_a_name_is_deleted(stage: Stage) -> None:
    web = stage.image("web:1")
    stage.tag(stage.image("web:2"), "web:1")
    image = await image_of(stage, web)
    assert image
    assert image.dangling
    await stage.engine.remove_image(web, tags=frozenset())
    assert await image_of(stage, web) is None


async def test_an_image_gets_back_tags_that_nobody_has(stage: Stage) -> None:
    web, other = stage.image("web:1"), stage.image("web:2")
    await stage.engine.tag_again(web, tags=frozenset({"web:1", "web:2", "elsewhere/web:1"}))
    image, newer = await image_of(stage, web), await image_of(stage, other)
    assert image is not None
    assert newer is not None
    assert (set(image.tags), set(newer.tags)) == ({"web:1", "elsewhere/web:1"}, {"web:2"})


@pytest.mark.parametrize("state", ["created", "exited", "running"])
async def test_an_image_of_a_container_in_any_state_is_kept(stage: Stage, state: str) -> None:
    web = stage.image("web:1")
    stage.container("user", web, state=state)
    with pytest.raises(KeptError, match="container user") as kept:
        await stage.engine.remove_image(web, tags=frozenset({"web:1"}))
    assert "user" in kept.value.reason
    assert await image_of(stage, web)


@pytest.mark.parametrize(
    "rename",
    [
        lambda stage, web: stage.tag(web, "web:stable"),  # it got one more
        lambda stage, _: stage.tag(stage.image("web:2"), "web:1"),  # it lost its own
    ],
)
async def test_an_image_that_has_other_tags_by_now_is_kept(stage: Stage, rename: Callable[[Stage, str], None]) -> None:
    web = stage.image("web:1")
    rename(stage, web)
    with pytest.raises(KeptError, match="by now"):
        await stage.engine.remove_image(web, tags=frozenset({"web:1"}))
    assert await image_of(stage, web)


@pytest.mark.parametrize(
    ("present", "before"),
    [("web:1", ""), ("docker.io/library/web:1", ""), (f"web:1@sha256:{NOBODY}", ""), ("web:2", "web:1")],
)
async def test_an_image_of_a_service_is_kept_though_it_has_no_replica(stage: Stage, present: str, before: str) -> None:
    web = stage.image("web:1")
    stage.service(present, before=before)
    with pytest.raises(KeptError, match="service"):
        await stage.engine.remove_image(web, tags=frozenset({"web:1"}))
    assert await image_of(stage, web)


async def test_a_container_that_ended_is_deleted_and_its_volume_stays(stage: Stage) -> None:
    stage.volume("files")
    web = stage.container("web", stage.image("web:1"), volume="files")
    container = await container_of(stage, web)
    assert container
    await stage.engine.remove_container(web, finished_at=container.finished_at)
    assert await container_of(stage, web) is None
    assert await volume_of(stage, "files")


async def test_a_container_that_never_ran_is_deleted(stage: Stage) -> None:
    web = stage.container("web", stage.image("web:1"), state="created")
    await stage.engine.remove_container(web, finished_at=None)
    assert await container_of(stage, web) is None


async def test_a_container_whose_network_another_one_shares_is_kept(stage: Stage) -> None:
    web = stage.container("web", stage.image("web:1"))
    before = await container_of(stage, web)
    joining = await container_of(
        stage, stage.container("log", stage.image("log:1"), state="created", network="container:web")
    )
    assert before
    assert joining
    assert joining.joins == (web,)
    with pytest.raises(KeptError, match="log joins it"):
        await stage.engine.remove_container(web, finished_at=before.finished_at)
    assert await container_of(stage, web)


async def test_a_container_that_runs_is_kept(stage: Stage) -> None:
    web = stage.container("web", stage.image("web:1"), state="running")
    with pytest.raises(KeptError, match="running"):
        await stage.engine.remove_container(web, finished_at=None)
    assert await container_of(stage, web)


async def test_a_container_that_ran_again_since_is_kept(stage: Stage) -> None:
    web = stage.container("web", stage.image("web:1"))
    before = await container_of(stage, web)
    assert before
    stage.run_again(web)
    with pytest.raises(KeptError, match="ran since"):
        await stage.engine.remove_container(web, finished_at=before.finished_at)
    assert await container_of(stage, web)


async def test_a_network_that_nobody_refers_to_is_deleted(stage: Stage) -> None:
    front = stage.network("front")
    await stage.engine.remove_network(front)
    assert front not in {each.id for each in (await stage.engine.disk_usage()).networks}


@pytest.mark.parametrize("state", ["created", "exited", "running"])
async def test_a_network_that_a_container_refers_to_is_kept(stage: Stage, state: str) -> None:
    front = stage.network("front")
    stage.container("user", stage.image("web:1"), state=state, network=front)
    with pytest.raises(KeptError, match="container user"):
        await stage.engine.remove_network(front)
    assert front in {each.id for each in (await stage.engine.disk_usage()).networks}


async def test_the_engines_own_networks_are_kept(stage: Stage) -> None:
    own = [each.id for each in (await stage.engine.disk_usage()).networks if each.predefined]
    assert own
    for network in own:
        with pytest.raises(KeptError, match="the engine's own"):
            await stage.engine.remove_network(network)


async def test_networks_of_the_swarm_are_kept(stage: Stage) -> None:
    mesh = stage.network("mesh", swarm=True)
    with pytest.raises(KeptError, match="the Swarm's"):
        await stage.engine.remove_network(mesh)
    assert [each.swarm for each in (await stage.engine.disk_usage()).networks if each.id == mesh] == [True]


async def test_a_volume_that_nobody_mounts_is_deleted(stage: Stage) -> None:
    stage.volume("files")
    volume = await volume_of(stage, "files")
    assert volume
    await stage.engine.remove_volume("files", created_at=volume.created_at)
    assert await volume_of(stage, "files") is None


@pytest.mark.parametrize("state", ["created", "exited", "running"])
async def test_a_volume_that_a_container_mounts_is_kept(stage: Stage, state: str) -> None:
    stage.volume("files")
    volume = await volume_of(stage, "files")
    assert volume
    stage.container("user", stage.image("web:1"), state=state, volume="files")
    with pytest.raises(KeptError, match="container user"):
        await stage.engine.remove_volume("files", created_at=volume.created_at)
    assert await volume_of(stage, "files")


async def test_a_volume_of_a_service_is_kept_though_it_has_no_replica(stage: Stage) -> None:
    stage.volume("files")
    volume = await volume_of(stage, "files")
    assert volume
    stage.service("web:1", volume="files")
    with pytest.raises(KeptError, match="service"):
        await stage.engine.remove_volume("files", created_at=volume.created_at)
    assert await volume_of(stage, "files")


async def test_a_volume_that_was_made_anew_is_kept(stage: Stage) -> None:
    stage.volume("files")
    volume = await volume_of(stage, "files")
    assert volume
    with pytest.raises(KeptError, match="made anew"):
        await stage.engine.remove_volume("files", created_at=volume.created_at - 1)
    assert await volume_of(stage, "files")


async def test_the_build_cache_goes_leaf_by_leaf(stage: Stage) -> None:
    stage.build()
    usage = await stage.engine.disk_usage()
    pairs = [(each, parent) for each in usage.cache for parent in each.parents]
    leaf, parent = next(
        (each, parent) for each, parent in pairs if not any(each.id in other.parents for other in usage.cache)
    )
    assert not leaf.in_use
    assert not leaf.shared
    with pytest.raises(KeptError):
        await stage.engine.remove_cache(parent, unused_since=usage.at)
    assert await stage.engine.remove_cache(leaf.id, unused_since=usage.at) == leaf.size > 0
    assert {each.id for each in usage.cache} - {each.id for each in (await stage.engine.disk_usage()).cache} == {
        leaf.id
    }


async def test_a_record_that_was_used_since_is_kept(stage: Stage) -> None:
    stage.build()
    usage = await stage.engine.disk_usage()
    leaf = next(
        each for each in usage.cache if each.parents and not any(each.id in other.parents for other in usage.cache)
    )
    assert leaf.used_at is not None
    with pytest.raises(KeptError):
        await stage.engine.remove_cache(leaf.id, unused_since=leaf.used_at - 1)
    assert leaf.id in {each.id for each in (await stage.engine.disk_usage()).cache}


async def test_who_is_gone_is_absent(stage: Stage) -> None:
    for call in (
        stage.engine.remove_image(f"sha256:{NOBODY}", tags=frozenset()),
        stage.engine.tag_again(f"sha256:{NOBODY}", tags=frozenset({"web:1"})),
        stage.engine.remove_container(NOBODY, finished_at=None),
        stage.engine.remove_network(NOBODY),
        stage.engine.remove_volume(NOBODY, created_at=NOW),
    ):
        with pytest.raises(AbsentError):
            await call
