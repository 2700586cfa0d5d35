"""What holds whatever happens on a host: nothing that is needed is deleted, and everything has its reason."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings, strategies as st

from tests.support.numbers import examples
from tests.support.pruning import BEGIN, EVERYTHING, QUIET, Host, container, image, network, record, sha, volume
from tests.support.pruning_world import Op, World
from watchtower_agent.model.disk_usage import DiskUsage, Image
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.removal import Kind
from watchtower_agent.policies.pruning.circumstances import Cause, Circumstances
from watchtower_agent.policies.pruning.item import Item
from watchtower_agent.policies.pruning.plan import plan
from watchtower_agent.policies.pruning.rules import DAY, ImageRules, Rules
from watchtower_agent.policies.pruning.usage import Usage

OFTEN = ("run_once", "run", "tag", "build", "pull", "wait", "wait", "prune", "prune")
SELDOM = ("stop", "remove", "untag", "load", "serve", "list", "late", "restart", "miss", "clock")
COMPOSE = ("down", "down", "others", "others", "forget")
ops: st.SearchStrategy[list[Op]] = st.lists(
    st.tuples(st.sampled_from((*OFTEN, *OFTEN, *SELDOM, *COMPOSE)), st.integers(0, 11), st.integers(0, 31)),
    min_size=20,
    max_size=80,
)


@settings(max_examples=examples(150))
@given(ops)
def test_over_any_life_of_a_host_nothing_is_deleted_that_is_needed(life: list[Op]) -> None:
    World(life).live()  # which looks at each deletion


def test_a_life_in_which_much_is_deleted() -> None:
    """The properties would hold of an agent that deletes nothing."""
    life: list[Op] = []
    for number in range(40):
        life += [("pull", 0, number), ("build", 1, 0), ("run", 0, 2), ("stop", 0, 0), ("wait", 3, 0), ("wait", 3, 0)]
        life += [("list", 0, 0), ("wait", 3, 0), ("prune", 0, 0)]
    world = World(life)
    world.live()
    assert Counter(item.kind for item in world.deleted).keys() >= {Kind.IMAGE, Kind.CONTAINER, Kind.NETWORK}
    assert len(world.deleted) > 40


names = st.sampled_from([f"{repository}:{tag}" for repository in ("web", "api", "base/go") for tag in range(4)])
labels = st.sampled_from([{}, {}, {"watchtower-agent.protect": "true"}, {"com.docker.compose.project": "shop"}])
stamps = st.sampled_from([0.0, BEGIN - 90 * DAY, BEGIN - DAY, BEGIN, BEGIN + 9 * DAY])


@st.composite
def disks(draw: st.DrawFn) -> DiskUsage:
    """Any listing, sane or not: parents in circles, sizes that do not fit, several of a name."""
    keys = [f"i{number}" for number in range(draw(st.integers(0, 8)))]
    anything = st.sampled_from(keys) if keys else st.just("i0")
    images = tuple(
        image(
            key,
            *draw(st.lists(names, max_size=3)),
            pulled=draw(st.booleans()),
            parent=draw(st.one_of(st.just(""), anything)),
            created_at=draw(stamps),
            size=draw(st.integers(0, 100)),
            shared=draw(st.one_of(st.none(), st.integers(-1, 200))),
            labels=draw(labels),
        )
        for key in keys
    )
    containers = tuple(
        container(
            f"c{number}",
            draw(anything),
            draw(st.sampled_from(["exited", "running", "created", "dead", "what is new"])),
            finished_at=draw(st.one_of(st.none(), stamps)),
            networks=tuple(draw(st.lists(st.sampled_from(["n0-id", "n1-id"]), max_size=2))),
            volumes=tuple(draw(st.lists(st.sampled_from(["v0", "v1"]), max_size=2))),
            labels=draw(labels),
        )
        for number in range(draw(st.integers(0, 4)))
    )
    records = [f"r{number}" for number in range(draw(st.integers(0, 6)))]
    cache = tuple(
        record(
            key,
            *draw(st.lists(st.sampled_from(records), max_size=2)),
            used_at=draw(st.one_of(st.none(), stamps)),
            in_use=draw(st.booleans()),
            shared=draw(st.booleans()),
        )
        for key in records
    )
    return DiskUsage(
        at=BEGIN,
        images=images,
        containers=containers,
        cache=cache,
        networks=tuple(network(f"n{n}", labels=draw(labels), swarm=draw(st.booleans())) for n in range(3)),
        volumes=tuple(volume(f"v{n}", labels=draw(labels)) for n in range(3)),
        service_images=frozenset(draw(st.lists(names, max_size=2))),
    )


rules = st.builds(
    ImageRules,
    unused_for=st.sampled_from([0.0, DAY, 40 * DAY]),
    keep_newest=st.integers(0, 2),
    keep=st.sampled_from([(), ("base/*",), ("web:1",)]),
    dangling=st.booleans(),
    without_digest=st.booleans(),
).map(lambda images: replace(EVERYTHING, images=images))
circumstances = st.builds(
    Circumstances,
    cause=st.sampled_from(list(Cause)),
    own_containers=st.sampled_from([(), ("c0-id",)]),
    engine_up=st.sampled_from([None, 10.0, 30 * DAY]),
)


@given(disks(), rules, circumstances)
def test_whatever_the_listing_each_thing_is_planned_or_kept_once_and_in_order(
    disk: DiskUsage, wanted: Rules, around: Circumstances
) -> None:
    host = Host(disk=disk)
    host.aged()
    made = host.plan(wanted, around)
    items = made.items
    told = [(item.kind, item.id) for item in items] + [(kept.kind, kept.id) for kept in made.kept]
    assert Counter(told) == Counter(
        [
            *((Kind.IMAGE, each.id) for each in disk.images),
            *((Kind.CONTAINER, each.id) for each in disk.containers),
            *((Kind.CACHE, each.id) for each in disk.cache),
            *((Kind.NETWORK, each.id) for each in disk.networks),
            *((Kind.VOLUME, each.name) for each in disk.volumes),
        ]
    )
    steps = _steps(items)
    assert steps == sorted(steps)
    for step in set(steps):
        ages = [item.unused for item, each in zip(items, steps, strict=True) if each == step]
        assert ages == sorted(ages, reverse=True)
    assert all(item.unused >= item.asked for item in items)
    gone: set[str] = set()
    children = [(made_of.id, made_of.parent) for made_of in disk.images]
    children += [(layer.id, parent) for layer in disk.cache for parent in layer.parents]
    for item in items:
        assert {child for child, parent in children if parent == item.id} <= gone
        gone.add(item.id)
    for each in disk.containers:
        assert not gone & {each.image_id, *each.networks, *each.volumes}
    known = {each.id: each.labels for each in disk.images} | {each.name: each.labels for each in disk.volumes}
    known |= {ended.id: ended.labels for ended in disk.containers} | {net.id: net.labels for net in disk.networks}
    assert not any("watchtower-agent.protect" in known.get(each, {}) for each in gone)
    assert around.cause is not Cause.PRESSURE or not any(item.kind is Kind.VOLUME for item in items)


def _steps(items: tuple[Item, ...]) -> list[int]:
    """Of each its place in the order of kinds.

    An image without a name may have to wait for one that has a name and is built upon it.
    """
    order, steps = [Kind.CACHE, None, Kind.CONTAINER, Kind.IMAGE, Kind.NETWORK, Kind.VOLUME], [0]
    for item in items:
        early = item.kind is Kind.IMAGE and not item.tags and steps[-1] <= 1
        steps.append(1 if early else order.index(item.kind))
    return steps[1:]


@st.composite
def repositories(draw: st.DrawFn) -> tuple[Image, ...]:
    """Images that have tags, digests, both or neither, of few repositories, several of them made together."""
    return tuple(
        image(
            f"i{number}",
            *draw(st.lists(names, max_size=2)),
            digests=tuple(f"{each}@{sha(f'i{number}')}" for each in draw(st.sets(st.sampled_from(["web", "api"])))),
            created_at=draw(stamps),
        )
        for number in range(draw(st.integers(1, 8)))
    )


@given(repositories(), st.integers(0, 4), st.booleans())
def test_of_each_repository_the_newest_stay_whether_by_a_tag_or_by_a_digest(
    images: tuple[Image, ...], newest: int, dangling: bool
) -> None:
    host = Host().has(images=images)
    host.aged()
    rules = ImageRules(keep_newest=newest, dangling=dangling, without_digest=True)
    gone = {item.id for item in host.plan(Rules(images=rules)).items}
    kept_for_it: set[str] = set()
    for repository in ("web", "api", "base/go"):
        ours = [each for each in images if any(re.match(f"{repository}[:@]", n) for n in (*each.tags, *each.digests))]
        for each in (one for one in ours if one.id in gone):
            assert sum(one.id not in gone and one.created_at >= each.created_at for one in ours) >= newest
        edge = sorted(each.created_at for each in ours)[-newest:][:1] if newest else []
        kept_for_it |= {each.id for each in ours if edge and each.created_at >= edge[0]}
    kept = {each.id for each in images} - gone
    named = {each.id for each in images if each.tags} if dangling else set()
    assert kept <= kept_for_it | named, "and no more than those are kept for it"


@given(disks(), rules, circumstances)
def test_of_what_was_never_seen_nothing_goes_but_what_the_engine_itself_has_stamps_of(
    disk: DiskUsage, wanted: Rules, around: Circumstances
) -> None:
    assert wanted.images is not None
    wanted = replace(wanted, images=replace(wanted.images, unused_for=DAY))
    made = plan(wanted, Usage(), disk, around, Host().now)
    assert {item.kind for item in made.items} <= {Kind.CACHE, Kind.CONTAINER}


@given(disks(), rules, st.lists(st.sampled_from(["run", "pull", "wait", "list", "miss"]), max_size=8))
def test_a_restart_changes_nothing(disk: DiskUsage, wanted: Rules, life: list[str]) -> None:
    one, other = Host(disk=disk), Host(disk=disk)
    for number, what in enumerate(life):
        for host in (one, other):
            match what:
                case "run":
                    host.ran("web:1", {"com.docker.compose.project": "blog"})
                case "pull":
                    host.event(EventKind.IMAGE, "pull", "api:1")
                case "wait":
                    host.wait(9 * DAY)
                case "list":
                    host.wait(1.0).list()
                case _:
                    host.usage.missed(host.now)
        one.list()
        other.list()
        if number % 2:
            other.restart()
            other.wait(0.5).list()
            one.wait(0.5).list()
    assert one.plan(wanted, QUIET) == other.plan(wanted, QUIET)
