"""Calls to the engine that ended without telling what it did: found out, said truly, and wanted still if need be."""

from __future__ import annotations

import pytest

from tests.support.core import Host, now
from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Held
from watchtower_agent.model.outcome import Intent, Outcome, Result, Unsettled

SICK = '  - {name: heal, select: {name: "*"}, when: health == "unhealthy", then: {restart: {stop_timeout: 3s}}}\n'
SLOW = '  - {name: heal, select: {name: "*"}, when: health == "unhealthy", then: {restart: {}}, cooldown: 1s}\n'
START = '  - {name: revive, select: {name: "*"}, on: {container: die}, then: {start: {}}}\n'
REVIVE = '  - {name: revive, select: {name: "*"}, on: {container: die}, then: {restart: {}}}\n'
LOST = "the engine hung up before it answered"
REFUSED = "the engine refused (500): no such mount"


def sick(policies: str = SICK, stop_timeout: float | None = None) -> tuple[Host, Intent]:
    """A container that is unhealthy, and its restart has begun."""
    agent = Host(policies, first_start=True)
    agent.docker.create(silent=True, check=True, stop_timeout=stop_timeout)
    agent.connect()
    agent.clock.advance(60)
    agent.docker.health()
    agent.deliver()
    agent.tick(2)
    (intent,) = agent.intents
    agent.begins(intent)
    return agent, intent


def call_ends(agent: Host, intent: Intent, *, answered: bool) -> None:
    agent.open.pop(intent.decision.target.id, None)
    agent.see(
        Unsettled(
            intent=intent, reason=REFUSED if answered else LOST, answered=answered, started_at=agent.clock.wall - 0.1
        )
    )
    agent.inspect()


def outcomes(agent: Host) -> list[tuple[Result, str]]:
    return [(each.result, each.reason) for each in agent.of(Outcome)]


def ledger(agent: Host) -> list[str]:
    return [row.outcome.result.value if row.outcome else "open" for row in now(agent.store.history(limit=99))]


# --- refused: it is known at once ----------------------------------------------------------------------------------


def test_a_restart_that_got_no_further_than_its_stop_is_wanted_until_the_container_is_up() -> None:
    agent, intent = sick()
    agent.docker.stop()
    agent.deliver()
    call_ends(agent, intent, answered=True)

    assert outcomes(agent) == [(Result.FAILED, f"{REFUSED}; the engine did not restart web")]
    assert ledger(agent)[-1] == "failed"
    agent.tick(2)
    assert [held.guard for held in agent.of(Held)][-1] in {"cooldown", "backoff"}
    assert agent.waiting, "it is wanted still, though nothing is unhealthy any more"
    agent.tick(60)
    assert agent.did == [("restart", "web")] * 2
    agent.carry_out()
    assert agent.docker.find("web").running
    assert agent.of(Outcome)[-1].result is Result.SUCCEEDED


def test_each_try_that_is_refused_is_followed_by_another_until_the_breaker_says_enough() -> None:
    agent, intent = sick()
    agent.docker.stop()
    agent.deliver()
    call_ends(agent, intent, answered=True)
    for _ in range(1500):
        agent.tick()
        for each in list(agent.open.values()):
            agent.begins(each)
            call_ends(agent, each, answered=True)

    assert len(agent.did) == 5
    assert agent.guards[-1] == "breaker"
    assert agent.waiting


def test_a_restart_that_was_refused_outright_leaves_it_to_the_condition() -> None:
    agent, intent = sick()
    call_ends(agent, intent, answered=True)

    assert outcomes(agent) == [(Result.FAILED, f"{REFUSED}; the engine did not restart web")]
    agent.docker.health(verdict=Health.HEALTHY)
    agent.deliver()
    agent.tick(120)
    assert agent.did == [("restart", "web")]


@pytest.mark.parametrize(("after", "again"), [(1.0, True), (10.0, False)])
def test_who_was_stopped_long_after_a_call_that_never_was_answered_stays_stopped(after: float, again: bool) -> None:
    # The engine has the signals and the stop of both in one order: only how soon they come tells.
    agent, intent = sick()
    agent.clock.advance(after)
    agent.docker.stop()
    agent.deliver()
    call_ends(agent, intent, answered=False)
    agent.tick(60)
    for _ in range(60):
        agent.tick()
        agent.carry_out()

    assert outcomes(agent)[0] == (Result.FAILED, f"{LOST}; the engine did not restart web")
    assert agent.docker.find("web").running is again
    assert len(agent.did) == 1 + again


def test_whom_a_person_stopped_under_it_stays_stopped() -> None:
    agent, intent = sick()
    agent.docker.kill(signal="2")  # which is not what a restart sends
    agent.deliver()
    call_ends(agent, intent, answered=True)
    agent.tick(120)

    assert agent.did == [("restart", "web")]


def test_a_start_that_was_refused_is_tried_again() -> None:
    agent = Host(START)
    agent.docker.create(silent=True)
    agent.relist()
    agent.deliver()
    agent.clock.advance(60)
    agent.docker.crash()
    agent.deliver()
    agent.tick()
    (intent,) = agent.intents
    agent.begins(intent)
    agent.open.clear()
    at = agent.clock.wall
    agent.see(Outcome(decision=intent.decision, result=Result.FAILED, reason=REFUSED, started_at=at, finished_at=at))
    agent.tick(60)

    assert agent.did == [("start", "web")] * 2


# --- no answer: it may be at it still ------------------------------------------------------------------------------


def test_while_it_is_not_known_nothing_else_is_done_to_it_and_then_the_engine_is_believed() -> None:
    agent, intent = sick()
    call_ends(agent, intent, answered=False)
    agent.tick(3)
    assert outcomes(agent) == []
    assert ledger(agent) == ["open"]
    agent.docker.do(intent)
    agent.deliver()

    (outcome, *_) = agent.of(Outcome)
    assert (outcome.result, outcome.reason) == (Result.SUCCEEDED, f"{LOST}; the engine did restart web")
    (restart,) = [told for told in agent.published() if told["type"] == "io.watchtower.container.restart.v1"]
    assert restart["correlationid"] == intent.decision.correlation_id
    agent.tick(120)
    assert agent.did == [("restart", "web")]


def test_what_the_engine_did_late_is_the_agents_own_doing() -> None:
    agent, intent = sick()
    call_ends(agent, intent, answered=False)
    agent.clock.advance(60)  # frozen
    agent.relist()  # and back
    agent.inspect()
    assert outcomes(agent) == [], "it does now what it was asked for before"
    agent.tick(4)
    agent.docker.do(intent)
    agent.deliver()

    assert agent.of(Outcome)[0].result is Result.SUCCEEDED
    assert agent.record().operator is None
    assert [held for held in agent.of(Held) if held.guard == "operator_intent"] == []


def test_that_it_did_nothing_is_believed_once_it_had_its_time() -> None:
    agent, intent = sick()
    call_ends(agent, intent, answered=False)
    agent.tick(7)
    assert outcomes(agent) == []
    agent.tick(12)

    assert outcomes(agent)[0] == (Result.FAILED, f"{LOST}; the engine did not restart web")
    assert agent.of(Outcome)[0].numbers["engine_did_it"] is False


def test_a_container_with_a_long_stop_timeout_of_its_own_has_that_time() -> None:
    agent, intent = sick(SLOW, stop_timeout=40.0)
    call_ends(agent, intent, answered=False)
    agent.tick(39)
    assert outcomes(agent) == [], "the engine is at it still"
    agent.docker.do(intent)
    agent.deliver()
    agent.tick(20)

    assert outcomes(agent)[0] == (Result.SUCCEEDED, f"{LOST}; the engine did restart web")
    assert agent.did == [("restart", "web")]


def test_that_it_did_nothing_in_that_time_is_believed_as_well() -> None:
    agent, intent = sick(SLOW, stop_timeout=40.0)
    call_ends(agent, intent, answered=False)
    agent.tick(58)

    assert outcomes(agent)[0] == (Result.FAILED, f"{LOST}; the engine did not restart web")


def test_an_engine_that_was_killed_between_stop_and_start_leaves_nothing_down() -> None:
    agent, intent = sick()
    agent.docker.stop()
    agent.read()
    call_ends(agent, intent, answered=False)
    agent.clock.advance(5)
    agent.relist()
    agent.tick(20)
    assert outcomes(agent)[0] == (Result.FAILED, f"{LOST}; the engine did not restart web")
    agent.tick(60)
    agent.carry_out()

    assert agent.docker.find("web").running


def test_the_agent_may_die_before_it_knows() -> None:
    agent, intent = sick()
    agent.docker.stop()
    agent.deliver()
    call_ends(agent, intent, answered=False)
    agent.dies(away=3)
    agent.comes_back()
    agent.tick(30)

    assert agent.of(Outcome)[0].result is Result.INTERRUPTED
    agent.tick(60)
    agent.carry_out()
    assert agent.docker.find("web").running


def test_a_container_that_was_removed_meanwhile_ends_the_question() -> None:
    agent, intent = sick()
    call_ends(agent, intent, answered=False)
    agent.docker.remove()
    agent.deliver()

    assert outcomes(agent) == [(Result.FAILED, f"{LOST}; web is gone")]


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
def test_a_step_of_the_clock_makes_it_neither_shorter_nor_longer(step: float) -> None:
    agent, intent = sick()
    call_ends(agent, intent, answered=False)
    agent.clock.step_wall(step)
    agent.tick(7)
    assert outcomes(agent) == []
    agent.tick(12)

    assert outcomes(agent)[0][0] is Result.FAILED
