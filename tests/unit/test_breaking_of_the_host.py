"""One container that no restart mends, and many that one restart does: the host's breaker is theirs as well."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.simulation.agent import SimulatedAgent
from tests.support.simulation.workload import STEADY, falls_sick
from tests.support.simulation.world import World, world
from tests.unit.test_breaking import SICK, host, killed, notices, waits
from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Held
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.outcome import Outcome
from watchtower_agent.model.shared_cause import SharedCauseRule
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Budget

HEAL = '  - {name: heal, select: {name: "*"}, when: health == "unhealthy", for: 10s, then: {restart: {}}}\n'
DOWN = """
  - {name: up, select: {name: "*"}, when: status == "exited", cooldown: 0s, backoff: {initial: 0s}, then: {start: {}}}
"""
ONE_IN_TWO_MINUTES = Protection(host_budget=Budget(most=1, per=120.0, probe_after=600.0))


def with_one_hopeless() -> tuple[World, list[Fact]]:
    """Beside it eight that fall sick once; all goes by the defaults."""
    made = world(1)
    told: list[Fact] = []
    made.create("bad", falls_sick(2.0), check=True, health_start_period=5.0, health_interval=5.0)
    for number in range(24):
        made.create(f"c{number}", STEADY, check=True, health_start_period=5.0, health_interval=5.0)
    agent = SimulatedAgent(made, HEAL, interval=5.0, protection=Protection(), shared_cause=SharedCauseRule())
    agent.told.append(told.append)
    agent.starts()
    made.run(60)
    return made, told


def test_one_hopeless_container_holds_the_others_for_no_longer_than_an_hour() -> None:
    made, told = with_one_hopeless()
    for number in range(8):
        made.after(20.0 * number if number < 5 else 150.0 + 30 * number, partial(made.sickens, f"c{number}"))
    made.run(3600)
    assert [made.docker.find(f"c{number}").health for number in range(8)] == [Health.HEALTHY] * 8

    made.run(5 * 3600)  # by now it alone was tried, again and again
    hosts = [notice for fact in told for notice in of_host(fact, "breaker_open")]
    assert {notice.data["times_opened"] for notice in hosts} == {1}
    began = made.clock.monotonic
    made.sickens("c9")
    while made.docker.find("c9").health is Health.UNHEALTHY:
        made.run(30)
    assert made.clock.monotonic - began < 300
    bad = [fact for fact in told if isinstance(fact, Outcome) and fact.decision.target.name == "bad"]
    assert len(bad) < 30


def of_host(fact: Fact, action: str) -> list[Notice]:
    return [fact] if isinstance(fact, Notice) and fact.action == action and "this host" in fact.reason else []


def test_a_probe_of_the_host_by_what_was_tried_before_is_that_also_for_the_next_agent() -> None:
    agent = host(DOWN, "web", "api", protection=ONE_IN_TWO_MINUTES)
    agent.docker.crash("web")
    waits(agent, 3)
    agent.docker.crash("web")
    waits(agent, 590)
    while not notices(agent, "breaker_half_open"):
        waits(agent, 1)
    agent.docker.crash("web")  # in vain again
    killed(agent)
    agent.clear()
    waits(agent, 20)

    (of_web, of_all) = notices(agent, "breaker_open")
    assert "the breaker of web is open: " in of_web.reason
    assert "it was tried before, so that tells nothing of this host; one is tried in 1m" in of_all.reason
    assert (of_all.data["times_opened"], of_all.data["probe_after"]) == (1, 60.0)
    killed(agent)
    agent.docker.crash("api")
    waits(agent, 120)
    assert agent.did[-1] == ("start", "api")
    assert "the start of api helped" in notices(agent, "breaker_closed")[0].reason


@pytest.mark.parametrize("survives", [False, True])
@pytest.mark.parametrize("helps", [False, True])
def test_what_helped_is_not_said_to_be_of_no_use(*, helps: bool, survives: bool) -> None:
    patient = SICK.replace("then", "budget: {in_vain: 10}, then")  # else its own breaker opens first
    agent = host(patient, *[f"c{number}" for number in range(24)], protection=Protection(), check=True)
    for number in range(6):
        agent.docker.health(f"c{number}")
    waits(agent, 15)
    assert len(agent.did) == 6
    for number in range(6 if helps else 0):
        agent.docker.health(f"c{number}", Health.HEALTHY)
    waits(agent, 120)
    if survives:
        killed(agent)
    agent.clear()
    agent.docker.health("c6")
    waits(agent, 15)

    (told,) = notices(agent, "breaker_open")
    said = "are as many as may be" if helps else "did not help"
    assert f"6 actions on this host within 10m {said}, and one more is wanted" in told.reason
    (waiting,) = [each for each in agent.of(Held) if each.guard == "breaker"]
    assert f"6 actions on this host within 10m {said}; one is tried" in waiting.reason


def test_who_was_tried_least_goes_first_whoever_waits_longest() -> None:
    agent = host(DOWN, "web", "api", protection=ONE_IN_TWO_MINUTES)
    agent.docker.crash("web")
    waits(agent, 3)
    agent.docker.crash("web")
    waits(agent, 20)
    agent.docker.crash("api")
    waits(agent, 590)

    assert agent.did == [("start", "web"), ("start", "api")]
