"""OOM kills: the cgroup's counter is the truth, read seconds apart; until it is read, the engine's events are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import Host


def host() -> Host:
    made = Host(first_start=True)
    made.docker.create(silent=True)
    made.connect()
    made.clock.advance(60)
    return made


def told(agent: Host, action: str) -> list[dict[str, Any]]:
    """The data of such events of the container."""
    return [each["data"] for each in agent.published() if each["topic"].endswith(f"/event/container/{action}/web")]


def test_an_oom_and_the_end_that_follows_tell_of_the_kill_that_the_sample_does_not_know() -> None:
    agent = host()
    agent.tick(memory_oom_kills=0, memory_percent=99)
    agent.clock.advance(0.4)
    agent.docker.oom()
    agent.deliver()

    for action in ("oom", "die"):
        (data,) = told(agent, action)
        assert data["oom_kills"] == 1
        assert data["last_sample"] == {"memory.percent": 99}


def test_what_the_counter_told_before_is_not_lost() -> None:
    agent = host()
    agent.tick(memory_oom_kills=5)  # before the agent was there
    agent.clock.advance(0.4)
    agent.docker.oom()
    agent.deliver()

    assert [data["oom_kills"] for action in ("oom", "die") for data in told(agent, action)] == [6, 6]


def test_without_samples_the_events_are_counted() -> None:
    agent = host()
    agent.docker.tell("oom")
    agent.docker.oom()
    agent.deliver()

    assert [data["oom_kills"] for data in told(agent, "oom")] == [1, 2]
    assert told(agent, "die")[0]["oom_kills"] == 2


def test_where_nothing_told_it_is_not_known() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()

    assert "oom_kills" not in told(agent, "die")[0]


@pytest.mark.parametrize(("events", "counter"), [(3, 1), (1, 4), (2, 2)])
def test_the_counter_is_the_truth_once_it_was_read_after_the_event(events: int, counter: int) -> None:
    agent = host()
    agent.tick(memory_oom_kills=0)
    for _ in range(events):
        agent.docker.tell("oom")
    agent.deliver()
    agent.tick(2, memory_oom_kills=counter)
    agent.docker.crash()
    agent.deliver()

    (data,) = told(agent, "die")
    assert data["oom_kills"] == counter
    assert data["last_sample"] == {"memory.oom_kills": counter}


def test_the_end_that_is_handled_after_the_next_sample_knows_it_still() -> None:
    agent = host()
    agent.tick(memory_oom_kills=0)
    agent.docker.tell("oom")
    agent.deliver()
    agent.tick(2, memory_oom_kills=3)
    agent.docker.crash()
    agent.read()
    agent.tick(memory_percent=1)
    agent.docker.tell("rename")
    agent.deliver()

    assert told(agent, "rename")[0]["oom_kills"] == 3


def test_a_tick_that_was_under_way_at_the_oom_does_not_hide_it() -> None:
    agent = host()
    agent.tick(memory_oom_kills=0)
    agent.docker.tell("oom")
    agent.deliver()
    agent.clock.advance(0.5)
    agent.see(agent.sample({"memory_oom_kills": 0}))
    agent.docker.crash()
    agent.deliver()

    (data,) = told(agent, "die")
    assert data["oom_kills"] == 1
    assert "last_sample" not in data


def test_a_sample_that_came_before_the_event_was_heard_is_not_counted_twice() -> None:
    agent = host()
    agent.tick(memory_oom_kills=0)
    agent.docker.tell("oom")
    agent.clock.advance(0.01)
    agent.see(agent.sample({"memory_oom_kills": 1}))
    agent.deliver()

    (data,) = told(agent, "oom")
    assert data["oom_kills"] == 1
    assert data["last_sample"] == {"memory.oom_kills": 1}


def test_a_new_life_counts_anew() -> None:
    agent = host()
    agent.tick(memory_oom_kills=2)
    agent.docker.oom()
    agent.deliver()
    agent.clock.advance(1)
    agent.docker.start()
    agent.docker.crash()
    agent.docker.start()
    agent.deliver()
    assert "oom_kills" not in told(agent, "start")[-1]
    assert "oom_kills" not in told(agent, "die")[-1]
    agent.tick(memory_oom_kills=0)
    agent.docker.crash()
    agent.deliver()

    assert told(agent, "die")[-1]["oom_kills"] == 0
