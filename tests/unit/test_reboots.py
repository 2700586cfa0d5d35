"""A wall clock that is stepped, a reboot, and several starts of the agent in the new boot: what counted counts on."""

from __future__ import annotations

import pytest

from tests.support.core import Host
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope
from watchtower_agent.model.shared_cause import SharedCauseRule

STEPS = pytest.mark.parametrize("step", [3600.0, 86_400.0, -3600.0], ids=["an hour on", "a day on", "an hour back"])
HEAL = '  - {name: heal, on: {container: die}, select: {name: "*"}, then: {restart: {}}}\n'
SELDOM = '  - {name: heal, on: {container: die}, select: {name: "*"}, then: {restart: {}}, cooldown: 6h}\n'
SICK = '  - {name: heal, when: health == "unhealthy", select: {name: "*"}, then: {restart: {}}}\n'


def host(policies: str) -> Host:
    made = Host(policies)
    made.docker.create(restart_policy="no")
    made.deliver()
    made.tick()
    return made


def crashes(agent: Host, seconds: int) -> None:
    """It ends whenever it runs."""
    for _ in range(seconds):
        if agent.docker.find("web").running:
            agent.docker.crash()
            agent.deliver()
        agent.tick()
        agent.carry_out()


def starts_thrice(agent: Host, step: float) -> None:
    """The clock is stepped; then a reboot, and in the new boot two starts more, the clock stepped again before one."""
    agent.clock.step_wall(step)
    agent.tick(5)
    agent.dies()
    agent.clock.reboot(20)
    agent.comes_back()
    agent.tick(3)
    agent.dies(away=1)
    agent.comes_back()
    agent.clock.step_wall(step)
    agent.tick(3)
    agent.dies(away=1)
    agent.comes_back()


@STEPS
def test_a_breaker_stays_open_for_its_time(step: float) -> None:
    agent = host(HEAL)
    crashes(agent, 420)
    done = len(agent.did)
    assert done == 5, "the budget is used up"
    (before,) = [each.left(agent.clock.now()) for each in agent.pipeline.decisions.breaking.breakers.by.values()]
    begun = agent.clock.monotonic
    agent.clock.step_wall(step)
    agent.tick(5)
    passed = agent.clock.monotonic - begun
    agent.dies()
    agent.clock.reboot(20)
    for _ in range(3):
        begun = agent.clock.monotonic
        agent.comes_back()
        agent.tick(3)
        agent.dies(away=1)
        passed += agent.clock.monotonic - begun
    agent.comes_back()

    (left,) = [each.left(agent.clock.now()) for each in agent.pipeline.decisions.breaking.breakers.by.values()]
    assert left == pytest.approx(before - passed - 20, abs=1)
    crashes(agent, 600)
    assert len(agent.did) == done


@STEPS
def test_a_cooldown_holds(step: float) -> None:
    agent = host(SELDOM)
    crashes(agent, 30)
    assert len(agent.did) == 1
    starts_thrice(agent, step)
    crashes(agent, 60)

    assert len(agent.did) == 1


def test_a_cooldown_holds_at_the_first_start_after_the_reboot() -> None:
    agent = host(SELDOM)
    crashes(agent, 30)
    agent.clock.step_wall(86_400.0)
    agent.tick(5)
    agent.dies()
    agent.clock.reboot(20)
    agent.comes_back()
    crashes(agent, 30)

    assert len(agent.did) == 1


@STEPS
def test_a_pause_goes_on(step: float) -> None:
    agent = host(HEAL)
    agent.see(PauseAsked(what=Paused(scope=PauseScope.AGENT), length=7200.0))
    agent.tick(3)
    starts_thrice(agent, step)
    crashes(agent, 60)

    assert agent.did == []
    (pause,) = agent.pipeline.pausing.pauses.by.values()
    assert pause.left(agent.clock.now()) == pytest.approx(7200 - 100, abs=10)


@STEPS
def test_a_shared_cause_holds_actions_for_its_time(step: float) -> None:
    agent = Host(SICK, shared_cause=SharedCauseRule())
    names = [f"c{number}" for number in range(6)]
    for name in names:
        agent.docker.create(name, check=True, silent=True)
    agent.relist()
    agent.deliver()
    agent.tick(2)
    for name in names:
        agent.docker.health(name)
    agent.deliver()
    agent.tick(2)
    assert agent.did == []
    starts_thrice(agent, step)
    agent.tick(10)

    assert agent.did == []
