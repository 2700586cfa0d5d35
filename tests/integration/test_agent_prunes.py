"""Pruning by a real agent on a real engine whose disk is small: what goes, in which order, and what stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from tests.support.agent import Host, Json
from tests.support.broker import PrivateBroker
from tests.support.engine import IMAGE, PrivateEngine
from tests.support.plans import planned
from tests.support.proxy import Rule
from tests.support.registry import registry
from tests.support.small_disk import (
    MIB,
    all_tags,
    built_image,
    data_root,
    engine_on_small_disk,
    fat_image,
    fill,
    fill_inodes,
    image_of_many_files,
    imported_image,
    swept,
)
from tests.support.swarm import create_service, swarm

SIZE = 512 * MIB

PRESSURE = """
version: 1
policies:
  - name: disk-pressure
    when: host.disk.percent > 60%
    for: 1s
    prune:
      until: host.disk.percent < 58%
      build_cache: {}
      containers: {finished_for: 1s}
      images: {unused_for: 1s, keep_newest: 1, keep: ["kept/*", "IMAGE"]}
      networks: {unused_for: 1s}
  - name: networks
    when: host.disk.percent > 99%
    prune: {until: host.disk.free > 1TiB, networks: {unused_for: 1s}}
""".replace("IMAGE", IMAGE)
TIDY = """
version: 1
policies:
  - name: tidy
    when: host.disk.percent > 99%
    cooldown: 0s
    prune:
      until: host.disk.free > 1TiB
      images: {unused_for: 0s, keep_newest: 0, without_digest: true, keep: ["IMAGE"]}
      networks: {unused_for: 0s}
""".replace("IMAGE", IMAGE)
THREE = ("one:1", "two:1", "three:1")


@pytest.fixture(scope="module")
def small() -> Iterator[PrivateEngine]:
    with engine_on_small_disk(SIZE) as engine:
        yield engine


@pytest.fixture
def engine(small: PrivateEngine) -> Iterator[PrivateEngine]:
    with swept(small) as engine:
        yield engine


async def deleted(host: Host, count: int) -> list[str]:
    """Names of all that was deleted, in the order in which it went: so many at least."""
    told = await host.watch.until_told("policy", "pruned", count=count)
    return [each.data["name"] for each in sorted(told, key=lambda each: each.document["sequence"])]


def kept(host: Host, policy: str = "tidy") -> dict[str, str]:
    """What its newest plan kept, and for what."""
    plans = host.watch.told("policy", "prune_plan", where=lambda told: bool(told.data["policy"] == policy))
    return {each["name"]: each["protection"] for each in plans[-1].data["keeps"]}


def pulled(engine: PrivateEngine) -> str:
    """Versions of a large image and of some small ones, from a registry that is gone afterwards; its name."""
    with registry() as hub:
        for number in (1, 2, 3):
            engine.docker("pull", "-q", hub.push("app", str(number), note=f"{number}", fat=12 * MIB, created=number))
        for name in ("shop", "serves", "held"):
            engine.docker("pull", "-q", hub.push(name, "old", note=f"{name} old", fat=MIB, created=1))
            engine.docker("pull", "-q", hub.push(name, "new", note=f"{name} new", fat=MIB, created=2))
        return f"127.0.0.1:{hub.port}"


async def test_under_pressure_it_frees_to_the_mark_in_order_and_what_is_protected_stays(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    with swarm(engine):
        engine.docker("volume", "create", "--label=com.docker.compose.project=shop", "shop_data")
        engine.docker("network", "create", "held")
        engine.docker("network", "create", "free")
        host = make_host(engine, module_broker, PRESSURE)
        hub_name = pulled(engine)
        app = f"{hub_name}/app"
        engine.docker(
            "create", "--name=shop-web", "--label=com.docker.compose.project=shop", f"{hub_name}/shop:old", "/x"
        )
        engine.docker("rm", "shop-web")  # the project is down, its volume is here
        create_service(engine, "web", replicas=0, container={"Image": f"{hub_name}/serves:old"})
        engine.docker("create", "--name=holder", "--network=held", f"{hub_name}/held:old", "/x")
        built = built_image(engine, "", "RUN echo cached > /file", fat=0)
        fat_image(engine, "local:1", MIB)
        fat_image(engine, "local:2", MIB)
        fat_image(engine, "kept/by:pattern", MIB)
        dangling = fat_image(engine, "", 8 * MIB)
        engine.docker(
            "run", "--name=dead", "--network=none", IMAGE, "dd", "if=/dev/urandom", "of=/big", "bs=1M", "count=8"
        )
        host.agent.ask("trigger", policy="networks", target=None)  # which is a look at all the images, too
        await host.watch.until_told("action", "succeeded", where=lambda told: told.data["policy"] == "networks")
        assert await deleted(host, 1) == ["free"]
        engine.docker("create", "--name=again", "--network=none", f"{app}:1", "/x")
        engine.docker("rm", "again")  # so the second was used less recently than the first
        with fill(engine, 0.62):
            (ended,) = await host.watch.until_told(
                "action", "succeeded", timeout=60, where=lambda told: told.data["policy"] == "disk-pressure"
            )

        numbers = ended.data["numbers"]
        assert numbers["ending"] == "reached", ended.reason
        assert numbers["used_before"] > 0.6
        assert 0.55 < numbers["used_after"] < 0.58
        assert numbers["deleted.build_cache"] >= 1
        gone = await deleted(host, 5)
        assert set(gone[1:3]) == {built[7:19], dangling[7:19]}
        assert gone[3:] == ["dead", f"{app}:2"]
        (destroyed,) = host.watch.told("container", "destroy", "dead")
        assert {each.correlation for each in (destroyed, *host.watch.told("image", "delete"))} == {ended.correlation}
        why = kept(host, "disk-pressure")
        assert why[f"{app}:3"] == why["local:2"] == "newest"
        assert why[f"{hub_name}/shop:old"] == "compose"
        assert why[f"{hub_name}/serves:old"] == "service"
        assert why[f"{hub_name}/held:old"] == why["held"] == "container"
        assert why["local:1"] == "no_digest"
        assert why["kept/by:pattern"] == "pattern"
        assert why["holder"] == "never_ended"
        assert "shop_data" not in why  # volumes are of no policy here
        assert why["bridge"] == why["host"] == why["none"] == "predefined"
        assert why["ingress"] in {"predefined", "swarm"}
        assert {name for name in why if ":" in name} <= all_tags(engine)
        assert engine.docker("volume", "ls", "-q").split() == ["shop_data"]
        assert "held" in engine.docker("network", "ls", "--format={{.Name}}").split()


FILES = """
version: 1
policies:
  - name: tidy
    when: host.disk.percent > 60% or host.disk.inodes_percent > 60%
    for: 1s
    prune:
      until: host.disk.percent < 58% and host.disk.inodes_percent < 58%
      images: {unused_for: 1s, keep_newest: 0, without_digest: true, keep: ["IMAGE"]}
""".replace("IMAGE", IMAGE)


async def test_where_inodes_are_short_and_bytes_are_not_it_frees_to_the_mark_of_inodes(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    for name in THREE:
        image_of_many_files(engine, name, 2000)  # 3 % of the inodes
    host = make_host(engine, module_broker, FILES)
    assert host.proxy is not None
    await planned(host, *THREE, policy="tidy")
    asked = len(host.proxy.seen("GET", "/system/df"))
    with fill_inodes(engine, 0.62):
        ended = await until_ended(host)
        facts = os.statvfs(data_root(engine))

    numbers = ended["numbers"]
    assert numbers["ending"] == "reached"
    assert numbers["used_before"] > 0.6
    assert 0.55 < numbers["used_after"] < 0.58
    assert 1 - facts.f_ffree / facts.f_files < 0.58
    assert facts.f_bavail > 0.5 * facts.f_blocks, "bytes were never short"
    assert numbers["deleted"] == numbers["deleted.image"] == 2
    assert len(set(THREE) & all_tags(engine)) == 1
    assert host.watch.told("policy", "prune_ineffective") == []
    assert len(host.proxy.seen("GET", "/system/df")) == asked + 1


async def until_ended(host: Host, result: str = "succeeded") -> Json:
    """The outcome of its pass."""
    (ended,) = await host.watch.until_told("action", result, where=lambda told: bool(told.data["policy"] == "tidy"))
    return ended.data


def tidy(host: Host) -> None:
    """A person sets the policy off."""
    host.agent.ask("trigger", policy="tidy", target=None)


async def tidies_until(host: Host, method: str, pattern: str) -> Rule:
    """A person sets the policy off, and what it asks of the engine so is held up."""
    assert host.proxy is not None
    rule = host.proxy.hold(method, pattern)
    tidy(host)
    await asyncio.to_thread(rule.wait)
    return rule


def three(engine: PrivateEngine) -> dict[str, str]:
    """Three images that may go, and their ids; the first is the largest, and so the first to go."""
    return {name: imported_image(engine, name, size * MIB) for name, size in zip(THREE, (6, 4, 2), strict=True)}


async def test_what_is_used_again_after_the_plan_is_kept(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    ids = three(engine)
    imported_image(engine, "four:1", MIB)
    engine.docker("network", "create", "joined")
    engine.docker("network", "create", "left")
    host = make_host(engine, module_broker, TIDY)
    assert host.proxy is not None
    first = await tidies_until(host, "DELETE", "/images/*")
    engine.docker("create", "--name=of-one", "--network=joined", "one:1", "/x")  # the engine is about to be asked
    engine.docker("create", "--name=of-two", "--network=none", "two:1", "/x")
    engine.docker("tag", "three:1", "three:again")
    first.release()
    ended = await until_ended(host)

    assert await deleted(host, 2) == ["four:1", "left"]
    assert {*THREE, "three:again"} <= all_tags(engine)
    why = {told.data["name"]: told.data["protection"] for told in host.watch.told("policy", "prune_kept")}
    assert why == {"one:1": "engine", "two:1": "container", "three:1": "changed", "joined": "container"}
    assert ended["numbers"]["kept"] == 4
    gone = [request.path.rpartition("/")[2] for request in host.proxy.seen("DELETE", "*")]
    assert ids["one:1"] in gone  # the engine refused
    assert not {ids["two:1"], ids["three:1"]} & set(gone)
    assert len(host.proxy.seen("GET", "/system/df")) == 1


async def test_what_is_pulled_or_run_between_plan_and_deletion_is_kept(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    imported_image(engine, "first:1", 8 * MIB)
    imported_image(engine, "last:1", 1)
    built_image(engine, "ran:1", "RUN echo ran > /file")
    with registry() as hub:
        same = hub.push("same", "1", note="same", fat=4 * MIB)
        moved = hub.push("moved", "1", note="older", fat=2 * MIB)
        for each in (same, moved):
            engine.docker("pull", "-q", each)
        older = engine.api("GET", f"/images/{moved}/json")["Id"]
        host = make_host(engine, module_broker, TIDY.replace("images: {unused_for: 0s", "images: {unused_for: 4s"))
        assert host.proxy is not None
        await planned(host, "first:1", same, moved, "ran:1", "last:1", policy="tidy")
        first = await tidies_until(host, "DELETE", "/images/*")
        hub.push("moved", "1", note="newer", fat=2 * MIB)
        for each in (same, moved):
            engine.docker("pull", "-q", each)
        engine.docker("run", "--rm", "--network=none", "ran:1", "true")
        await host.watch.until_told("image", "pull", count=2)
        await host.watch.until_told("container", "destroy")
        first.release()
        await until_ended(host)

    plan = host.watch.told("policy", "prune_plan")[-1]
    assert {each["name"] for each in plan.data["items"]} == {"first:1", same, moved, "ran:1", "last:1"}
    assert await deleted(host, 2) == ["first:1", "last:1"]
    why = {told.data["id"]: told.data["protection"] for told in host.watch.told("policy", "prune_kept")}
    assert why[older] == "used_again"
    assert sorted(why.values()) == ["used_again"] * 3
    assert {same, moved, "ran:1"} <= all_tags(engine)
    assert engine.api("GET", f"/images/{older}/json")["Id"] == older


async def test_the_base_of_what_a_container_runs_is_kept_though_the_engine_does_not_say_that_it_is_one(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    with registry() as hub:
        base = hub.push("base", "1", note="base", fat=MIB)
        engine.docker("pull", "-q", base)
    built_image(engine, "app:1", "COPY fat /more", base=base, fat=1)
    assert engine.api("GET", "/images/app:1/json")["Parent"] == ""
    engine.docker("create", "--name=runs", "--network=none", "app:1", "/x")
    imported_image(engine, "four:1", MIB)
    host = make_host(engine, module_broker, TIDY)
    tidy(host)
    await until_ended(host)

    assert await deleted(host, 1) == ["four:1"]
    (why,) = [each for each in host.watch.told("policy", "prune_plan")[-1].data["keeps"] if each["name"] == base]
    assert (why["protection"], why["by"]) == ("child", "app:1")
    assert base in all_tags(engine)


SCRATCH = """
version: 1
policies:
  - name: tidy
    schedule: {cron: "0 0 29 2 *", timezone: UTC}
    cooldown: 0s
    prune: {volumes: {only: ["scratch-*"], unattached_for: 1s}}
"""


async def test_volumes_go_that_are_named_and_unattached_and_stay_when_they_are_attached_meanwhile(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    for name in ("scratch-1", "scratch-2", "scratch-3", "scratch-held", "precious"):
        engine.docker("volume", "create", name)
    engine.docker("create", "--name=holder", "--network=none", "--volume=scratch-held:/data", IMAGE, "true")
    permitted = {"allow": {"prune_volumes": True}}
    young = make_host(engine, module_broker, SCRATCH, settings=permitted)
    tidy(young)
    await young.watch.until_told("policy", "prune_plan")
    assert kept(young)["scratch-1"] == "engine_up"
    young.agent.stop()

    host = make_host(engine, module_broker, SCRATCH, settings=permitted, host_up=90_000.0)  # 25 h
    assert host.proxy is not None
    await planned(host, "scratch-1", "scratch-2", "scratch-3", policy="tidy")
    first = await tidies_until(host, "DELETE", "/volumes/*")
    for number in (1, 2):  # the engine is about to be asked for the first
        engine.docker("create", "--network=none", f"--volume=scratch-{number}:/data", IMAGE, "true")
    first.release()
    await until_ended(host)

    assert await deleted(host, 1) == ["scratch-3"]
    why = {told.data["name"]: told.data["protection"] for told in host.watch.told("policy", "prune_kept")}
    assert why == {"scratch-1": "engine", "scratch-2": "container"}
    assert kept(host) == {"scratch-held": "container", "precious": "not_listed"}
    assert set(engine.docker("volume", "ls", "-q").split()) == {"scratch-1", "scratch-2", "scratch-held", "precious"}


async def test_after_kill_9_the_next_start_knows_what_went_and_goes_on_from_a_new_plan(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    ids = three(engine)
    host = make_host(engine, module_broker, TIDY)
    assert host.proxy is not None
    host.proxy.lose_answers(f"/images/{ids['two:1']}")
    tidy(host)
    await host.watch.until_told("policy", "pruned")
    await asyncio.to_thread(host.proxy.wait_seen, "DELETE", f"/images/{ids['two:1']}")
    await host.watch.until_told("image", "delete", count=2)
    host.agent.kill()
    imported_image(engine, "late:1", MIB)
    host.agent.start()
    ended = await until_ended(host, "interrupted")

    assert ended["numbers"]["deleted"] == 2
    assert ended["numbers"]["failed"] == 0
    assert all_tags(engine) >= {"three:1", "late:1"}
    tidy(host)
    await until_ended(host)
    plans = host.watch.told("policy", "prune_plan")
    assert [each["name"] for each in plans[-1].data["items"]] == ["three:1", "late:1"]
    assert await deleted(host, 3) == ["one:1", "three:1", "late:1"]
    planned = {each["id"] for plan in plans for each in plan.data["items"]}
    assert {request.path.rpartition("/")[2] for request in host.proxy.seen("DELETE", "*")} <= planned


async def test_after_kill_9_in_the_middle_of_an_image_it_has_its_tags_again_unless_others_have_them(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    one = three(engine)["one:1"]
    for tag in ("one:2", "one:moved", "elsewhere/one:1"):
        engine.docker("tag", one, tag)
    host = make_host(engine, module_broker, TIDY)
    assert host.proxy is not None
    last = host.proxy.blackhole("DELETE", f"/images/{one}")
    tidy(host)
    await asyncio.to_thread(last.wait)
    assert len([tag for tag in all_tags(engine) if "one:" in tag]) == 1
    host.agent.kill()
    engine.docker("tag", "two:1", "one:moved")
    host.agent.start()
    await host.watch.until_told("image", "tag", count=2, where=lambda told: told.actor == one)
    ended = await until_ended(host, "interrupted")

    assert ended["numbers"]["failed"] == 1
    names = set(engine.api("GET", f"/images/{one}/json")["RepoTags"])
    assert names == {"one:1", "one:2", "elsewhere/one:1"}
    assert "one:moved" in engine.api("GET", "/images/two:1/json")["RepoTags"]


@pytest.mark.only_full
async def test_after_kill_9_before_the_engine_was_asked_nothing_is_taken_for_deleted(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    ids = three(engine)
    host = make_host(engine, module_broker, TIDY)
    assert host.proxy is not None
    never = host.proxy.blackhole("DELETE", f"/images/{ids['one:1']}")
    tidy(host)
    await asyncio.to_thread(never.wait)
    ((course,),) = host.agent.query("SELECT value FROM records WHERE kind = 'prune'")
    assert ids["one:1"] in str(course)  # durable before
    host.agent.kill()
    host.agent.start()
    ended = await until_ended(host, "interrupted")

    assert (ended["numbers"]["deleted"], ended["numbers"]["failed"]) == (0, 1)
    assert set(THREE) <= all_tags(engine)


async def test_sigterm_ends_a_pass_after_the_deletion_at_hand(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    three(engine)
    host = make_host(engine, module_broker, TIDY)
    assert host.proxy is not None
    first = host.proxy.delay("DELETE", "/images/*", 1.0)
    tidy(host)
    await asyncio.to_thread(first.wait)
    await asyncio.to_thread(host.agent.stop)
    ended = await until_ended(host)

    assert await deleted(host, 1) == ["one:1"]
    assert (ended["numbers"]["deleted"], ended["numbers"]["ending"]) == (1, "stopped")
    assert "the agent ends" in ended["reason"]
    host.agent.start()
    assert all_tags(engine) >= {"two:1", "three:1"}


@pytest.mark.only_full
async def test_an_engine_that_dies_stops_the_pass(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    three(engine)
    host = make_host(engine, module_broker, TIDY)
    first = await tidies_until(host, "DELETE", "/images/*")
    engine.kill()
    first.release()
    ended = await until_ended(host)
    engine.start()

    assert (ended["numbers"]["deleted"], ended["numbers"]["failed"], ended["numbers"]["ending"]) == (0, 1, "stopped")
    assert set(THREE) <= all_tags(engine)


async def test_deletions_that_free_nothing_end_the_pass(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    three(engine)
    imported_image(engine, "four:1", MIB)
    host = make_host(engine, module_broker, TIDY)
    with contextlib.ExitStack() as held:
        for path in (data_root(engine) / "overlay2").glob("*/diff/fat"):
            held.enter_context(path.open("rb"))  # what is deleted while it is open keeps its space
        tidy(host)
        ended = await until_ended(host, "failed")

    assert await deleted(host, 3) == list(THREE)
    assert ended["numbers"]["ending"] == "prune_ineffective"
    (told,) = host.watch.told("policy", "prune_ineffective")
    assert told.document["severity"] == "critical"
    assert "four:1" in all_tags(engine)


async def test_images_whose_bytes_the_build_cache_has_are_freed_by_the_pass_after(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    names = (*THREE, "four:1")
    for name in names:
        fat_image(engine, name, 2 * MIB)
    host = make_host(engine, module_broker, TIDY.replace("images:", "build_cache: {}\n      images:"))
    tidy(host)
    await until_ended(host)
    assert set(await deleted(host, 4)) == set(names)
    assert all(told.data["freed"] < MIB for told in host.watch.told("policy", "pruned"))
    assert host.watch.told("policy", "prune_ineffective") == []

    tidy(host)
    _, second = await host.watch.until_told("action", "succeeded", count=2)
    assert second.data["numbers"]["deleted.build_cache"] >= len(names)
    assert second.data["numbers"]["freed"] >= 8 * MIB


GUARDED = """
version: 1
policies:
  - name: tidy
    mode: approve
    when: host.disk.free < 1TiB
    cooldown: 0s
    budget: {max: 1, per: 1h}
    prune:
      until: host.disk.free > 1TiB
      images: {unused_for: 0s, keep_newest: 0, without_digest: true, keep: ["IMAGE"]}
  - name: rehearsal
    mode: shadow
    when: host.disk.free < 1TiB
    prune:
      until: host.disk.free > 1TiB
      images: {unused_for: 0s, keep_newest: 0, without_digest: true, keep: ["IMAGE"]}
""".replace("IMAGE", IMAGE)


async def test_a_plan_waits_for_its_approval_and_is_all_that_is_done(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    three(engine)
    host = make_host(engine, module_broker, GUARDED)
    assert host.proxy is not None
    (asked,) = await host.watch.until_told("policy", "approval_asked", timeout=30)
    imported_image(engine, "late:1", MIB)
    await asyncio.to_thread(host.agent.command, "approve", asked.data["approval"])
    ended = await until_ended(host)
    await host.watch.until_told(
        "policy", "held", where=lambda told: (told.data["policy"], told.guard) == ("rehearsal", "mode")
    )
    await host.watch.until_told(
        "policy", "held", where=lambda told: (told.data["policy"], told.guard) == ("tidy", "budget")
    )

    assert await deleted(host, 3) == list(THREE)
    assert ended["numbers"]["ending"] == "through"
    assert {"late:1", IMAGE} == all_tags(engine)
    assert len(host.proxy.seen("GET", "/system/df")) <= 2


@pytest.mark.only_full
async def test_without_a_broker_it_prunes_and_tells_later(
    engine: PrivateEngine, broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    three(engine)
    host = make_host(engine, broker, TIDY)
    first = await tidies_until(host, "DELETE", "/images/*")
    broker.stop()
    first.release()
    await asyncio.to_thread(host.agent.wait_log, "action_ended", result="succeeded")
    assert all_tags(engine) == {IMAGE}
    broker.start()
    await until_ended(host)
    assert await deleted(host, 3) == list(THREE)


@pytest.mark.only_full
async def test_what_ran_while_the_agent_was_away_is_kept(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    built_image(engine, "one:1", "RUN echo 1 > /file")
    built_image(engine, "two:1", "RUN echo 2 > /file")
    host = make_host(engine, module_broker, TIDY.replace("unused_for: 0s, keep_newest", "unused_for: 8s, keep_newest"))
    assert host.proxy is not None
    await planned(host, "one:1", "two:1", policy="tidy")
    host.agent.stop()
    engine.docker("run", "--rm", "--network=none", "one:1", "true")
    host.agent.start()
    tidy(host)
    await until_ended(host)

    assert await deleted(host, 1) == ["two:1"]
    assert kept(host)["one:1"] == "recent"


@pytest.mark.only_full
async def test_however_many_want_to_know_the_engine_counts_once(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    three(engine)
    host = make_host(engine, module_broker, TIDY)
    assert host.proxy is not None
    counting = await tidies_until(host, "GET", "/system/df")
    shown = [asyncio.to_thread(host.agent.command, "prune", "tidy", "--plan", "--json") for _ in range(2)]
    answers = asyncio.gather(*shown)
    await asyncio.sleep(1.5)  # in which they ask: nothing shows that they have
    assert len(host.proxy.seen("GET", "/system/df")) == 1
    counting.release()
    await answers
    await until_ended(host)
    assert await deleted(host, 3) == list(THREE)
