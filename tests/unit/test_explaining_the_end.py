"""What `explain` says of what is held at last: done, and when, or given up. What it says comes to pass."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.approving import asked
from tests.support.core import NOW, Host, policy_set
from tests.unit.test_explaining import HEAL, coming, host, row, sick
from watchtower_agent.model.decision import Dropped
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope
from watchtower_agent.policies.guards.ledger import HOST, Scope, ScopeKind
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Budget

# NOW is 14:13:20 UTC; `host` lets a minute pass.
CRASH = '- {name: revive, select: {name: "*"}, on: {container: die}, then: {restart: {}}}\n'
AT_NIGHT = CRASH.replace("then", 'windows: [{cron: "0 3 * * *", for: 1h}], then')
TODAY = HEAL.replace("then", 'windows: [{cron: "0 14 * * *", for: 20m}], then')
AFTERNOON = """
- name: afternoon
  select: {name: "*"}
  schedule: {cron: "30 15 * * *"}
  windows: [{cron: "0 14 * * *", for: 1h}]
  then: {restart: {}}
"""


def crashed(agent: Host) -> None:
    agent.tick()
    agent.docker.crash(retried=False)
    agent.deliver()
    agent.tick()


def paused(agent: Host, seconds: float, policy: str = "") -> None:
    what = Paused(scope=PauseScope.POLICY, name=policy) if policy else Paused(scope=PauseScope.AGENT)
    agent.see(PauseAsked(what=what, length=seconds))


def passes(agent: Host, seconds: float) -> None:
    """Time, with an engine that shows signs of life."""
    for _ in range(int(seconds / 60)):
        agent.clock.advance(59)
        agent.ping()
        agent.tick()
        agent.carry_out()


# --- events, schedules, people: they wait, and not for ever -----------------------------------------------------------


def test_what_waits_for_a_window_that_comes_too_late_is_given_up_when_it_said() -> None:
    agent = host(AT_NIGHT)
    crashed(agent)
    outlook, words, at = coming(agent, "revive")
    assert (outlook, at) == ("held", None)
    assert words == "restart is held by outside_window for 12 h 45 min, and given up in 14 min 59 s"
    passes(agent, 14 * 60)
    assert agent.of(Dropped) == []
    passes(agent, 120)
    assert [each.reason for each in agent.of(Dropped)] == ["it waited for 15 min"]
    assert agent.did == []


def test_before_an_event_comes_it_is_said_that_it_would_be_given_up() -> None:
    agent = host(AT_NIGHT)
    agent.tick()
    words = coming(agent, "revive")[1]
    assert words == (
        "restart is wanted on container die; as things are it would be held by outside_window for 12 h 45 min, "
        "and given up after 15 min"
    )


def test_a_dry_run_says_that_it_would_be_given_up() -> None:
    agent = host(AT_NIGHT)
    agent.tick()
    assert coming(agent, "revive", by_hand=True) == (
        "held",
        "restart would be held by outside_window for 12 h 45 min, and given up after 15 min",
        None,
    )


@pytest.mark.parametrize(("seconds", "is_done"), [(600.0, True), (1800.0, False)])
def test_a_pause_is_waited_for_if_it_is_over_in_time(seconds: float, *, is_done: bool) -> None:
    agent = host(CRASH)
    paused(agent, seconds)
    crashed(agent)
    words = coming(agent, "revive")[1]
    assert words.endswith("then done unless it is overtaken") is is_done
    assert ("given up in 14 min 59 s" in words) is not is_done
    passes(agent, seconds + 60)
    assert bool(agent.did) is is_done


def test_what_paces_is_waited_for_beyond_that() -> None:
    agent = host(CRASH.replace("then", "backoff: {initial: 30m, max: 30m}, then"))
    crashed(agent)
    agent.carry_out()
    passes(agent, 60)
    assert coming(agent, "revive", by_hand=True)[1].endswith(" s, then done")
    assert "given up" not in coming(agent, "revive")[1]
    crashed(agent)
    outlook, words, at = coming(agent, "revive")
    assert outlook == "held"
    assert "given up" not in words
    assert at is not None
    agent.clear()
    passes(agent, at + 120)
    assert agent.did == [("restart", "web")]


def test_what_waits_for_who_knows_how_long_is_given_up_if_that_lasts() -> None:
    agent = host(CRASH)
    agent.tick()
    agent.docker.stop()
    agent.deliver()
    agent.tick()
    words = coming(agent, "revive")[1]
    assert words == (
        "restart is held by operator_intent for as long as that lasts, and given up in 14 min 59 s if it still is"
    )


def test_a_question_is_given_up_with_its_time() -> None:
    agent = host(CRASH.replace("then", "mode: approve, then"))
    crashed(agent)
    (approval,) = asked(agent)
    words = coming(agent, "revive")[1]
    assert words == (
        f"restart is held by mode until a person approves it (approve {approval}), and given up in 59 min 59 s "
        "if it still is"
    ), words


# --- windows that close -----------------------------------------------------------------------------------------------


def test_a_window_that_is_closed_when_the_condition_fires_holds_it_then() -> None:
    agent = host(TODAY.replace("10s", "10m"))
    sick(agent)
    outlook, words, at = coming(agent, "heal")
    assert outlook == "counting"
    assert words == (
        "fires in 10 min unless healthy; restart is then held by outside_window for 23 h 45 min, then done"
    )
    assert at == pytest.approx(NOW - 800 + 86400 - agent.clock.wall)


def test_a_window_that_closes_before_the_other_guards_let_go_holds_it_as_well() -> None:
    agent = host(TODAY)
    sick(agent, seconds=10)
    paused(agent, 600)
    agent.tick()
    agent.carry_out()
    agent.docker.health()
    agent.deliver()
    agent.tick(12)
    words = coming(agent, "heal")[1]
    assert "outside_window for 23 h 4" in words
    assert "paused" in words


def test_a_schedule_outside_of_its_windows_says_that_it_is_given_up() -> None:
    agent = host(AFTERNOON)
    agent.tick()
    outlook, words, at = coming(agent, "afternoon")
    assert (outlook, at) == ("time", None)
    assert words == (
        "restart is wanted at 15:30 UTC (in 1 h 15 min); as things are it would be held by outside_window for "
        "23 h 45 min, and given up after 1 h"
    )


def test_a_window_that_opens_within_the_hour_is_waited_for() -> None:
    agent = host(AFTERNOON.replace("0 14", "0 16"))
    agent.tick()
    _, words, at = coming(agent, "afternoon")
    assert words.endswith("it would be held by outside_window for 1 h 45 min")
    assert at == pytest.approx(NOW - 800 + 7200 - agent.clock.wall)


# --- several of one kind ----------------------------------------------------------------------------------------------


def test_of_several_pauses_the_longest_counts() -> None:
    agent = host(HEAL.replace("10s", "1s"))
    paused(agent, 3600, "heal")
    paused(agent, 300)
    sick(agent, seconds=2)
    _, words, at = coming(agent, "heal")
    assert at == pytest.approx(3597.0, abs=5)
    assert words.startswith("restart is held by paused for 59 min")
    passes(agent, 600)
    assert agent.did == []


def test_of_several_breakers_all_have_to_let_it_pass() -> None:
    agent = host(HEAL.replace("10s", "1s").replace("then", "budget: {probe_after: 5m}, then"))
    sick(agent, seconds=2)
    wanted, now = agent.intents[0].decision, agent.clock.now()
    agent.carry_out()
    breakers = agent.pipeline.decisions.breaking.breakers
    breakers.open(Scope(ScopeKind.CONTAINER, "web"), Budget(probe_after=300.0), wanted, now, "")
    breakers.open(HOST, agent.pipeline.protection.host_budget, wanted, now, "")
    agent.docker.health()
    agent.deliver()
    agent.tick(3)
    _, words, at = coming(agent, "heal")
    assert words.startswith("restart is held by starting, cooldown, backoff and breaker for 29 min"), words
    assert at == pytest.approx(1797.0, abs=5)
    assert [each.release_at for each in agent.of_guard("breaker")] in ([], [pytest.approx(now.wall + 1800.0, abs=5)])
    agent.clear()
    passes(agent, 1500)
    assert agent.did == []


def test_of_several_budgets_all_have_to_have_room() -> None:
    """The container's is free again by the time, the host's is not: that opens the host's breaker."""
    protection = Protection(host_budget=Budget(most=2, per=1800.0))
    policy = HEAL.replace("10s", "5m").replace("then", "backoff: {initial: 0s}, budget: {max: 2, per: 5m}, then")
    agent = host(policy.replace("for: 5m", "for: 1s"), protection=protection)
    for _ in range(2):
        sick(agent, seconds=2)
        agent.carry_out()
        agent.tick(40)
    assert len(agent.did) == 2
    agent.see(policy_set(policy))
    agent.docker.health()
    agent.deliver()
    agent.tick(50)
    found = row(agent, "heal", "web")
    assert guards(found)["budget"].startswith("2 actions on web within 5m and 2 actions on this host within 30m: more")
    _, words, at = coming(agent, "heal")
    assert words == (
        "fires in 4 min 11 s unless healthy; restart is then held by budget for 34 min 11 s "
        "(its breaker opens: one more is wanted than the budget allows), then done"
    )
    agent.clear()
    passes(agent, 300)
    (opened,) = agent.of_guard("breaker")
    assert (agent.did, opened.numbers["scope"]) == ([], "host")
    assert opened.release_at == pytest.approx(NOW + 60 + 41 * 2 + 50 + (at or 0.0), abs=60)


def guards(found: dict[str, Any]) -> dict[str, str]:
    """What each guard says."""
    return {each["guard"]: each["reason"] for each in found["guards"]}
