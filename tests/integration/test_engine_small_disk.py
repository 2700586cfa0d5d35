"""What a real engine keeps on a small disk, and what becomes of it while others use the engine, too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.engine import IMAGE, PrivateEngine
from tests.support.engine_watch import engine_calls
from tests.support.proxy import EngineProxy
from tests.support.registry import registry
from tests.support.small_disk import MIB, built_image, engine_on_small_disk, fat_image, swept, used_bytes
from tests.support.swarm import create_service, swarm
from watchtower_agent.actions.disk import Answer, Disk
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.errors import KeptError, TemporaryError, UnansweredError
from watchtower_agent.model.disk_usage import CacheRecord, DiskUsage, Image
from watchtower_agent.model.removal import Look

SIZE = 192 * MIB


@contextmanager
def acting(url: str, *, timeout: float = 10.0, disk_timeout: float = 60.0) -> Iterator[DockerEngine]:
    with (
        closing(engine_calls(url, timeout=timeout)) as calls,
        closing(DockerEngine(calls, clock=SystemClock(), disk_timeout=disk_timeout)) as docker,
    ):
        yield docker


@pytest.fixture(scope="module")
def small() -> Iterator[PrivateEngine]:
    with engine_on_small_disk(SIZE) as engine:
        yield engine


@pytest.fixture
def engine(small: PrivateEngine) -> Iterator[PrivateEngine]:
    with swept(small) as engine:
        yield engine


@pytest.fixture
def docker(engine: PrivateEngine) -> Iterator[DockerEngine]:
    with acting(engine.url) as docker:
        yield docker


async def images(docker: DockerEngine) -> dict[str, Image]:
    return {image.id: image for image in (await docker.disk_usage()).images}


def tags(engine: PrivateEngine, image: str) -> set[str]:
    return set(engine.api("GET", f"/images/{image}/json")["RepoTags"])


def leaf_records(usage: DiskUsage) -> list[CacheRecord]:
    parents = {parent for record in usage.cache for parent in record.parents}
    return [record for record in usage.cache if not record.shared and record.id not in parents]


async def test_what_is_deleted_is_free_on_the_disk(engine: PrivateEngine, docker: DockerEngine) -> None:
    fat = fat_image(engine, "fat:1", 8 * MIB)
    engine.docker(
        "run", "--name=writer", "--network=none", IMAGE, "dd", "if=/dev/urandom", "of=/big", "bs=1M", "count=4"
    )
    usage = await docker.disk_usage()
    (writer,) = usage.containers
    assert writer.size is not None
    assert 4 * MIB <= writer.size < 5 * MIB
    image = next(each for each in usage.images if each.id == fat)
    assert 8 * MIB <= image.size < 9 * MIB
    before = used_bytes(engine)
    await docker.remove_container(writer.id, finished_at=writer.finished_at)
    between = used_bytes(engine)
    assert before - between >= 4 * MIB
    await docker.remove_image(fat, tags=frozenset({"fat:1"}))
    freed = 0
    usage = await docker.disk_usage()
    while leaves := leaf_records(usage):
        for record in leaves:
            freed += await docker.remove_cache(record.id, unused_since=usage.at)
        usage = await docker.disk_usage()
    assert freed >= 8 * MIB
    assert usage.cache == ()
    assert between - used_bytes(engine) >= 15 * MIB  # the layer, and the build's context


async def test_what_images_share_is_told(engine: PrivateEngine, docker: DockerEngine) -> None:
    one = built_image(engine, "one:1", "COPY fat /one", fat=2 * MIB)
    two = built_image(engine, "two:1", "COPY fat /two", fat=3 * MIB)
    found = await images(docker)
    base = found[engine.api("GET", f"/images/{IMAGE}/json")["Id"]].size
    assert (found[one].shared, found[two].shared) == (base, base)
    assert found[one].size == base + 2 * MIB
    assert found[two].size == base + 3 * MIB


async def test_images_between_are_seen_and_outlive_what_was_built_upon_them(
    engine: PrivateEngine, docker: DockerEngine
) -> None:
    container = engine.docker("create", "--name=base", IMAGE, "true")
    first = engine.docker("commit", "--change=LABEL step=1", container)
    second = engine.docker("commit", "--change=LABEL step=2", engine.docker("create", first, "true"), "web:1")
    engine.sweep()
    found = await images(docker)
    assert found[second].parent == first
    assert found[first].dangling
    with pytest.raises(KeptError, match="child"):
        await docker.remove_image(first, tags=frozenset())
    await docker.remove_image(second, tags=frozenset({"web:1"}))
    assert first in await images(docker), "only what was asked for is deleted"


async def test_what_a_build_took_as_its_base_is_a_parent_and_each_image_is_asked_once(engine: PrivateEngine) -> None:
    with registry() as remote:
        reference = remote.push("base", "1", note="base", fat=MIB)
        engine.docker("pull", reference)
    engine.docker("tag", reference, "other:1")
    web = built_image(engine, "web:1", "COPY fat /fat", base=reference, fat=1)
    api = built_image(engine, "api:1", "COPY fat /more", base="web:1", fat=1)
    base = engine.api("GET", f"/images/{reference}/json")["Id"]
    with EngineProxy(engine.socket) as proxy, acting(proxy.url) as docker:
        looks = [await look() for look in (docker.disk_usage, docker.disk_contents, docker.disk_usage)]
        asked = proxy.seen("GET", "/images/sha256:*")
    for look in looks:
        found = {image.id: image.parent for image in look.images}
        assert {each: found[each] for each in (api, web, base)} == {api: web, web: base, base: ""}
    assert len(asked) == len(looks[0].images)


async def test_a_container_whose_memory_another_one_shares_is_kept(engine: PrivateEngine) -> None:
    engine.docker("run", "-d", "--name=lender", "--network=none", "--ipc=shareable", IMAGE, "sleep", "1000")
    engine.docker("run", "-d", "--name=user", "--network=none", "--ipc=container:lender", IMAGE, "sleep", "1000")
    engine.docker("run", "-d", "--name=alone", "--network=none", IMAGE, "sleep", "1000")
    engine.docker("stop", "-t0", "lender", "alone")
    with EngineProxy(engine.socket) as proxy, acting(proxy.url) as docker:
        containers = {each.name: each for each in (await docker.disk_usage()).containers}
        while "running" in {containers[name].status for name in ("lender", "alone")}:  # the engine lists it late
            containers = {each.name: each for each in (await docker.disk_usage()).containers}
        lender, alone = containers["lender"], containers["alone"]
        assert containers["user"].status == "running"
        assert containers["user"].joins == (lender.id,)
        with pytest.raises(KeptError, match="user joins it"):
            await docker.remove_container(lender.id, finished_at=lender.finished_at)
        inspections = len(proxy.seen("GET", "/containers/*/json"))
        await docker.remove_container(alone.id, finished_at=alone.finished_at)
        assert len(proxy.seen("GET", "/containers/*/json")) == inspections + 1, "others are not asked for nothing"


async def test_what_can_be_pulled_again_says_from_where(engine: PrivateEngine, docker: DockerEngine) -> None:
    with registry() as remote:
        reference = remote.push("web", "1", note="first")
        engine.docker("pull", reference)
    (pulled,) = [image for image in (await docker.disk_usage()).images if reference in image.tags]
    repository = reference.rpartition(":")[0]
    assert pulled.digests == (f"{repository}@{remote.manifests['web', '1']}",)
    assert [image.digests for image in (await images(docker)).values() if IMAGE in image.tags] == [()]


async def test_what_is_pulled_in_between_is_kept(engine: PrivateEngine, docker: DockerEngine) -> None:
    with registry() as remote:
        reference = remote.push("web", "1", note="first")
        engine.docker("pull", reference)
        (planned,) = [image for image in (await docker.disk_usage()).images if reference in image.tags]
        remote.push("web", "1", note="second")
        engine.docker("pull", reference)
    with pytest.raises(KeptError, match="by now"):
        await docker.remove_image(planned.id, tags=frozenset(planned.tags))
    tagged = {image.id for image in (await images(docker)).values() if reference in image.tags}
    assert len(tagged) == 1
    assert planned.id not in tagged
    assert planned.id in await images(docker)


async def test_an_image_that_a_service_names_by_its_digest_alone_is_kept(
    engine: PrivateEngine, docker: DockerEngine
) -> None:
    with registry() as remote:
        reference = remote.push("web", "1", note="first")
        engine.docker("pull", reference)
    (pulled,) = [image for image in (await docker.disk_usage()).images if reference in image.tags]
    with swarm(engine):
        create_service(engine, "shop", replicas=0, container={"Image": pulled.digests[0]})
        assert (await docker.disk_usage()).service_images == set(pulled.digests)
        with pytest.raises(KeptError, match="a service of the Swarm"):
            await docker.remove_image(pulled.id, tags=frozenset(pulled.tags))
    await docker.remove_image(pulled.id, tags=frozenset(pulled.tags))
    assert pulled.id not in await images(docker)


@pytest.mark.parametrize(
    ("kind", "use", "words"),
    [
        ("image", lambda engine, web: engine.docker("create", "--network=none", web, "true"), "being used by"),
        ("container", lambda engine, _: engine.docker("start", "planned"), "running"),
        ("volume", lambda engine, _: engine.docker("create", "--volume=files:/v", IMAGE, "true"), "in use"),
    ],
)
async def test_what_is_used_after_the_last_look_is_kept_by_the_engine_itself(
    engine: PrivateEngine, kind: str, use: Callable[[PrivateEngine, str], object], words: str
) -> None:
    engine.load_image("web:1")
    web = engine.api("GET", "/images/web:1/json")["Id"]
    engine.docker("create", "--name=planned", "--network=none", IMAGE, "sleep", "300")
    engine.docker("volume", "create", "files")
    with EngineProxy(engine.socket) as proxy, acting(proxy.url) as docker:
        usage = await docker.disk_usage()
        (planned,), (volume,) = usage.containers, usage.volumes
        removals: dict[str, Callable[[], Awaitable[None]]] = {
            "image": lambda: docker.remove_image(web, tags=frozenset({"web:1"})),
            "container": lambda: docker.remove_container(planned.id, finished_at=planned.finished_at),
            "volume": lambda: docker.remove_volume("files", created_at=volume.created_at),
        }
        rule = proxy.hold("DELETE", "*")
        removal = asyncio.ensure_future(removals[kind]())
        await asyncio.to_thread(rule.wait)
        use(engine, web)
        rule.release()
        with pytest.raises(KeptError, match=words):
            await removal
        after = await docker.disk_usage()
        assert web in {image.id for image in after.images}
        assert planned.id in {container.id for container in after.containers}
        assert [each.name for each in after.volumes] == ["files"]


async def test_tags_come_back_when_the_image_turns_out_to_be_needed(engine: PrivateEngine) -> None:
    engine.load_image("web:1")
    web = engine.api("GET", "/images/web:1/json")["Id"]
    engine.docker("tag", "web:1", "registry.invalid:5000/team/web:1")
    planned = frozenset(tags(engine, web))
    with EngineProxy(engine.socket) as proxy, acting(proxy.url) as docker:
        rule = proxy.hold("DELETE", f"/images/{web}")
        removal = asyncio.ensure_future(docker.remove_image(web, tags=planned))
        await asyncio.to_thread(rule.wait)
        assert tags(engine, web) < planned
        engine.docker("create", "--network=none", web, "true")
        rule.release()
        with pytest.raises(KeptError, match="being used by"):
            await removal
    assert tags(engine, web) == planned


async def test_an_image_that_was_pulled_and_stays_can_be_pulled_again_still(
    engine: PrivateEngine, docker: DockerEngine
) -> None:
    with registry() as remote:
        reference = remote.push("web", "1", note="first")
        engine.docker("pull", reference)
    engine.docker("tag", reference, "0.invalid/web:1")  # which sorts before it
    (pulled,) = [image for image in (await docker.disk_usage()).images if reference in image.tags]
    with EngineProxy(engine.socket) as proxy, acting(proxy.url) as slow:
        rule = proxy.hold("DELETE", f"/images/{pulled.id}")
        removal = asyncio.ensure_future(slow.remove_image(pulled.id, tags=frozenset(pulled.tags)))
        await asyncio.to_thread(rule.wait)
        engine.docker("create", "--network=none", pulled.id, "true")
        rule.release()
        with pytest.raises(KeptError, match="being used by"):
            await removal
    found = (await images(docker))[pulled.id]
    assert set(found.tags) == set(pulled.tags)
    assert found.digests == pulled.digests


async def test_an_image_of_two_registries_goes(engine: PrivateEngine, docker: DockerEngine) -> None:
    with registry() as one, registry() as two:
        for each in (one, two):
            engine.docker("pull", each.push("web", "1", note="same"))
    (pulled,) = [image for image in (await docker.disk_usage()).images if len(image.digests) > 1]
    await docker.remove_image(pulled.id, tags=frozenset(pulled.tags))
    assert pulled.id not in await images(docker)


async def test_a_tag_comes_back_of_which_the_engine_did_not_say_whether_it_has_taken_it(engine: PrivateEngine) -> None:
    engine.load_image("web:1")
    web = engine.api("GET", "/images/web:1/json")["Id"]
    engine.docker("tag", web, "web:2")
    with EngineProxy(engine.socket) as proxy, acting(proxy.url, disk_timeout=1.0) as docker:
        proxy.lose_answers("/images/web:2")
        with pytest.raises(UnansweredError):
            await docker.remove_image(web, tags=frozenset({"web:1", "web:2"}))
    assert tags(engine, web) == {"web:1", "web:2"}


async def test_a_tag_that_moves_while_another_is_taken_stays_where_it_went(engine: PrivateEngine) -> None:
    engine.load_image("web:1")
    web = engine.api("GET", "/images/web:1/json")["Id"]
    for tag in ("web:2", "web:3"):
        engine.docker("tag", web, tag)
    with EngineProxy(engine.socket) as proxy, acting(proxy.url) as docker:
        rule = proxy.hold("DELETE", "/images/web:2")
        removal = asyncio.ensure_future(docker.remove_image(web, tags=frozenset({"web:1", "web:2", "web:3"})))
        await asyncio.to_thread(rule.wait)
        engine.load_image("web:3")
        newer = engine.api("GET", "/images/web:3/json")["Id"]
        rule.release()
        with pytest.raises(KeptError, match="web:3"):
            await removal
    assert newer != web
    assert tags(engine, newer) == {"web:3"}
    assert tags(engine, web) == {"web:1", "web:2"}


async def test_a_deletion_whose_answer_is_lost_is_looked_at(engine: PrivateEngine) -> None:
    engine.load_image("web:1")
    web = engine.api("GET", "/images/web:1/json")["Id"]
    container = engine.docker("create", "--name=planned", IMAGE, "true")
    with EngineProxy(engine.socket) as proxy, acting(proxy.url) as docker:
        rule = proxy.hold("DELETE", "/images/*")
        removal = asyncio.ensure_future(docker.remove_image(web, tags=frozenset({"web:1"})))
        await asyncio.to_thread(rule.wait)
        engine.api("DELETE", f"/images/{web}")
        proxy.cut("/images/*")
        await removal
        proxy.reject("DELETE", "/containers/*")
        with pytest.raises(UnansweredError):
            await docker.remove_container(container, finished_at=None)
        assert [each.id for each in (await docker.disk_usage()).containers] == [container]


async def test_the_disk_is_asked_about_once_and_holds_nothing_else_up(engine: PrivateEngine) -> None:
    container = engine.docker("create", "--name=planned", IMAGE, "true")
    with EngineProxy(engine.socket) as proxy, acting(proxy.url) as docker:
        rule = proxy.hold("GET", "/system/df")
        first, second, third = [asyncio.ensure_future(docker.disk_usage()) for _ in range(3)]
        await asyncio.to_thread(rule.wait)
        first.cancel()
        await docker.start(container)
        rule.release()
        assert await second is await third
        assert first.cancelled()
        assert len(proxy.seen("GET", "/system/df")) == 1
        await docker.disk_usage()
        assert len(proxy.seen("GET", "/system/df")) == 2


async def test_the_disk_is_asked_about_once_for_a_person_and_a_policy(engine: PrivateEngine) -> None:
    async def unmeasured() -> None:
        return None

    with EngineProxy(engine.socket) as proxy, acting(proxy.url) as docker:
        answers: list[Answer] = []
        disk = Disk(docker, measure=unmeasured, sink=answers.append)
        rule = proxy.hold("GET", "/system/df")
        disk.look(Look.SIZES)
        await asyncio.to_thread(rule.wait)
        by_hand = asyncio.ensure_future(disk.listing())
        await asyncio.sleep(0)  # it has asked
        rule.release()
        listed = await by_hand
        await disk.finish(10)
        assert answers == [listed]
        assert len(proxy.seen("GET", "/system/df")) == 1


async def test_who_begins_to_need_something_while_the_disk_is_looked_at_is_seen(engine: PrivateEngine) -> None:
    with EngineProxy(engine.socket) as proxy, acting(proxy.url) as docker:
        rule = proxy.hold("GET", "/images/json")
        asked = asyncio.ensure_future(docker.disk_usage())
        await asyncio.to_thread(rule.wait)
        network = engine.docker("network", "create", "front")
        container = engine.docker("create", "--name=late", "--network=front", IMAGE, "true")
        rule.release()
        usage = await asked
    assert [(each.id, each.networks) for each in usage.containers] == [(container, (network,))]
    assert {each.image_id for each in usage.containers} <= {each.id for each in usage.images}


async def test_the_disk_has_a_time_limit_of_its_own(engine: PrivateEngine) -> None:
    with EngineProxy(engine.socket) as proxy, acting(proxy.url, disk_timeout=0.2) as docker:
        proxy.blackhole("GET", "/system/df")
        with pytest.raises(UnansweredError):
            await docker.disk_usage()


async def test_the_disk_may_take_longer_than_other_calls(engine: PrivateEngine) -> None:
    with EngineProxy(engine.socket) as proxy, acting(proxy.url, timeout=2.0) as docker:
        proxy.delay("GET", "/system/df", 2.5)
        assert [image.tags for image in (await docker.disk_usage()).images] == [(IMAGE,)]


async def test_a_locked_swarm_does_not_tell_so_nothing_is_deleted(own_engine: PrivateEngine) -> None:
    own_engine.load_image("web:1")
    web = own_engine.api("GET", "/images/web:1/json")["Id"]
    spec = {"EncryptionConfig": {"AutoLockManagers": True}}
    own_engine.api("POST", "/swarm/init", {"ListenAddr": "127.0.0.1:0", "AdvertiseAddr": "127.0.0.1", "Spec": spec})
    own_engine.restart()
    with acting(own_engine.url) as docker:
        for call in (docker.disk_usage(), docker.remove_image(web, tags=frozenset({"web:1"}))):
            with pytest.raises(TemporaryError, match="Swarm is locked"):
                await call
    assert tags(own_engine, web) == {"web:1"}


async def test_where_images_are_kept_in_containerd_a_digest_says_nothing_of_a_registry(tmp_path: Path) -> None:
    configuration = tmp_path / "daemon.json"
    configuration.write_text(json.dumps({"features": {"containerd-snapshotter": True}}))
    with PrivateEngine(options=[f"--config-file={configuration}"]) as engine, acting(engine.url) as docker:
        web = built_image(engine, "web:1", "RUN echo 1 > /first")
        engine.docker("tag", "web:1", "elsewhere/web:1")
        assert engine.api("GET", f"/images/{web}/json")["RepoDigests"], "the engine itself says so"
        (image,) = [each for each in (await docker.disk_usage()).images if "web:1" in each.tags]
        assert (image.id, set(image.tags), image.digests) == (web, {"web:1", "elsewhere/web:1"}, ())
        engine.docker("create", "--name=user", "--network=none", "web:1", "true")
        with pytest.raises(KeptError, match="container user"):
            await docker.remove_image(web, tags=frozenset(image.tags))
        engine.sweep()
        await docker.remove_image(web, tags=frozenset(image.tags))
        assert web not in await images(docker)
