"""Whether a restart has helped: told once, whoever else acts meanwhile, over restarts of agent and engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core import INSTALL_ID, Host, now
from tests.support.schema import validate_message
from tests.support.store import FakeStore
from watchtower_agent.model.container import Health
from watchtower_agent.model.observation import EngineLost, GapObserved
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Budget
from watchtower_agent.ports.store import LedgerRow

PATIENT = "cooldown: 1h, then"
SICK = '  - {name: heal, select: {name: "*"}, when: health == "unhealthy", then: {restart: {}}}\n'
ON_DIE = '  - {name: revive, select: {name: "*"}, on: {container: die}, then: {start: {}}}\n'
ONCE_SICK, ONCE = SICK.replace("then", PATIENT), ON_DIE.replace("then", PATIENT)
DEADLINE = 40
"""Of a container that is checked every 5 s."""


def host(policies: str, *, check: bool = True, restart_policy: str = "no") -> Host:
    made = Host(policies, first_start=True, protection=Protection(host_budget=Budget(most=1000, per=1.0)))
    made.docker.create("web", silent=True, check=check, restart_policy=restart_policy)
    made.connect()
    made.clock.advance(60)
    made.clear()
    return made


def restarted(policies: str = ONCE_SICK, *, restart_policy: str = "no") -> Host:
    """It was unhealthy and was restarted a moment ago."""
    agent = host(policies, restart_policy=restart_policy)
    agent.docker.health()
    agent.deliver()
    agent.tick(2)
    (outcome,) = agent.carry_out()
    assert outcome.result is Result.SUCCEEDED
    return agent


def started(policies: str = ONCE, **known: str) -> Host:
    """It had ended, and was started a moment ago; it has no health check."""
    agent = host(policies, check=False, **known)
    agent.docker.crash()
    agent.deliver()
    if known:
        agent.docker.settles()
        agent.tick(3)
    (outcome,) = agent.carry_out()
    assert outcome.result is Result.SUCCEEDED
    return agent


def ineffective(agent: Host) -> list[Outcome]:
    return [outcome for outcome in agent.of(Outcome) if outcome.result is Result.INEFFECTIVE]


def row(agent: Host) -> LedgerRow:
    """The newest of the ledger."""
    return next(iter(now(agent.store.history(limit=1))))


def no_verdict(agent: Host) -> bool:
    outcome = row(agent).outcome
    assert outcome is not None
    return outcome.verified_at is None and not ineffective(agent)


# --- what it was of use ---------------------------------------------------------------------------------------------


def test_a_container_that_is_healthy_in_time_was_helped_and_nobody_is_told() -> None:
    agent = restarted()
    agent.tick(20)
    assert no_verdict(agent)
    agent.docker.health(verdict=Health.HEALTHY)
    agent.tick(2)

    outcome = row(agent).outcome
    assert outcome is not None
    assert outcome.result is Result.SUCCEEDED
    assert outcome.verified_at == pytest.approx(agent.clock.wall, abs=2)
    assert outcome.numbers["well_after"] == pytest.approx(21, abs=2)
    agent.docker.health()
    agent.tick(100)
    assert not ineffective(agent)
    assert not agent.store_records("verifying")


@pytest.mark.parametrize(("verdict", "reason"), [(Health.UNHEALTHY, "unhealthy"), (None, "still starting")])
def test_one_that_is_not_healthy_by_its_time_was_not_helped(verdict: Health | None, reason: str) -> None:
    agent = restarted()
    agent.tick(10)
    if verdict is not None:
        agent.docker.health(verdict=verdict)
    agent.tick(DEADLINE - 12)
    assert not ineffective(agent)
    agent.tick(3)

    (told,) = ineffective(agent)
    assert told.reason == f"{reason} {DEADLINE} s after the restart"
    assert told.numbers["health"] == (verdict or Health.STARTING).value
    assert told.numbers["after"] == pytest.approx(DEADLINE, abs=1)
    assert told.decision.correlation_id == agent.intents[-1].decision.correlation_id
    agent.tick(200)
    assert len(ineffective(agent)) == 1


def test_what_is_published_fits_its_schema_is_a_warning_and_has_the_time_of_the_verdict() -> None:
    agent = restarted()
    agent.tick(DEADLINE + 2)
    (message,) = [each for each in agent.published() if "/action/ineffective/" in each["topic"]]

    assert message["topic"] == "watchtower/v1/h1/event/action/ineffective/web"
    assert message["severity"] == "warning"
    assert message["data"]["result"] == "ineffective"
    (succeeded,) = [each for each in agent.published() if "/action/succeeded/" in each["topic"]]
    assert message["correlationid"] == succeeded["correlationid"]
    assert message["data"]["finished_at"] == succeeded["data"]["finished_at"]
    assert message["time"] > succeeded["time"]
    for step in agent.steps:
        for event in step.events:
            validate_message(event.topic, event.payload)


def test_the_ledger_shows_it_and_counts_it_as_before() -> None:
    agent = restarted()
    (before,) = now(agent.store.load()).acts
    agent.tick(DEADLINE + 2)

    outcome = row(agent).outcome
    assert outcome is not None
    assert outcome.result is Result.INEFFECTIVE
    assert now(agent.store.load()).acts == (replace(before, helped=False),)
    assert len(now(agent.store.history(limit=9))) == 1


def test_one_without_a_health_check_has_to_run_for_ten_seconds() -> None:
    agent = started()
    agent.tick(8)
    assert no_verdict(agent)
    agent.tick(3)

    outcome = row(agent).outcome
    assert outcome is not None
    assert outcome.verified_at is not None
    assert not ineffective(agent)


def test_one_that_ends_again_is_told_at_once() -> None:
    agent = started()
    agent.tick(2)
    agent.docker.crash(code=3)
    agent.deliver()

    (told,) = ineffective(agent)
    assert told.reason == "exited with code 3 after 2.2 s"
    assert told.numbers["exit_code"] == 3
    assert told.numbers["ran_for"] == pytest.approx(2.25, abs=0.1)


def test_one_that_ran_for_long_enough_between_two_looks_was_helped() -> None:
    agent = started()
    agent.clock.advance(11)
    agent.docker.crash(code=3)
    agent.tick(2)

    assert not ineffective(agent)
    assert not no_verdict(agent)


def test_what_the_engine_restarts_by_itself_has_until_its_deadline() -> None:
    agent = started(restart_policy="always")
    for _ in range(16):
        agent.tick()
        agent.docker.crash(code=3)
        agent.deliver()
        agent.clock.advance(1)
        agent.docker.start()
        agent.deliver()
        assert len(ineffective(agent)) == (1 if agent.clock.monotonic >= row_ended(agent) + 30 else 0)

    (told,) = ineffective(agent)
    assert told.reason == "not running for 10 s without a break 30 s after the start"


def row_ended(agent: Host) -> float:
    outcome = row(agent).outcome
    assert outcome is not None
    assert outcome.moment is not None
    return outcome.moment.monotonic


def test_the_next_attempt_ends_the_time_of_the_one_before() -> None:
    agent = restarted(SICK.replace("then", "cooldown: 20s, backoff: {initial: 0s}, then"))
    agent.tick(10)
    agent.docker.health()
    while len(agent.did) == 1:
        agent.tick()

    (told,) = ineffective(agent)
    assert told.reason == "unhealthy 20 s after the restart"
    assert told.decision.id == agent.intents[0].decision.id
    agent.carry_out()
    agent.docker.health(verdict=Health.HEALTHY)
    agent.tick(2)
    assert len(ineffective(agent)) == 1
    outcome = row(agent).outcome
    assert outcome is not None
    assert outcome.verified_at is not None


def test_one_that_crashes_and_is_started_at_once_is_told_of_each_start() -> None:
    agent = started(ON_DIE.replace("then", "cooldown: 0s, backoff: {initial: 0s}, then"))
    for _ in range(3):
        agent.clock.advance(2)
        agent.docker.crash(code=3)
        agent.deliver()
        agent.carry_out()

    assert [told.reason for told in ineffective(agent)] == ["exited with code 3 after 2.2 s"] * 3


# --- what is no verdict ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restart_policy", ["no", "always"])
@pytest.mark.parametrize("act", ["stop", "restart", "kill"])
def test_what_a_person_does_meanwhile_is_not_the_restarts_doing(act: str, restart_policy: str) -> None:
    agent = restarted(restart_policy=restart_policy)
    agent.tick(5)
    getattr(agent.docker, act)()
    agent.tick(DEADLINE + 400)

    assert no_verdict(agent)
    assert not agent.store_records("verifying")


def test_a_person_who_starts_what_has_ended_again_is_somebody_else() -> None:
    agent = started()
    agent.clock.advance(3)
    agent.docker.crash()
    agent.clock.advance(3)
    agent.docker.start()
    agent.docker.lose_events()
    agent.connect()
    agent.tick(60)

    assert no_verdict(agent)


def test_what_was_healthy_between_two_looks_was_helped() -> None:
    agent = restarted()
    agent.clock.advance(3)
    agent.docker.health(verdict=Health.HEALTHY)
    agent.clock.advance(1)
    agent.docker.crash(code=3)
    agent.deliver()
    agent.tick(DEADLINE + 5)

    assert not no_verdict(agent)
    assert not ineffective(agent)


def test_a_person_who_acts_during_the_call_is_somebody_else() -> None:
    agent = host(ONCE_SICK)
    agent.docker.health()
    agent.deliver()
    agent.tick(2)
    (intent,) = agent.open.values()
    agent.begins(intent)
    agent.docker.kill(signal="15", ends=False)
    agent.docker.kill(signal="15", ends=False)
    agent.docker.do(intent)
    agent.deliver()
    agent.see(Outcome(decision=intent.decision, result=Result.SUCCEEDED, reason="", started_at=0, finished_at=0))
    agent.tick(DEADLINE + 5)

    assert no_verdict(agent)


def test_what_is_removed_or_made_anew_tells_nothing() -> None:
    agent = restarted()
    agent.tick(5)
    agent.docker.remove(force=True)
    agent.docker.create("web", check=True, identity="f" * 64)
    agent.tick(DEADLINE + 5)

    assert no_verdict(agent)
    assert not agent.store_records("verifying")


def test_while_the_engine_is_away_nothing_is_known() -> None:
    agent = restarted()
    agent.tick(5)
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.tick(DEADLINE + 5)
    assert no_verdict(agent)
    agent.docker.health(verdict=Health.HEALTHY)
    agent.connect()
    agent.tick(1)

    assert not no_verdict(agent)
    assert not ineffective(agent)


def test_an_engine_that_stays_away_leaves_it_untold() -> None:
    agent = restarted()
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.tick(DEADLINE + 310)

    assert no_verdict(agent)
    assert not agent.store_records("verifying")


def test_an_engine_that_was_restarted_has_ended_it_otherwise() -> None:
    agent = restarted()
    agent.tick(5)
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.clock.advance(5)
    agent.connect(restarted=True)
    agent.tick(DEADLINE + 5)

    assert no_verdict(agent)


def test_who_is_paused_is_waited_for() -> None:
    agent = restarted()
    agent.docker.pause()
    agent.tick(DEADLINE + 20)
    assert no_verdict(agent)
    agent.docker.unpause()
    agent.tick(2)

    assert len(ineffective(agent)) == 1


def test_what_the_engine_refused_is_not_looked_at() -> None:
    agent = host(ONCE_SICK)
    agent.docker.health()
    agent.deliver()
    agent.tick(2)
    (intent,) = agent.open.values()
    agent.begins(intent)
    agent.see(Outcome(decision=intent.decision, result=Result.FAILED, reason="no", started_at=0, finished_at=0))
    agent.tick(DEADLINE + 5)

    assert no_verdict(agent)


def test_a_stop_is_not_looked_at() -> None:
    agent = host(SICK.replace("restart", "stop"))
    agent.docker.health()
    agent.deliver()
    agent.tick(2)
    agent.carry_out()
    agent.tick(DEADLINE + 5)

    assert agent.did == [("stop", "web")]
    assert no_verdict(agent)


# --- what it survives -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.0, 7200.0, -7200.0])
def test_an_agent_that_was_killed_goes_on_looking(step: float) -> None:
    agent = restarted()
    agent.tick(5)
    agent.clock.step_wall(step)
    agent.dies(away=10)
    agent.comes_back()
    agent.tick(DEADLINE - 18)
    assert not ineffective(agent)
    agent.tick(5)

    (told,) = ineffective(agent)
    assert told.reason == f"still starting {DEADLINE} s after the restart"
    agent.dies(away=1)
    agent.comes_back()
    agent.tick(100)
    assert len(ineffective(agent)) == 1


@pytest.mark.parametrize("step", [7200.0, -7200.0])
def test_a_step_of_the_wall_clock_changes_nothing(step: float) -> None:
    for well in (True, False):
        agent = started()
        agent.tick(2)
        agent.clock.step_wall(step)
        agent.tick(11 if well else 1)
        if not well:
            agent.docker.crash(code=3)
        agent.tick(40)
        assert len(ineffective(agent)) == (0 if well else 1), step


def test_what_a_crash_of_the_agent_interrupted_is_looked_at_too() -> None:
    agent = host(ONCE_SICK)
    agent.docker.health()
    agent.deliver()
    agent.tick(2)
    (intent,) = agent.open.values()
    agent.begins(intent)
    agent.docker.do(intent)
    agent.dies(away=2)
    agent.comes_back()
    agent.tick(DEADLINE + 3)

    (told,) = ineffective(agent)
    assert told.decision.id == intent.decision.id
    assert told.numbers["engine_did_it"] is True


def test_a_store_that_is_lost_is_told_again_what_is_looked_at() -> None:
    agent = restarted()
    agent.store = FakeStore(install_id=INSTALL_ID)
    agent.see(GapObserved(reason="store_reset", since=agent.clock.wall, until=agent.clock.wall))
    agent.dies(away=1)
    agent.comes_back()
    agent.tick(DEADLINE + 3)

    assert len(ineffective(agent)) == 1


@pytest.mark.parametrize("value", [{}, {"since": 5}, {"decision": {}, "since": {"at": 1, "monotonic": 1, "boot": "b"}}])
def test_what_can_not_be_read_is_not_looked_at(value: dict[str, object]) -> None:
    agent = restarted()
    (target,) = agent.store_records("verifying")
    agent.remember("verifying", target, value)
    agent.dies(away=1)
    agent.comes_back()
    agent.tick(DEADLINE + 3)

    assert not ineffective(agent)
