"""When an image counts as used, by events and by listings; and since when nobody has used a volume or a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.pruning import EVERYTHING, QUIET, Host, container, image, names, network, sha, volume, why
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.pruning import idleness, image_use
from watchtower_agent.policies.pruning.item import Protection
from watchtower_agent.policies.pruning.plan import plan
from watchtower_agent.policies.pruning.rules import DAY, ImageRules, NetworkRules, Rules, VolumeRules

RULES = Rules(images=ImageRules(keep_newest=0, without_digest=True))
HOUR = 3600.0


def unused(host: Host, name: str, rules: Rules = RULES) -> float | None:
    """For how long it has not been used, by a plan of now."""
    made = host.plan(rules)
    ages = {item.name: item.unused for item in made.items} | {kept.name: kept.unused for kept in made.kept}
    return ages[name]


def known(*images: object) -> Host:
    host = Host().has(images=images)
    host.list()
    return host.wait(30 * DAY)


def test_an_image_that_was_never_seen_counts_as_used_now() -> None:
    host = known()
    host.has(images=(image("web", "web:1"),))
    assert why(host.plan(RULES), "web:1") == (Protection.RECENT, "")
    host.wait(DAY)
    assert names(host.plan(RULES).items) == ["web:1"]


@pytest.mark.parametrize("action", ["create", "start", "restart", "die", "destroy"])
@pytest.mark.parametrize(
    "reference",
    [
        "web:1",
        "docker.io/library/web:1",
        sha("web"),
        sha("web")[7:],
        sha("web")[7:19],
        f"web@{sha('web')}",
        f"web:7@{sha('web')}",
    ],
)
def test_a_container_of_it_is_a_use_by_whatever_name(action: str, reference: str) -> None:
    host = known(image("web", "web:1"), image("other", "other:1"))
    host.event(EventKind.CONTAINER, action, "c" * 64, {"image": reference})
    host.wait(HOUR)
    assert unused(host, "web:1") == HOUR
    assert unused(host, "other:1") == 30 * DAY + HOUR


@pytest.mark.parametrize("action", ["exec_start", "health_status", "top", "rename", "resize"])
def test_what_is_no_use_is_none(action: str) -> None:
    host = known(image("web", "web:1"))
    host.event(EventKind.CONTAINER, action, "c" * 64, {"image": "web:1"})
    assert unused(host, "web:1") == 30 * DAY


def test_the_image_id_of_the_container_is_believed_before_its_name() -> None:
    host = known(image("web", "web:1"), image("other", "other:1"))
    host.event(EventKind.CONTAINER, "start", "c" * 64, {"image": "other:1"}, image_id=sha("web"))
    assert (unused(host, "web:1"), unused(host, "other:1")) == (0.0, 30 * DAY)


@pytest.mark.parametrize("action", ["pull", "push", "save", "tag", "untag"])
def test_what_is_done_to_it_by_name_is_a_use_of_its_repository(action: str) -> None:
    host = known(image("web", "web:1"), image("before", digests=(f"web@{sha('before')}",)), image("other", "other:1"))
    host.event(EventKind.IMAGE, action, "web:1", {"name": "web"})
    assert unused(host, "web:1") == 0.0
    assert unused(host, "other:1") == 30 * DAY


@pytest.mark.parametrize("action", ["tag", "untag", "build", "load", "import", "create", "save", "what is new"])
def test_what_is_done_to_it_by_id_is_a_use(action: str) -> None:
    host = known(image("web", "web:1"), image("other", "other:1"))
    host.event(EventKind.IMAGE, action, sha("web"), {"name": "web:2"})
    assert (unused(host, "web:1"), unused(host, "other:1")) == (0.0, 30 * DAY)


def test_a_name_that_was_pulled_anew_is_used_by_whichever_image_it_is() -> None:
    host = known(image("old", "web:1"), image("new", "elsewhere:1"), image("other", "other:1"))
    host.event(EventKind.IMAGE, "pull", "web:1", {"name": "web"})
    host.ran("web:1")
    host.wait(HOUR)
    pulled = image("new", "elsewhere:1", "web:1")
    host.has(images=(image("old", digests=(f"web@{sha('old')}",)), pulled, image("other", "other:1")))
    assert unused(host, "elsewhere:1") == HOUR
    assert unused(host, "other:1") == 30 * DAY + HOUR


def test_a_name_that_was_given_away_is_used_by_its_new_image() -> None:
    host = known(image("old", "web:1"), image("new", "web:2"))
    host.event(EventKind.IMAGE, "tag", sha("new"), {"name": "web:1"})
    host.wait(HOUR)
    host.ran("web:1")
    assert (unused(host, "web:1"), unused(host, "web:2")) == (30 * DAY + HOUR, 0.0)


def test_after_a_load_names_are_not_believed() -> None:
    host = known(image("old", "web:1"), image("new", "web:2"), image("other", "other:1"))
    host.event(EventKind.IMAGE, "load", sha("new"), {"name": sha("new")})
    host.wait(HOUR)
    host.ran("web:1")  # which may be the new one's by now
    assert (unused(host, "web:1"), unused(host, "web:2")) == (0.0, 0.0)
    assert unused(host, "other:1") == 30 * DAY + HOUR


def test_names_of_a_listing_say_nothing_of_what_was_before_it() -> None:
    host = known(image("new", "web:1"), image("old", "web:0"))
    host.list()
    host.ran("web:1", ago=HOUR)  # read late: it may have been the old one's then
    assert (unused(host, "web:1"), unused(host, "web:0")) == (0.0, 0.0)


def test_what_had_the_name_at_the_listing_before_may_have_been_used_by_it() -> None:
    host = known(image("old", "web:1", pulled=False), image("new", "web:2"))
    host.has(images=(image("old", pulled=False), image("new", "web:1"))).list()
    host.ran("web:1", ago=HOUR)
    assert (unused(host, sha("old")[7:19]), unused(host, "web:1")) == (0.0, 0.0)


def test_what_was_loaded_may_have_been_used_by_a_name_that_it_has_lost_again() -> None:
    host = known(image("old", "web:1"), image("lost", pulled=False), image("other", "other:1"))
    host.event(EventKind.IMAGE, "load", sha("lost"), {"name": sha("lost")})
    host.wait(HOUR)
    host.ran("web:1")
    host.event(EventKind.IMAGE, "tag", sha("old"), {"name": "web:1"})
    host.wait(HOUR)
    assert (unused(host, sha("lost")[7:19]), unused(host, "other:1")) == (HOUR, 30 * DAY + 2 * HOUR)


def test_a_container_that_was_never_seen_may_have_its_name_from_long_ago() -> None:
    host = known(image("old", "web:1", pulled=False), image("new", "web:2", pulled=False))
    host.event(EventKind.IMAGE, "tag", sha("new"), {"name": "web:1"})
    host.has(images=(image("old", pulled=False), image("new", "web:1", "web:2", pulled=False))).list()
    host.wait(HOUR)
    host.event(EventKind.CONTAINER, "die", "c", {"image": "web:1"})
    assert (unused(host, sha("old")[7:19]), unused(host, "web:1")) == (0.0, 0.0)


def test_a_container_that_a_listing_showed_is_of_the_image_that_it_said() -> None:
    front = replace(container("c", "old", "running"), id="c")
    host = Host().has(images=(image("old", "web:1", pulled=False), image("new", "web:2")), containers=(front,))
    host.list()
    for _ in range(2):
        host.wait(DAY)
        host.event(EventKind.IMAGE, "tag", sha("new"), {"name": "web:1"})
        host.has(images=(image("old", pulled=False), image("new", "web:1", "web:2"))).list()
    host.wait(DAY)
    host.event(EventKind.CONTAINER, "destroy", "c", {"image": "web:1"})
    host.has(containers=()).wait(HOUR)
    assert (unused(host, sha("old")[7:19]), unused(host, "web:1")) == (HOUR, DAY + HOUR)


def test_a_use_by_a_name_that_nobody_knows_counts_for_its_repository_once_that_is_listed() -> None:
    host = known(image("other", "other:1"))
    host.ran("late:1")
    host.wait(HOUR)
    host.has(images=(image("other", "other:1"), image("late", "late:2")))
    host.list()
    host.wait(HOUR)
    assert unused(host, "other:1") == 30 * DAY + 2 * HOUR
    host.restart()
    assert unused(host, "late:2") == HOUR


def test_a_container_without_an_image_may_have_used_any() -> None:
    host = known(image("web", "web:1"))
    host.event(EventKind.CONTAINER, "start", "c" * 64, {})
    assert why(host.plan(RULES), "web:1") == (Protection.GAP, "")


def test_an_event_that_comes_while_a_listing_is_under_way_is_newer_than_it() -> None:
    host = known(image("old", "web:1"), image("new", "web:2"))
    asked = host.now.wall
    host.wait(1.0)
    host.event(EventKind.IMAGE, "tag", sha("new"), {"name": "web:1"})
    host.wait(1.0)
    host.usage.listed(replace(host.disk, at=asked), host.now)
    host.wait(HOUR)
    host.ran("web:1")
    assert (unused(host, "web:2"), unused(host, "web:1")) == (0.0, 30 * DAY + HOUR + 2.0)


def test_a_container_is_of_its_image_also_when_that_has_lost_the_name() -> None:
    host = known(image("old", "web:1"), image("new", "web:2"), image("other", "other:1"))
    for listed in (False, True):
        host.event(EventKind.CONTAINER, "create", "c", {"image": "web:1"})
        host.event(EventKind.IMAGE, "tag", sha("new"), {"name": "web:1"})
        if listed:
            front = replace(container("c", "old", "running"), id="c")
            host.has(containers=(front,)).list()
        host.wait(DAY)
        host.event(EventKind.CONTAINER, "destroy", "c", {"image": "web:1"})
        host.has(containers=()).wait(HOUR)
        assert (unused(host, "web:1"), unused(host, "web:2")) == (HOUR, DAY + HOUR)
        host.event(EventKind.IMAGE, "tag", sha("old"), {"name": "web:1"})
        host.wait(DAY)
        host.list()


def test_a_gap_makes_everything_used_now_and_restarts_do_not_forget_it() -> None:
    host = known(image("web", "web:1"))
    host.usage.missed(host.now)
    host.restart()
    host.wait(DAY - 1.0)
    assert why(host.plan(RULES), "web:1") == (Protection.GAP, "")
    host.wait(1.0)
    assert names(host.plan(RULES).items) == ["web:1"]


def test_a_parent_is_as_recent_as_its_newest_child() -> None:
    host = known(image("base", "base:1"), image("a", "a:1", parent="base"), image("b", "b:1", parent="a"))
    host.ran("b:1")
    host.wait(2 * HOUR)
    assert unused(host, "base:1") == 2 * HOUR
    assert why(host.plan(RULES), "base:1") == (Protection.CHILD, "a:1")
    host.wait(DAY)
    assert names(host.plan(RULES).items) == ["b:1", "a:1", "base:1"]


@pytest.mark.parametrize("told", [True, False])
def test_what_a_build_took_as_its_base_was_used_by_it_also_when_what_it_made_is_gone(*, told: bool) -> None:
    base = image("base", "base:1")
    host = known(base)
    if told:
        host.event(EventKind.IMAGE, "tag", sha("app"), {"name": "app:1"})
    host.has(images=(base, image("app", "app:1", parent="base")))
    host.list()
    host.wait(HOUR)
    host.has(images=(base,))
    host.list()
    assert unused(host, "base:1") == HOUR


def test_a_start_of_the_agent_is_no_build() -> None:
    host = known(image("base", "base:1"), image("app", "app:1", parent="base"))
    host.restart()
    host.list()
    assert unused(host, "base:1") == 30 * DAY


def test_what_was_in_use_at_the_last_listing_was_used_then() -> None:
    host = known(image("web", "web:1"))
    host.has(containers=(container("front", "web", "running"),)).list()
    host.wait(HOUR).has(containers=())
    assert unused(host, "web:1") == HOUR


def test_a_deleted_image_that_comes_again_is_new() -> None:
    host = known(image("web", "web:1"))
    host.event(EventKind.IMAGE, "delete", sha("web"))
    assert unused(host, "web:1") == 0.0


def test_a_step_of_the_wall_clock_moves_nothing() -> None:
    host = known(image("web", "web:1"), image("other", "other:1"))
    host.ran("web:1")
    host.step = 400 * DAY
    host.wait(HOUR)
    assert unused(host, "web:1") == HOUR
    host.restart()
    assert unused(host, "web:1") == HOUR
    host.step = -400 * DAY
    host.wait(HOUR)
    assert unused(host, "web:1") == 2 * HOUR


def test_after_a_boot_the_wall_clock_tells_and_one_that_went_back_tells_nothing() -> None:
    host = known(image("web", "web:1"))
    host.ran("web:1")
    host.store()
    host.boot, host.booted = "second", host.passed + HOUR - 10.0
    host.wait(HOUR)
    host.restart()
    assert unused(host, "web:1") == HOUR
    host.store()
    host.boot, host.step = "third", -DAY
    host.restart()
    assert unused(host, "web:1") == 0.0


def test_what_was_stored_before_a_step_is_corrected_by_it() -> None:
    host = known(image("web", "web:1"))
    host.ran("web:1")
    host.store()
    host.step = 400 * DAY
    seen = host.now
    host.boot, host.booted = "second", host.passed
    host.wait(HOUR)
    host.restart(seen=seen)
    assert unused(host, "web:1") == HOUR


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        "text",
        {},
        {"at": "now"},
        {"at": float("nan"), "monotonic": 1.0, "boot": "b", "projects": []},
        {"at": 1.0, "monotonic": float("inf"), "boot": "b", "projects": []},
        {"at": 10**400, "monotonic": 1.0, "boot": "b", "projects": []},
        {"at": 1.0, "monotonic": 1.0, "boot": "b", "projects": None},
        {"at": 1.0, "monotonic": 1.0, "boot": "b", "projects": ["p"] * 1000},
    ],
)
def test_what_can_not_be_read_is_not_known(row: Any) -> None:  # noqa: ANN401 - whatever a file may hold
    host = Host().has(images=(image("web", "web:1"),), volumes=(volume("v"),))
    host.rows = {f"image/{sha('web')}": row, "volume/v": row}
    host.restart()
    assert why(host.plan(), "web:1") == (Protection.RECENT, "")
    assert why(host.plan(), "v") == (Protection.RECENT, "")


def test_a_gap_that_can_not_be_read_lasts_until_now() -> None:
    host = known(image("web", "web:1"))
    host.has(volumes=(volume("v"),)).aged()
    host.store()
    unreadable: Any
    for unreadable in ({"at": "?"}, [], "text"):
        host.rows |= {"gap": unreadable, "volume": unreadable}
        host.restart()
        assert why(host.plan(), "web:1") == (Protection.GAP, "")
        assert why(host.plan(), "v") == (Protection.GAP, "")


VOLUMES = Rules(volumes=VolumeRules(only=("*",)), networks=NetworkRules())


def idle() -> Host:
    """A volume and a network, seen without a container for 30 days."""
    host = Host().has(volumes=(volume("v"),), networks=(network("n"),))
    return host.aged()


@pytest.mark.parametrize("action", ["create", "mount", "unmount"])
def test_a_volume_that_was_used_meanwhile_is_kept(action: str) -> None:
    host = idle()
    assert names(host.plan(VOLUMES).items) == ["n", "v"]
    host.event(EventKind.VOLUME, action, "v", {"container": "c"})
    host.wait(HOUR)
    assert why(host.plan(VOLUMES), "v") == (Protection.RECENT, "")


@pytest.mark.parametrize("action", ["create", "connect", "disconnect"])
def test_a_network_that_was_used_meanwhile_is_kept(action: str) -> None:
    host = idle()
    host.event(EventKind.NETWORK, action, "n-id", {"container": "c"})
    host.wait(HOUR)
    assert why(host.plan(VOLUMES), "n") == (Protection.RECENT, "")


def test_a_volume_that_was_attached_begins_anew() -> None:
    host = idle()
    host.has(containers=(container("c", "x", volumes=("v",), networks=("n-id",)),)).list()
    host.wait(1.0).has(containers=()).list()
    host.wait(7 * DAY - 2.0)
    assert why(host.plan(VOLUMES), "v") == (Protection.RECENT, "")
    host.wait(2.0)
    assert names(host.plan(VOLUMES).items) == ["n", "v"]


def test_a_listing_that_was_asked_for_before_an_event_does_not_count_against_it() -> None:
    rules = Rules(volumes=VolumeRules(only=("*",), unattached_for=0.0))
    host = Host().has(volumes=(volume("v"),))
    host.list()
    asked = host.wait(1.0).now.wall
    host.wait(1.0)
    host.event(EventKind.VOLUME, "unmount", "v")
    host.wait(1.0)
    host.usage.listed(replace(host.disk, at=asked), host.now)
    assert why(host.plan(rules), "v") == (Protection.LISTINGS, "")
    assert names(host.wait(1.0).plan(rules).items) == ["v"]


def test_the_same_listing_counts_once_whatever_the_clock_says() -> None:
    rules = Rules(volumes=VolumeRules(only=("*",), unattached_for=0.0))
    host = Host().has(volumes=(volume("v"),))
    listed = host.list()
    host.wait(5.0)
    host.step = -60.0
    host.usage.listed(listed, host.now)
    made = plan(rules, host.usage, listed, QUIET, host.now)
    assert why(made, "v") == (Protection.LISTINGS, "")


def test_a_gap_or_an_engine_that_was_away_begins_volumes_anew_over_restarts() -> None:
    for loss in ("missed", "engine_away"):
        host = idle()
        getattr(host.usage, loss)(host.now)
        host.restart()
        host.wait(7 * DAY - 1.0)
        assert why(host.plan(VOLUMES), "v") == (Protection.GAP, "")
        host.wait(1.0)
        assert names(host.plan(VOLUMES).items) == ["n", "v"]


def test_an_engine_that_was_away_and_tells_what_it_did_changes_nothing_of_images() -> None:
    host = known(image("web", "web:1"))
    host.usage.engine_away(host.now)
    assert unused(host, "web:1") == 30 * DAY


def test_a_volume_that_was_deleted_and_made_again_is_new() -> None:
    host = idle()
    host.event(EventKind.VOLUME, "destroy", "v")
    host.event(EventKind.NETWORK, "destroy", "n-id")
    host.wait(8 * DAY).list()
    host.wait(HOUR)
    assert why(host.plan(VOLUMES), "v") == (Protection.RECENT, "")


def test_only_what_changed_is_stored() -> None:
    host = Host().has(images=(image("web", "web:1"), image("other", "other:1")), volumes=(volume("v"),))
    host.list()
    assert set(host.usage.changes(host.now)) == {f"image/{sha('web')}", f"image/{sha('other')}", "volume/v"}
    assert host.usage.changes(host.now) == {}
    host.ran("web:1")
    assert set(host.usage.changes(host.now)) == {f"image/{sha('web')}"}
    host.event(EventKind.IMAGE, "delete", sha("web"))
    host.event(EventKind.VOLUME, "destroy", "v")
    assert host.usage.changes(host.now) == {f"image/{sha('web')}": None, "volume/v": None}


def test_memory_is_bounded_whatever_comes_and_what_is_left_out_is_kept() -> None:
    host = Host()
    for number in range(image_use.MOST_OPEN + 50):
        host.event(EventKind.IMAGE, "pull", f"repository-{number}:1")
    for number in range(idleness.MOST + 50):
        host.event(EventKind.VOLUME, "create", f"v{number}")
        host.event(EventKind.IMAGE, "tag", sha(f"i{number}"), {"name": f"i:{number}"})
    most = image_use.MOST_IMAGES + image_use.MOST_NAMES + 2 * image_use.MOST_OPEN
    assert len(host.usage.images) <= most
    assert len(host.usage.volumes) == idleness.MOST
    last = f"i:{idleness.MOST + 49}"
    host.has(images=(image(f"i{idleness.MOST + 49}", last),), volumes=(volume(f"v{idleness.MOST + 49}"),))
    host.wait(30 * DAY)
    assert why(host.plan(EVERYTHING, QUIET), last)[0] in {Protection.RECENT, Protection.GAP}


def test_moments_come_back_as_they_were() -> None:
    host = known(image("web", "web:1"))
    host.store()
    earlier = Instant.restored(host.rows[f"image/{sha('web')}"])
    assert earlier == Instant(wall=host.now.wall - 30 * DAY, monotonic=host.now.monotonic - 30 * DAY, boot="first")
