"""Conditions about the recent past, through the whole core: samples in, decisions out."""

from __future__ import annotations

import pytest

from tests.support.core import Host, policy_set

LEAK = (
    '  - {name: leak, select: {name: "*"}, when: "min(memory.percent, 10s) > 95%", then: {restart: {}}, cooldown: 1s}\n'
)
FLAPS = '  - {name: flaps, select: {name: "*"}, when: "delta(restarts, 20s) >= 2", then: {notify: {}}}\n'
LOAD = '  - {name: load, when: "avg(host.load1, 5s) > 2", then: {notify: {}}}\n'


def host(policies: str) -> Host:
    made = Host(policies, first_start=True)
    made.docker.create(silent=True)
    made.connect()
    made.clock.advance(60)
    return made


def test_a_window_fires_once_enough_of_it_is_known() -> None:
    agent = host(LEAK)
    agent.tick(6, memory_percent=97.0)
    assert not agent.intents
    agent.tick(memory_percent=97.0)
    assert agent.did == [("restart", "web")]
    (decision,) = agent.wanted
    assert decision.numbers["min(memory.percent, 10s)"] == 97
    assert decision.reason == "min(memory.percent, 10s) 97.0 %"


@pytest.mark.parametrize("steady", [100 / 3, 97.3, 2.0**-40])
def test_a_container_that_never_moves_is_neither_above_nor_below_its_own_past(steady: float) -> None:
    comparisons = [
        f"memory.percent {sign} {function}(memory.percent, 10s)"
        for sign in "<>"
        for function in ("avg", "max", "min", "p95")
    ]
    agent = host(
        f'  - {{name: moved, select: {{name: "*"}}, when: "{" or ".join(comparisons)}", then: {{notify: {{}}}}}}\n'
    )
    agent.tick(30, memory_percent=steady)
    assert not agent.told
    agent.tick(memory_percent=50.0)
    assert agent.told


def test_one_value_below_keeps_it_silent_for_as_long_as_the_window() -> None:
    agent = host(LEAK)
    agent.tick(memory_percent=94.0)
    agent.tick(9, memory_percent=97.0)
    assert not agent.intents
    agent.tick(memory_percent=97.0)
    assert agent.did == [("restart", "web")]


def test_a_restart_begins_a_new_past() -> None:
    agent = host(LEAK)
    agent.tick(7, memory_percent=97.0)
    agent.carry_out()
    agent.clock.advance(30)
    agent.tick(6, memory_percent=97.0)
    assert agent.did == [("restart", "web")]
    agent.tick(memory_percent=97.0)
    assert agent.did == [("restart", "web")] * 2


def test_what_the_engine_tells_has_a_past_too_and_it_outlives_a_restart() -> None:
    agent = host(FLAPS)
    agent.tick(14)
    assert not agent.told
    for _ in range(2):
        agent.docker.crash()
        agent.docker.start()
        agent.deliver()
        agent.tick(2)
    (told,) = agent.told
    assert told.decision.numbers["delta(restarts, 20s)"] == 2


def test_a_new_window_in_the_policies_begins_with_the_next_tick_and_a_kept_one_goes_on() -> None:
    agent = host(LEAK)
    agent.tick(5, memory_percent=97.0)
    agent.see(policy_set(LEAK + FLAPS))
    agent.tick(2, memory_percent=97.0)
    assert agent.did == [("restart", "web")]


def test_the_host_has_a_past() -> None:
    agent = host(LOAD)
    agent.tick(3, host_load1=9.0)
    assert not agent.told
    agent.tick(host_load1=9.0)
    (told,) = agent.told
    assert told.decision.numbers["avg(host.load1, 5s)"] == pytest.approx(9)
