"""What policies prune, in the loop: wished for, planned, guarded, carried out one by one, remembered."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.support.core import policy_set
from tests.support.pruned_host import FOUR, POLICY, PrunedHost, deleting, full
from tests.support.pruning import MIB, container, image, record
from watchtower_agent.model.decision import Severity
from watchtower_agent.model.observation import EngineLost
from watchtower_agent.model.outcome import Result
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope
from watchtower_agent.model.removal import Look, Removal

# --- a pass -------------------------------------------------------------------------------------------------------


def test_when_space_is_short_it_plans_and_deletes_one_after_the_other_up_to_the_mark() -> None:
    host = full(POLICY.replace("50%", "65%"))
    host.short()
    assert host.asked == [Look.SIZES]

    host.answers()

    assert host.removals == ["a:1", "b:1", "c:1"]
    (outcome,) = host.outcomes
    assert (outcome.result, outcome.numbers["ending"]) == (Result.SUCCEEDED, "reached")
    assert "60.0 % used (90.0 % used before)" in outcome.reason
    (plan,) = host.notices("prune_plan")
    assert plan.data["plan"] == host.decisions[0].parameters["plan"]
    assert [each["name"] for each in plan.data["items"]] == ["a:1", "b:1", "c:1", "d:1"]  # type: ignore[attr-defined] # JSON
    assert [each.data["name"] for each in host.notices("pruned")] == host.removals
    host.short(30)
    assert host.removals == ["a:1", "b:1", "c:1"]


def test_hundreds_of_records_hide_no_image_and_all_that_goes_was_published() -> None:
    host = PrunedHost(POLICY.replace("{until:", "{build_cache: {}, until:"))
    host.has(*(image(f"i{n:02}", f"i{n:02}:1", size=MIB) for n in range(90)))
    cache = tuple(record(f"r{n:03}", size=0) for n in range(250))
    host.engine.disk = replace(host.engine.disk, cache=cache)
    host.used = 0.8
    host.settled()
    host.clear()
    host.short()
    host.answers()

    (plan,) = host.notices("prune_plan")
    items: list[dict[str, str]] = plan.data["items"]  # type: ignore[assignment] # JSON
    assert Counter(each["kind"] for each in items) == {"build_cache": 50, "image": 50}
    assert plan.data["records"] == [f"r{n:03}" for n in range(50, 250)]
    assert plan.data["left_out"] == 40
    published = {each["id"] for each in items} | set(plan.data["records"])
    (outcome,) = host.outcomes
    assert (outcome.numbers["deleted.build_cache"], outcome.numbers["deleted.image"]) == (200, 20)
    assert {each.id for each in host.let_out} <= published


def test_what_a_plan_does_not_publish_no_pass_deletes() -> None:
    host = PrunedHost()
    host.has(*(image(f"i{n:03}", f"i{n:03}:1", size=MIB) for n in range(110)))
    host.used = 0.75
    host.settled()
    host.clear()
    host.short()
    host.until_asked(Removal)
    host.engine.disk = replace(
        host.engine.disk, containers=tuple(container(f"c{n}", f"i{n:03}", "created") for n in range(105))
    )
    host.answers()

    assert host.notices("prune_plan")[0].data["left_out"] == 10
    assert len(host.notices("prune_kept")) == 100
    assert host.notices("pruned") == []


def test_space_that_others_free_meanwhile_ends_a_pass_as_well() -> None:
    host = deleting()
    host.answers(1)
    host.used -= 0.4
    host.answers()

    assert host.removals == ["a:1"]
    (outcome,) = host.outcomes
    assert (outcome.numbers["ending"], outcome.numbers["used_after"]) == ("reached", 0.4)


@pytest.mark.parametrize("percent", [30, 60])
def test_below_the_mark_at_which_a_pass_ends_no_condition_has_the_disk_counted(percent: int) -> None:
    host = full(POLICY.replace("> 80%", "> 20%"), names=("a",))
    host.used = percent / 100 - 0.1
    host.short(5)

    assert host.asked == [Look.SIZES] * (percent > 50)
    assert host.outcomes == []


def test_three_deletions_that_free_nothing_end_the_pass() -> None:
    host = full(names=(*FOUR, "e"))
    host.frees = False
    host.short()
    host.answers()

    assert host.removals == ["a:1", "b:1", "c:1"]
    (outcome,) = host.outcomes
    assert (outcome.result, outcome.numbers["ending"]) == (Result.FAILED, "prune_ineffective")
    (told,) = host.notices("prune_ineffective")
    assert told.severity is Severity.CRITICAL
    assert told.data["deleted"] == 3


def test_what_is_used_again_while_the_pass_goes_on_is_kept() -> None:
    host = deleting()
    host.answers(1)
    host.engine.disk = replace(host.engine.disk, containers=(container("new", "b", "created"),))
    host.answers()

    assert host.removals == ["a:1", "c:1", "d:1"]
    (kept,) = host.notices("prune_kept")
    assert (kept.data["name"], kept.data["protection"], kept.data["by"]) == ("b:1", "container", "new")


def test_what_is_used_again_after_the_last_look_the_engine_keeps() -> None:
    host = deleting()
    host.engine.disk = replace(host.engine.disk, containers=(container("new", "a", "created"),))
    host.answers()

    assert "a:1" in {tag for each in host.engine.disk.images for tag in each.tags}
    (kept,) = host.notices("prune_kept")
    assert (kept.data["name"], kept.data["protection"]) == ("a:1", "engine")


def test_what_is_built_upon_an_image_that_could_not_be_deleted_keeps_it() -> None:
    host = full(names=("a",))
    host.used = 0.75
    host.has(image("child", "child:1", parent="a"))
    host.short()  # which is a first look at it
    host.settled()
    host.clear()
    host.let_out.clear()
    host.short(2)
    host.until_asked(Removal)
    assert host.removals == ["child:1"]
    host.refuses()
    host.answers()

    assert host.removals == ["child:1"]
    (kept,) = host.notices("prune_kept")
    assert (kept.data["name"], kept.data["protection"], kept.data["by"]) == ("a:1", "child", "child:1")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (POLICY.replace("tidy", "other"), "policy tidy is not in force any more"),
        (POLICY.replace("keep_newest: 0", "keep_newest: 1"), "was changed"),
        (POLICY.replace("cooldown", "mode: shadow\n  cooldown"), "shadow mode"),
        (POLICY.replace("cooldown", "mode: approve\n  cooldown"), "approve mode"),
        (POLICY.replace("cooldown", 'mode: "off"\n  cooldown'), "not in force any more"),
    ],
)
@pytest.mark.parametrize("while_deleting", [True, False])
def test_a_policy_that_is_changed_stops_its_pass(change: str, reason: str, *, while_deleting: bool) -> None:
    host = deleting()
    if not while_deleting:
        host.answers(1)  # which is followed by a look at the next one
    host.see(policy_set(change))
    host.answers()

    assert host.removals == ["a:1"]
    (outcome,) = host.outcomes
    assert outcome.numbers["ending"] == "stopped"
    assert outcome.numbers["deleted"] == 1
    assert reason in outcome.reason


def test_a_change_of_another_policy_stops_nothing() -> None:
    host = deleting()
    host.see(policy_set(POLICY + "\n- {name: other, when: host.disk.percent > 99%, then: {notify: {}}}\n"))
    host.answers()
    assert host.removals == ["a:1", "b:1", "c:1", "d:1"]


def test_a_pause_stops_a_pass() -> None:
    host = deleting()
    host.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="tidy"), length=60.0))
    host.answers()

    assert host.removals == ["a:1"]
    assert "is paused" in host.outcomes[0].reason


def test_an_engine_that_is_lost_stops_a_pass() -> None:
    host = deleting()
    host.see(EngineLost(reason="connection refused", at=host.clock.wall))
    host.refuses("connection refused")

    assert host.removals == ["a:1"]
    assert (host.outcomes[0].numbers["ending"], host.outcomes[0].numbers["failed"]) == ("stopped", 1)
    assert host.asked == []


def test_an_engine_that_tells_nothing_any_more_stops_a_pass() -> None:
    host = deleting()
    host.answers(1)
    host.refuses("it takes too long")

    assert host.removals == ["a:1"]
    assert "the engine does not tell what it keeps: it takes too long" in host.outcomes[0].reason


def test_three_deletions_that_fail_end_a_pass() -> None:
    host = full()
    host.short()
    for _ in range(3):
        host.until_asked(Removal)
        host.refuses()

    assert host.removals == ["a:1", "b:1", "c:1"]
    assert (host.outcomes[0].result, host.outcomes[0].numbers["ending"]) == (Result.FAILED, "failing")
    assert len(host.notices("prune_failed")) == 3


def test_a_plan_is_carried_out_for_ten_minutes_and_no_longer() -> None:
    host = deleting()
    host.clock.advance(601)
    host.ping()
    host.answers()

    assert host.removals == ["a:1"]
    assert host.outcomes[0].numbers["ending"] == "expired"


def test_the_end_of_the_agent_ends_a_pass_between_two_deletions() -> None:
    host = full(POLICY.replace("images:", "build_cache: {}, images:"))
    host.engine.disk = replace(host.engine.disk, cache=(record("r1"), record("r2")))
    host.short()
    host.until_asked(Removal)
    ends = host.pipeline.step((host.answer(),), host.clock.now(), ending=True)

    (outcome,) = ends.outcomes
    assert ends.removals == []
    assert (outcome.result, outcome.numbers["deleted"]) == (Result.SUCCEEDED, 1)
    assert "the agent ends" in outcome.reason


def test_the_end_of_the_agent_ends_a_pass_that_has_not_deleted_anything() -> None:
    host = full()
    host.short()
    host.answers(1)
    assert host.begun
    (outcome,) = host.pipeline.step((), host.clock.now(), ending=True, last=True).outcomes
    assert (outcome.result, outcome.numbers["ending"]) == (Result.ABANDONED, "stopped")
