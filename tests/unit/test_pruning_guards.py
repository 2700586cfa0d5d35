"""What stands against pruning: modes, people, pauses, windows, pace, an engine that is away, an agent that was."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.support.approving import answer, asked, turns, why
from tests.support.pruned_host import POLICY, PrunedHost, full
from tests.support.pruning import container, image, volume
from watchtower_agent.model.decision import Dropped, Held
from watchtower_agent.model.observation import EngineLost, ScheduleDue
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope, ResumeAsked
from watchtower_agent.model.removal import Look, Removal

APPROVE = POLICY.replace("cooldown", "mode: approve\n  approve_within: 10m\n  cooldown")
NIGHTLY = """
- name: nightly
  schedule: {cron: "30 3 * * *"}
  prune: {images: {keep_newest: 0}}
"""
TIDY = Paused(scope=PauseScope.POLICY, name="tidy")


def held(host: PrunedHost) -> list[tuple[str, bool]]:
    """By which guards, and whether what was held had its plan."""
    return [(each.guard.value, bool(each.decision.parameters)) for each in host.of(Held)]


# --- modes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policies", "mode"), [(POLICY.replace("cooldown", "mode: shadow\n  cooldown"), "enforce"), (POLICY, "observe")]
)
def test_who_only_watches_tells_the_plan_and_deletes_nothing(policies: str, mode: str) -> None:
    host = full(policies, mode=mode)
    host.short(500)
    host.answers()
    host.short(60)

    assert host.let_out == []
    assert held(host) == [("mode", True)]
    assert len(host.notices("prune_plan")) == 1
    assert host.looks(Look.SIZES) == 1
    assert host.outcomes == []


def test_a_plan_that_is_shown_only_is_made_anew_when_it_is_over() -> None:
    host = full(POLICY.replace("cooldown", "mode: shadow\n  cooldown"))
    for _ in range(25):
        host.short(60)
        host.answers()

    assert host.let_out == []
    assert len(host.notices("prune_plan")) == host.looks(Look.SIZES) == 3
    assert host.of(Dropped) == []


# --- approval -----------------------------------------------------------------------------------------------------


def test_what_is_approved_is_deleted_and_nothing_else() -> None:
    host = full(APPROVE)
    host.short()
    host.answers()
    assert host.let_out == []
    (approval,) = asked(host)
    host.has(image("late", "late:1"))  # by then as old as the others
    host.short(500)
    host.answers()
    assert asked(host) == [approval]
    answer(host)
    host.answers()

    assert host.removals == ["a:1", "b:1", "c:1", "d:1"]
    assert host.outcomes[0].decision.approval == approval
    assert len(host.notices("prune_plan")) == 1
    assert turns(host) == ["asked", "given"]


def test_what_is_rejected_is_not_deleted_nor_asked_about_again_while_its_plan_lasts() -> None:
    host = full(APPROVE)
    host.short()
    host.answers()
    answer(host, approves=False)
    for _ in range(15):
        host.short(60)
        host.answers()

    assert host.let_out == []
    assert turns(host) == ["asked", "rejected"]


def test_what_nobody_answers_is_not_deleted() -> None:
    host = full(APPROVE)
    host.short()
    host.answers()
    for _ in range(11):
        host.short(60)
        host.answers()

    assert host.let_out == []
    assert turns(host)[:2] == ["asked", "expired"]


def test_an_approval_that_ends_in_the_middle_of_its_pass_stops_nothing() -> None:
    host = full(APPROVE)
    host.short()
    host.answers()
    for _ in range(9):
        host.short(60)
        host.answers()
    answer(host)
    host.until_asked(Removal)
    host.clock.advance(90)
    host.ping()
    host.answers()

    assert host.removals == ["a:1", "b:1", "c:1", "d:1"], host.outcomes[0].reason


def test_what_a_person_sets_off_meanwhile_is_asked_about_with_its_own_plan() -> None:
    host = full(APPROVE)
    host.short()
    host.answers()
    first = asked(host)
    host.clock.advance(5)
    host.engine.disk = replace(host.engine.disk, images=host.engine.disk.images[1:])
    host.by_hand()
    host.answers()
    host.short()
    host.answers()

    assert turns(host) == ["asked", "withdrawn", "asked"]
    assert asked(host) != first
    answer(host)
    host.answers()
    assert host.removals == ["b:1", "c:1", "d:1"]
    assert host.outcomes[0].decision.parameters == host.decisions[-1].parameters


def test_a_plan_goes_with_the_run_of_the_agent_that_made_it() -> None:
    host = full(APPROVE)
    host.short()
    host.answers()
    host.dies()
    host.comes_back()
    host.answers()
    host.short(3)
    host.answers()

    assert turns(host) == ["asked", "withdrawn", "asked"]
    (dropped,) = host.of(Dropped)
    assert dropped.reason == "its plan went with an earlier run of the agent"
    answer(host)
    host.answers()
    assert host.removals == ["a:1", "b:1", "c:1", "d:1"]


def test_a_plan_that_was_rejected_goes_with_the_run_of_the_agent_too() -> None:
    host = full(APPROVE)
    host.short()
    host.answers()
    answer(host, approves=False)
    host.dies()
    host.comes_back()
    host.short(3)
    host.answers()

    assert host.let_out == []
    assert turns(host)[:2] == ["asked", "rejected"]


def test_what_a_schedule_plans_waits_for_its_approval() -> None:
    host = nightly(NIGHTLY.replace("schedule", "mode: approve\n  schedule"))
    host.answers()
    host.dies()
    host.comes_back()
    host.answers()
    host.tick(3)
    host.answers()

    assert host.let_out == []
    assert "its plan went with an earlier run of the agent" in [each.reason for each in host.of(Dropped)]
    assert turns(host) == ["asked", "withdrawn"]
    assert why(host) == "its plan went with an earlier run of the agent"


# --- pauses, windows, pace ------------------------------------------------------------------------------------------


def nightly(policies: str = NIGHTLY) -> PrunedHost:
    """A scheduled policy, whose time has come."""
    host = full(policies)
    comes(host)
    return host


def comes(host: PrunedHost) -> None:
    """The time of its scheduled policy comes."""
    at = datetime.fromtimestamp(host.clock.wall, UTC)
    due = at.replace(hour=3, minute=30, second=0, microsecond=0).timestamp()
    due += 0 if due > host.clock.wall else 86400
    host.clock.advance(due - host.clock.wall)
    host.ping()
    host.answers()
    schedule = host.pipeline.policies.policies[0].trigger
    host.see(ScheduleDue(policy="nightly", schedule=str(schedule.schedule), due=due))  # type: ignore[union-attr] # it is a schedule's


def test_a_schedule_prunes_whatever_the_level() -> None:
    host = nightly()
    host.answers()
    assert host.removals == ["a:1", "b:1", "c:1", "d:1"]
    assert host.outcomes[0].numbers["ending"] == "through"


def test_a_person_prunes_whatever_the_level() -> None:
    host = full(POLICY.replace("80%", "95%"))
    host.short(60)
    assert host.asked == []
    host.by_hand()
    host.answers()
    assert host.removals == ["a:1", "b:1", "c:1", "d:1"]


def test_while_it_is_paused_nothing_is_planned() -> None:
    host = full()
    host.see(PauseAsked(what=TIDY, length=600.0))
    host.short(30)
    assert host.asked == []
    assert held(host) == [("paused", False)]

    host.see(ResumeAsked(what=TIDY))
    host.answers()
    assert host.removals == ["a:1", "b:1", "c:1", "d:1"]


def test_what_a_pause_holds_is_planned_once_it_is_over_however_long_that_takes() -> None:
    host = nightly()
    host.see(PauseAsked(what=Paused(scope=PauseScope.AGENT), length=3600.0))
    host.answers()
    assert held(host)[-1] == ("paused", False)
    host.tick(610)
    assert host.let_out == []
    assert host.of(Dropped) == []

    host.see(ResumeAsked(what=Paused(scope=PauseScope.AGENT)))
    host.answers()

    assert host.let_out != []


def test_outside_its_window_nothing_is_planned() -> None:
    host = full(POLICY.replace("cooldown", 'windows: [{cron: "0 3 * * *", for: 1h, timezone: UTC}]\n  cooldown'))
    at = datetime.fromtimestamp(host.clock.wall, UTC)
    if at.hour == 3:
        host.clock.advance(7200)
        host.ping()
    host.answers()
    host.short(30)
    assert held(host) == [("outside_window", False)]
    assert host.asked == []

    due = at.replace(hour=3, minute=0, second=1).timestamp()
    due += 0 if due > host.clock.wall else 86400
    host.clock.advance(due - host.clock.wall)
    host.short(3)
    host.answers()
    assert host.removals[:4] == ["a:1", "b:1", "c:1", "d:1"]


def test_after_a_pass_it_rests_for_its_cooldown_and_asks_nothing() -> None:
    host = full()
    host.used = 0.7  # also without these images it is too full
    host.short()
    host.answers()
    assert len(host.outcomes) == 1
    host.has(image("e", "e:1"), image("f", "f:1"))
    host.short(590)
    assert host.asked == []
    assert held(host) == [("cooldown", False)]

    host.short(20)
    host.answers()
    assert host.looks(Look.SIZES) == 2


def test_a_policy_prunes_as_often_as_its_budget_says() -> None:
    host = full(POLICY.replace("cooldown: 10m", "cooldown: 0s\n  budget: {max: 1, per: 15m}"))
    host.short()
    host.answers()
    assert len(host.outcomes) == 1
    host.has(*(image(name, f"{name}:1") for name in "efgh"))
    host.dies()
    host.comes_back()
    host.answers()
    host.short(840)
    assert held(host) == [("budget", False)]
    assert host.looks(Look.SIZES) == 1

    host.short(70)
    host.answers()
    assert host.looks(Look.SIZES) == 2
    host.by_hand()
    host.answers()
    assert host.looks(Look.SIZES) == 3


def test_an_engine_that_is_away_is_asked_nothing() -> None:
    host = full()
    host.see(EngineLost(reason="connection refused", at=host.clock.wall))
    host.short(10)
    assert host.asked == []
    assert held(host) == [("engine_down", False)]

    host.connect()
    host.answers()
    host.short()
    host.answers()
    assert host.looks(Look.SIZES) == 1


def test_an_engine_that_can_not_tell_is_asked_again_a_minute_later() -> None:
    host = full()
    host.short()
    host.refuses("it took too long")
    host.short(50)
    assert host.asked == []
    assert held(host) == [("preflight", False)]
    host.short(12)
    host.answers()
    assert host.removals == ["a:1", "b:1", "c:1", "d:1"]


def test_a_condition_that_ends_while_the_plan_waits_takes_it_along() -> None:
    host = full(APPROVE)
    host.short()
    host.answers()
    host.used -= 0.3
    host.short(3)

    assert host.let_out == []
    assert [each.reason for each in host.of(Dropped)] == ["its condition does not hold any more"]
    assert turns(host) == ["asked", "withdrawn"]


def test_where_there_is_nothing_to_delete_it_rests_for_its_cooldown() -> None:
    host = full(names=())
    host.used = 0.9
    host.short(590)
    host.answers()
    host.short(590)
    host.answers()
    assert host.looks(Look.SIZES) == 1
    assert [each.reason for each in host.of(Dropped)] == ["nothing may be deleted"]
    host.short(20)
    host.answers()
    assert host.looks(Look.SIZES) == 2


VOLUMES = """
- name: nightly
  schedule: {cron: "30 3 * * *"}
  prune: {volumes: {only: ["scratch-*"]}}
- name: tidy
  when: host.disk.percent > 80%
  prune: {until: host.disk.percent < 50%, volumes: {only: ["scratch-*"]}}
"""


class SocketActivated(PrunedHost):
    """A host on which nobody tells when its engine started."""

    engine_started = None


def with_volumes(of: type[PrunedHost] = PrunedHost, *, allowed: bool = True) -> PrunedHost:
    """A host on which nobody has used its volumes for long."""
    host = of(VOLUMES, volumes=allowed)
    host.engine.disk = replace(
        host.engine.disk, volumes=tuple(volume(name, created_at=1.0) for name in ("scratch-1", "scratch-2", "data"))
    )
    host.used = 0.9
    host.settled(days=8)
    host.clock.advance(3600)
    host.tick(2)
    host.answers()
    return host


def test_a_volume_that_is_attached_between_plan_and_deletion_is_kept() -> None:
    host = with_volumes()
    comes(host)
    host.until_asked(Removal)
    used = container("new", "a", "created", volumes=("scratch-1", "scratch-2"))
    host.engine.disk = replace(host.engine.disk, containers=(used,))
    host.answers()

    kept = {each.data["name"]: each.data["protection"] for each in host.notices("prune_kept")}
    assert kept == {"scratch-1": "engine", "scratch-2": "container"}
    assert len(host.engine.disk.volumes) == 3
    assert host.outcomes[0].numbers["deleted"] == 0


def test_volumes_go_by_schedule_alone_those_that_are_named_and_where_the_settings_allow_it() -> None:
    host = with_volumes()
    host.short(5)
    host.answers()
    assert host.let_out == []  # space is short
    comes(host)
    host.answers()
    assert host.removals == ["scratch-1", "scratch-2"]

    host = with_volumes(allowed=False)
    comes(host)
    host.answers()
    assert host.let_out == []


def test_an_engine_of_which_nobody_tells_when_it_started_is_up_since_it_was_found() -> None:
    host = with_volumes(SocketActivated)
    comes(host)
    host.answers()
    assert host.removals == ["scratch-1", "scratch-2"]

    host = with_volumes(SocketActivated)
    host.dies(away=60.0)
    host.comes_back()
    host.answers()
    comes(host)
    host.answers()
    assert host.let_out == []
    plan = host.notices("prune_plan")[-1]
    assert plan.data["protections"] == {"engine_up": 2, "not_listed": 1}


def test_two_policies_take_turns() -> None:
    other = POLICY.replace("tidy", "other").replace('keep: ["kept/*"]', 'keep: ["d"]')
    host = full(POLICY.replace('keep: ["kept/*"]', 'keep: ["a", "c"]') + other)
    host.used = 0.8  # also without these images it is too full
    for _ in range(10):
        host.short()
        host.answers()
    assert sorted(host.removals) == ["a:1", "b:1", "c:1", "d:1"]
    assert len(host.outcomes) == 2
