"""Containers that are resized, in the loop: measured, decided about, guarded, changed, remembered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.sized_host import MIB, POLICY, SizedHost
from watchtower_agent.model.decision import Decision, Severity
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope


def test_an_oom_kill_gives_more_memory_at_once_without_a_restart() -> None:
    host = SizedHost()
    host.uses(100, memory=100, cores=0.2)
    host.clear()
    host.oom()
    host.uses(2, memory=126, cores=0.2)

    assert host.limits[0] == 228.0  # 100 MiB more, which is more than a fifth
    assert host.did == [("resize", "web")]
    (decision,) = host.of(Decision)
    assert decision.reason == "memory limit 128.0 MiB to 228.0 MiB: OOM-killed"
    assert decision.numbers["memory limit"] == 128 * MIB
    assert decision.numbers["lowers"] is False
    assert host.detail("other").memory_limit == 128 * MIB


def test_who_is_killed_gets_more_memory_by_that_event_however_seldom_it_is_sampled() -> None:
    host = SizedHost(interval=30)
    host.uses(120, memory=100, cores=0.2)
    host.clear()
    host.oom()

    assert host.resized == [{"memory": 228 * MIB}]
    host.carry_out()
    assert host.limits[0] == 228.0


def test_who_is_killed_before_its_first_sample_gets_more_memory_as_soon_as_its_limits_are_known() -> None:
    host = SizedHost(interval=30)
    host.docker.remove("web", force=True)
    host.docker.create("web", identity="f" * 64, memory_limit=128 * MIB, cpu_granted=0.5)
    host.docker.tell("oom", "web")
    host.deliver()

    assert host.resized == [{"memory": 228 * MIB}]


def test_who_ends_by_the_kill_gets_more_memory_as_soon_as_it_runs_again() -> None:
    host = SizedHost(interval=30)
    host.uses(120, memory=100, cores=0.2)
    host.docker.tell("oom", "web")
    host.docker.crash("web", 137)
    host.deliver()
    assert host.resized == []

    host.docker.start("web")
    host.deliver()
    assert host.resized == [{"memory": 228 * MIB}]


def test_who_is_killed_again_while_its_limit_is_raised_gets_more_only_where_that_is_not_enough() -> None:
    host = SizedHost(interval=30)
    host.uses(120, memory=100, cores=0.2)
    host.oom()
    host.oom()
    assert host.resized == [{"memory": 228 * MIB}]

    host.carry_out(outcome_first=True)  # the new limit is not known yet as the call returns
    host.uses(120, memory=100, cores=0.2)
    assert host.resized == [{"memory": 228 * MIB}], "both were killed at the limit that it had"
    host.oom()
    assert host.resized == [{"memory": 228 * MIB}, {"memory": 328 * MIB}]


def test_what_is_used_all_the_time_raises_the_limit_of_cpu() -> None:
    host = SizedHost(interval=30)
    host.uses(3700, memory=60, cores=0.49)

    assert host.resized[0] == {"cpu": pytest.approx(0.62, abs=0.03)}


@pytest.mark.long
def test_an_idle_container_is_lowered_late_and_by_little_and_never_below_what_it_uses() -> None:
    host = SizedHost(interval=30)
    host.uses(3600 + 5 * 3600, memory=60, cores=0.02)
    assert host.resized == []

    host.uses(2 * 3600, memory=60, cores=0.02)
    (first,) = host.resized
    assert first == {"memory": round(103 * MIB), "cpu": pytest.approx(0.4)}
    host.clear()
    host.uses(12 * 3600 + 600, memory=60, cores=0.02)
    assert host.limits[0] >= 60 / 0.9
    assert [each.numbers["lowers"] for each in host.of(Decision)] == [True] * len(host.of(Decision))


@pytest.mark.long
def test_nothing_is_lowered_while_what_is_used_is_not_known() -> None:
    host = SizedHost(interval=30)
    host.uses(3600 + 6 * 3600 - 120, memory=60, cores=0.02)
    host.tick(120)

    assert host.resized == []


@pytest.mark.long
def test_what_was_measured_is_remembered_over_a_restart_of_the_agent() -> None:
    host = SizedHost(interval=30)
    host.uses(3600 + 5 * 3600, memory=60, cores=0.02)
    host.dies(5.0)
    host.comes_back()
    host.uses(2 * 3600, memory=60, cores=0.02)

    assert host.resized[0]["memory"] == round(103 * MIB)


def test_no_limit_of_cpu_is_smaller_than_the_kernel_takes_with_the_containers_period() -> None:
    host = SizedHost()
    web = host.docker.find("web")
    detail = replace(host.detail(), cpu_granted=0.15, cpu_least=0.3)
    host.docker.containers[web.id] = replace(web, detail=detail)
    host.docker.tell("update", "web")
    host.deliver()
    host.uses(70, memory=60, cores=0.05)

    assert host.resized == [{"cpu": 0.3}]


def test_a_kill_at_max_is_for_people() -> None:
    host = SizedHost(POLICY.replace("max: 512MiB", "max: 128MiB"))
    host.uses(100, memory=100, cores=0.2)
    host.oom()
    host.uses(5, memory=126, cores=0.2)

    assert host.resized == []
    (notice,) = [each for each in host.of(Notice) if each.action == "at_max"]
    assert notice.severity is Severity.CRITICAL
    assert notice.reason.startswith("web was OOM-killed at its memory limit of 128 MiB, the largest")


def test_who_is_killed_at_max_all_the_time_is_told_of_once_an_hour() -> None:
    host = SizedHost(POLICY.replace("max: 512MiB", "max: 128MiB"), interval=10)
    host.uses(100, memory=100, cores=0.2)
    for _ in range(400):
        host.oom()
        host.uses(10, memory=126, cores=0.2)

    assert len([each for each in host.of(Notice) if each.action == "at_max"]) == 2


def test_a_recreated_container_has_its_limit_given_again() -> None:
    host = SizedHost()
    host.uses(100, memory=100, cores=0.2)
    host.oom()
    host.uses(60, memory=126, cores=0.2)
    host.clear()
    host.docker.remove("web", force=True)
    host.docker.create("web", identity="f" * 64, memory_limit=128 * MIB, cpu_granted=0.5)
    host.deliver()
    host.uses(70, memory=100, cores=0.2)

    assert host.limits[0] == 228.0
    (decision,) = host.of(Decision)
    assert "it was recreated, and had 228.0 MiB before" in decision.reason


def test_changes_that_fail_wait_longer_and_longer() -> None:
    host = SizedHost()
    host.refuses = 2
    host.uses(100, memory=100, cores=0.2)
    host.oom()
    host.uses(600, memory=126, cores=0.2)

    first, second, third = (intent.at for intent in host.intents)
    assert 48 <= second - first <= 140
    assert 96 <= third - second <= 210
    assert host.limits[0] == 228.0


def test_shadow_mode_tells_and_changes_nothing() -> None:
    host = SizedHost(POLICY.replace("select:", "mode: shadow\n  select:"))
    host.uses(100, memory=100, cores=0.2)
    host.oom()
    host.uses(120, memory=126, cores=0.2)

    assert host.resized == []
    assert host.guards == ["mode"]
    assert len(host.of(Decision)) == 1


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_who_does_as_a_policy_that_may_not_act_says_has_set_the_limit_themselves(mode: str) -> None:
    host = SizedHost(POLICY.replace("select:", f"mode: {mode}\n  select:"))
    if mode == "enforce":
        host.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="right-size"), length=3600))
    host.uses(100, memory=100, cores=0.2)
    host.oom()
    host.uses(60, memory=100, cores=0.2)
    (decision,) = host.of(Decision)
    assert decision.parameters == {"memory": 228 * MIB}
    host.update_by_hand(memory=228 * MIB)
    host.uses(70, memory=100, cores=0.2)

    past = host.pipeline.decisions.resizing.memory.by["right-size", "web"].past
    assert past.originals == (None, None)
    assert past.changed_by_others.keys() == {"memory"}


@pytest.mark.long
def test_what_was_learned_goes_along_with_a_rename() -> None:
    host = SizedHost(POLICY.replace("{name: web}", "{name: [web, shop]}"), interval=30)
    host.uses(3600 + 5 * 3600, memory=60, cores=0.02)
    host.docker.rename("web", "shop")
    host.deliver()
    host.uses(2 * 3600, memory=60, cores=0.02)

    assert host.did == [("resize", "shop")]
    assert set(host.store_records("resizing")) == {"right-size\0web", "right-size\0shop"}


@pytest.mark.long
def test_what_is_measured_while_limits_are_not_known_is_kept() -> None:
    host = SizedHost(interval=30)
    host.uses(3600 + 5 * 3600, memory=60, cores=0.02)
    known = host.docker.find("web")
    host.docker.containers[known.id] = replace(known, detail=None)
    host.relist()
    host.docker.containers[known.id] = known
    host.uses(2 * 3600, memory=60, cores=0.02)

    assert host.resized[0]["memory"] == round(103 * MIB)


def test_limits_that_somebody_has_just_set_are_left_alone_for_a_quarter_of_an_hour_and_that_is_said() -> None:
    host = SizedHost()
    host.uses(100, memory=100, cores=0.2)
    host.update_by_hand(memory=140 * MIB)
    host.uses(70, memory=100, cores=0.2)
    host.clear()
    host.oom()
    host.uses(600, memory=139, cores=0.2)
    assert host.resized == []
    (notice,) = [each for each in host.of(Notice) if each.action == "limited"]
    assert notice.reason.startswith("web keeps its limits: somebody else changed them, which is left alone for 1")
    assert notice.data["container"] == "web"

    host.dies(5.0)
    host.comes_back()
    host.uses(500, memory=139, cores=0.2)
    assert [set(each) for each in host.resized] == [{"memory"}]
