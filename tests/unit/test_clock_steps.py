"""A wall clock that is stepped by hours, and a host that was suspended, through the whole core.

On Linux the monotonic clock stands still while a host is suspended: to the agent, a night's sleep and a clock that is
set forward are the same.
"""

from __future__ import annotations

import pytest

from tests.support.core import Host
from watchtower_agent.model.decision import Dropped, Held
from watchtower_agent.model.observation import EngineLost
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.model.sample import SampleBatch

HOURS = 3600.0
BOTH_WAYS = pytest.mark.parametrize("step", [-9 * HOURS, 9 * HOURS], ids=["back", "forward, or suspended"])

HOT = '  - {name: hot, select: {name: "*"}, when: memory.percent > 90%, for: 3s, then: {restart: {}}, cooldown: 1s}\n'
CRASHED = (
    '  - {name: up, select: {name: "*"}, on: {container: die}, then: {start: {}}, cooldown: 1s, '
    "backoff: {initial: 0s}}\n"
)
LEAK = (
    '  - {name: leak, select: {name: "*"}, when: "min(memory.percent, 10s) > 95%", then: {restart: {}}, cooldown: 1s}\n'
)
GROWS = '  - {name: grows, select: {name: "*"}, when: "rate(memory.usage, 10s) > 50MiB", then: {notify: {}}}\n'
YOUNG = '  - {name: young, select: {name: "*"}, when: uptime < 5m, then: {notify: {}}}\n'
NEW = '  - {name: new, select: {name: "*"}, when: age < 5m, then: {notify: {}}}\n'


def host(policies: str) -> Host:
    """With a container that the agent saw start ten minutes ago: its stamp is of the clock as it was then."""
    made = Host(policies, first_start=True)
    made.connect()
    made.docker.create()
    made.deliver()
    made.clock.advance(600)
    return made


@BOTH_WAYS
def test_a_condition_fires_when_it_has_held_and_neither_sooner_nor_never(step: float) -> None:
    agent = host(HOT)
    agent.tick(2, memory_percent=95.0)
    agent.clock.step_wall(step)
    agent.tick(memory_percent=95.0)
    assert agent.did == []
    agent.tick(memory_percent=95.0)
    assert agent.did == [("restart", "web")]


@BOTH_WAYS
def test_what_begins_after_the_step_fires_in_its_time_too(step: float) -> None:
    agent = host(HOT)
    agent.tick(memory_percent=1.0)
    agent.clock.step_wall(step)
    agent.tick(3, memory_percent=95.0)
    assert agent.did == []
    agent.tick(memory_percent=95.0)
    assert agent.did == [("restart", "web")]


@BOTH_WAYS
def test_the_action_that_follows_a_step_is_carried_out_and_its_cooldown_holds(step: float) -> None:
    agent = host(HOT)
    agent.tick(3, memory_percent=95.0)
    agent.clock.step_wall(step)
    agent.tick(memory_percent=95.0)
    (outcome,) = agent.carry_out()
    assert outcome.result.value == "succeeded"
    agent.tick(2, memory_percent=95.0)
    assert agent.did == [("restart", "web")]


@BOTH_WAYS
def test_a_window_goes_on_over_a_step(step: float) -> None:
    agent = host(LEAK)
    agent.tick(4, memory_percent=97.0)
    agent.clock.step_wall(step)
    agent.tick(2, memory_percent=97.0)
    assert agent.did == []
    agent.tick(memory_percent=97.0)
    assert agent.did == [("restart", "web")]


@BOTH_WAYS
def test_a_rate_over_a_step_is_per_second_that_passed(step: float) -> None:
    agent = host(GROWS)
    for second in range(12):
        if second == 6:
            agent.clock.step_wall(step)
        agent.tick(memory_usage=second * 40 * 2.0**20)
    assert agent.told == [], "40 MiB a second, whatever the wall clock shows"
    for second in range(12):
        agent.tick(memory_usage=(480 + second * 60) * 2.0**20)
    assert len(agent.told) == 1


def test_of_a_container_that_was_started_in_the_future_nothing_is_made_up() -> None:
    agent = host(YOUNG + NEW)
    agent.tick(memory_percent=1.0)
    assert agent.told == []
    agent.clock.step_wall(-9 * HOURS)
    agent.tick(10, memory_percent=1.0)
    assert agent.told == [], "it is ten minutes old, not zero seconds"
    agent.clock.step_wall(9 * HOURS)
    agent.tick(memory_percent=1.0)
    assert agent.told == []


def test_a_sample_of_the_life_before_is_not_believed_though_the_clock_was_stepped() -> None:
    agent = host('  - {name: hot, select: {name: "*"}, when: memory.percent > 90%, then: {notify: {}}}\n')
    agent.clock.step_wall(-9 * HOURS)
    agent.tick(memory_percent=1.0)
    before: SampleBatch = agent.sample({"memory_percent": 99.0})
    agent.clock.advance(0.5)
    agent.docker.restart()
    agent.deliver()
    agent.clock.advance(0.1)
    agent.see(before)
    assert agent.told == []
    agent.tick(memory_percent=99.0)
    assert len(agent.told) == 1


@BOTH_WAYS
def test_a_step_is_no_loss_of_the_engine_and_holds_nothing(step: float) -> None:
    agent = host(HOT)
    agent.tick(2, memory_percent=95.0)
    agent.clock.step_wall(step)
    agent.tick(2, memory_percent=95.0)
    assert agent.of(Held) == []
    assert [fact for fact in agent.published() if "/event/engine/down" in fact["topic"]] == []


@BOTH_WAYS
def test_what_crashes_after_a_step_is_healed(step: float) -> None:
    agent = host(CRASHED)
    agent.tick()
    agent.clock.step_wall(step)
    agent.tick()
    agent.docker.crash()
    agent.deliver()
    assert agent.did == [("start", "web")]
    (outcome,) = agent.carry_out()
    assert outcome.result.value == "succeeded"


@BOTH_WAYS
def test_what_is_oom_killed_after_a_step_is_told(step: float) -> None:
    agent = host('  - {name: oom, select: {name: "*"}, on: {container: oom}, then: {notify: {}}}\n')
    agent.tick()
    agent.clock.step_wall(step)
    agent.docker.oom()
    agent.deliver()
    assert len(agent.told) == 1


# --- what waits while the clock is stepped, be it while the agent is away ---------------------------------------------


SEEN = pytest.mark.parametrize("away", [False, True], ids=["while it runs", "while it is away"])


def steps(agent: Host, step: float, *, away: bool) -> None:
    """The clock is stepped: before the agent's eyes, or between two runs of it on one boot."""
    agent.tick()
    agent.clock.step_wall(step)
    if away:
        agent.dies(away=1)
        agent.comes_back()


@SEEN
@BOTH_WAYS
def test_what_waits_for_its_cooldown_is_done_after_it(step: float, *, away: bool) -> None:
    agent = crashed_twice("cooldown: 30s")
    steps(agent, step, away=away)
    agent.tick(20)
    assert agent.did == [("start", "web")]
    agent.tick(12)
    assert agent.did == [("start", "web")] * 2
    assert agent.of(Dropped) == []


@SEEN
@BOTH_WAYS
def test_what_waits_is_given_up_after_15_minutes(step: float, *, away: bool) -> None:
    agent = crashed_twice("cooldown: 2h")
    steps(agent, step, away=away)
    agent.clock.advance(14 * 60)
    agent.tick()
    assert agent.of(Dropped) == []
    agent.clock.advance(60)
    agent.tick()
    assert [dropped.reason for dropped in agent.of(Dropped)] == ["it waited for 15 min"]


@BOTH_WAYS
def test_what_waits_is_remembered_as_it_was_after_the_step(step: float) -> None:
    agent = crashed_twice("cooldown: 2h")
    steps(agent, step, away=False)
    agent.tick()
    agent.dies(away=13 * 60)
    agent.comes_back()
    agent.tick()
    assert agent.of(Dropped) == []
    agent.clock.advance(2 * 60)
    agent.tick()
    assert [dropped.reason for dropped in agent.of(Dropped)] == ["it waited for 15 min"]


def crashed_twice(cooldown: str) -> Host:
    """With a second crash that waits for the cooldown of the first."""
    agent = host(CRASHED.replace("cooldown: 1s", cooldown))
    agent.docker.crash()
    agent.deliver()
    agent.carry_out()
    agent.clock.advance(1)
    agent.docker.crash()
    agent.deliver()
    assert agent.waiting == ["up"]
    return agent


@SEEN
@BOTH_WAYS
def test_what_a_crash_of_the_agent_interrupted_is_found_out_about_in_its_time(step: float, *, away: bool) -> None:
    agent = host(CRASHED.replace("cooldown: 1s", "cooldown: 30s"))
    agent.docker.crash()
    agent.deliver()
    agent.dies(away=1)
    if away:
        agent.clock.step_wall(step)
    agent.comes_back()
    if not away:
        agent.clock.step_wall(step)
    agent.tick(3)
    assert interrupted(agent) == [], "the engine may still be at it"
    agent.tick(3)
    (outcome,) = interrupted(agent)
    assert outcome.numbers["engine_did_it"] is False
    agent.tick(31)
    assert agent.did == [("start", "web")] * 2


@BOTH_WAYS
def test_what_was_interrupted_after_a_step_is_found_out_about_and_wanted_still(step: float) -> None:
    agent = host(CRASHED)
    agent.docker.crash()
    agent.deliver()
    steps(agent, step, away=False)
    agent.tick()
    agent.dies(away=1)
    agent.comes_back()
    agent.tick(8)
    assert len(interrupted(agent)) == 1
    assert agent.did == [("start", "web")] * 2


@BOTH_WAYS
def test_an_action_that_waits_for_its_turn_is_carried_out_after_a_step(step: float) -> None:
    agent = host(CRASHED)
    agent.docker.crash()
    agent.deliver()
    steps(agent, step, away=False)
    agent.tick()
    (outcome,) = agent.carry_out()
    assert outcome.result is Result.SUCCEEDED


@BOTH_WAYS
def test_an_action_that_was_stopped_at_the_last_moment_is_still_wanted_after_a_step(step: float) -> None:
    agent = host(CRASHED)
    agent.docker.crash()
    agent.deliver()
    agent.clock.step_wall(step)
    agent.tick()
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    (outcome,) = agent.carry_out()
    assert outcome.numbers["guard"] == "engine_down"
    agent.connect()
    assert agent.did == [("start", "web")] * 2


def test_over_a_reboot_nothing_waits_for_longer_than_it_would_have() -> None:
    agent = crashed_twice("cooldown: 2h")
    agent.clock.reboot(60)
    agent.clock.step_wall(-9 * HOURS)
    agent.comes_back()
    agent.clock.advance(14 * 60)
    agent.tick()
    assert agent.of(Dropped) == []
    agent.clock.advance(60)
    agent.tick()
    assert [dropped.reason for dropped in agent.of(Dropped)] == ["it waited for 15 min"]


def test_over_a_reboot_too_it_is_found_out_about_what_was_interrupted() -> None:
    agent = host(CRASHED)
    agent.docker.crash()
    agent.deliver()
    agent.clock.reboot(60)
    agent.clock.step_wall(-9 * HOURS)
    agent.comes_back()
    agent.tick(6)
    (outcome,) = interrupted(agent)
    assert outcome.numbers["engine_did_it"] is False


def interrupted(agent: Host) -> list[Outcome]:
    return [each for each in agent.of(Outcome) if each.result is Result.INTERRUPTED]


@BOTH_WAYS
def test_nobody_is_asked_in_vain_about_what_was_interrupted_for_long(step: float) -> None:
    agent = host(CRASHED.replace("start", "restart"))
    agent.docker.crash()
    agent.deliver()
    agent.dies(away=1)
    agent.comes_back()
    asked = []
    for second in range(30):
        if second == 17:
            agent.clock.step_wall(step)
        agent.clock.advance(1)
        agent.to_inspect.clear()  # and nobody answers
        agent.see(agent.sample({}))
        asked.append(agent.docker.find("web").id in agent.to_inspect)
    assert sum(asked) == 2


def test_what_began_after_a_clock_was_set_back_and_before_the_agent_saw_that_is_young() -> None:
    agent = host(YOUNG)
    agent.tick()
    agent.clock.step_wall(-9 * HOURS)
    agent.clock.advance(0.3)
    agent.docker.create("late")
    agent.clock.advance(0.3)
    agent.deliver()
    agent.tick(2)
    assert [outcome.decision.target.name for outcome in agent.told] == ["late"]
    uptime = agent.pipeline.state.uptime(agent.record("late"), agent.clock.now())
    assert uptime == pytest.approx(2.3, abs=0.01)


@BOTH_WAYS
def test_the_start_period_is_waited_for_though_the_clock_was_set_within_it(step: float) -> None:
    agent = host('  - {name: heal, select: {name: "*"}, when: health == "unhealthy", then: {restart: {}}}\n')
    agent.docker.create("slow", check=True, health_start_period=20.0)
    agent.deliver()
    agent.tick(10)
    agent.docker.health("slow")
    agent.clock.step_wall(step)
    agent.tick(14)
    assert agent.did == []
    agent.tick(2)
    assert agent.did == [("restart", "slow")]
