"""What is known of the disk over time: looked at seldom, remembered over restarts, and passes that were interrupted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.approving import asked
from tests.support.core import policy_set
from tests.support.pruned_host import POLICY, PrunedHost, deleting, full
from tests.support.pruning import image, record, sha, volume
from watchtower_agent.model.decision import Dropped
from watchtower_agent.model.engine_event import EngineEvent, EventKind, Origin
from watchtower_agent.model.observation import EngineLost, EventsObserved, GapObserved
from watchtower_agent.model.outcome import Result
from watchtower_agent.model.removal import DiskListed, Fate, Look, Removal, Removed, Retagging
from watchtower_agent.policies.pruning.rules import DAY

NOTIFIES = "- {name: tell, when: host.disk.percent > 99%, then: {notify: {}}}"


# --- when it looks --------------------------------------------------------------------------------------------------


def test_without_a_policy_that_prunes_nobody_looks_and_nothing_is_stored() -> None:
    host = PrunedHost(NOTIFIES)
    host.has(image("a", "a:1"))
    host.short(200)
    host.connect(restarted=True)

    assert host.asked == []
    assert host.store_records("use") == {}


def test_the_last_policy_that_prunes_takes_along_what_was_stored() -> None:
    host = full()
    assert host.store_records("use")
    host.see(policy_set(NOTIFIES))
    assert host.store_records("use") == {}
    host.short(200)
    assert host.asked == []

    host.see(policy_set(POLICY))
    host.short(2)
    host.answers()
    assert host.let_out == []
    assert host.store_records("use")


@pytest.mark.parametrize("restarted", [False, True])
def test_which_images_a_project_means_outlives_the_last_policy_that_prunes(*, restarted: bool) -> None:
    host = full()
    label = {"com.docker.compose.project": "shop"}
    host.engine.disk = replace(host.engine.disk, volumes=(volume("shop_data", labels=label),))
    attributes = {"image": "b:1", "name": "once", **label}
    ran = replace(_ran(host, "b:1"), attributes=attributes, id="2" * 32, position=10**6)
    host.see(EventsObserved(events=(ran,)))
    none_prunes, before = policy_set(NOTIFIES), host.policies
    kept = {"project/b:1", "project/b", f"project/{sha('b')}"}  # of an event from before the listing: which is in doubt
    host.see(none_prunes)
    assert set(host.store_records("use")) == kept
    if restarted:
        host.policies = none_prunes
        host.dies(away=60.0)
        host.comes_back()
        assert set(host.store_records("use")) == kept
    host.short(200)
    assert host.asked == []

    host.see(before)
    host.settled()
    host.short(3)
    host.answers()
    assert host.removals == ["a:1", "c:1", "d:1"]


def test_below_the_mark_it_takes_a_cheap_look_at_the_start_and_hourly() -> None:
    host = PrunedHost(POLICY)
    host.has(image("a", "a:1"))
    host.short(1)
    host.answers()
    assert (host.looks(Look.NAMES), host.looks(Look.SIZES)) == (1, 0)
    for _ in range(3600 + 60):
        host.short(1)
        host.answers()
    assert (host.looks(Look.NAMES), host.looks(Look.SIZES)) == (2, 0)


@pytest.mark.parametrize("missed", ["gap", "lost"])
def test_it_looks_again_after_what_it_missed(missed: str) -> None:
    host = full()
    host.used = 0.0
    host.short()
    assert host.asked == []
    if missed == "gap":
        host.see(GapObserved(reason="replay_incomplete", since=host.clock.wall - 1, until=host.clock.wall))
    else:
        host.see(EngineLost(reason="away", at=host.clock.wall))
    host.connect()
    host.short(3)
    assert host.asked == [Look.NAMES]
    host.answers()
    host.short(30)
    assert host.asked == []


def test_it_asks_one_question_at_a_time() -> None:
    host = full()
    host.see(GapObserved(reason="replay_incomplete", since=host.clock.wall - 1, until=host.clock.wall))
    host.connect()
    host.short(5)
    host.by_hand()
    host.short(5)
    assert len(host.asked) == 1  # two looks at once would have been noticed
    host.answers()
    host.short(5)
    host.answers()
    assert host.looks(Look.SIZES) == 1


# --- over restarts of the agent -------------------------------------------------------------------------------------


def test_last_use_outlives_the_agent() -> None:
    host = full()
    host.dies(away=60.0)
    host.comes_back()
    host.short(3)
    host.answers()
    assert host.removals == ["a:1", "b:1", "c:1", "d:1"]


def test_what_was_used_while_the_agent_was_away_is_kept() -> None:
    host = full()
    host.dies(away=60.0)
    host._boot()
    host.see(EventsObserved(events=(_ran(host, "b:1"),)))
    host.connect(origin=Origin.REPLAY)
    host.short(3)
    host.answers()
    assert host.removals == ["a:1", "c:1", "d:1"]


def test_where_events_were_missed_everything_counts_as_used() -> None:
    host = full()
    host.dies(away=60.0)
    host.comes_back(lost=True)
    host.short(3)
    host.answers()
    assert host.let_out == []
    assert host.notices("prune_plan")[0].data["protections"] == {"gap": 4}
    host.clock.advance(DAY)
    host.short(3)
    host.answers()
    assert host.removals == ["a:1", "b:1", "c:1", "d:1"]


def _ran(host: PrunedHost, reference: str) -> EngineEvent:
    return EngineEvent(
        id="1" * 32,
        kind=EventKind.CONTAINER,
        action="create",
        actor_id="f" * 64,
        attributes={"image": reference, "name": "once"},
        time_ns=int((host.clock.wall - 30) * 1e9),
        origin=Origin.REPLAY,
        position=1,
    )


# --- interrupted passes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deleted", [True, False])
def test_a_pass_that_an_agents_death_interrupts_is_told_and_a_new_plan_goes_on(*, deleted: bool) -> None:
    host = deleting()
    host.answers(2)
    assert host.asked[0] is not Look.NAMES
    if deleted:
        host.answer()  # which nobody hears
    host.clear()
    host.dies(away=60.0)
    host.comes_back()
    assert host.outcomes == []  # what became of it has to be looked for
    host.answers()

    (outcome,) = host.outcomes
    assert outcome.result is Result.INTERRUPTED
    assert (outcome.numbers["deleted"], outcome.numbers["failed"]) == ((2, 0) if deleted else (1, 1))
    host.used += 0.2
    host.short(5)
    assert (host.guards, host.asked) == (["cooldown"], [])  # since it was found out
    host.clock.advance(600)
    host.short(3)
    host.answers()
    (plan,) = host.notices("prune_plan")
    assert plan.data["objects"] == (2 if deleted else 3)
    assert not host.store_records("prune")


def test_a_pass_that_is_interrupted_while_it_looks_is_told_at_once() -> None:
    host = deleting()
    host.answers(1)
    host.clear()
    host.dies(away=5.0)
    host.comes_back()
    host.answers()
    (outcome,) = host.outcomes
    assert (outcome.result, outcome.numbers["deleted"]) == (Result.INTERRUPTED, 1)
    host.used += 0.2
    host.short(5)
    assert host.guards == ["cooldown"]  # the pass counts


def test_of_a_record_of_the_build_cache_nobody_knows_whether_it_is_gone() -> None:
    host = full(POLICY.replace("images:", "build_cache: {}, images:"))
    host.engine.disk = replace(host.engine.disk, cache=(record("r1"), record("r2")))
    host.short()
    host.until_asked(Removal)
    host.dies()
    host.comes_back()
    host.answers()
    (outcome,) = host.outcomes
    assert (outcome.result, outcome.numbers["deleted"], outcome.numbers["failed"]) == (Result.INTERRUPTED, 0, 1)


def test_a_pass_of_a_policy_that_went_meanwhile_is_told_too() -> None:
    host = deleting()
    host.answers(1)
    host.policies = policy_set(NOTIFIES)
    host.dies()
    host.comes_back()
    host.answers()
    host.short(5)
    (outcome,) = host.outcomes
    assert outcome.result is Result.INTERRUPTED
    assert not host.store_records("prune")


def test_a_pass_of_a_policy_that_went_while_an_image_went_is_told_too() -> None:
    host = deleting()
    host.policies = policy_set(NOTIFIES)
    host.dies()
    host.comes_back()
    host.short(5)
    host.answers()
    (outcome,) = host.outcomes
    assert outcome.result is Result.INTERRUPTED
    assert outcome.numbers["failed"] == 1


def test_an_engine_that_restarts_takes_no_image_for_unused_that_was_not() -> None:
    host = deleting()
    host.see(EngineLost(reason="away", at=host.clock.wall))
    host.refuses("connection refused")
    host.connect(restarted=True)
    host.short(3)
    host.answers()
    host.short(700)
    host.answers()
    assert host.removals == ["a:1", "a:1", "b:1", "c:1", "d:1"]
    assert sha("a") not in {each.id for each in host.engine.disk.images}
    assert asked(host) == []


def test_a_store_that_is_lost_is_given_all_of_it_again() -> None:
    host = deleting()
    before = {kind: host.store_records(kind) for kind in ("use", "prune", "passes")}
    effects = host.see(GapObserved(reason="store_reset", since=host.clock.wall - 1, until=host.clock.wall))
    again = {kind: {r.key: r.value for r in effects.records if r.kind == kind} for kind in before}
    assert again == before
    assert all(before.values())
    host.answers()
    assert len(host.removals) == 4


# --- tags that were taken -------------------------------------------------------------------------------------------


def half_gone(host: PrunedHost, *left: str) -> None:
    """The engine has taken some tags of the image that it was asked to delete, and it is there still."""
    others = tuple(each for each in host.engine.disk.images if each.id != sha("a"))
    host.engine.disk = replace(host.engine.disk, images=(image("a", *left), *others))


def tags(host: PrunedHost, name: str = "a") -> set[str]:
    """What an image is called by now."""
    return {tag for each in host.engine.disk.images if each.id == sha(name) for tag in each.tags}


def tagged() -> PrunedHost:
    """The engine was asked to delete an image that has three tags."""
    host = PrunedHost()
    host.has(image("a", "a:1", "a:2", "b:1"), image("z", "z:1"))
    host.used = 0.7
    host.settled()
    host.short()
    host.until_asked(Removal)
    assert host.removals == ["a:1"]
    return host


def test_tags_that_an_agents_death_left_an_image_without_come_back() -> None:
    host = tagged()
    half_gone(host, "a:1")
    host.dies(away=60.0)
    host.comes_back()
    host.answers()
    assert tags(host) == {"a:1", "a:2", "b:1"}
    assert host.store_records("tags") == {}
    host.short(200)
    host.answers()
    assert len([call for call in host.engine.calls if call[0] == "tag_again"]) == 1


def test_a_tag_that_another_image_has_by_now_stays_there() -> None:
    host = tagged()
    half_gone(host, "a:1")
    host.has(image("c", "b:1"))
    host.dies()
    host.comes_back()
    host.answers()
    assert tags(host) == {"a:1", "a:2"}
    assert tags(host, "c") == {"b:1"}
    assert host.store_records("tags") == {}


@pytest.mark.parametrize("gone", [True, False])
def test_of_an_image_that_went_or_that_lacks_nothing_no_tag_is_owed(*, gone: bool) -> None:
    host = tagged()
    if gone:
        host.answer()  # which nobody hears
    host.dies()
    host.comes_back()
    host.answers()
    assert "tag_again" not in {call[0] for call in host.engine.calls}
    assert host.store_records("tags") == {}
    assert tags(host) == (set() if gone else {"a:1", "a:2", "b:1"})


def test_where_the_engine_does_not_give_them_back_it_is_asked_again_also_after_another_death() -> None:
    host = tagged()
    half_gone(host)
    host.dies()
    host.comes_back()
    host.until_asked(Retagging)
    host.refuses()
    host.short(30)
    host.answers()
    assert tags(host) == set()
    host.dies()
    host.comes_back()
    host.until_asked(Retagging)
    host.refuses()
    for _ in range(90):
        host.short()
        host.answers()
    assert tags(host) == {"a:1", "a:2", "b:1"}


def test_an_engine_that_is_lost_in_the_middle_gives_them_back_later() -> None:
    host = tagged()
    half_gone(host, "a:1")
    host.see(EngineLost(reason="away", at=host.clock.wall))
    host.refuses("connection refused")
    assert host.store_records("tags") != {}
    host.connect(restarted=True)
    host.short(3)
    host.answers()
    assert tags(host) == {"a:1", "a:2", "b:1"}
    assert host.store_records("tags") == {}


def test_a_listing_of_before_they_were_taken_does_not_say_that_they_are_there() -> None:
    host = tagged()
    before = host.disk()
    host.clock.advance(1.0)
    half_gone(host, "a:1")
    host.refuses()
    host.see(DiskListed(disk=before, look=Look.NAMES, space=host.space))
    assert host.store_records("tags") != {}
    for _ in range(90):
        host.short()
        host.answers()
    assert tags(host) == {"a:1", "a:2", "b:1"}


def test_a_store_that_is_lost_is_told_again_what_is_owed() -> None:
    host = tagged()
    before = host.store_records("tags")
    assert before
    effects = host.see(GapObserved(reason="store_reset", since=host.clock.wall - 1, until=host.clock.wall))
    assert {each.key: each.value for each in effects.records if each.kind == "tags"} == before


def test_a_refusal_leaves_nothing_owed() -> None:
    host = tagged()
    (removal,) = (each for each in host.asked if isinstance(each, Removal))
    host.asked.clear()
    host.see(Removed(removal=removal, fate=Fate.LEFT, reason="it is needed", space=host.space))
    assert host.store_records("tags") == {}


def test_what_an_agents_death_interrupts_goes_on_though_its_condition_does_not_hold_any_more() -> None:
    host = deleting()
    host.clear()
    host.dies(away=60.0)
    host.comes_back()
    host.used -= 0.15  # between the mark at which it begins and the one at which it ends
    assert 50 < host.percent < 80
    host.answers()
    host.short(3)
    assert host.guards == ["cooldown"]
    host.clock.advance(600)
    host.short(3)
    host.answers()

    assert host.removals != []
    assert host.outcomes[-1].numbers["ending"] == "reached"


@pytest.mark.parametrize(
    "until",
    [
        "host.disk.percent < 50%",
        # On btrfs, and here, no inodes are sampled: there are as many as fit.
        "host.disk.percent < 50% and host.disk.inodes_percent < 50%",
    ],
)
def test_what_an_agents_death_interrupts_is_given_up_where_there_is_enough_space_by_now(until: str) -> None:
    host = deleting(POLICY.replace("host.disk.percent < 50%", until))
    host.dies(away=60.0)
    host.comes_back()
    host.used -= 0.45
    host.clear()
    host.answers()
    host.clock.advance(590)
    host.short(20)
    host.answers()

    assert host.looks(Look.SIZES) == 0
    assert [each.reason for each in host.of(Dropped)] == ["there is as much space as the policy wants"]
    assert len(host.removals) == 1


def test_plans_of_wishes_that_ended_are_forgotten() -> None:
    host = full(POLICY.replace("when", "mode: approve\n  when"))
    for _ in range(5):
        host.short(3)
        host.answers()
        host.used -= 0.5
        host.short(3)
        host.used += 0.5
    assert len(host.notices("prune_plan")) >= 3
    assert len(host.pipeline.decisions.pruning.planning.plans.by) <= 1


def test_a_removal_that_came_too_late_to_be_let_out_is_looked_at_anew() -> None:
    host = deleting()
    late = host.asked.pop(0)
    assert isinstance(late, Removal)
    host.see(Removed(removal=late, fate=Fate.LATE))

    assert host.asked == [Look.NAMES]
    host.answers()
    assert host.removals[:2] == [late.name, late.name]
    assert host.outcomes[-1].numbers["failed"] == 0


def test_an_engine_that_does_not_list_its_images_is_asked_once_a_minute_for_those_that_lack_tags() -> None:
    host = tagged()
    half_gone(host)
    host.dies()
    host.comes_back()
    refused = 0
    for _ in range(90):
        host.short()
        for _ in range(20):
            if host.asked:
                host.refuses()
                refused += 1
    assert 1 <= refused <= 4
    for _ in range(90):
        host.short()
        host.answers()
    assert tags(host) == {"a:1", "a:2", "b:1"}
