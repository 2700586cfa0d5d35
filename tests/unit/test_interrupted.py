"""kill -9 at every step between die, intent, engine call and outcome: what the next run finds out, says and does."""

from __future__ import annotations

from typing import cast

import pytest

from tests.support.core import NOW, Host, container, container_id, ended, event, now
from watchtower_agent.model.commit import Commit, Record
from watchtower_agent.model.container import Container, ContainerStatus, Health
from watchtower_agent.model.decision import Decision, Number, Target, TargetKind, Verb
from watchtower_agent.model.observation import ContainerObserved, EventsObserved
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.state.attribution import EndCause
from watchtower_agent.state.interrupted import Interrupted, deadline, engine_did, left_stopped

ON_DIE = '  - {name: revive, select: {name: "*"}, on: {container: die}, then: {restart: {}}}\n'
ON_SICK = """
  - name: heal
    select: {name: "*"}
    on: {container: health_status}
    where: health == "unhealthy"
    then: {restart: {}}
"""
SICK = '  - {name: heal, select: {name: "*"}, when: health == "unhealthy", then: {restart: {stop_timeout: 3s}}}\n'


def host(policies: str = ON_DIE, *, check: bool = False) -> Host:
    made = Host(policies, first_start=True)
    made.docker.create(silent=True, check=check)
    made.connect()
    made.clock.advance(60)
    return made


def interrupted(agent: Host) -> list[Outcome]:
    return [each for each in agent.of(Outcome) if each.result is Result.INTERRUPTED]


def ledger(agent: Host) -> list[str]:
    return [row.outcome.result.value if row.outcome else "open" for row in now(agent.store.history(limit=99))]


# --- the agent died after the intent ------------------------------------------------------------------------------


def test_the_engine_was_never_asked_so_it_is_wanted_again_within_its_cooldown() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    first = agent.intents[0]
    agent.dies(away=2)
    agent.comes_back()

    agent.tick(12)
    assert interrupted(agent) == []
    assert agent.did == [("restart", "web")]
    agent.tick(2)
    (outcome,) = interrupted(agent)
    assert outcome.numbers["engine_did_it"] is False
    assert "the engine did not restart web" in outcome.reason
    agent.tick(28)
    assert len(agent.did) == 1
    agent.tick(2)

    assert agent.did == [("restart", "web")] * 2
    assert agent.intents[1].decision.id != first.decision.id
    assert agent.intents[1].decision.correlation_id == first.decision.correlation_id
    agent.carry_out()
    assert ledger(agent) == ["succeeded", "interrupted"]


@pytest.mark.parametrize("lost", [True, False], ids=["events lost", "events replayed"])
def test_the_engine_did_it_and_nothing_is_done_twice(*, lost: bool) -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.begins(agent.intents[0])
    agent.docker.do(agent.intents[0])
    agent.dies(away=2)
    agent.comes_back(lost=lost)
    agent.tick(60)

    (outcome,) = interrupted(agent)
    assert outcome.numbers["engine_did_it"] is True
    assert agent.did == [("restart", "web")]
    assert agent.record().operator is None
    assert ledger(agent) == ["interrupted"]


def test_the_engine_did_it_and_the_agent_had_seen_that_already() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.begins(agent.intents[0])
    agent.docker.do(agent.intents[0])
    agent.read(one_by_one=True)
    agent.dies(away=1)
    agent.docker.crash()
    agent.comes_back()

    assert agent.record().end_cause is EndCause.ITSELF
    agent.tick(60)
    assert len(agent.did) == 2
    assert ledger(agent) == ["open", "interrupted"]


def test_the_container_was_removed_meanwhile() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.docker.remove()
    agent.dies(away=1)
    agent.comes_back(lost=True)

    (outcome,) = interrupted(agent)
    assert "web is gone" in outcome.reason
    assert ledger(agent) == ["interrupted"]


def test_the_container_is_removed_while_the_agent_waits_for_the_engine() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.dies(away=1)
    agent.comes_back()
    assert interrupted(agent) == []

    agent.docker.remove()
    agent.deliver()

    assert ledger(agent) == ["interrupted"]


def test_the_container_was_seen_to_be_removed_before_the_agent_could_write_down_the_outcome() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.docker.remove()
    agent.read()
    agent.dies(away=1)
    agent.comes_back()

    (outcome,) = interrupted(agent)
    assert "web is gone" in outcome.reason
    assert ledger(agent) == ["interrupted"]


@pytest.mark.parametrize("lost", [True, False], ids=["events lost", "events replayed"])
def test_the_engine_got_no_further_than_the_stop(*, lost: bool) -> None:
    agent = host(SICK, check=True)
    agent.docker.health()
    agent.deliver()
    agent.tick(1)
    assert agent.did == [("restart", "web")]
    agent.docker.stop()
    agent.dies(away=20)
    agent.comes_back(lost=lost)
    agent.tick(40)

    assert len(interrupted(agent)) == 1
    assert agent.did == [("restart", "web")] * 2


def test_until_it_is_known_what_became_of_it_nothing_else_is_done_to_it() -> None:
    agent = host(SICK.replace("then", "cooldown: 0s, backoff: {initial: 0s}, then"), check=True)
    agent.docker.health()
    agent.deliver()
    agent.tick(1)
    agent.dies(away=1)
    agent.comes_back()
    agent.tick(6)
    assert agent.did == [("restart", "web")]
    assert interrupted(agent) == []
    agent.tick(3)

    assert len(interrupted(agent)) == 1
    assert agent.did == [("restart", "web")] * 2


def test_a_person_who_stops_it_long_after_the_crash_is_respected() -> None:
    agent = host(SICK, check=True)
    agent.docker.health()
    agent.deliver()
    agent.tick(1)
    agent.dies(away=600)
    agent.docker.stop()
    agent.comes_back()
    agent.tick(60)

    assert ledger(agent) == ["interrupted"]
    assert agent.did == [("restart", "web")]
    assert agent.record().end_cause is EndCause.OPERATOR


def test_what_was_wanted_for_an_event_that_is_not_true_any_more_is_not_wanted_again() -> None:
    agent = host(ON_SICK, check=True)
    agent.docker.health()
    agent.deliver()
    assert agent.did == [("restart", "web")]
    agent.dies(away=20)
    agent.docker.health(verdict=Health.HEALTHY)
    agent.comes_back()
    agent.tick(60)

    assert ledger(agent) == ["interrupted"]
    assert agent.did[1:] == []


def test_the_last_events_of_our_own_action_come_after_its_outcome_and_a_crash() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    intent = agent.intents[0]
    agent.begins(intent)
    agent.docker.do(intent)
    agent.clock.advance(0.3)
    agent.see(
        Outcome(
            decision=intent.decision,
            result=Result.SUCCEEDED,
            reason="done",
            started_at=agent.clock.wall - 0.3,
            finished_at=agent.clock.wall,
        )
    )
    agent.dies(away=5)
    agent.comes_back()

    record = agent.record()
    assert record.operator is None
    assert (record.restarts, record.restarts_by_agent) == (1, 1)


def test_an_action_that_no_ledger_knows_hides_no_crash() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.begins(agent.intents[0])
    agent.docker.do(agent.intents[0])
    agent.clock.advance(0.1)
    agent.read(one_by_one=True)
    stored = now(agent.store.load()).records["container"][container_id("web")]
    own = {
        **cast("dict[str, object]", stored["own"]),
        "ended": None,
        "complete": False,
        "begun_again": None,
        "seen": [],
    }
    agent.see(ended(agent.intents[0], Result.SUCCEEDED, agent.clock.wall, agent.clock.wall))
    agent.tick(40)
    damaged = Record(kind="container", key=container_id("web"), value={**stored, "own": own})
    now(agent.store.commit(Commit(records=(damaged,))))
    agent.dies(away=1)
    agent.comes_back()
    agent.docker.crash()
    agent.deliver()

    assert agent.did == [("restart", "web")] * 2


def test_the_agent_asks_again_when_nobody_answers() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.dies(away=1)
    agent.comes_back()
    asked = 0
    for _ in range(60):
        agent.clock.advance(1)
        agent.to_inspect.clear()
        agent.see(agent.sample({}))
        asked += container_id("web") in agent.to_inspect

    assert 4 <= asked <= 5


# --- what an inspection tells ----------------------------------------------------------------------------------------


def intent(verb: Verb, before: float | None = NOW - 3600, **parameters: Number) -> Intent:
    decision = Decision(
        id="d",
        policy="p",
        target=Target(kind=TargetKind.CONTAINER, id=container_id("web"), name="web"),
        verb=verb,
        reason="",
        parameters=parameters,
        correlation_id="c",
        decided_at=NOW,
        expires_at=NOW + 2,
    )
    return Intent(decision=decision, at=NOW, started_at_before=before)


EXITED = ContainerStatus.EXITED
PAUSED = ContainerStatus.PAUSED


@pytest.mark.parametrize(
    ("asked", "found", "did"),
    [
        (intent(Verb.RESTART), container(started_at=NOW + 0.1), True),
        (intent(Verb.RESTART), container(started_at=NOW - 0.9), True),
        (intent(Verb.RESTART), container(started_at=NOW - 1.1), False),
        (intent(Verb.RESTART, NOW - 0.5), container(started_at=NOW - 0.5), False),
        (intent(Verb.RESTART, None), container(started_at=NOW + 1), True),
        (intent(Verb.RESTART), container(started_at=NOW + 1, status=EXITED), True),
        (intent(Verb.RESTART), container(status=EXITED), False),
        (intent(Verb.RESTART), container(started_at=None), False),
        (intent(Verb.START), container(), True),
        (intent(Verb.START), container(status=EXITED), False),
        (intent(Verb.STOP), container(status=EXITED), True),
        (intent(Verb.STOP), container(), False),
        (intent(Verb.STOP), container(status=PAUSED), False),
        (intent(Verb.KILL), container(status=EXITED), True),
        (intent(Verb.KILL), container(), False),
        (intent(Verb.KILL, signal="SIGTERM"), container(), False),
        (intent(Verb.KILL, signal="SIGUSR1"), container(), None),
        (intent(Verb.KILL, signal="SIGUSR1"), container(stop_signal="SIGUSR1"), False),
        (intent(Verb.PAUSE), container(status=PAUSED), True),
        (intent(Verb.PAUSE), container(), False),
        (intent(Verb.UNPAUSE), container(), True),
        (intent(Verb.UNPAUSE), container(status=PAUSED), False),
    ],
)
def test_whether_the_engine_did_it(asked: Intent, found: Container, *, did: bool | None) -> None:
    assert engine_did(asked, found) is did


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (intent(Verb.RESTART), 15),
        (intent(Verb.RESTART, stop_timeout=60), 65),
        (intent(Verb.RESTART, stop_timeout=0), 5),
        (intent(Verb.STOP, stop_timeout=None), 15),
        (intent(Verb.START), 5),
        (intent(Verb.KILL), 5),
    ],
)
def test_until_when_the_engine_must_have_done_it(asked: Intent, seconds: float) -> None:
    assert deadline(asked) == NOW + seconds


@pytest.mark.parametrize(
    ("asked", "found", "left"),
    [
        (intent(Verb.RESTART), container(status=EXITED, finished_at=NOW + 3), True),
        (intent(Verb.RESTART), container(status=EXITED, finished_at=NOW + 16), False),
        (intent(Verb.RESTART), container(status=EXITED, finished_at=NOW - 2), False),
        (intent(Verb.RESTART), container(status=EXITED, finished_at=None), False),
        (intent(Verb.RESTART), container(finished_at=NOW + 3), False),
        (intent(Verb.STOP), container(status=EXITED, finished_at=NOW + 3), False),
    ],
)
def test_whether_a_restart_left_it_stopped(asked: Intent, found: Container, *, left: bool) -> None:
    seen = ContainerObserved(container_id=found.id, container=found, after_position=0, at=NOW + 20)

    assert left_stopped(asked, seen) is left


@pytest.mark.parametrize(("at", "resolved"), [(14.9, False), (15.0, True)])
def test_that_it_did_not_is_only_believed_once_its_time_is_over(at: float, *, resolved: bool) -> None:
    unsettled = Interrupted()
    unsettled.add(intent(Verb.RESTART), NOW)
    seen = ContainerObserved(container_id=container_id("web"), container=container(), after_position=0, at=NOW + at)

    assert (unsettled.resolve(seen, NOW + at) is not None) is resolved
    assert bool(unsettled.intents) is not resolved


def test_a_signal_that_leaves_no_trace_is_said_and_not_sent_again() -> None:
    agent = host('  - {name: p, select: {name: "*"}, on: {container: oom}, then: {kill: {signal: USR1}}}')
    agent.see(EventsObserved(events=(event("oom", at=agent.clock.wall, position=agent.position + 1),)))
    agent.dies(away=1)
    agent.comes_back()
    agent.tick(60)

    (outcome,) = interrupted(agent)
    assert outcome.numbers["engine_did_it"] is None
    assert "can't be told" in outcome.reason
    assert agent.did == [("kill", "web")]
