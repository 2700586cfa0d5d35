"""In which order a plan deletes, what it says of each, and what a fresh listing has against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.pruning import (
    BEGIN,
    EVERYTHING,
    MIB,
    QUIET,
    Host,
    container,
    image,
    names,
    network,
    record,
    sha,
    volume,
)
from watchtower_agent.model.disk_usage import Image
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.removal import Kind
from watchtower_agent.policies.pruning.confirmation import objection
from watchtower_agent.policies.pruning.item import Item, Protection
from watchtower_agent.policies.pruning.plan import EXPIRES_AFTER
from watchtower_agent.policies.pruning.rules import (
    DAY,
    CacheRules,
    ContainerRules,
    ImageRules,
    NetworkRules,
    Rules,
    VolumeRules,
)

Change = Callable[[Host], object]
IMAGES = Rules(images=ImageRules(keep_newest=0, without_digest=True))


def test_kinds_come_in_their_order_whatever_their_age() -> None:
    host = Host().has(images=(image("web", "web:1"), image("lost")), networks=(network("n"),), volumes=(volume("v"),))
    host.aged()
    host.has(cache=(record("layer", used_at=host.now.wall),), containers=(container("c", "x"),))
    kinds = [item.kind for item in host.plan().items]
    assert kinds == [Kind.CACHE, Kind.IMAGE, Kind.CONTAINER, Kind.IMAGE, Kind.NETWORK, Kind.VOLUME]
    assert not host.plan().items[1].tags


def test_what_was_built_here_frees_nothing_yet_while_the_build_cache_has_its_bytes() -> None:
    built, pulled = image("built", "built:1", pulled=False), image("pulled", "pulled:1")
    host = Host().has(images=(built, pulled))
    host.aged()
    assert [item.frees for item in host.plan(IMAGES).items] == [True, True]
    host.has(cache=(record("layer", shared=True),))
    with_cache = replace(IMAGES, build_cache=CacheRules())
    assert {item.name: item.frees for item in host.plan(with_cache).items} == {"built:1": False, "pulled:1": True}
    # that was used lately stays for as long as it is asked to: until then no pass lets go of the bytes
    recent = replace(IMAGES, build_cache=CacheRules(unused_for=DAY))
    host.has(cache=(record("layer", shared=True, used_at=host.now.wall - DAY / 2),))
    assert [item.frees for item in host.plan(recent).items] == [True, True]
    host.wait(DAY / 2)
    assert {item.name: item.frees for item in host.plan(recent).items} == {"built:1": False, "pulled:1": True}
    alone = host.plan(IMAGES)  # nobody lets the cache go then: what frees nothing is useless, and ends the pass
    assert [item.frees for item in alone.items] == [True, True]


def test_least_recently_used_first_then_most_bytes_of_their_own() -> None:
    host = Host().has(
        images=(
            image("small", "small:1", size=900 * MIB, shared=880 * MIB),
            image("large", "large:1", size=100 * MIB),
            image("unknown", "unknown:1", size=50 * MIB, shared=None),
            image("used", "used:1", size=5000 * MIB),
            image("older", "older:1", size=1),
        )
    )
    host.list()
    host.wait(DAY)
    for name in ("small:1", "large:1", "unknown:1"):
        host.ran(name)
    host.wait(1.0)
    host.ran("used:1")
    host.wait(30 * DAY)
    made = host.plan(IMAGES)
    assert names(made.items) == ["older:1", "large:1", "unknown:1", "small:1", "used:1"]
    assert [item.size for item in made.items] == [1, 100 * MIB, None, 20 * MIB, 5000 * MIB]
    assert made.size == 1 + 5120 * MIB


def test_what_is_built_upon_comes_after_what_builds_upon_it() -> None:
    base = image("base", "base:1", size=5000 * MIB)
    host = Host().has(images=(base, image("top", "top:1", parent="middle"), image("middle", parent="base")))
    host.aged()
    assert names(host.plan(IMAGES).items) == ["top:1", sha("middle")[7:19], "base:1"]


def test_the_build_cache_comes_leaves_first_where_they_are_known_and_youngest_first_where_not() -> None:
    host = Host().has(
        cache=(
            record("base", used_at=BEGIN - 9 * DAY, created_at=0.0),
            record("top", "base", used_at=BEGIN - 8 * DAY, created_at=0.0),
            record("first", created_at=BEGIN - 3 * DAY),
            record("last", created_at=BEGIN - 2 * DAY),
        )
    )
    assert names(host.plan().items) == ["top", "base", "last", "first"]


def test_containers_networks_and_volumes_come_by_age_then_size() -> None:
    host = Host().has(networks=(network("n2"),), volumes=(volume("v2"),))
    host.aged(DAY)
    host.has(
        containers=(
            container("c1", "x", finished_at=BEGIN - 20 * DAY, size=1),
            container("c2", "x", finished_at=BEGIN - 20 * DAY, size=2),
            container("c3", "x", finished_at=BEGIN - 21 * DAY, size=None),
        ),
        networks=(network("n1"), network("n2")),
        volumes=(volume("v1", size=9), volume("v2"), volume("v3", size=None), volume("v4", size=10)),
    )
    host.aged()
    assert names(host.plan().items) == ["c3", "c2", "c1", "n2", "n1", "v2", "v4", "v1", "v3"]


def test_an_item_says_what_it_is_and_why_it_may_go() -> None:
    host = Host().has(images=(image("web", "web:2", "web:1", size=7, shared=3),))
    host.aged(2 * DAY)
    assert host.plan(IMAGES).items == (
        Item(
            kind=Kind.IMAGE,
            id=sha("web"),
            name="web:1",
            size=4,
            unused=2 * DAY + 60.0,
            asked=DAY,
            tags=("web:2", "web:1"),
        ),
    )


def test_a_plan_is_over_after_ten_minutes() -> None:
    host = Host()
    made = host.plan()
    assert not made.is_over(host.now)
    assert not made.is_over(host.wait(EXPIRES_AFTER - 0.1).now)
    assert made.is_over(host.wait(0.1).now)


def planned() -> Host:
    host = Host().has(
        images=(image("web", "web:1"), image("newer", "web:2"), image("newest", "web:3")),
        containers=(container("c", "x"),),
        cache=(record("layer"),),
        networks=(network("n"),),
        volumes=(volume("v"),),
    )
    host.list()
    host.wait(1.0)
    host.ran("web:2")
    host.ran("web:3")
    return host.aged()


def against(host: Host, kind: Kind, change: Change, rules: Rules = EVERYTHING) -> Protection | None:
    """What stands against deleting the thing of that kind, after something happened."""
    made = host.plan(rules)
    item = next(each for each in made.items if each.kind is kind)
    host.wait(1.0)
    change(host)
    host.list()
    found = objection(item, made, host.usage, host.disk, QUIET, host.now)
    return None if found is None else found.protection


def nothing(_: Host) -> None:
    pass


def again(kind: EventKind, action: str, actor: str, **attributes: str) -> Change:
    return lambda host: host.event(kind, action, actor, attributes)


def now_has(**parts: Any) -> Change:  # noqa: ANN401 - fields by name
    return lambda host: host.has(**parts)


CHANGED: list[tuple[Kind, Change, Protection]] = [
    (Kind.IMAGE, again(EventKind.CONTAINER, "create", "c" * 64, image="web:1"), Protection.USED_AGAIN),
    (Kind.IMAGE, again(EventKind.IMAGE, "pull", "web:1", name="web"), Protection.USED_AGAIN),
    (Kind.IMAGE, lambda host: host.usage.missed(host.now), Protection.GAP),
    (Kind.IMAGE, now_has(containers=(container("d", "web", "created"),)), Protection.CONTAINER),
    (Kind.IMAGE, now_has(service_images=frozenset({"web:1"})), Protection.SERVICE),
    (Kind.IMAGE, now_has(images=(image("web", "web:1", "web:stable"),)), Protection.CHANGED),
    (Kind.IMAGE, now_has(images=(image("web", "web:1"), image("top", "top:1", parent="web"))), Protection.CHILD),
    (Kind.IMAGE, now_has(images=()), Protection.GONE),
    (Kind.CONTAINER, now_has(containers=(container("c", "x", "running"),)), Protection.RUNNING),
    (Kind.CONTAINER, now_has(containers=(container("c", "x", finished_at=BEGIN - 59 * DAY),)), Protection.USED_AGAIN),
    (Kind.CONTAINER, now_has(containers=()), Protection.GONE),
    (Kind.CACHE, now_has(cache=(record("layer", in_use=True),)), Protection.IN_USE),
    (Kind.CACHE, now_has(cache=(record("layer", used_at=BEGIN),)), Protection.USED_AGAIN),
    (Kind.NETWORK, now_has(containers=(container("d", "x", networks=("n-id",)),)), Protection.CONTAINER),
    (Kind.NETWORK, again(EventKind.NETWORK, "connect", "n-id"), Protection.USED_AGAIN),
    (Kind.VOLUME, now_has(containers=(container("d", "x", "created", volumes=("v",)),)), Protection.CONTAINER),
    (Kind.VOLUME, again(EventKind.VOLUME, "mount", "v"), Protection.USED_AGAIN),
    (Kind.VOLUME, now_has(volumes=(volume("v", created_at=BEGIN),)), Protection.CHANGED),
    (Kind.VOLUME, lambda host: host.usage.engine_away(host.now), Protection.GAP),
]


@pytest.mark.parametrize(("kind", "change", "protection"), CHANGED)
def test_what_is_needed_again_since_the_plan_is_kept(kind: Kind, change: Change, protection: Protection) -> None:
    assert against(planned(), kind, change) is protection


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Kind.IMAGE, again(EventKind.CONTAINER, "create", "c" * 64, image="web:1")),
        (Kind.NETWORK, again(EventKind.NETWORK, "connect", "n-id")),
    ],
)
def test_a_use_since_the_plan_counts_also_where_no_time_without_use_is_asked_for(kind: Kind, change: Change) -> None:
    hasty = replace(EVERYTHING, images=ImageRules(keep_newest=0, unused_for=0.0), networks=NetworkRules(unused_for=0.0))
    assert against(planned(), kind, change, hasty) is Protection.USED_AGAIN
    assert against(planned(), kind, nothing, hasty) is None


@pytest.mark.parametrize("kind", list(Kind))
def test_where_nothing_happened_nothing_stands_against_it(kind: Kind) -> None:
    assert against(planned(), kind, nothing) is None


def test_the_newest_stay_also_where_others_were_deleted_by_somebody_else() -> None:
    images: tuple[Image, ...] = tuple(
        image(f"web{n}", f"web:{n}", created_at=BEGIN - (60 - n) * DAY) for n in (1, 2, 3)
    )
    host = Host().has(images=images)
    host.aged()
    rules = replace(EVERYTHING, images=ImageRules(keep_newest=2))
    made = host.plan(rules)
    assert names(made.items) == ["web:1"]
    host.wait(1.0).has(images=images[:2]).list()
    found = objection(made.items[0], made, host.usage, host.disk, QUIET, host.now)
    assert found is not None
    assert (found.protection, found.by) == (Protection.NEWEST, "web")


@pytest.mark.parametrize(
    ("build", "wrong"),
    [
        (Rules, {"until": 0.0}),
        (Rules, {"until": 1.0}),
        (Rules, {"until": float("nan")}),
        (Rules, {"most": 0}),
        (Rules, {"most_cache": 0}),
        (CacheRules, {"unused_for": -1.0}),
        (ImageRules, {"unused_for": float("nan")}),
        (ImageRules, {"keep_newest": -1}),
        (ContainerRules, {"finished_for": -1.0}),
        (NetworkRules, {"unused_for": -1.0}),
        (VolumeRules, {"only": ()}),
        (VolumeRules, {"only": ("  ",)}),
        (VolumeRules, {"only": ("v",), "unattached_for": -1.0}),
    ],
)
def test_rules_that_mean_nothing_are_refused(build: Callable[..., object], wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"is|names|counts|deletes"):
        build(**wrong)
