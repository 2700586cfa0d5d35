"""Policies set off by hand: what is done, through all guards, one target after the other, and what the person hears."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.approving import HEAL as ASKS, answer, asked, sick, turns
from tests.support.core import Host
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.setting_off import became
from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Dropped
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope
from watchtower_agent.model.trigger import TriggerAsked
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.policy import PolicySet

HEAL = '- {name: heal, select: {name: "*"}, when: health == "unhealthy", for: 10s, then: {restart: {}, notify: {}}}\n'
ON_SICK = """
- name: heal
  select: {name: "*"}
  on: {container: health_status}
  where: health == "unhealthy"
  then: {restart: {}}
"""
TELL = '- {name: tell, select: {name: "*"}, on: {container: oom}, then: {notify: {message: Look}}}\n'
DISK = "- {name: disk, when: host.disk.percent > 85%, then: {notify: {message: Full}}}\n"


def host(policies: str = HEAL, *names: str, **fields: Any) -> Host:  # noqa: ANN401 - as Host takes it
    made = Host(policies, first_start=True, **fields)
    for name in names or ("web",):
        made.docker.create(name, silent=True)
    made.connect()
    made.tick()
    made.clear()
    return made


def set_off(agent: Host, policy: str = "heal", target: str | None = None, asking: str = "a" * 32) -> list[Any]:
    """What the person hears: verb, target, result and guard of each."""
    target_id = None if target is None else agent.record(target).container.id
    asked = TriggerAsked(policy=policy, target_id=target_id, correlation_id=asking)
    effects = agent.see(asked)
    said = json.loads(
        json.dumps(became(asked, effects.facts, agent.pipeline.decisions, agent.clock.now()), allow_nan=False)
    )
    assert said["set_off"] is bool(said["targets"])
    return [(each["verb"], each["target"], each["result"], each["guard"]) for each in said["targets"]]


def test_it_is_done_though_the_condition_does_not_hold_and_told_as_by_hand() -> None:
    agent = host(HEAL, "web", "db")

    assert set_off(agent, target="web") == [("restart", "web", "begun", None), ("notify", "web", "told", None)]

    (wanted,) = agent.wanted
    assert wanted.reason == "set off by hand"
    assert (wanted.from_event, wanted.correlation_id, wanted.cause_id) == (True, "a" * 32, "a" * 32)
    (notice,) = (each for each in agent.of(Notice) if each.action == "triggered")
    assert notice.reason == "set off by hand: restart of web"
    assert notice.data == {"policy": "heal", "targets": ["web"], "count": 1}
    assert {each["correlationid"] for each in agent.published()} == {"a" * 32}
    agent.tick(5)
    agent.carry_out()
    assert agent.did == [("restart", "web")]


def test_a_guard_holds_it_and_lets_it_go_in_its_time() -> None:
    agent = host()
    agent.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="heal"), length=60.0))

    assert set_off(agent)[0] == ("restart", "web", "held", "paused")

    agent.tick(58)
    assert agent.did == []
    agent.tick(3)
    assert agent.did == [("restart", "web")]


def test_what_is_held_survives_the_agent() -> None:
    agent = host()
    agent.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="heal"), length=60.0))
    set_off(agent)
    agent.dies(away=10)
    agent.comes_back()
    agent.tick(55)
    assert agent.did == [("restart", "web")]
    assert agent.intents[0].decision.reason == "set off by hand"


@pytest.mark.parametrize("policies", [HEAL.replace("when", "mode: shadow, when"), HEAL], ids=["shadow", "observe"])
def test_what_is_not_enforced_is_decided_and_not_done(policies: str) -> None:
    agent = host(policies, mode="observe" if policies is HEAL else "enforce")
    assert set_off(agent) == [("restart", "web", "not_done", "mode"), ("notify", "web", "not_done", "mode")]
    agent.tick(5)
    assert (agent.did, agent.told, agent.waiting) == ([], [], [])


def test_its_targets_come_one_after_the_other_and_within_the_hosts_budget() -> None:
    agent = host(HEAL, *(f"w{number}" for number in range(9)))
    said = [each for each in set_off(agent) if each[0] == "restart"]
    assert [each[2] for each in said] == ["begun"] + ["waits"] * 8
    assert [name for _, name in agent.did] == ["w0"]
    for _ in range(12):
        agent.carry_out()
        agent.tick()
    assert [name for _, name in agent.did] == [f"w{number}" for number in range(6)]
    assert {held.guard.value for held in agent.of_guard("breaker")} == {"breaker"}


def test_who_is_acted_on_already_comes_later() -> None:
    agent = host()
    set_off(agent)
    other = set_off(agent, asking="b" * 32)
    assert other[0] == ("restart", "web", "waits", None)


def test_what_waits_already_is_not_wanted_twice() -> None:
    agent = host()
    agent.see(PauseAsked(what=Paused(scope=PauseScope.AGENT), length=60.0))
    set_off(agent)
    assert set_off(agent, asking="b" * 32)[0] == ("restart", "web", "waits", "paused")
    assert len(agent.wanted) == 1


def paused_and_wanted() -> Host:
    """An event wants web restarted, and waits for the end of a pause."""
    agent = Host(ON_SICK, first_start=True)
    agent.docker.create("web", silent=True, check=True)
    agent.connect()
    agent.tick()
    agent.see(PauseAsked(what=Paused(scope=PauseScope.AGENT), length=60.0))
    agent.docker.health()
    agent.deliver()
    agent.tick()
    agent.clear()
    return agent


def test_what_an_event_wants_too_is_done_though_it_is_no_longer_so() -> None:
    agent = paused_and_wanted()
    assert set_off(agent)[0] == ("restart", "web", "held", "paused")
    assert [(each.decision.reason, each.reason) for each in agent.of(Dropped)] == [
        ("unhealthy", "it was set off by hand meanwhile")
    ]
    agent.docker.health(verdict=Health.HEALTHY)
    agent.deliver()
    agent.tick(62)
    assert [intent.decision.reason for intent in agent.intents] == ["set off by hand"]


def test_what_an_event_alone_wants_ends_with_it() -> None:
    agent = paused_and_wanted()
    agent.docker.health(verdict=Health.HEALTHY)
    agent.deliver()
    agent.tick(62)
    assert agent.did == []


def test_an_open_question_about_an_event_stays_and_does_not_end_with_it() -> None:
    agent = Host(ON_SICK.replace("select", "mode: approve\n  select"))
    sick(agent, "web")
    question = asked(agent)
    assert set_off(agent)[0] == ("restart", "web", "waits", "mode")
    assert agent.of(Dropped) == []
    agent.docker.health("web", Health.HEALTHY)
    agent.deliver()
    agent.tick(60)
    assert asked(agent) == question
    answer(agent)
    agent.tick(2)
    assert agent.did == [("restart", "web")]


def wanted_and_cooling() -> Host:
    """Web is sick again, and the policy that restarted it waits for its cooldown."""
    agent = Host(HEAL.replace("for: 10s", "for: 0s, cooldown: 120s"), first_start=True)
    agent.docker.create("web", silent=True, check=True)
    agent.connect()
    agent.docker.health("web")
    agent.deliver()
    agent.tick()
    agent.carry_out()
    agent.tick(3)
    agent.docker.health("web")
    agent.deliver()
    agent.tick(12)
    agent.clear()
    return agent


def test_what_a_condition_wants_too_is_done_though_it_ends() -> None:
    agent = wanted_and_cooling()
    assert agent.waiting == ["heal"]
    assert set_off(agent)[0] == ("restart", "web", "held", "cooldown")
    assert [each.correlation_id for each in agent.wanted] == ["a" * 32]
    agent.docker.health("web", Health.HEALTHY)
    agent.deliver()
    agent.tick(5)
    assert (agent.of(Dropped), agent.did) == ([], [])
    agent.dies(away=1)
    agent.comes_back()
    agent.tick(110)

    assert agent.did == [("restart", "web")]
    assert agent.intents[0].decision.reason == "set off by hand"


def test_what_a_condition_alone_wants_ends_with_it() -> None:
    agent = wanted_and_cooling()
    agent.docker.health("web", Health.HEALTHY)
    agent.deliver()
    agent.tick(120)

    assert [each.reason for each in agent.of(Dropped)] == ["its condition does not hold any more"]
    assert agent.did == []


@pytest.mark.parametrize(
    ("verb", "before", "why"),
    [
        ("pause", "pause", "web is paused already"),
        ("pause", "stop", "web does not run"),
        ("unpause", "", "web is not paused"),
        ("unpause", "stop", "web does not run"),
        ("start", "", "web runs already"),
        ("stop", "stop", "web does not run"),
        ("kill", "stop", "web does not run"),
    ],
)
def test_what_is_so_already_is_not_asked_of_the_engine(verb: str, before: str, why: str) -> None:
    agent = host(
        HEAL.replace("restart: {}, notify: {}", f"{verb}: {{}}").replace("when", "restart_stopped: true, when")
    )
    if before:
        getattr(agent.docker, before)("web")
    agent.deliver()
    agent.tick(20)
    agent.clear()

    assert set_off(agent) == [(verb, "web", "dropped", None)]
    assert [each.reason for each in agent.of(Dropped)] == [why]
    assert (agent.did, agent.waiting) == ([], [])


@pytest.mark.parametrize(("verb", "before"), [("pause", ""), ("unpause", "pause"), ("start", "stop"), ("stop", "")])
def test_what_is_not_so_is_done(verb: str, before: str) -> None:
    agent = host(
        HEAL.replace("restart: {}, notify: {}", f"{verb}: {{}}").replace("when", "restart_stopped: true, when")
    )
    if before:
        getattr(agent.docker, before)("web")
    agent.deliver()
    agent.tick(20)

    assert set_off(agent) == [(verb, "web", "begun", None)]


def test_what_the_engine_will_start_again_can_be_stopped() -> None:
    agent = Host(HEAL.replace("restart: {}, notify: {}", "stop: {}"), first_start=True)
    agent.docker.create("web", silent=True, restart_policy="always")
    agent.connect()
    agent.docker.crash("web")
    agent.read()

    assert set_off(agent) == [("stop", "web", "begun", None)]


def test_what_is_not_known_any_more_is_not_said_to_have_ended() -> None:
    full = HEAL.replace('health == "unhealthy"', "memory.percent > 90%").replace("for: 10s", "for: 0s, cooldown: 120s")
    agent = host(full)
    agent.tick(1, memory_percent=95.0)
    agent.carry_out()
    agent.tick(20, memory_percent=95.0)
    assert agent.waiting == ["heal"]
    agent.tick(5)
    assert [each.reason for each in agent.of(Dropped)] == ["whether its condition holds is not known any more"]


def test_after_a_rejection_a_new_question_is_asked_and_no_third() -> None:
    agent = Host(ASKS)
    sick(agent, "web")
    first = asked(agent)
    answer(agent, approves=False)
    agent.tick(3)
    assert asked(agent) == []
    assert set_off(agent)[0] == ("restart", "web", "held", "mode")
    second = asked(agent)
    assert len(second) == 1
    assert second != first
    answer(agent, approves=False)
    agent.tick(60)
    assert asked(agent) == []
    assert turns(agent) == ["asked", "rejected", "asked", "rejected"]
    set_off(agent, asking="b" * 32)
    answer(agent)
    agent.tick(2)
    assert agent.did == [("restart", "web")]


def test_the_stored_wish_goes_with_the_rejection() -> None:
    agent = Host(ASKS)
    sick(agent, "web")
    answer(agent, approves=False)
    set_off(agent)
    agent.tick()
    assert len(agent.store_records("pending")) == 1
    answer(agent, approves=False)
    agent.tick(2)
    assert agent.store_records("pending") == {}


def test_an_open_question_stays_and_does_not_end_with_the_condition() -> None:
    agent = Host(ASKS)
    sick(agent, "web")
    question = asked(agent)
    assert set_off(agent)[0] == ("restart", "web", "waits", "mode")
    agent.docker.health("web", Health.HEALTHY)
    agent.deliver()
    agent.tick(1200)
    assert asked(agent) == question
    answer(agent)
    agent.tick(2)
    assert agent.did == [("restart", "web")]
    assert turns(agent) == ["asked", "given"]


def test_a_container_that_somebody_starts_meanwhile_is_not_restarted() -> None:
    agent = host()
    agent.see(PauseAsked(what=Paused(scope=PauseScope.AGENT), length=60.0))
    set_off(agent)
    agent.docker.crash()
    agent.docker.start("web")
    agent.deliver()
    agent.tick(61)
    assert agent.did == []


def test_a_policy_about_the_host_tells() -> None:
    agent = host(DISK)
    assert set_off(agent, "disk") == [("notify", "h1", "told", None)]
    assert [each.reason for each in agent.told] == ["Full"]


def test_a_policy_on_events_tells_of_each_container() -> None:
    agent = host(TELL, "web", "db")
    assert set_off(agent, "tell") == [("notify", "db", "told", None), ("notify", "web", "told", None)]


@pytest.mark.parametrize("policies", ["", HEAL.replace("when", "mode: off, when"), HEAL.replace('"*"', "other")])
def test_what_has_gone_meanwhile_is_not_done(policies: str) -> None:
    agent = host(HEAL)
    loaded = load_policies({"a.yaml": f"version: 1\npolicies: [{policies.strip()[2:]}]".encode()})
    assert isinstance(loaded, PolicySet)
    agent.see(loaded)
    agent.clear()
    assert set_off(agent) == []
    assert agent.of(Notice) == []


def test_every_single_asking_counts() -> None:
    inbox = Inbox()
    for asking in ("a", "b"):
        inbox.put(TriggerAsked(policy="heal", target_id=None, correlation_id=asking))
    assert len(inbox) == 2
