"""kill -9 at every step between die, intent, engine call and outcome: what the next run finds out, says and does."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from tests.support.core import NOW, Docker, Host, container, container_id, ended, event, now
from watchtower_agent.model.approval import ApprovalAnswered
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
HASTY = """
  - name: revive
    select: {name: "*"}
    on: {container: die}
    then: {restart: {}}
    cooldown: 0s
    backoff: {initial: 0s}
"""
SLOW = '  - {name: heal, select: {name: "*"}, when: health == "unhealthy", then: {restart: {}}, cooldown: 10s}\n'
PATIENT = '  - {name: heal, select: {name: "*"}, when: health == "unhealthy", then: {restart: {}}}\n'
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


@pytest.mark.parametrize("away", [1, 20, 42])
def test_a_container_that_takes_its_own_time_to_stop_is_waited_for(away: float) -> None:
    agent = Host(SLOW, first_start=True)
    agent.docker.create(silent=True, check=True, stop_timeout=40.0)
    agent.connect()
    agent.clock.advance(60)
    agent.docker.health()
    agent.deliver()
    agent.tick()
    (asked,) = agent.intents
    agent.begins(asked)
    agent.docker.kill(signal="15", ends=False)  # the engine is asked; the container ignores TERM
    agent.read()
    killed = agent.clock.wall + 40
    agent.dies(away=min(away, 40.0))
    if away > 40:
        killed_and_started(agent)
        agent.clock.advance(away - 40)
    agent.comes_back()
    while agent.clock.wall < killed:
        agent.tick()
        assert interrupted(agent) == [], "the engine is at it still"
        assert len(agent.did) == 1
    if away <= 40:
        killed_and_started(agent)
        agent.deliver()
    agent.tick(60)

    (outcome,) = interrupted(agent)
    assert outcome.reason.endswith("the engine did restart web")
    assert agent.did == [("restart", "web")]
    assert agent.of_guard("operator_intent") == []


def killed_and_started(agent: Host) -> None:
    """What the engine does once the stop timeout is over."""
    agent.docker.kill(signal="9")
    agent.docker.start()
    agent.docker.tell("restart")
    agent.docker.health(verdict=Health.HEALTHY)


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
    assert ledger(agent) == ["open", "ineffective"]  # interrupted, and it has ended again at once


def test_the_engine_was_never_asked_about_one_that_had_been_restarted_a_moment_before() -> None:
    agent = host(HASTY)
    agent.docker.crash()
    agent.deliver()
    agent.see(agent.attempt(agent.intents[0]))
    agent.read()
    agent.clock.advance(0.3)
    agent.docker.crash()
    agent.read()  # before it could be inspected: how its life began is known by the event alone
    assert agent.did == [("restart", "web")] * 2
    agent.dies(away=1)
    agent.comes_back()
    agent.tick(20)

    (outcome,) = interrupted(agent)
    assert outcome.numbers["engine_did_it"] is False
    assert agent.did == [("restart", "web")] * 3


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


@pytest.mark.parametrize("lost", [True, False], ids=["events lost", "events replayed"])
@pytest.mark.parametrize("away", [1.0, 60.0])
@pytest.mark.parametrize("later", [0.5, 3.0, 8.0, 14.0])
@pytest.mark.parametrize("policy", [PATIENT, ON_SICK], ids=["condition", "event"])
def test_a_person_who_stops_it_after_the_intent_of_a_call_that_the_engine_never_got_is_respected(
    policy: str, later: float, away: float, *, lost: bool
) -> None:
    agent = host(policy, check=True)
    agent.docker.health()
    agent.deliver()
    agent.tick(1)
    agent.dies(away=later)
    agent.docker.stop()
    agent.clock.advance(away)
    agent.comes_back(lost=lost)
    for _ in range(60):
        agent.tick()
        agent.carry_out()

    assert agent.did == [("restart", "web")]
    assert not agent.docker.find("web").running
    assert agent.record().end_cause in {EndCause.UNKNOWN, EndCause.OPERATOR}
    (outcome,) = interrupted(agent)
    assert "the engine did not restart web" in outcome.reason


@pytest.mark.parametrize(("verb", "act"), [("stop", Docker.stop), ("kill", Docker.kill)])
@pytest.mark.parametrize(("later", "whose"), [(0.2, EndCause.AGENT), (0.3, EndCause.UNKNOWN)])
def test_of_what_ends_longer_after_an_intent_than_a_call_takes_nobody_knows_whose_doing_it_was(
    verb: str, act: Callable[[Docker], None], later: float, whose: EndCause
) -> None:
    agent = host(ON_SICK.replace("restart", verb), check=True)
    agent.docker.health()
    agent.deliver()
    agent.dies(away=later)
    act(agent.docker)
    agent.comes_back()
    agent.tick(20)

    assert agent.record().end_cause is whose


@pytest.mark.parametrize(("later", "times"), [(0.2, 2), (0.3, 1)])
def test_a_slow_stop_is_ours_by_when_its_signal_was_sent(later: float, times: int) -> None:
    agent = host(PATIENT, check=True)
    agent.docker.health()
    agent.deliver()
    agent.tick(1)
    agent.dies(away=later)
    agent.docker.kill(signal="15", ends=False)
    agent.clock.advance(9)
    agent.docker.crash(code=143)
    agent.docker.tell("stop")
    agent.comes_back()
    agent.tick(60)

    assert agent.did == [("restart", "web")] * times


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
RESTARTING = ContainerStatus.RESTARTING


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
        (intent(Verb.START), container(status=EXITED, started_at=NOW + 0.1), True),  # and has ended again
        (intent(Verb.START), container(status=RESTARTING, started_at=NOW + 0.1), True),
        (intent(Verb.START, NOW - 0.5), container(status=EXITED, started_at=NOW - 0.5), False),
        (intent(Verb.STOP), container(status=EXITED), True),
        (intent(Verb.STOP), container(), False),
        (intent(Verb.STOP), container(started_at=NOW + 3), None),  # ended, by whomever, and started since
        (intent(Verb.STOP), container(status=PAUSED), False),
        (intent(Verb.KILL), container(status=EXITED), True),
        (intent(Verb.KILL), container(), False),
        (intent(Verb.KILL), container(started_at=NOW + 3), None),
        (intent(Verb.KILL, signal="9"), container(), False),
        (intent(Verb.KILL, signal="SIGTERM"), container(), None),
        (intent(Verb.KILL, signal="SIGTERM"), container(status=EXITED), True),
        (intent(Verb.KILL, signal="SIGHUP"), container(), None),
        (intent(Verb.KILL, signal="SIGUSR1"), container(), None),
        (intent(Verb.KILL, signal="SIGUSR1"), container(stop_signal="SIGUSR1"), None),
        (intent(Verb.PAUSE), container(status=PAUSED), True),
        (intent(Verb.PAUSE), container(), False),
        (intent(Verb.UNPAUSE), container(), True),
        (intent(Verb.UNPAUSE), container(status=PAUSED), False),
        (intent(Verb.RESIZE, memory=96.0, cpu=0.7), container(memory_limit=96, cpu_granted=0.70001), True),
        (intent(Verb.RESIZE, memory=96.0, cpu=0.7), container(memory_limit=96, cpu_granted=0.5), False),
        (intent(Verb.RESIZE, memory=96.0, cpu=0.7), container(memory_limit=64, cpu_granted=0.7), False),
        (intent(Verb.RESIZE, memory=96.0), container(memory_limit=96), True),
        (intent(Verb.RESIZE, cpu=0.7), container(memory_limit=96), False),
        (intent(Verb.RESIZE, memory=0), container(memory_limit=96), None),  # lifted: as far as the engine can
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
    assert deadline(asked, None) == NOW + seconds
    assert deadline(asked, container()) == NOW + seconds, "a container without a stop timeout of its own"


@pytest.mark.parametrize(
    ("asked", "own", "seconds"),
    [
        (intent(Verb.RESTART), 40.0, 45),
        (intent(Verb.STOP), 40.0, 45),
        (intent(Verb.RESTART), 0.0, 5),
        (intent(Verb.RESTART), -1.0, 3605),  # the engine waits for ever, the agent does not
        (intent(Verb.RESTART, stop_timeout=3), 40.0, 8),
        (intent(Verb.START), 40.0, 5),
    ],
)
def test_the_containers_own_stop_timeout_counts_where_the_policy_has_none(
    asked: Intent, own: float, seconds: float
) -> None:
    assert deadline(asked, container(stop_timeout=own)) == NOW + seconds


@pytest.mark.parametrize(("at", "resolved"), [(44.9, False), (45.0, True)])
def test_the_inspection_tells_the_stop_timeout_that_was_not_known_before(at: float, *, resolved: bool) -> None:
    unsettled = Interrupted()
    unsettled.add(intent(Verb.RESTART), NOW)
    found = container(stop_timeout=40.0)

    def resolve(moment: float) -> bool:
        seen = ContainerObserved(container_id=found.id, container=found, after_position=0, at=moment)
        return unsettled.resolve(seen, moment) is not None

    assert not resolve(NOW + 15)
    assert resolve(NOW + at) is resolved


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

    assert left_stopped(asked, seen, deadline(asked)) is left


@pytest.mark.parametrize(("at", "resolved"), [(14.9, False), (15.0, True)])
def test_that_it_did_not_is_only_believed_once_its_time_is_over(at: float, *, resolved: bool) -> None:
    unsettled = Interrupted()
    unsettled.add(intent(Verb.RESTART), NOW)
    seen = ContainerObserved(container_id=container_id("web"), container=container(), after_position=0, at=NOW + at)

    assert (unsettled.resolve(seen, NOW + at) is not None) is resolved
    assert bool(unsettled.intents) is not resolved


RELOAD = """
  - name: reload
    select: {name: "*"}
    on: {container: health_status}
    where: health == "unhealthy"
    cooldown: 1s
    then: {kill: {signal: SIGHUP}}
"""


@pytest.mark.parametrize("approved", [False, True], ids=["enforced", "approved"])
def test_a_reload_of_which_no_answer_came_is_not_sent_again(*, approved: bool) -> None:
    agent = host(RELOAD + ("    mode: approve\n" if approved else ""), check=True)
    agent.docker.health()
    agent.deliver()
    agent.tick()
    if approved:
        (asked,) = agent.pipeline.decisions.approving.approvals.waiting()
        agent.see(ApprovalAnswered(approval=asked.id, approves=True, because=""))
        agent.tick()
    agent.begins(agent.intents[0])
    agent.docker.do(agent.intents[0])
    agent.dies(away=1)
    agent.comes_back()
    agent.tick(60)

    (outcome,) = interrupted(agent)
    assert outcome.numbers["engine_did_it"] is None
    assert "whether the engine did kill web can't be told" in outcome.reason
    assert agent.did == [("kill", "web")]


def test_a_job_that_has_ended_again_was_started_all_the_same() -> None:
    agent = host(ON_DIE.replace("restart", "start"))
    agent.docker.crash()
    agent.deliver()
    agent.begins(agent.intents[0])
    agent.docker.do(agent.intents[0])
    agent.clock.advance(0.3)
    agent.docker.crash(code=3)
    agent.dies(away=1)
    agent.comes_back()
    agent.tick(20)

    (outcome,) = interrupted(agent)
    assert outcome.numbers["engine_did_it"] is True
    assert "the engine did start web" in outcome.reason


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
