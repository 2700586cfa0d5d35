"""What an agent tells the leader of its Swarm about the replicas on its host, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.core import Host
from tests.support.schema import validate_message
from tests.support.strategies import COMPOSE, CPU, policies, scaling
from watchtower_agent.policies.policy import PolicySet

SERVICE = "com.docker.swarm.service.name"
TASK = {SERVICE: "shop_web"}
USUAL, NEWEST = "avg(cpu.percent_of_limit, 20s)", "avg(cpu.percent_of_limit, 5s)"


def host(in_force: PolicySet, **containers: Mapping[str, str]) -> Host:
    """An agent with these policies and containers, one tick old."""
    made = Host()
    for name, labels in containers.items():
        made.docker.create(name, labels=labels)
    made.deliver()
    made.see(in_force)
    made.clear()
    made.tick(cpu_percent_of_limit=50.0)
    return made


def batches(of: Host) -> list[dict[str, Any]]:
    """What it published, checked against the schema."""
    messages = [message for step in of.steps for message in step.metrics]
    return [validate_message(message.topic, message.payload) for message in messages]


def lines(batch: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {line["name"]: line for line in batch["containers"]}


def test_replicas_of_a_scaled_service_have_their_means_and_no_others_do() -> None:
    agent = host(policies(scaling()), web=TASK, db={SERVICE: "shop_db"}, alone={})
    agent.tick(20, cpu_percent_of_limit=50.0)
    agent.tick(5, cpu_percent_of_limit=90.0)

    found = lines(batches(agent)[-1])

    assert found["web"]["means"] == {USUAL: 60.0, NEWEST: 90.0}
    assert "means" not in found["db"]
    assert "means" not in found["alone"]


def test_what_is_not_known_is_left_out() -> None:
    agent = host(policies(scaling()), web=TASK)
    agent.tick(5, cpu_percent_of_limit=50.0)

    assert lines(batches(agent)[-1])["web"]["means"] == {NEWEST: 50.0}
    assert lines(batches(agent)[0])["web"]["means"] == {}


@pytest.mark.parametrize("labels", [{}, {SERVICE: "shop_db"}])
def test_without_a_scaled_replica_a_batch_comes_as_the_settings_say(labels: Mapping[str, str]) -> None:
    agent = host(policies(scaling()), web=labels)
    agent.tick(30)

    assert [batch["interval"] for batch in batches(agent)] == [10.0] * 4


def test_where_one_runs_it_comes_every_five_seconds_and_says_so() -> None:
    agent = host(policies(scaling()), web=TASK)
    agent.tick(30)

    assert [batch["interval"] for batch in batches(agent)] == [5.0] * 7
    assert {message.expiry for step in agent.steps for message in step.metrics} == {15}


def test_one_that_comes_is_told_of_before_the_next_batch_would_have_been() -> None:
    agent = host(policies(scaling()), alone={})
    agent.tick(6)
    assert len(batches(agent)) == 1

    agent.docker.create("web", labels=TASK)
    agent.deliver()
    agent.tick(2)

    assert list(lines(batches(agent)[1])) == ["alone", "web"]


def test_one_that_has_ended_makes_no_haste() -> None:
    agent = host(policies(scaling()), web=TASK, alone={})
    agent.docker.stop("web")
    agent.deliver()
    agent.tick(20)

    assert [batch["interval"] for batch in batches(agent)[1:]] == [10.0, 10.0]


def test_clones_on_one_host_need_no_telling() -> None:
    agent = host(policies(scaling(CPU, target=COMPOSE)), web={"com.docker.compose.project": "shop"})
    agent.tick(30)

    assert not any("means" in line for batch in batches(agent) for line in batch["containers"])
    assert len(batches(agent)) == 4


def test_once_no_policy_scales_it_any_more_nothing_is_told() -> None:
    agent = host(policies(scaling()), web=TASK)
    agent.see(policies())
    agent.clear()
    agent.tick(20, cpu_percent_of_limit=50.0)

    assert [batch["interval"] for batch in batches(agent)] == [10.0, 10.0]
    assert not any("means" in line for batch in batches(agent) for line in batch["containers"])
