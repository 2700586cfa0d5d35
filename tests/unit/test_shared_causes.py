"""Shared causes: how they are recognised, whom they hold and for how long, what is told and remembered of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from tests.support.core import INFO, INSTALL_ID, NOW, Host, policy_set
from tests.support.store import FakeStore
from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import EngineFound, EngineLost, GapObserved, InventoryObserved
from watchtower_agent.model.shared_cause import SharedCauseRule
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Budget

RULE = SharedCauseRule()
PLENTY = Protection(host_budget=Budget(most=1000, per=1.0))
HEAL = """
- name: heal
  select: {name: "web*"}
  when: health == "unhealthy"
  then: {restart: {}}
- name: revive
  select: {name: "web*"}
  on: {container: die}
  then: {restart: {}}
- name: tell
  select: {name: "*"}
  on: {container: die}
  then: {notify: {}}
"""
LEAK = (
    HEAL
    + """
- name: leak
  select: {name: web0}
  when: memory.percent > 90%
  then: {restart: {}}
"""
)


def host_of(count: int, rule: SharedCauseRule = RULE, policies: str = HEAL, health: Health = Health.NONE) -> Host:
    """So many containers web0, web1, …, all well."""
    host = Host(policies, protection=PLENTY, shared_cause=rule)
    for number in range(count):
        host.docker.create(f"web{number}", silent=True, health=health)
    host.relist()
    host.deliver()
    host.clear()
    return host


def causes(host: Host) -> list[Notice]:
    return [each for each in host.of(Notice) if each.action.startswith("shared_cause")]


def told(host: Host) -> list[str]:
    return [each.action for each in causes(host)]


def crash(host: Host, *numbers: int, code: int = 1) -> None:
    for number in numbers:
        host.docker.crash(f"web{number}", code)
        host.deliver()


# --- when ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selected", "failed", "rule", "held"),
    [
        (10, 3, RULE, False),  # 30 % are not more than 30 %
        (10, 4, RULE, True),
        (9, 3, RULE, True),
        (3, 2, RULE, False),
        (2, 2, RULE, False),
        (3, 3, RULE, True),
        (30, 9, RULE, False),
        (30, 10, RULE, True),
        (10, 4, replace(RULE, at_least=5), False),
        (10, 5, replace(RULE, at_least=5), True),
        (10, 5, replace(RULE, share=50.0), False),
        (10, 6, replace(RULE, share=50.0), True),
        (10, 10, replace(RULE, hold=0.0), False),
    ],
)
def test_more_than_a_share_and_no_fewer_than_a_number_have_one_cause(
    *, selected: int, failed: int, rule: SharedCauseRule, held: bool
) -> None:
    host = host_of(selected, rule)
    crash(host, *range(failed))
    assert told(host) == (["shared_cause"] if held else [])
    assert len(host.did) == (failed - 1 if held else failed)
    assert ("shared_cause" in host.guards) is held


def test_those_before_the_threshold_are_acted_on_and_nobody_after_it() -> None:
    host = host_of(30)
    crash(host, *range(30))
    assert [name for _, name in host.did] == [f"web{number}" for number in range(9)]
    assert {held.decision.target.name for held in host.of_guard("shared_cause")} == {f"web{n}" for n in range(9, 30)}
    assert told(host) == ["shared_cause"]
    assert len(host.told) == 30, "people are notified of each"


def test_thirty_that_become_unhealthy_at_once_lead_to_no_action_and_one_event() -> None:
    host = host_of(30, health=Health.HEALTHY)
    for number in range(30):
        host.docker.health(f"web{number}")
    host.deliver()
    host.tick(20)
    assert host.did == []
    assert told(host) == ["shared_cause"]
    assert len(host.of_guard("shared_cause")) == 30, "each is told once"


@pytest.mark.parametrize(("seconds", "held"), [(39.0, True), (40.5, False)])
def test_only_failures_within_the_time_count(*, seconds: float, held: bool) -> None:
    host = host_of(11)
    for number in range(4):
        crash(host, number)
        host.clock.advance(seconds)  # the first does not run any more, so it is no longer one of those either
    assert (told(host) == ["shared_cause"]) is held


def test_a_container_that_fails_again_and_again_counts_once() -> None:
    host = host_of(4)
    for _ in range(5):
        crash(host, 0)
        host.docker.start("web0")
        host.deliver()
    assert told(host) == []


def test_what_a_person_ends_what_is_finished_and_what_no_policy_acts_on_has_not_failed() -> None:
    host = host_of(6)
    for number in range(3):
        host.docker.stop(f"web{number}")
        host.deliver()
    crash(host, 3, 4, 5, code=0)
    for name in ("db", "cache", "queue"):
        host.docker.create(name)
        host.docker.crash(name)
        host.deliver()
    assert told(host) == []


def test_what_the_agent_itself_ends_has_not_failed() -> None:
    host = host_of(3, policies=LEAK.replace("web0", '"*"'))
    host.tick(memory_percent=95)
    assert len(host.did) == 3
    host.carry_out()
    host.tick()
    assert told(host) == []


def test_a_policy_that_is_off_or_only_notifies_selects_nobody() -> None:
    off = HEAL.replace('name: "web*"', 'name: "*"').replace("- name: revive", '- name: revive\n  mode: "off"')
    host = host_of(3, policies=off.replace("- name: heal", '- name: heal\n  mode: "off"'))
    crash(host, 0, 1, 2)
    assert told(host) == []


SHADOW = """
- name: trial
  mode: shadow
  select: {name: "*"}
  when: health == "unhealthy"
  then: {restart: {}}
"""


@pytest.mark.parametrize(
    ("policies", "others"),
    [
        (HEAL + SHADOW, {}),
        (HEAL.replace('"web*"', '"*"'), {"labels": {"watchtower-agent.protect": "true"}}),
        (HEAL.replace('"web*"', '"*"'), {"status": ContainerStatus.CREATED}),
        (HEAL.replace('"web*"', '"*"'), {"status": ContainerStatus.EXITED}),
    ],
    ids=["shadow", "protected", "created", "exited"],
)
def test_who_is_not_acted_on_anyway_makes_the_share_no_smaller(policies: str, others: dict[str, object]) -> None:
    host = host_of(4, policies=policies)
    for number in range(30):
        host.docker.create(f"other{number}", silent=True, **others)  # type: ignore[arg-type] # as `container` takes them
    host.relist()
    host.deliver()
    crash(host, 0, 1, 2)
    assert told(host) == ["shared_cause"]
    assert causes(host)[0].data["numbers"] == {
        "failed": 3,
        "selected": 4,
        "share": 30.0,
        "at_least": 3,
        "within": 120.0,
    }
    assert host.pipeline.failures(host.clock.now()).selected == 4


def test_who_is_not_acted_on_anyway_fails_for_nobody() -> None:
    host = host_of(3, policies=HEAL.replace('"web*"', '"*"') + SHADOW.replace('"*"', '"looked-at*"'))
    for number in range(5):
        host.docker.create(f"kept{number}", silent=True, labels={"watchtower-agent.protect": "true"})
    host.relist()
    host.deliver()
    crash(host, 0)
    for number in range(5):
        host.docker.crash(f"kept{number}")
        host.deliver()
    assert told(host) == []


def test_who_waits_for_a_person_s_approval_counts() -> None:
    host = host_of(10, policies=HEAL.replace("then: {restart", "mode: approve\n  then: {restart"))
    crash(host, 0, 1, 2)
    assert told(host) == []
    crash(host, 3)
    assert told(host) == ["shared_cause"]


def test_those_that_were_removed_do_not_count() -> None:
    host = host_of(6)
    for number in (0, 1):
        crash(host, number)
        host.docker.remove(f"web{number}")
        host.deliver()
    crash(host, 2)
    assert told(host) == []


# --- the engine, the disk --------------------------------------------------------------------------------------------


def test_after_a_restart_of_the_engine_nothing_is_done_for_a_while() -> None:
    host = host_of(10)
    host.see(EngineLost(reason="gone", at=host.clock.wall))
    host.docker.crash("web0")
    host.connect(restarted=True)
    host.tick()
    assert host.did == []
    (cause,) = causes(host)
    assert (cause.data["cause"], cause.severity) == ("engine_restarted", "warning")
    host.docker.crash("web1")
    host.deliver()
    first, held = host.of_guard("shared_cause")
    assert (first.decision.target.name, held.decision.target.name) == ("web0", "web1")
    assert held.reason == "the engine was restarted: for 5m after that no container is acted on"
    host.tick(298)
    assert host.did == []
    host.tick(1)
    assert host.did == [("restart", "web0"), ("restart", "web1")]


def test_an_engine_that_was_only_out_of_reach_holds_nothing() -> None:
    host = host_of(10)
    host.see(EngineLost(reason="gone", at=host.clock.wall))
    host.see(EngineFound(info=INFO, restarted=False, at=host.clock.wall))
    host.relist()
    crash(host, 0)
    assert told(host) == []
    assert host.did == [("restart", "web0")]


@pytest.mark.parametrize(("used", "held"), [(94.9, False), (95.0, True)])
def test_on_a_full_disk_nothing_is_done_while_it_is_full_and_a_while_after(*, used: float, held: bool) -> None:
    host = host_of(10)
    host.tick(5, host_disk_percent=used)
    crash(host, 0)
    assert told(host) == (["shared_cause"] if held else [])
    assert host.did == ([] if held else [("restart", "web0")])
    if held:
        (stopped,) = host.of_guard("shared_cause")
        assert stopped.reason.startswith("the disk of the engine's data is 95.0 % full")
        assert stopped.numbers == {"cause": "disk_full", "host.disk.percent": 95.0, "full": 95.0, "hold": 300.0}
        host.tick(400, host_disk_percent=used)
        host.tick(298, host_disk_percent=50.0)
        assert host.did == []
        host.tick(4, host_disk_percent=50.0)
        assert host.did == [("restart", "web0")]
        assert told(host) == ["shared_cause", "shared_cause_over"]


@pytest.mark.parametrize(("full", "used", "held"), [(98.0, 97.9, False), (98.0, 98.0, True), (0.0, 100.0, False)])
def test_from_when_on_a_disk_is_full_is_a_setting(*, full: float, used: float, held: bool) -> None:
    host = host_of(10, replace(RULE, disk=full))
    host.tick(5, host_disk_percent=used)
    crash(host, 0)
    assert told(host) == (["shared_cause"] if held else [])
    crash(host, 1, 2, 3)
    assert told(host) == ["shared_cause"], "the other causes are looked for still"


def test_a_disk_that_stays_full_is_not_written_down_at_every_sample() -> None:
    host = host_of(1)
    host.tick(50, host_disk_percent=96.0)
    written = [record for step in host.steps for record in step.records if record.kind == "shared_cause"]
    assert len(written) == 1


# --- how long --------------------------------------------------------------------------------------------------------


def test_it_lasts_from_the_last_failure_and_then_what_is_still_wanted_is_done() -> None:
    host = host_of(6)
    crash(host, 0, 1, 2)
    host.tick(60)
    crash(host, 3)
    assert len(host.did) == 2
    host.tick(299)
    assert len(host.did) == 2
    host.tick(1)
    assert len(host.did) == 4, "though two of them waited for longer than 15 min"
    (begun, over) = causes(host)
    assert begun.reason == (
        "3 of 6 containers died or became unhealthy within 2m: one cause is taken to be behind that, "
        "so for 5m no container is acted on"
    )
    assert begun.data["containers"] == ["web0", "web1", "web2"]
    assert (begun.severity, over.severity) == ("critical", "info")
    assert over.data["held_for"] == 360.0
    (first, *_, last) = host.of_guard("shared_cause")
    assert (first.numbers["failed"], last.numbers["failed"]) == (3, 4)
    assert last.release_at == NOW + 60 + 300


def test_what_failed_before_a_hold_was_over_is_no_sign_of_another_cause() -> None:
    host = host_of(6, replace(RULE, hold=20.0))
    crash(host, 0, 1, 2)
    host.tick(25)
    crash(host, 3)
    assert told(host) == ["shared_cause", "shared_cause_over"]
    assert ("restart", "web3") in host.did
    crash(host, 4, 5)
    assert told(host) == ["shared_cause", "shared_cause_over", "shared_cause"]


def test_a_decision_from_an_event_outlasts_a_long_hold() -> None:
    host = host_of(6, replace(RULE, hold=3600.0))
    crash(host, 0, 1, 2)
    host.tick(3601)
    assert host.did[-1] == ("restart", "web2")


def test_others_are_held_too_and_notified_of() -> None:
    host = host_of(6, policies=LEAK)
    crash(host, 1, 2, 3)
    before = len(host.did)
    host.tick(memory_percent=95)
    assert len(host.did) == before
    assert "leak" in {held.decision.policy for held in host.of_guard("shared_cause")}


def test_an_action_that_was_begun_is_asked_about_once_more() -> None:
    host = host_of(6)
    crash(host, 0)
    (intent,) = host.open.values()
    crash(host, 1, 2)
    outcome = host.attempt(intent)
    assert (outcome.result, outcome.numbers) == ("abandoned", {"guard": "shared_cause"})


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
def test_a_step_of_the_wall_clock_changes_nothing(step: float) -> None:
    host = host_of(6)
    crash(host, 0, 1)
    host.clock.step_wall(step)
    crash(host, 2)
    assert told(host) == ["shared_cause"]
    host.tick(299)
    assert len(host.did) == 2
    host.tick(1)
    assert len(host.did) == 3


# --- remembered ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failed", [2, 3])
def test_an_agent_that_is_started_again_goes_on_counting_and_holding(failed: int) -> None:
    host = host_of(6)
    crash(host, *range(failed))
    did = len(host.did)
    host.dies(10)
    host.docker.crash("web5")
    host.comes_back()
    host.tick(280)
    assert len(host.did) == did
    assert told(host) == ["shared_cause"]
    host.tick(25)
    assert len(host.did) > did
    assert told(host) == ["shared_cause", "shared_cause_over"]
    assert host.store_records("shared_cause") == host.store_records("failed") == {}


def test_what_was_replayed_counts_from_when_it_happened() -> None:
    host = host_of(6)
    host.dies(1)
    for number in range(3):
        host.docker.crash(f"web{number}")
    host.clock.advance(130)
    host.comes_back()
    assert told(host) == []
    assert len(host.did) == 3


def test_a_store_that_was_lost_is_told_again() -> None:
    host = host_of(6)
    crash(host, 0, 1, 2)
    host.store = FakeStore(install_id=INSTALL_ID)
    host.see(GapObserved(reason="store_reset", since=NOW, until=NOW))
    assert [each["cause"] for each in host.store_records("shared_cause").values()] == ["failures"]
    assert len(host.store_records("failed")) == 3


@pytest.mark.parametrize("stored", [{}, {"cause": "magic"}, {"cause": "failures", "reason": 5}])
def test_a_record_that_can_t_be_read_is_no_cause(stored: dict[str, object]) -> None:
    host = host_of(1)
    moment = host.clock.now().stored()
    host.remember("shared_cause", "host", {"reason": "", "numbers": {}, "since": moment, "seen": moment, **stored})
    host.comes_back()
    assert host.pipeline.decisions.circumstances.shared_cause is None


# --- the first listing -----------------------------------------------------------------------------------------------


def first_start(unhealthy: int, *, stopped: int = 0, well: int = 0, policies: str = HEAL) -> Host:
    """An agent that remembers nothing, on a host whose containers have been there for long; not connected yet."""
    host = Host(policies, protection=PLENTY, shared_cause=RULE, first_start=True)
    numbers = iter(range(unhealthy + stopped + well))
    for _ in range(unhealthy):
        host.docker.create(f"web{next(numbers)}", silent=True, check=True, health=Health.UNHEALTHY)
    for _ in range(stopped):
        # the engine remembers the last verdict of what is stopped
        host.docker.create(
            f"web{next(numbers)}", silent=True, check=True, health=Health.UNHEALTHY, status=ContainerStatus.EXITED
        )
    for _ in range(well):
        host.docker.create(f"web{next(numbers)}", silent=True, check=True)
    return host


def test_what_an_agent_without_memory_finds_unhealthy_has_failed() -> None:
    host = first_start(12)
    host.connect()
    host.tick(20)
    assert host.did == []
    assert told(host) == ["shared_cause"]
    assert len(host.of_guard("shared_cause")) == 12
    host.dies(1)
    host.comes_back()
    host.tick(20)
    assert host.did == []
    assert told(host) == ["shared_cause"]


def test_not_what_it_finds_stopped() -> None:
    host = first_start(2, stopped=10, well=1)
    host.connect()
    host.tick(20)
    assert told(host) == []
    assert sorted(host.did) == [("restart", "web0"), ("restart", "web1")]


def test_an_agent_that_remembers_finds_nothing_new_in_what_was_unhealthy_before() -> None:
    host = first_start(4, well=1)
    host.connect()
    host.tick(400)
    assert told(host) == ["shared_cause", "shared_cause_over"]
    host.dies(1)
    host.comes_back()
    host.tick(3)
    assert told(host) == ["shared_cause", "shared_cause_over"]


def test_policies_that_come_after_the_first_listing_find_the_cause() -> None:
    host = first_start(12, policies="")
    host.connect()
    assert told(host) == []
    host.see(policy_set(HEAL))
    host.tick(20)
    assert host.did == []
    assert told(host) == ["shared_cause"]


def listed_without_verdicts(host: Host) -> None:
    """As by an engine whose listing does not tell who is unhealthy."""
    host.see(EngineFound(info=INFO, restarted=False, at=host.clock.wall))
    listing = tuple(replace(each, health=Health.NONE) for each in host.docker.listing())
    host.see(InventoryObserved(containers=listing, after_position=0, at=host.clock.wall))


def inspect_all_but(host: Host, left: int) -> None:
    later = dict(list(host.to_inspect.items())[-left:]) if left else {}
    host.to_inspect = {each: None for each in host.to_inspect if each not in later}
    host.inspect()
    host.to_inspect.update(later)


def test_verdicts_that_only_inspections_tell_are_complete_before_the_first_action() -> None:
    host = first_start(4, well=6)
    listed_without_verdicts(host)
    for left in (10, 9, 8, 8, 4, 4, 4, 0, 0, 0):
        inspect_all_but(host, left)
        host.clock.advance(0.4)
        host.ping()
        host.see(host.sample({}))
    assert host.did == []
    assert "stale" in host.guards
    host.tick(20)
    assert host.did == []
    assert told(host) == ["shared_cause"]


def test_an_inspection_that_does_not_come_is_waited_for_only_so_long() -> None:
    host = first_start(1, well=6)
    host.docker.create("web99", silent=True)
    host.see(EngineFound(info=INFO, restarted=False, at=host.clock.wall))
    host.relist()
    inspect_all_but(host, 1)
    late = host.to_inspect
    for seconds in range(1, 7):
        host.to_inspect = {}
        host.clock.advance(1.0)
        host.ping()
        host.see(host.sample({}))
        assert (host.did == []) is (seconds < 5), seconds
    assert len(late) == 1
    (held,) = host.of_guard("stale")
    assert held.reason == (
        "the containers were listed for the first time: how many are unhealthy is known once all were inspected"
    )


# --- by numbers ------------------------------------------------------------------------------------------------------


@given(
    selected=st.integers(min_value=1, max_value=40),
    share=st.floats(min_value=0, max_value=100),
    at_least=st.integers(min_value=1, max_value=12),
    moments=st.lists(st.tuples(st.integers(0, 39), st.floats(min_value=0, max_value=20)), max_size=60),
)
def test_however_many_fail_no_more_are_acted_on_than_may_fail_by_themselves(
    selected: int, share: float, at_least: int, moments: list[tuple[int, float]]
) -> None:
    rule = SharedCauseRule(share=share, at_least=at_least, within=120.0, hold=3600.0)
    host = host_of(selected, rule)
    failed: dict[int, float] = {}
    acted_in_vain = 0
    for number, wait in moments:
        host.clock.advance(wait)
        if number >= selected or number in failed:
            continue
        crash(host, number)
        failed[number] = host.clock.monotonic
        recent = [at for at in failed.values() if host.clock.monotonic - at <= rule.within]
        run = selected - len(failed)
        if len(recent) >= at_least and 100 * len(recent) > share * (run + len(recent)):
            break
        acted_in_vain += 1
    shared = len(failed) > acted_in_vain
    assert len(host.did) == acted_in_vain
    assert told(host) == (["shared_cause"] if shared else [])
    crash(host, *(set(range(selected)) - set(failed)))
    if shared:
        assert len(host.did) == acted_in_vain
        assert told(host) == ["shared_cause"]
