"""What counts for and against a policy that acts on one container after the other, and what tells nothing of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.approving import answer
from tests.support.core import Host, container_id, policy_set
from tests.unit.test_breaking import NO_HOST, ON_DIE, host, killed, notices, waits
from tests.unit.test_breaking_of_a_policy import HEAL, NAMES, WRONG, drifts, of_policy, opened, sick_in_turn
from tests.unit.test_pausing import pause
from watchtower_agent.model.approval import ApprovalState
from watchtower_agent.model.container import Health
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.model.pause import Paused, PauseScope
from watchtower_agent.model.shared_cause import SharedCauseRule
from watchtower_agent.model.trigger import TriggerAsked
from watchtower_agent.policies.guards.protection import Protection

SLOW = WRONG.replace("then:", "for: 15m, then:")
ANOTHER = HEAL.replace('health == "unhealthy"', 'health == "unhealthy" and restarts < 9')


def probing() -> Host:
    """The policy's breaker is half-open: its probe is well so far."""
    agent = opened()
    agent.docker.health("c6")
    while not of_policy(agent, "breaker_half_open"):
        waits(agent, 5)
    agent.docker.health("c6", Health.HEALTHY)
    waits(agent, 60)
    return agent


def half_open(policies: str = WRONG) -> Host:
    """Likewise of a threshold that is wrong: its probe is about to be wanted again."""
    agent = host(policies, *NAMES, protection=NO_HOST)
    drifts(agent, 120, memory=6.0)
    while not of_policy(agent, "breaker_half_open", "wrong"):
        drifts(agent, 5, memory=6.0)
    return agent


def restarts(agent: Host) -> None:
    """A person does."""
    agent.docker.restart("c6")
    agent.deliver()
    agent.docker.health("c6", Health.HEALTHY)


def recreates(agent: Host) -> None:
    """A person does."""
    agent.docker.stop("c6")
    agent.docker.remove("c6")
    agent.docker.create("c6", check=True, identity="f" * 64)
    agent.deliver()
    agent.docker.health("c6", Health.HEALTHY)


@pytest.mark.parametrize(("hold", "apart"), [("15m", 150), ("50m", 500)])
def test_one_container_after_the_other_each_is_wanted_again_before_it_lasted(hold: str, apart: int) -> None:
    agent = host(SLOW.replace("15m", hold), "c0", protection=Protection())
    for number in range(1, 6):
        drifts(agent, apart, memory=6.0)
        agent.docker.create(f"c{number}")
        agent.deliver()
    drifts(agent, 2 * 3600 + 1800, memory=6.0)
    assert of_policy(agent, "breaker_open", "wrong")
    assert not of_policy(agent, "breaker_closed", "wrong")
    assert len(agent.did) < 16


def test_a_container_that_was_in_vain_stays_so_though_the_next_restart_seems_to_help() -> None:
    agent = host(HEAL.replace("then:", "budget: {in_vain: 2}, then:"), *NAMES, protection=NO_HOST, check=True)
    for name in ("c0", "c1"):
        for _ in range(2):
            agent.docker.health(name)
            waits(agent, 40)
            agent.docker.health(name, Health.HEALTHY)
            waits(agent, 40)
    assert of_policy(agent, "breaker_open")


@pytest.mark.parametrize("count", [1, 6])
def test_what_follows_shows_nothing_of_the_policy(count: int) -> None:
    agent = Host(WRONG.replace("then:", "for: 2m, then:").replace('"c*"', '"d*"'), first_start=True, protection=NO_HOST)
    for number in range(6):
        agent.docker.create(f"d{number}", silent=True)
        if number < count:
            agent.docker.create(f"f{number}", silent=True, network_mode=f"container:{container_id(f'd{number}')}")
    agent.connect()
    agent.clock.advance(60)
    agent.clear()
    drifts(agent, 3600, memory=6.0)
    assert ("restart", "f0") in agent.did
    (told, *_) = of_policy(agent, "breaker_open", "wrong")
    assert told.at - agent.intents[0].at < 300
    assert not of_policy(agent, "breaker_closed", "wrong")
    probes = {each.reason for each in of_policy(agent, "breaker_half_open", "wrong")}
    assert not [reason for reason in probes if " of f" in reason]


def test_what_a_person_has_it_do_shows_nothing_of_the_policy() -> None:
    agent = opened()
    for name in NAMES[:5]:
        agent.docker.health(name, Health.HEALTHY)
    waits(agent, 1850)
    agent.see(TriggerAsked(policy="heal", target_id=agent.record("c9").container.id, correlation_id="x"))
    agent.carry_out()
    agent.deliver()
    agent.docker.health("c9", Health.HEALTHY)
    waits(agent, 900)
    assert agent.did[-1] == ("restart", "c9")
    assert not of_policy(agent, "breaker_half_open")
    assert not of_policy(agent, "breaker_closed")


def test_nothing_lasts_while_it_is_wanted_and_paused() -> None:
    agent = half_open()
    did = len(agent.did)
    pause(agent, Paused(scope=PauseScope.POLICY, name="wrong"), 1500.0)
    drifts(agent, 1600, memory=6.0)
    assert len(agent.did) == did
    assert not of_policy(agent, "breaker_closed", "wrong")
    assert of_policy(agent, "breaker_open", "wrong")[-1].data["times_opened"] == 2


def test_nothing_lasts_while_it_is_wanted_in_shadow_mode() -> None:
    agent = half_open()
    agent.policies = policy_set(WRONG.replace("then:", "mode: shadow, then:"))
    agent.see(agent.policies)
    drifts(agent, 900, memory=6.0)
    killed(agent)
    drifts(agent, 900, memory=6.0)
    assert not of_policy(agent, "breaker_closed", "wrong")
    drifts(agent, 900, memory=1.0)
    assert of_policy(agent, "breaker_closed", "wrong")


def test_nothing_lasts_while_people_are_asked_about_it() -> None:
    agent = host(WRONG.replace("then:", "mode: approve, then:"), *NAMES[:6], protection=NO_HOST)
    drifts(agent, 20, memory=6.0)
    for _ in range(4):
        for approval in list(agent.pipeline.decisions.approving.approvals.waiting()):
            if approval.state is ApprovalState.ASKED:
                answer(agent, approval=approval.id)
        drifts(agent, 780, memory=6.0)
    assert of_policy(agent, "breaker_open", "wrong")
    done = [each for each in agent.of(Outcome) if each.result is Result.SUCCEEDED]
    assert len(done) <= 6 + 4 + 1  # all, those before it opened, its probe


@pytest.mark.parametrize("happens", [restarts, recreates])
def test_of_a_probe_that_a_person_has_restarted_nothing_can_be_told(happens: Callable[[Host], None]) -> None:
    agent = probing()
    happens(agent)
    waits(agent, 1000)
    assert not of_policy(agent, "breaker_closed")
    agent.docker.health("c7")
    waits(agent, 120)
    assert agent.did[-1] == ("restart", "c7")
    assert len(of_policy(agent, "breaker_half_open")) == 2


TWENTY = tuple(f"c{number}" for number in range(20))


def all_fail(protection: Protection = NO_HOST, *, first: Health = Health.HEALTHY) -> Host:
    """Five of twenty were restarted, and it is known what came of that or not, when all fall sick at once."""
    agent = Host(HEAL, first_start=True, protection=protection, shared_cause=SharedCauseRule())
    for name in TWENTY:
        agent.docker.create(name, silent=True, check=True)
    agent.connect()
    agent.clock.advance(60)
    agent.clear()
    for name in TWENTY[:5]:
        agent.docker.health(name)
    agent.deliver()
    waits(agent, 3)
    for name in TWENTY[:5]:
        agent.docker.health(name, first)
    waits(agent, 4)
    assert len(agent.did) == 5
    for name in TWENTY:
        agent.docker.health(name)
    agent.deliver()
    waits(agent, 60)
    assert notices(agent, "shared_cause")
    return agent


def five_were_revived() -> Host:
    """Five of twenty had crashed, and were restarted."""
    agent = Host(ON_DIE, first_start=True, protection=NO_HOST, shared_cause=SharedCauseRule())
    for name in TWENTY:
        agent.docker.create(name, silent=True)
    agent.connect()
    agent.clock.advance(60)
    agent.clear()
    for name in TWENTY[:5]:
        agent.docker.crash(name)
    agent.deliver()
    agent.carry_out()
    assert len(agent.did) == 5
    return agent


@pytest.mark.parametrize("protection", [NO_HOST, Protection()], ids=["no host's budget", "defaults"])
def test_a_shared_cause_blames_no_policy(protection: Protection) -> None:
    agent = all_fail(protection)
    while not notices(agent, "shared_cause_over"):
        waits(agent, 5)
    waits(agent, 20)
    assert len(agent.did) > 5
    assert not of_policy(agent, "breaker_open")


def test_what_did_not_help_as_all_failed_blames_no_policy() -> None:
    agent = all_fail(first=Health.STARTING)
    assert [each for each in agent.of(Outcome) if each.result is Result.INEFFECTIVE]
    assert not of_policy(agent, "breaker_open")


@pytest.mark.parametrize("order", [TWENTY, TWENTY[::-1]], ids=["restarted first", "restarted last"])
@pytest.mark.parametrize("one_by_one", [False, True], ids=["told at once", "one by one"])
@pytest.mark.parametrize("ran", [8, 15])
def test_all_that_crash_at_once_blame_no_policy_whoever_is_told_of_first(
    ran: int, one_by_one: bool, order: tuple[str, ...]
) -> None:
    agent = five_were_revived()
    waits(agent, ran)
    for name in order:
        agent.docker.crash(name)
    agent.deliver(one_by_one=one_by_one)
    agent.carry_out()
    assert notices(agent, "shared_cause")
    waits(agent, 60)
    while not notices(agent, "shared_cause_over"):
        waits(agent, 5)
    waits(agent, 20)
    opens = of_policy(agent, "breaker_open", "revive")
    closes = of_policy(agent, "breaker_closed", "revive")
    assert len(opens) == len(closes) == (1 if one_by_one and order == TWENTY else 0)
    assert all("many containers have failed at once" in each.reason and each.at == opens[0].at for each in closes)
    assert len(agent.did) > 5
    assert all(mark["in_vain"] is None for mark in agent.store_records("policy_use").values())


def test_what_was_in_vain_before_the_others_failed_stays_so() -> None:
    agent = five_were_revived()
    waits(agent, 8)
    for name in TWENTY[:5]:
        agent.docker.crash(name)
        agent.deliver()
    (told,) = of_policy(agent, "breaker_open", "revive")
    waits(agent, 130)
    for name in TWENTY[5:]:
        agent.docker.crash(name)
    agent.deliver()
    waits(agent, 5)
    (cause,) = notices(agent, "shared_cause")
    assert cause.at - told.at > 120
    assert not of_policy(agent, "breaker_closed", "revive")


def test_what_is_remembered_of_it_is_not_taken_for_the_use_of_what_is_pruned() -> None:
    agent = host(HEAL, *NAMES, protection=NO_HOST, check=True)
    sick_in_turn(agent, 1)
    assert agent.store_records("use") == {}
    assert set(agent.store_records("policy_use")) == {"heal\0c0"}


@pytest.mark.parametrize("away", [False, True], ids=["there", "away"])
def test_what_another_policy_of_that_name_did_counts_no_more(away: bool) -> None:
    agent = host(HEAL, *NAMES, protection=NO_HOST, check=True)
    sick_in_turn(agent, 4)
    waits(agent, 30)
    if away:
        agent.policies = policy_set(ANOTHER)
        killed(agent)
    else:
        agent.see(policy_set(ANOTHER))
    sick_in_turn(agent, 1, first=6)
    waits(agent, 30)
    assert ("restart", "c6") in agent.did
    assert not of_policy(agent, "breaker_open")


def test_a_probe_that_is_renamed_is_the_probe_still() -> None:
    agent = probing()
    did = len(agent.did)
    agent.docker.rename("c6", "c66")
    agent.deliver()
    agent.docker.health("c7")
    waits(agent, 300)
    assert len(agent.did) == did
    waits(agent, 400)
    (closed,) = of_policy(agent, "breaker_closed")
    assert closed.reason.endswith("what it did to c66 has lasted")
