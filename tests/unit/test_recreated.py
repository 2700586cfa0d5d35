"""A container that is removed and made again under its name between two ticks, as Compose does: it inherits nothing."""

from __future__ import annotations

import hashlib

import pytest

from tests.support.core import Host
from watchtower_agent.model.decision import Edge

HOT = "  - {name: hot, select: {name: web}, when: memory.percent > 90%, for: 3s, then: {restart: {}}, cooldown: 1s}\n"
HOT_FOR_LONG = HOT.replace("cooldown: 1s", "cooldown: 1m")
LEAK = (
    '  - {name: leak, select: {name: web}, when: "min(memory.percent, 10s) > 95%", then: {restart: {}}, cooldown: 1s}\n'
)
FLAPS = '  - {name: flaps, select: {name: web}, when: "delta(restarts, 20s) >= 2", then: {notify: {}}}\n'
OFTEN = "  - {name: often, select: {name: web}, when: restarts >= 1, then: {notify: {}}}\n"
OOM = "  - {name: oom, select: {name: web}, when: memory.oom_kills >= 1, then: {notify: {}}}\n"


def host(policies: str) -> Host:
    made = Host(policies, first_start=True)
    made.docker.create(silent=True)
    made.connect()
    made.clock.advance(60)
    return made


def recreate(agent: Host) -> str:
    """Between two ticks; all its events arrive in one step."""
    was = agent.docker.find("web")
    agent.docker.remove("web", force=True)
    made = agent.docker.create("web", identity=hashlib.sha256(was.id.encode()).hexdigest())
    agent.deliver()
    return made.id


def test_the_time_for_which_a_condition_held_is_not_inherited() -> None:
    agent = host(HOT)
    agent.tick(3, memory_percent=95.0)
    new = recreate(agent)
    agent.tick(3, memory_percent=95.0)
    assert agent.did == []
    agent.tick(memory_percent=95.0)
    (intent,) = agent.intents
    assert intent.decision.target.id == new


def test_what_fires_of_the_old_one_is_over_and_nothing_is_done_to_the_new_one() -> None:
    agent = host(HOT_FOR_LONG)
    agent.tick(4, memory_percent=95.0)
    old = agent.docker.find("web").id
    assert [intent.decision.target.id for intent in agent.intents] == [old]
    recreate(agent)
    (outcome,) = agent.carry_out()
    assert outcome.result.value == "abandoned"
    agent.tick(memory_percent=95.0)
    assert [(edge.firing, edge.target.id) for edge in agent.of(Edge)] == [(True, old), (False, old)]


def test_the_past_is_not_inherited() -> None:
    agent = host(LEAK)
    agent.tick(6, memory_percent=97.0)
    recreate(agent)
    agent.tick(6, memory_percent=97.0)
    assert agent.did == []
    agent.tick(memory_percent=97.0)
    assert agent.did == [("restart", "web")]


@pytest.mark.parametrize("policy", [FLAPS, OFTEN])
def test_the_count_of_restarts_begins_at_zero(policy: str) -> None:
    agent = host(policy)
    agent.tick(15)
    recreate(agent)
    agent.tick(15)
    assert agent.told == []
    assert agent.record().restarts == 0


def test_oom_kills_of_the_old_one_are_its_own() -> None:
    agent = host(OOM)
    agent.docker.oom()
    agent.deliver()
    agent.tick()
    told = len(agent.told)
    recreate(agent)
    agent.tick(2, memory_oom_kills=0.0)
    assert len(agent.told) == told


def test_a_sample_that_was_taken_of_the_old_one_tells_nothing_of_the_new_one() -> None:
    agent = host(HOT.replace("for: 3s, ", ""))
    old = agent.sample({"memory_percent": 99.0})
    recreate(agent)
    agent.see(old)
    assert agent.did == []
