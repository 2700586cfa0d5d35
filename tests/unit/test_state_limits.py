"""Other limits by `docker update`: what depends on them is unknown until they were read, and then it is right."""

from __future__ import annotations

import pytest

from tests.support.core import Host, container_id

HOT = '  - {name: hot, select: {name: "*"}, when: %s > 90%%, then: {restart: {}}}\n'


def host(name: str) -> Host:
    made = Host(HOT % name, first_start=True)
    made.docker.create(silent=True)
    made.connect()
    made.clock.advance(60)
    return made


@pytest.mark.parametrize("name", ["cpu.percent_of_limit", "memory.percent"])
def test_a_share_of_the_limit_before_sets_nothing_off(name: str) -> None:
    agent = host(name)
    column = name.replace(".", "_", 1)
    agent.tick(**{column: 80})
    agent.docker.tell("update")
    old = agent.sample({column: 95})  # its tick began before the event, and ends after it
    agent.deliver()
    agent.see(old)
    assert agent.intents == []
    assert agent.pipeline.state.metric(container_id("web"), name, agent.clock.now()) is None
    agent.tick(**{column: 50})
    assert agent.pipeline.state.metric(container_id("web"), name, agent.clock.now()) == 50
    agent.tick(**{column: 95})
    assert len(agent.intents) == 1


def test_what_does_not_depend_on_limits_stays_known() -> None:
    agent = host("cpu.percent")
    agent.tick(cpu_percent=80)
    agent.docker.tell("update")
    agent.deliver()
    agent.see(agent.sample({"cpu_percent": 140}))
    assert len(agent.intents) == 1


@pytest.mark.parametrize(
    ("action", "asked"), [("update", 1), ("start", 1), ("oom", 1), ("rename", 0), ("exec_start", 0)]
)
def test_the_sampler_is_asked_for_what_it_reads_seldom(action: str, asked: int) -> None:
    agent = host("cpu.percent")
    agent.docker.tell(action)
    agent.deliver()
    assert [each for step in agent.steps for each in step.anew] == [container_id("web")] * asked
