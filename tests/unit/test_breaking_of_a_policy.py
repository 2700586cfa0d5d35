"""A policy that is of no use on one container after the other: its own breaker opens, and others go on acting."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.core import Host, policy_set
from tests.support.schema import validate_message
from tests.unit.test_breaking import NO_HOST, host, killed, loop, notices, waits
from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Held, Severity
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import GapObserved
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Budget

NAMES = tuple(f"c{number}" for number in range(12))
HEAL = '  - {name: heal, select: {name: "c*"}, when: health == "unhealthy", then: {restart: {}}}\n'
WRONG = '  - {name: wrong, select: {name: "c*"}, when: memory.percent > 5%, then: {restart: {}}}\n'
UP = '  - {name: up, select: {name: "*"}, when: status == "exited", then: {start: {}}}\n'
OF_HEAL = (
    "the breaker of policy heal is open: what it did to 5 containers within 30m was of no use (c0, c1, c2, c3, c4)"
)


def sick_in_turn(agent: Host, count: int, *, first: int = 0) -> None:
    """So many fall sick one after the other, and what is done to each does not help."""
    for number in range(first, first + count):
        agent.docker.health(f"c{number}")
        waits(agent, 60)


def opened(policies: str = HEAL, protection: Protection = NO_HOST) -> Host:
    agent = host(policies, *NAMES, "web", protection=protection, check=True)
    sick_in_turn(agent, 5)
    return agent


def of_policy(agent: Host, action: str, name: str = "heal") -> list[Notice]:
    return [each for each in notices(agent, action) if each.data["target"] == {"kind": "policy", "name": name}]


def held_by_breaker(agent: Host, name: str) -> Held:
    """What is said last of why nothing is done to it."""
    return [each for each in agent.of(Held) if each.guard == "breaker" and each.decision.target.name == name][-1]


def drifts(agent: Host, seconds: int, *, memory: float) -> None:
    """Time passes in which every container uses so much of its memory."""
    for _ in range(seconds // 5):
        agent.clock.advance(4)
        agent.tick(memory_percent=memory)
        agent.carry_out()


def test_of_no_use_on_five_containers_it_stops_and_says_so_once() -> None:
    agent = opened()
    (told,) = of_policy(agent, "breaker_open")
    assert told.severity is Severity.CRITICAL
    assert told.subject == "heal"
    assert told.reason.startswith(f"{OF_HEAL}; the last: the restart of c4 did not help: still starting ")
    assert told.reason.endswith("; one is tried in 30m")
    assert told.data["budget"] == {"in_vain": 5, "per": 1800.0}
    assert (told.data["times_opened"], told.data["probe_after"]) == (1, 1800.0)
    did = len(agent.did)

    agent.docker.health("c6")
    waits(agent, 600)
    assert len(agent.did) == did
    held = held_by_breaker(agent, "c6")
    assert held.reason == f"{OF_HEAL}; one is tried 30m after that"
    assert held.numbers == {"scope": "policy", "opened_by": "heal", "times_opened": 1, "probe_after": 1800.0}
    assert held.release_at == pytest.approx(told.at + 1800.0, abs=1)
    assert len(of_policy(agent, "breaker_open")) == 1
    assert all(len([target for _, target in agent.did if target == name]) < 5 for name in NAMES)


def test_another_policy_acts_meanwhile_also_on_the_same_containers() -> None:
    agent = opened(HEAL + UP)
    agent.docker.crash("c0")
    agent.docker.crash("web")
    waits(agent, 60)
    assert agent.did[-2:] == [("start", "web"), ("start", "c0")]


def test_four_are_not_enough_nor_are_five_of_which_one_is_too_long_ago() -> None:
    agent = host(HEAL, *NAMES, protection=NO_HOST, check=True)
    sick_in_turn(agent, 4)
    waits(agent, 1)
    assert not of_policy(agent, "breaker_open")

    late = host(HEAL.replace("then", "budget: {per: 2m, max: 100}, then"), *NAMES, protection=NO_HOST, check=True)
    for number in range(5):
        sick_in_turn(late, 1, first=number)
        late.docker.remove(f"c{number}") if number < 4 else None
    assert not of_policy(late, "breaker_open")


def test_one_container_that_nothing_mends_says_nothing_of_the_policy() -> None:
    agent = host(UP, *NAMES, protection=NO_HOST)
    loop(agent, lambda: bool(notices(agent, "breaker_open")), "c0")
    assert not of_policy(agent, "breaker_open", "up")


def test_what_it_mostly_mends_is_no_reason_to_stop() -> None:
    agent = host(HEAL, *NAMES, protection=NO_HOST, check=True)
    for number in range(6):  # these are well again at once
        agent.docker.health(f"c{number}")
        waits(agent, 2)
        agent.docker.health(f"c{number}", Health.HEALTHY)
        waits(agent, 5)
    sick_in_turn(agent, 5, first=6)
    assert not of_policy(agent, "breaker_open")


def test_a_wrong_threshold_is_seen_by_what_is_wanted_again_though_all_are_well() -> None:
    agent = host(WRONG, *NAMES, protection=Protection())
    drifts(agent, 120, memory=6.0)

    assert len({target for _, target in agent.did}) == 6  # as many as the host's budget lets it
    (told,) = of_policy(agent, "breaker_open", "wrong")
    assert "what it did to 5 containers within 30m was of no use" in told.reason
    assert "did not last: memory.percent" in told.reason
    did = len(agent.did)
    drifts(agent, 1650, memory=6.0)
    assert len(agent.did) == did


def test_its_probe_has_to_last_that_the_container_is_well_is_not_enough() -> None:
    agent = host(WRONG, *NAMES, protection=NO_HOST)
    drifts(agent, 120, memory=6.0)
    drifts(agent, 1800, memory=6.0)
    (probed,) = of_policy(agent, "breaker_half_open", "wrong")
    *_, again = of_policy(agent, "breaker_open", "wrong")
    assert (again.data["times_opened"], again.data["probe_after"]) == (2, 3600.0)
    assert again.at - probed.at < 120
    assert not of_policy(agent, "breaker_closed", "wrong")


def test_a_probe_that_lasts_closes_it_and_nothing_else_is_done_before() -> None:
    agent = opened()
    agent.docker.health("c6")
    while not of_policy(agent, "breaker_half_open"):
        waits(agent, 5)
    did = len(agent.did)
    assert agent.did[-1] == ("restart", "c6"), "who was tried least is tried first"
    agent.docker.health("c6", Health.HEALTHY)
    agent.docker.health("c0")
    waits(agent, 590)
    assert len(agent.did) == did
    held = held_by_breaker(agent, "c0")
    assert "the breaker of policy heal is half-open: whether the restart of c6 lasts is to be seen" in held.reason
    assert not of_policy(agent, "breaker_closed")

    waits(agent, 60)
    (closed,) = of_policy(agent, "breaker_closed")
    assert closed.reason == "the breaker of policy heal is closed: what it did to c6 has lasted"
    assert len(agent.did) > did


def test_a_probe_that_does_not_help_opens_it_again_for_twice_as_long() -> None:
    agent = opened()
    agent.docker.health("c6")
    waits(agent, 1900)
    *_, again = of_policy(agent, "breaker_open")
    assert (again.data["times_opened"], again.data["probe_after"]) == (2, 3600.0)
    assert "the restart of c6 did not help" in again.reason


def test_a_probe_of_what_was_tried_before_tells_nothing_of_the_policy() -> None:
    agent = opened()
    agent.docker.health("c0")
    waits(agent, 1900)
    told = of_policy(agent, "breaker_open")[1]
    assert "it was tried before, so that tells nothing of policy heal; one is tried in 1m" in told.reason
    assert told.data["times_opened"] == 1


def test_a_probe_of_which_nothing_can_be_told_gives_way_to_the_next() -> None:
    agent = opened()
    agent.docker.health("c6")
    while not of_policy(agent, "breaker_half_open"):
        waits(agent, 5)
    agent.docker.health("c6", Health.HEALTHY)
    waits(agent, 60)
    agent.docker.remove("c6")
    agent.docker.health("c7")
    waits(agent, 1200)
    assert ("restart", "c7") in agent.did


def test_of_one_action_that_is_both_probes_the_host_is_not_blamed_for_the_policy() -> None:
    agent = opened(HEAL + UP, Protection(host_budget=Budget(most=5, per=600.0)))
    agent.docker.crash("web")  # one more than the host allows, by a policy that has nothing to do with it
    waits(agent, 10)
    agent.docker.remove("web")
    agent.docker.health("c6")
    waits(agent, 1900)
    hosts = [each for each in notices(agent, "breaker_open") if each.data["target"]["kind"] == "host"]  # type: ignore[index] # an object
    assert hosts[-1].data["times_opened"] == 1
    assert "the policy's own breaker is open, so that tells nothing of this host" in hosts[-1].reason
    agent.docker.crash("c11")
    waits(agent, 120)
    assert agent.did[-1] == ("start", "c11")


def test_others_go_before_it_when_the_host_lets_one_pass() -> None:
    agent = opened(HEAL + UP, Protection(host_budget=Budget(most=5, per=600.0)))
    did = len(agent.did)
    agent.docker.health("c6")
    waits(agent, 5)
    agent.docker.crash("web")
    while len(agent.did) == did:
        waits(agent, 5)
    agent.docker.health("web", Health.HEALTHY)
    waits(agent, 120)
    assert agent.did[did : did + 2] == [("start", "web"), ("restart", "c6")]


@pytest.mark.parametrize(
    "happens",
    [
        killed,
        lambda agent: (agent.clock.step_wall(7200.0), agent.tick()),
        lambda agent: (agent.clock.step_wall(-7200.0), agent.tick()),
        lambda agent: (agent.clock.reboot(20.0), agent.comes_back()),
        lambda agent: agent.see(GapObserved(reason="store_reset", since=0.0, until=agent.clock.wall)),
    ],
    ids=["agent killed", "stepped forwards", "stepped backwards", "rebooted", "store lost"],
)
def test_it_survives(happens: Callable[[Host], object]) -> None:
    agent = opened()
    did = len(agent.did)
    happens(agent)
    waits(agent, 10)
    killed(agent)
    agent.docker.health("c6")
    waits(agent, 1500)
    assert len(agent.did) == did
    waits(agent, 600)
    assert len(agent.did) > did


def test_what_is_known_of_each_container_survives_as_well() -> None:
    agent = host(HEAL, *NAMES, protection=NO_HOST, check=True)
    for number in range(5):
        sick_in_turn(agent, 1, first=number)
        killed(agent)
    waits(agent, 60)
    assert of_policy(agent, "breaker_open")


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (
            HEAL.replace('health == "unhealthy"', 'health == "unhealthy" and restarts < 9'),
            "it is another policy now",
        ),
        (HEAL.replace("then:", "mode: off, then:"), "it is not in force any more"),
        (HEAL.replace("then:", "budget: {in_vain: 8}, then:"), "the budget was raised"),
    ],
)
def test_it_closes_when_a_person_has_changed_the_policy(now: str, why: str) -> None:
    agent = opened()
    agent.see(policy_set(now))
    agent.tick()
    (closed,) = of_policy(agent, "breaker_closed")
    assert closed.reason.endswith(why)


@pytest.mark.parametrize("change", ["description: 'x', then:", "cooldown: 45s, then:"])
def test_what_does_not_change_what_it_does_opens_nothing(change: str) -> None:
    agent = opened()
    agent.see(policy_set(HEAL.replace("then:", change)))
    agent.tick()
    assert not of_policy(agent, "breaker_closed")


def test_no_container_is_stopped_for_it() -> None:
    agent = opened(HEAL.replace("then", "budget: {on_open: stop}, then"))
    waits(agent, 60)
    assert of_policy(agent, "breaker_open")
    assert "stop" not in {verb for verb, _ in agent.did}


def test_status_and_the_published_event_name_the_policy() -> None:
    agent = opened()
    (said,) = agent.pipeline.decisions.breaking.told(agent.clock.now())
    assert (said["scope"], said["name"], said["phase"]) == ("policy", "heal", "open")
    assert said["budget"] == {"in_vain": 5, "per": 1800.0}
    assert said["cause"] == OF_HEAL.partition(": ")[2]
    messages = [message for step in agent.steps for message in step.events if "/breaker_open/heal" in message.topic]
    assert len(messages) == 1
    validate_message(messages[0].topic, messages[0].payload)
