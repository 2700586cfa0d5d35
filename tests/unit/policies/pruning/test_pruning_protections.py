"""Each protection by its name: what is kept by it, what it is told for, and that nothing else keeps the same thing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.pruning import (
    BEGIN,
    EVERYTHING,
    QUIET,
    Host,
    container,
    image,
    names,
    network,
    record,
    sha,
    volume,
    why,
)
from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.policies.pruning.circumstances import ENGINE_UP, Cause, Circumstances
from watchtower_agent.policies.pruning.item import Protection
from watchtower_agent.policies.pruning.project_names import MOST_KEYS, ProjectNames
from watchtower_agent.policies.pruning.rules import DAY, CacheRules, ContainerRules, ImageRules, Rules, VolumeRules

PROTECT = {"watchtower-agent.protect": "true"}
PROJECT = {"com.docker.compose.project": "shop"}


def keeping(images: ImageRules) -> Rules:
    return replace(EVERYTHING, images=images)


def test_what_nothing_protects_is_deleted() -> None:
    host = Host().has(
        images=(image("web", "web:1"), image("lost")),
        containers=(container("old", "gone"),),
        cache=(record("layer"),),
        networks=(network("net"),),
        volumes=(volume("data"),),
    )
    host.aged()
    assert names(host.plan().items) == ["layer", sha("lost")[7:19], "old", "web:1", "net", "data"]
    assert host.plan().kept == ()


@pytest.mark.parametrize("status", ["created", "running", "paused", "restarting", "removing", "exited", "dead"])
def test_the_image_of_a_container_in_any_state_is_kept(status: str) -> None:
    host = Host().has(images=(image("web", "web:1"),), containers=(container("front", "web", status),))
    host.aged()
    assert why(host.plan(), "web:1") == (Protection.CONTAINER, "front")


@pytest.mark.parametrize(
    ("reference", "by"),
    [
        ("web:1", "web:1"),
        ("docker.io/library/web:1", "web:1"),
        (f"web:1@{sha('other')}", "web:1"),
        (f"web:9@{sha('web')}", f"web@{sha('web')}"),
        (f"mirror.example:5000/web@{sha('web')}", f"web@{sha('web')}"),
        (sha("web"), sha("web")[7:19]),
        (sha("web")[7:19], sha("web")[7:19]),
    ],
)
def test_what_a_service_names_is_kept(reference: str, by: str) -> None:
    host = Host().has(images=(image("web", "web:1"), image("another", "x:1")), service_images=frozenset({reference}))
    host.aged()
    assert why(host.plan(), "web:1") == (Protection.SERVICE, by)
    assert names(host.plan().items) == ["x:1"]


@pytest.mark.parametrize(
    "present",
    [
        {"networks": (network("shop_default", labels=PROJECT),)},
        {"volumes": (volume("shop_data", labels=PROJECT),)},
        {"containers": (container("shop-db-1", "db", labels=PROJECT),)},
    ],
    ids=["a network is left", "a volume is left", "another container is left"],
)
def test_images_of_a_project_that_is_down_stay_while_anything_of_it_is_here(present: dict[str, object]) -> None:
    host = Host().has(images=(image("web", "web:1"), image("built", "shop-api:latest", labels=PROJECT)), **present)
    host.ran("web:1", PROJECT)
    host.aged()
    rules = Rules(images=ImageRules(keep_newest=0))
    assert why(host.plan(rules), "web:1") == (Protection.COMPOSE, "shop")
    assert why(host.plan(rules), "shop-api:latest") == (Protection.COMPOSE, "shop")
    host.has(networks=(), volumes=(), containers=())
    assert names(host.plan(rules).items) == ["shop-api:latest", "web:1"]


def test_a_project_that_is_down_keeps_what_its_images_name_means_by_now() -> None:
    host = Host().has(images=(image("old", "db:1"),), volumes=(volume("v", labels=PROJECT),))
    host.list()
    host.ran("db:1", PROJECT)
    pulled = image("new", "db:1")
    host.has(images=(replace(image("old", "db:1"), tags=()), pulled, image("other", "web:1")))
    host.aged()
    rules = Rules(images=ImageRules(keep_newest=0))
    assert why(host.plan(rules), "db:1") == (Protection.COMPOSE, "shop")
    assert names(host.plan(rules).items) == ["web:1"]


def test_what_a_projects_name_means_stays_when_the_image_it_had_is_gone_for_long() -> None:
    """Pulled anew, the old image pruned by somebody, the agent restarted, the policies taken away and put back."""
    host = Host().has(images=(image("old", "db:1"),), volumes=(volume("v", labels=PROJECT),))
    host.list()
    host.ran("db:1", PROJECT)
    pulled, rules = image("new", "db:1"), Rules(images=ImageRules(keep_newest=0))
    host.has(images=(replace(image("old", "db:1"), tags=()), pulled, image("other", "db:2")))
    host.event(EventKind.IMAGE, "pull", "db:1", {"name": "db"})
    host.wait(1.0).list()
    host.event(EventKind.IMAGE, "delete", sha("old"), {"name": sha("old")})
    host.has(images=(pulled, image("other", "db:2"))).aged()
    assert why(host.plan(rules), "db:1") == (Protection.COMPOSE, "shop")
    assert names(host.plan(rules).items) == ["db:2"], "a tag that the project never named"
    host.restart()
    assert why(host.plan(rules), "db:1") == (Protection.COMPOSE, "shop")
    host.sleep()
    host.restart()
    assert why(host.plan(rules), "db:2") == (Protection.RECENT, "")
    host.aged()
    assert why(host.plan(rules), "db:1") == (Protection.COMPOSE, "shop")
    host.has(volumes=()).aged()
    assert names(host.plan(rules).items) == ["db:1", "db:2"]
    host.has(volumes=(volume("v", labels=PROJECT),))
    assert names(host.plan(rules).items) == ["db:1", "db:2"], "it was gone, and what it called its images with it"


def test_an_image_without_a_name_that_a_project_had_stands_for_its_repository() -> None:
    """What an earlier version has stored has no names, nor has a container whose tag went to a newer image."""
    dangling = replace(image("old", "db:1"), tags=())
    of_shop = container("shop-db-1", "old", labels=PROJECT)
    host = Host().has(images=(dangling, image("new", "db:1")), containers=(of_shop,))
    host.aged()
    host.has(images=(image("new", "db:1"), image("other", "web:1")), containers=())
    host.has(networks=(network("shop_default", labels=PROJECT),)).wait(1.0).list()
    host.has(images=(image("new", "db:1"), image("other", "web:1"))).aged()
    rules = Rules(images=ImageRules(keep_newest=0))
    assert why(host.plan(rules), "db:1") == (Protection.COMPOSE, "shop")
    assert names(host.plan(rules).items) == ["web:1"]


def test_of_many_tags_of_one_repository_the_repository_is_remembered() -> None:
    known = ProjectNames()
    known.called("db:1", "shop", 1.0)
    for number in range(MOST_KEYS + 10):
        known.called(f"ci/app:{number}", "ci", 1.0)
    assert len(known) < 100
    assert known.of(image("new", "ci/app:new")) == ("ci",)
    assert known.of(image("db", "db:1")) == ("shop",)
    assert known.of(image("any", "any:1")) == ()
    again = ProjectNames()
    again.restore(known.rows())
    assert (again.of(image("new", "ci/app:new")), len(again)) == (("ci",), len(known))


def test_more_names_of_projects_than_are_remembered_stand_for_every_image() -> None:
    known = ProjectNames()
    for number in range(MOST_KEYS + 10):
        known.called(f"name-{number}", "shop", 1.0)
    assert len(known) == MOST_KEYS + 1
    assert known.of(image("any", "any:1")) == ("shop",)
    again = ProjectNames()
    again.restore(known.rows())
    assert again.of(image("any", "any:1")) == ("shop",)
    again.listed(DiskUsage(at=BEGIN), {}, 2.0)
    assert (len(again), again.of(image("any", "any:1"))) == (0, ())


@pytest.mark.parametrize("stored", [[], "text", {}, {"projects": None}, {"projects": ["p"] * 1000}, {"projects": [1]}])
def test_a_row_of_a_projects_name_that_can_not_be_read_stands_for_any_project(stored: Any) -> None:  # noqa: ANN401 - whatever a file may hold
    host = Host().has(images=(image("db", "db:1"),), volumes=(volume("v", labels=PROJECT),))
    host.rows = {"project/db:1": stored}
    host.restart()
    host.aged()
    assert why(host.plan(Rules(images=ImageRules(keep_newest=0))), "db:1") == (Protection.COMPOSE, "")


def test_what_a_project_calls_its_image_in_doubt_outlives_a_gap() -> None:
    """Which image a name means just after a pull only the next listing tells; the gap before it must not lose whose."""
    host = Host().has(images=(image("old", "db:1"),), volumes=(volume("v", labels=PROJECT),))
    host.list()
    host.event(EventKind.IMAGE, "pull", "db:1", {"name": "db"})
    host.ran("db:1", PROJECT)
    host.usage.missed(host.now)
    host.has(images=(replace(image("old", "db:1"), tags=()), image("new", "db:1"))).aged()
    kept = host.plan(Rules(images=ImageRules(keep_newest=0))).kept
    assert {each.protection for each in kept if each.id in {sha("old"), sha("new")}} == {Protection.COMPOSE}


def test_an_image_of_too_many_projects_stays_while_there_is_any() -> None:
    host = Host().has(images=(image("db", "db:1"),), volumes=(volume("v", labels=PROJECT),))
    host.list()
    for number in range(40):
        host.ran("db:1", {"com.docker.compose.project": f"project-{number}"})
    host.aged()
    assert why(host.plan(), "db:1") == (Protection.COMPOSE, "")


def images_cases() -> list[tuple[str, Host, Rules, str, Protection, str]]:
    three = tuple(image(f"web{n}", f"web:{n}", created_at=BEGIN - n * DAY) for n in (1, 2, 3))
    return [
        ("newest", Host().has(images=three), keeping(ImageRules(keep_newest=2)), "web:2", Protection.NEWEST, "web"),
        (
            "newest of those made together: the last that was used",
            Host().has(images=(image("a", "web:a"), image("b", "web:b"))),
            keeping(ImageRules(keep_newest=1)),
            "web:b",
            Protection.NEWEST,
            "web",
        ),
        (
            "pattern",
            Host().has(images=(image("go", "base/go:1.2"),)),
            keeping(ImageRules(keep_newest=0, keep=("base/*",))),
            "base/go:1.2",
            Protection.PATTERN,
            "base/go:1.2",
        ),
        (
            "pattern without a tag",
            Host().has(images=(image("go", "go:1.2"),)),
            keeping(ImageRules(keep_newest=0, keep=("go",))),
            "go:1.2",
            Protection.PATTERN,
            "go:1.2",
        ),
        *(
            (
                f"pattern with the registry that a short name means: {spelling}",
                Host().has(images=(image("go", "go:1.2"), image("base", "base/go:1.2"))),
                keeping(ImageRules(keep_newest=0, keep=(spelling,))),
                kept,
                Protection.PATTERN,
                kept,
            )
            for spelling, kept in (
                ("library/go", "go:1.2"),
                ("docker.io/library/go:1.*", "go:1.2"),
                ("index.docker.io/library/go", "go:1.2"),
                ("docker.io/base/*", "base/go:1.2"),
            )
        ),
        (
            "pattern, by where it came from",
            Host().has(images=(image("go", digests=(f"base/go@{sha('go')}",)),)),
            keeping(ImageRules(keep_newest=0, keep=("base/*",))),
            sha("go")[7:19],
            Protection.PATTERN,
            f"base/go@{sha('go')}",
        ),
        (
            "the engine does not tell what it is made of",
            Host().has(images=(image("web", "web:1", unread=True),)),
            EVERYTHING,
            "web:1",
            Protection.UNREAD,
            "",
        ),
        (
            "no registry can give it back",
            Host().has(images=(image("mine", "mine:1", pulled=False),)),
            EVERYTHING,
            "mine:1",
            Protection.NO_DIGEST,
            "",
        ),
        (
            "dangling ones only",
            Host().has(images=(image("web", "web:1"),)),
            keeping(ImageRules(dangling=True)),
            "web:1",
            Protection.NAMED,
            "",
        ),
        (
            "label",
            Host().has(images=(image("web", "web:1", labels=PROTECT),)),
            EVERYTHING,
            "web:1",
            Protection.LABEL,
            "",
        ),
        (
            "a kept one is built upon it",
            Host().has(
                images=(image("base", "base:1"), image("web", "web:1", parent="base")),
                containers=(container("front", "web"),),
            ),
            EVERYTHING,
            "base:1",
            Protection.CHILD,
            "web:1",
        ),
        (
            "two that are built upon each other",
            Host().has(images=(image("a", "a:1", parent="b"), image("b", "b:1", parent="a"), image("c", parent="a"))),
            EVERYTHING,
            "a:1",
            Protection.CHILD,
            sha("b")[7:19],
        ),
    ]


@pytest.mark.parametrize(
    ("host", "rules", "name", "protection", "by"),
    [each[1:] for each in images_cases()],
    ids=[e[0] for e in images_cases()],
)
def test_images(host: Host, rules: Rules, name: str, protection: Protection, by: str) -> None:
    host.list()
    host.wait(1.0)
    host.ran("web:b")
    host.aged()
    assert why(host.plan(rules), name) == (protection, by)


def test_the_newest_are_counted_over_all_of_a_repository() -> None:
    three = tuple(image(f"web{n}", f"web:{n}", created_at=BEGIN - n * DAY) for n in (1, 2, 3, 4))
    host = Host().has(images=three, containers=(container("front", "web1"),))
    host.aged()
    assert names(host.plan(Rules(images=ImageRules())).items) == ["web:3", "web:4"]


def test_the_newest_are_counted_with_a_tag_or_by_a_digest_alone() -> None:
    """What a tag meant before the last pull is what one goes back to, by its digest."""
    host = Host().has(
        images=(
            image("now", "app:latest", created_at=BEGIN - 1 * DAY),
            image("before", digests=(f"app@{sha('before')}",), created_at=BEGIN - 2 * DAY),
            image("older", digests=(f"docker.io/library/app@{sha('older')}",), created_at=BEGIN - 3 * DAY),
            image("release", "app:1.0", created_at=BEGIN - 4 * DAY),
            image("renamed", "mine:1", digests=(f"app@{sha('renamed')}",), created_at=BEGIN - 5 * DAY),
            image("newer", "mine:2", "mine:3", created_at=BEGIN - 2 * DAY),
            image("built", pulled=False, created_at=BEGIN),
        )
    )
    host.aged()
    made = host.plan(keeping(ImageRules(keep_newest=2)))
    assert why(made, sha("before")[7:19]) == (Protection.NEWEST, "app")
    assert why(made, "mine:1") == (Protection.NEWEST, "mine")
    assert names(made.items) == [sha("built")[7:19], sha("older")[7:19], "app:1.0"]
    one = host.plan(keeping(ImageRules(keep_newest=1)))
    assert {*names(one.items)} - {*names(made.items)} == {sha("before")[7:19], "mine:1"}
    dangling = host.plan(keeping(ImageRules(dangling=True)))
    assert names(dangling.items) == [sha("built")[7:19], sha("older")[7:19]]
    assert why(dangling, "app:1.0") == (Protection.NAMED, "")
    every = host.plan(keeping(ImageRules(dangling=True, keep_newest=0)))
    assert {*names(every.items)} == {sha(each)[7:19] for each in ("built", "older", "before")}


def test_built_images_go_where_the_policy_allows_it_and_those_without_a_name_always() -> None:
    host = Host().has(images=(image("mine", "mine:1", pulled=False), image("lost", pulled=False)))
    host.aged()
    assert names(host.plan().items) == [sha("lost")[7:19]]
    allowed = keeping(ImageRules(keep_newest=0, without_digest=True))
    assert names(host.plan(allowed).items) == [sha("lost")[7:19], "mine:1"]


def test_the_agent_keeps_itself() -> None:
    host = Host().has(
        images=(image("agent", "agent:1"), image("before", "agent:0")), containers=(container("agent", "agent"),)
    )
    host.aged()
    own = replace(QUIET, own_containers=("agent-i",), own_images=frozenset({sha("before")}))
    made = host.plan(circumstances=own)
    assert [why(made, each) for each in ("agent", "agent:1", "agent:0")] == [(Protection.OWN, "")] * 3


@pytest.mark.parametrize(
    ("kept", "protection", "by"),
    [
        (container("c", "x", "running"), Protection.RUNNING, "running"),
        (container("c", "x", "paused"), Protection.RUNNING, "paused"),
        (container("c", "x", "restarting", finished_at=BEGIN - 60 * DAY), Protection.RUNNING, "restarting"),
        (container("c", "x", "created"), Protection.NEVER_ENDED, "created"),
        (container("c", "x", finished_at=None), Protection.NEVER_ENDED, ""),
        (container("c", "x", labels=PROTECT), Protection.LABEL, ""),
        (container("c", "x", labels={"io.kubernetes.pod.name": "p"}), Protection.ORCHESTRATOR, ""),
        (container("c", "x", labels={"com.docker.swarm.task.id": "t"}), Protection.ORCHESTRATOR, ""),
        (container("c", "x", labels=PROJECT), Protection.COMPOSE, "shop"),
        (container("c", "x", finished_at=BEGIN - 6.9 * DAY), Protection.RECENT, ""),
        (container("c", "x", finished_at=BEGIN + DAY), Protection.RECENT, ""),
    ],
)
def test_containers(kept: object, protection: Protection, by: str) -> None:
    host = Host().has(containers=(kept,))
    assert why(host.plan(), "c") == (protection, by)


@pytest.mark.parametrize("joins", ["vpn-id", "vpn"])
def test_a_container_that_another_one_joins_is_kept(joins: str) -> None:
    joining = container("app", "x", "running", joins=(joins,))
    host = Host().has(containers=(container("vpn", "x"), container("old", "x"), joining))
    made = host.aged().plan()
    assert why(made, "vpn") == (Protection.CONTAINER, "app")
    assert names(made.items) == ["old"]


def test_what_docker_compose_run_left_behind_goes() -> None:
    labels = {**PROJECT, "com.docker.compose.oneoff": "True"}
    host = Host().has(containers=(container("shop-api-run-1", "x", labels=labels),))
    assert names(host.plan().items) == ["shop-api-run-1"]


def test_a_clock_that_was_put_forward_makes_nothing_older() -> None:
    host = Host().has(
        containers=(container("c", "x", finished_at=BEGIN - DAY),), cache=(record("layer", used_at=BEGIN - DAY),)
    )
    rules = Rules(build_cache=CacheRules(unused_for=2 * DAY), containers=ContainerRules())
    host.step = 30 * DAY
    assert names(host.plan(rules).items) == ["layer", "c"]
    stepped = replace(QUIET, stepped=30 * DAY)
    assert [why(host.plan(rules, stepped), each) for each in ("layer", "c")] == [(Protection.RECENT, "")] * 2


def test_who_knows_when_the_clock_was_set_tells_how_old_a_stamp_is() -> None:
    known = replace(QUIET, aged=lambda stamp, now: None if stamp > now.wall else now.wall - stamp - DAY)
    host = Host()
    assert known.age(host.now.wall - 3 * DAY, host.now) == 2 * DAY
    assert known.age(host.now.wall + 3 * DAY, host.now) == 0.0


def test_a_stamp_of_a_clock_that_was_never_set_tells_no_age() -> None:
    assert QUIET.age(5 * DAY, Host().now) == 0.0


@pytest.mark.parametrize(
    ("host", "protection", "by"),
    [
        (Host().has(networks=(network("n", predefined=True),)), Protection.PREDEFINED, ""),
        (Host().has(networks=(network("n", swarm=True),)), Protection.SWARM, ""),
        (Host().has(networks=(network("n", labels=PROTECT),)), Protection.LABEL, ""),
        (
            Host().has(networks=(network("n"),), containers=(container("front", "x", networks=("n-id",)),)),
            Protection.CONTAINER,
            "front",
        ),
    ],
)
def test_networks(host: Host, protection: Protection, by: str) -> None:
    host.aged()
    assert why(host.plan(), "n") == (protection, by)


ONLY_SCRATCH = replace(EVERYTHING, volumes=VolumeRules(only=("scratch", "tmp-*")))


@pytest.mark.parametrize(
    ("host", "protection", "by"),
    [
        (Host().has(volumes=(volume("data"),)), Protection.NOT_LISTED, ""),
        (Host().has(volumes=(volume("tmp-1", labels=PROTECT),)), Protection.LABEL, ""),
        (
            Host().has(volumes=(volume("tmp-1"),), containers=(container("front", "x", volumes=("tmp-1",)),)),
            Protection.CONTAINER,
            "front",
        ),
    ],
)
def test_volumes(host: Host, protection: Protection, by: str) -> None:
    host.aged()
    assert why(host.plan(ONLY_SCRATCH), host.disk.volumes[0].name) == (protection, by)


@pytest.mark.parametrize(
    ("circumstances", "protection"),
    [
        (replace(QUIET, cause=Cause.PRESSURE), Protection.PRESSURE),
        (replace(QUIET, engine_up=None), Protection.ENGINE_UP),
        (replace(QUIET, engine_up=ENGINE_UP - 1.0), Protection.ENGINE_UP),
        (replace(QUIET, engine_up=float("nan")), Protection.ENGINE_UP),
    ],
)
def test_volumes_in_doubt(circumstances: Circumstances, protection: Protection) -> None:
    host = Host().has(volumes=(volume("scratch"),))
    host.aged()
    assert names(host.plan(ONLY_SCRATCH).items) == ["scratch"]
    assert why(host.plan(ONLY_SCRATCH, circumstances), "scratch") == (protection, "")


def test_a_volume_takes_two_listings_that_agree() -> None:
    host = Host().has(volumes=(volume("scratch"),))
    rules = replace(ONLY_SCRATCH, volumes=VolumeRules(only=("scratch",), unattached_for=0.0))
    assert why(host.plan(rules), "scratch") == (Protection.LISTINGS, "")
    assert why(host.plan(rules), "scratch") == (Protection.LISTINGS, "")  # the same listing, once more
    host.wait(1.0)
    assert names(host.plan(rules).items) == ["scratch"]
    host.wait(1.0).has(containers=(container("front", "x", volumes=("scratch",)),)).list()
    host.wait(1.0).has(containers=())
    assert why(host.plan(rules), "scratch") == (Protection.LISTINGS, "")


@pytest.mark.parametrize(
    ("layer", "protection"),
    [
        (record("layer", in_use=True), Protection.IN_USE),
        (record("layer", shared=True), Protection.SHARED),
        (record("layer", used_at=BEGIN - 60.0), Protection.RECENT),
        (record("layer", used_at=None, created_at=BEGIN - 60.0), Protection.RECENT),
        (record("layer", "layer"), Protection.CHILD),
    ],
)
def test_build_cache(layer: object, protection: Protection) -> None:
    host = Host().has(cache=(layer,))
    assert why(host.plan(Rules(build_cache=CacheRules(unused_for=3600.0))), "layer")[0] is protection


def test_a_record_stays_with_the_one_that_builds_upon_it() -> None:
    host = Host().has(cache=(record("below"), record("above", "below", in_use=True)))
    assert why(host.plan(), "below") == (Protection.CHILD, "above")


def test_what_the_rules_do_not_name_is_not_looked_at() -> None:
    host = Host().has(
        images=(image("web", "web:1"),),
        containers=(container("old", "x"),),
        cache=(record("layer"),),
        networks=(network("net"),),
        volumes=(volume("data"),),
    )
    host.aged()
    made = host.plan(Rules())
    assert (made.items, made.kept) == ((), ())
