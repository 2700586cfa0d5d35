"""How breakers close without a probe: the budget was raised, the container was mended by somebody else."""

from __future__ import annotations

import pytest

from tests.support.core import Host, policy_set
from tests.unit.test_breaking import (
    NO_HOST,
    ON_DIE,
    host,
    killed,
    notices,
    waits,
    with_open_breaker,
)
from watchtower_agent.model.container import Health
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Budget

UP = '  - {name: up, select: {name: "*"}, when: status == "exited", cooldown: 0s, then: {restart: {}}}\n'
SHADOW = '  - {name: ww, mode: shadow, select: {name: "*"}, when: health == "healthy", then: {restart: {}}}\n'


def now_by(agent: Host, policies: str) -> None:
    agent.policies = policy_set(policies)
    agent.see(agent.policies)


def test_a_budget_that_is_raised_closes_its_breaker() -> None:
    agent = with_open_breaker()
    agent.clear()
    now_by(agent, ON_DIE.replace("then", "budget: {max: 20, per: 30m}, then"))
    agent.tick(2)

    (closed,) = notices(agent, "breaker_closed")
    assert closed.reason == "the breaker of web is closed: the budget was raised"
    waits(agent, 900)
    assert agent.did  # as backoff allows


@pytest.mark.parametrize("budget", ["max: 5, per: 1d", "max: 3, per: 30m", "max: 6, per: 1h, probe_after: 1h"])
def test_one_that_is_not_raised_or_has_no_room_closes_none(budget: str) -> None:
    agent = with_open_breaker()
    waits(agent, 60)
    agent.clear()
    raised = "max: 6" in budget  # five within the hour
    now_by(agent, ON_DIE.replace("then", f"budget: {{{budget}}}, then"))
    agent.tick(2)
    assert bool(notices(agent, "breaker_closed")) == raised


def test_an_open_breaker_waits_for_as_long_as_its_policy_says_now() -> None:
    agent = with_open_breaker()
    now_by(agent, ON_DIE.replace("then", "budget: {max: 5, per: 10m, probe_after: 20m}, then"))
    killed(agent)
    agent.clear()
    waits(agent, 500)
    assert agent.did == []
    waits(agent, 720)
    assert len(agent.did) == 1


def test_a_budget_of_the_host_that_is_raised_closes_its_breaker_when_the_agent_starts_with_it() -> None:
    agent = host(UP, "a", "b", protection=Protection(host_budget=Budget(most=1, per=600.0)))
    for name in ("a", "b"):
        agent.docker.crash(name)
    waits(agent, 5)
    assert len(agent.did) == 1
    agent.protected_by(NO_HOST)  # from the next start on
    killed(agent)
    waits(agent, 5)

    assert "the budget was raised" in notices(agent, "breaker_closed")[-1].reason
    assert len(agent.did) == 2


def test_a_wish_that_only_shadows_keeps_no_breaker_open() -> None:
    agent = with_open_breaker(ON_DIE + SHADOW, check=True)
    agent.docker.start()
    agent.docker.health(verdict=Health.HEALTHY)
    agent.deliver()
    agent.tick(605)

    assert "web has been well for long enough" in notices(agent, "breaker_closed")[-1].reason


def test_the_close_is_tried_again_once_nothing_is_wanted_any_more() -> None:
    want = '  - {name: want, select: {name: "*"}, when: memory.percent > 90%, then: {restart: {}}}\n'
    agent = with_open_breaker(ON_DIE + want)
    agent.docker.start()
    agent.deliver()
    for _ in range(610):
        agent.tick(memory_percent=95.0)
    assert agent.waiting
    assert not notices(agent, "breaker_closed")

    agent.tick(5, memory_percent=1.0)
    assert "web has been well for long enough" in notices(agent, "breaker_closed")[-1].reason
