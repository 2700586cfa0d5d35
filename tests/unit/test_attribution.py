"""Who ended it? What the agent does, and leaves alone, in the engine's real order of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.core import NOW, Docker, Host, ended, event
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Dropped, Guard, Held
from watchtower_agent.model.engine_event import Origin
from watchtower_agent.model.observation import EngineLost, EventsObserved, GapObserved
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.state.attribution import EndCause, signal_ended_it

ON_DIE = """
  - name: revive
    select: {name: "*"}
    on: {container: die}
    then: {restart: {}}
"""
ON_DIE_STOPPED_TOO = ON_DIE + "    restart_stopped: true\n"
SICK = """
  - name: heal
    select: {name: "*"}
    when: health == "unhealthy"
    for: 3s
    then: {restart: {}}
"""


def host(policies: str = ON_DIE, *, check: bool = False, restart_policy: str = "no") -> Host:
    made = Host(policies, first_start=True)
    made.docker.create(silent=True, check=check, restart_policy=restart_policy)
    made.connect()
    made.clock.advance(60)
    return made


def compose_down(docker: Docker) -> None:
    docker.stop()
    docker.remove()


BY_HAND: list[tuple[str, Callable[[Docker], None]]] = [
    ("docker stop", Docker.stop),
    ("docker kill", Docker.kill),
    ("docker kill -s INT", lambda docker: docker.kill(signal="2")),
    ("docker restart", Docker.restart),
    ("docker rm -f", lambda docker: docker.remove(force=True)),
    ("docker compose down", compose_down),
]


@pytest.mark.parametrize("one_by_one", [True, False], ids=["a step each", "one step"])
@pytest.mark.parametrize("act", [act for _, act in BY_HAND], ids=[name for name, _ in BY_HAND])
def test_what_a_person_does_is_left_alone(act: Callable[[Docker], None], *, one_by_one: bool) -> None:
    agent = host()

    act(agent.docker)
    agent.deliver(one_by_one=one_by_one)
    agent.tick(60)

    assert agent.did == []


@pytest.mark.parametrize("act", [Docker.stop, Docker.kill], ids=["stop", "kill"])
def test_why_it_is_left_alone_is_said(act: Callable[[Docker], None]) -> None:
    agent = host()

    act(agent.docker)
    agent.deliver(one_by_one=True)

    held = agent.of(Held)[0]
    assert held.guard == "operator_intent"
    assert "on purpose" in held.reason
    assert "until it is started by hand" in held.reason


@pytest.mark.parametrize(
    ("restarted", "whose"), [(True, "the engine, as it restarted, or someone"), (False, "someone")]
)
def test_what_ends_while_the_engine_restarts_may_be_the_engines_doing(*, restarted: bool, whose: str) -> None:
    """A daemon that goes down, or that comes back after a crash, ends containers with a signal, as a person does."""
    agent = host()
    agent.clock.advance(600)
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.docker.stop()
    agent.clock.advance(2)

    agent.connect(restarted=restarted, origin=Origin.REPLAY)
    agent.tick(400)

    held = agent.of(Held)[-1]
    assert held.guard == "operator_intent"
    assert f"{whose} else ended web on purpose" in held.reason
    assert agent.did == []


@pytest.mark.parametrize("code", [0, 1, 137, 143])
def test_a_crash_is_no_persons_doing_whatever_its_exit_code(code: int) -> None:
    agent = host()

    agent.docker.crash(code=code)
    agent.deliver()

    assert agent.did == [("restart", "web")]


def test_an_oom_kill_is_no_persons_doing() -> None:
    agent = host()

    agent.docker.oom()
    agent.deliver()

    assert agent.did == [("restart", "web")]
    assert agent.record().oom_kills == 1


def test_after_restart_by_hand_it_is_left_alone_for_15_minutes() -> None:
    agent = host(SICK, check=True)
    agent.docker.restart()
    agent.deliver()
    agent.clock.advance(30)
    agent.docker.health()
    agent.deliver()

    agent.tick(15 * 60 - 35)
    assert agent.did == []
    assert set(agent.guards) == {"operator_intent"}
    assert agent.of(Held)[0].release_at == pytest.approx(NOW + 60 + 15 * 60, abs=0.1)
    agent.tick(10)

    assert agent.did == [("restart", "web")]


def test_stopped_by_hand_it_is_left_alone_until_it_is_started_by_hand() -> None:
    agent = host()
    agent.docker.stop()
    agent.deliver()
    agent.clock.advance(24 * 3600)
    agent.tick(2)
    agent.docker.start()
    agent.deliver()
    agent.tick(2)
    assert agent.did == []

    agent.docker.crash()
    agent.deliver()

    assert agent.did == [("restart", "web")]


def test_started_by_hand_it_is_the_agents_again_at_once() -> None:
    agent = host()
    agent.docker.stop()
    agent.docker.start()
    agent.docker.crash()
    agent.deliver()

    assert agent.did == [("restart", "web")]


def test_restart_stopped_acts_at_once_on_what_was_stopped() -> None:
    policies = """
  - {name: up, select: {name: "*"}, when: status == "exited", then: {start: {}}, restart_stopped: true}
"""
    agent = host(policies)
    agent.docker.stop()
    agent.deliver()

    agent.tick(1)
    assert agent.did == []
    assert agent.guards == ["operator_intent"]
    agent.tick(2)

    assert agent.did == [("start", "web")]


@pytest.mark.parametrize("act", [Docker.stop, Docker.kill], ids=["stop", "kill"])
def test_restart_stopped_answers_an_end_by_hand_that_is_an_event(act: Callable[[Docker], None]) -> None:
    agent = host(ON_DIE_STOPPED_TOO)
    act(agent.docker)
    agent.deliver(one_by_one=True)
    assert agent.did == []

    agent.tick(3)

    assert agent.did == [("restart", "web")]


@pytest.mark.parametrize(
    "act", [Docker.restart, compose_down, lambda docker: docker.remove(force=True)], ids=["restart", "down", "rm -f"]
)
def test_restart_stopped_is_no_race_with_a_restart_or_removal_by_hand(act: Callable[[Docker], None]) -> None:
    agent = host(ON_DIE_STOPPED_TOO)
    act(agent.docker)
    agent.deliver(one_by_one=True)
    agent.tick(60)

    assert agent.did == []


def test_without_restart_stopped_it_stays_stopped_however_long() -> None:
    agent = host('  - {name: up, select: {name: "*"}, when: status == "exited", then: {start: {}}}')
    agent.docker.stop()
    agent.deliver()
    agent.clock.advance(3600)

    agent.tick(5)

    assert agent.did == []
    assert set(agent.guards) == {"operator_intent"}


def test_between_the_stop_signal_and_the_end_nobody_restarts_it() -> None:
    agent = host(SICK, check=True)
    agent.docker.health()
    agent.deliver()
    agent.tick(1)
    agent.docker.kill(signal="15", ends=False)
    agent.deliver()

    agent.tick(9)

    assert agent.did == []
    assert agent.guards == ["operator_intent"]


@pytest.mark.parametrize(
    ("signal", "stop_signal", "later", "hands_off"),
    [
        ("15", "SIGTERM", 1, True),
        ("SIGTERM", "SIGTERM", 1, True),
        ("term", "SIGTERM", 1, True),
        ("9", "SIGTERM", 1, True),
        ("2", "SIGTERM", 600, True),
        ("2", "SIGTERM", 3600, False),
        ("9", "SIGTERM", 3600, True),
        ("3", "SIGTERM", 1, True),
        ("3", "SIGTERM", 21, False),
        ("37", "SIGTERM", 1, False),
        ("37", "37", 1, True),
        ("SIGUSR1", "SIGTERM", 1, False),
        ("SIGUSR1", "SIGUSR1", 1, True),
        ("WINCH", "SIGTERM", 1, False),
        ("1", "SIGTERM", 9, True),
        ("HUP", "SIGTERM", 11, False),
        ("", "SIGTERM", 1, True),
    ],
)
def test_which_signal_counts_as_an_end(signal: str, stop_signal: str, later: float, *, hands_off: bool) -> None:
    agent = Host(ON_DIE, first_start=True)
    agent.docker.create(silent=True, stop_signal=stop_signal)
    agent.connect()
    agent.docker.kill(signal=signal, ends=False)
    agent.deliver()
    agent.clock.advance(later)
    agent.docker.crash()
    agent.deliver()

    assert agent.did == ([] if hands_off else [("restart", "web")])


@pytest.mark.parametrize("signal", ["3", "1"], ids=["QUIT", "HUP"])
@pytest.mark.parametrize("told", ["die, stop", "stop, die"])
def test_a_slow_stop_by_its_own_stop_signal_is_a_persons(signal: str, told: str) -> None:
    agent = Host(ON_DIE + SICK.strip("\n"), first_start=True)
    agent.docker.create(silent=True, check=True, stop_signal=signal, restart_policy="unless-stopped")
    agent.connect()
    agent.docker.kill(signal=signal, ends=False)
    agent.deliver()
    agent.docker.health()  # it shuts down
    agent.deliver()
    agent.tick(12)
    assert set(agent.guards) == {"operator_intent"}
    _ends(agent, told)
    agent.tick(60)

    assert agent.did == []
    assert agent.record().end_cause is EndCause.OPERATOR
    operator = agent.record().operator
    assert operator is not None
    assert operator.action == "stop"


@pytest.mark.parametrize("told", ["die, stop", "stop, die"])
@pytest.mark.parametrize("signal_lost", [True, False])
def test_a_stop_beside_the_end_is_a_persons_whatever_came_before(told: str, *, signal_lost: bool) -> None:
    agent = host()
    if not signal_lost:
        agent.docker.kill(signal="15", ends=False)
        agent.deliver()
    agent.clock.advance(3600)
    _ends(agent, told)
    agent.tick(60)

    assert agent.record().end_cause is EndCause.OPERATOR
    assert agent.did == []
    assert agent.record().container.status is ContainerStatus.EXITED


def _ends(agent: Host, told: str) -> None:
    """The engine tells of the end and of the stop that led to it in either order."""
    agent.docker.crash(code=0)
    agent.docker.settles()
    agent.docker.tell("stop")
    if told == "stop, die":
        die, stop = agent.docker.events
        agent.docker.events[:] = [replace(stop, time_ns=die.time_ns), replace(die, time_ns=stop.time_ns)]
    agent.deliver()


def test_what_crashes_after_a_stop_and_a_start_by_hand_crashes_by_itself() -> None:
    agent = host()
    agent.docker.tell("stop")
    agent.docker.crash()
    agent.docker.start()
    agent.docker.crash()
    agent.deliver()

    assert agent.record().end_cause is EndCause.ITSELF
    assert agent.did == [("restart", "web")]


@pytest.mark.parametrize(("stop_signal", "person"), [("SIGTERM", False), ("SIGHUP", True), ("SIGQUIT", False)])
def test_hup_is_a_reload_but_where_it_is_the_stop_signal(stop_signal: str, *, person: bool) -> None:
    agent = Host(ON_DIE, first_start=True)
    agent.docker.create(silent=True, stop_signal=stop_signal)
    agent.connect()
    agent.docker.kill(signal="1", ends=False)
    agent.deliver()
    assert (agent.record().operator is not None) is person
    agent.clock.advance(11)
    agent.docker.crash()
    agent.deliver()

    assert agent.record().end_cause is (EndCause.OPERATOR if person else EndCause.ITSELF)


@pytest.mark.parametrize(
    ("signal", "stop_signal", "cause"),
    [
        ("SIGUSR1", "SIGTERM", EndCause.ITSELF),
        ("SIGUSR1", "SIGUSR1", EndCause.OPERATOR),
        ("1", "SIGTERM", EndCause.ITSELF),
        ("15", "SIGTERM", EndCause.OPERATOR),
        ("15", "SIGQUIT", EndCause.OPERATOR),
    ],
)
def test_a_signal_before_the_first_inspection_is_judged_by_it(signal: str, stop_signal: str, cause: EndCause) -> None:
    agent = Host(ON_DIE)
    agent.docker.create(stop_signal=stop_signal)
    agent.docker.kill(signal=signal, ends=False)
    agent.read()
    assert agent.record().operator is not None
    agent.inspect()
    assert (agent.record().operator is not None) is (cause is EndCause.OPERATOR)
    agent.clock.advance(11)
    agent.docker.crash()
    agent.deliver()

    assert agent.record().end_cause is cause


@pytest.mark.parametrize(
    ("signal", "stop_signal", "later", "lost", "cause"),
    [
        ("SIGUSR1", "SIGTERM", 1, False, EndCause.ITSELF),
        ("SIGUSR1", "SIGUSR1", 1, False, EndCause.OPERATOR),
        ("SIGUSR1", "SIGTERM", 1, True, EndCause.UNKNOWN),
        ("1", "SIGTERM", 11, False, EndCause.ITSELF),
        ("1", "SIGTERM", 9, False, EndCause.OPERATOR),
        ("3", "SIGQUIT", 11, False, EndCause.OPERATOR),
    ],
)
def test_an_end_before_the_first_inspection_is_judged_by_it(
    signal: str, stop_signal: str, later: float, cause: EndCause, *, lost: bool
) -> None:
    agent = Host(ON_DIE)
    agent.docker.create(stop_signal=stop_signal)
    if lost:
        agent.clock.advance(1)
        agent.see(GapObserved(reason="audit", since=NOW, until=agent.clock.wall))
    agent.docker.kill(signal=signal, ends=False)
    agent.clock.advance(later)
    agent.docker.crash()
    agent.read()
    assert agent.did == []
    agent.relist()
    agent.inspect()

    assert agent.record().end_cause is cause
    agent.tick(2)
    assert agent.did == ([("restart", "web")] if cause is EndCause.ITSELF else [])


def test_a_label_that_looks_like_a_signal_does_not_hide_a_stop() -> None:
    agent = Host(ON_DIE, first_start=True)
    agent.docker.create(silent=True, labels={"signal": "WINCH", "exitCode": "0"})
    agent.connect()

    agent.docker.kill()
    agent.deliver()

    assert agent.did == []
    assert agent.record().exit_code == 137  # by the inspection: the event's is the label's


HAPPENS: dict[str, Callable[[Docker], None]] = {
    "health_status": Docker.health,
    "die": Docker.crash,
    "pause": Docker.pause,
}


# --- our own actions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome_first", [True, False])
def test_our_own_restart_triggers_nothing_and_is_no_persons_doing(*, outcome_first: bool) -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()

    agent.carry_out(outcome_first=outcome_first)
    agent.tick(60)

    assert agent.did == [("restart", "web")]
    assert len(agent.wanted) == 1
    record = agent.record()
    assert record.operator is None
    assert (record.restarts, record.restarts_by_agent) == (1, 1)


def test_the_end_that_our_own_restart_causes_sets_no_policy_off() -> None:
    agent = host(SICK + ON_DIE, check=True)
    agent.docker.health()
    agent.deliver()
    agent.tick(4)
    agent.carry_out()
    agent.tick(60)

    assert [decision.policy for decision in agent.wanted] == ["heal"]
    assert agent.record().restarts_by_agent == 1


def test_a_crash_right_after_our_start_is_not_ours_even_before_the_call_returns() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    intent = agent.intents[0]
    agent.begins(intent)
    agent.docker.stop()
    agent.docker.start()
    agent.docker.crash()
    agent.docker.events.append(event("restart", at=agent.clock.wall + 0.1))
    agent.read(one_by_one=True)
    agent.clock.advance(0.3)
    agent.see(Outcome(decision=intent.decision, result=Result.SUCCEEDED, reason="", started_at=NOW, finished_at=NOW))

    assert agent.record().end_cause is EndCause.ITSELF
    assert agent.guards[-1] == "cooldown"
    agent.tick(31)

    assert agent.did == [("restart", "web")] * 2


def test_a_stop_by_hand_right_after_our_restart_is_a_persons() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.carry_out()
    agent.docker.stop()
    agent.deliver()
    agent.tick(60)

    assert agent.did == [("restart", "web")]
    assert agent.record().end_cause is EndCause.OPERATOR


def test_a_restart_by_hand_right_after_our_restart_is_a_persons() -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    agent.carry_out()
    agent.docker.restart()
    agent.deliver()

    operator = agent.record().operator
    assert operator is not None
    assert operator.action == "restart"


@pytest.mark.parametrize(("late", "ours"), [(0.0, True), (1.9, True), (2.1, False)])
def test_our_last_events_may_be_stamped_a_little_after_the_call_returned(late: float, *, ours: bool) -> None:
    agent = host()
    agent.docker.crash()
    agent.deliver()
    returned = agent.clock.wall
    agent.begins(agent.intents[0])
    agent.see(ended(agent.intents[0], Result.SUCCEEDED, returned, returned))
    for action in ("start", "restart"):
        agent.position += 1
        agent.see(EventsObserved(events=(event(action, at=returned + late, position=agent.position),)))

    assert (agent.record().operator is None) is ours
    assert agent.record().restarts_by_agent == ours


def test_after_an_action_that_was_not_tried_nothing_is_ours() -> None:
    agent = host(SICK, check=True)
    agent.docker.health()
    agent.deliver()
    agent.tick(4)
    agent.see(ended(agent.intents[0], Result.ABANDONED, agent.clock.wall, agent.clock.wall))
    agent.docker.stop()
    agent.deliver()

    assert agent.record().end_cause is EndCause.OPERATOR


@pytest.mark.parametrize(
    ("verb", "trigger", "seen"),
    [
        ("stop", "health_status", ["kill", "die", "stop"]),
        ("kill", "health_status", ["kill", "die"]),
        ("pause", "health_status", ["pause"]),
        ("restart", "health_status", ["kill", "die", "stop", "start", "restart"]),
        ("start", "die", ["start"]),
        ("unpause", "pause", ["unpause"]),
    ],
)
def test_what_our_action_causes_shares_its_correlation(verb: str, trigger: str, seen: list[str]) -> None:
    policy = f'  - {{name: p, select: {{name: "*"}}, on: {{container: {trigger}}}, then: {{{verb}: {{}}}}}}'
    agent = host(policy, check=True)
    agent.clear()
    HAPPENS[trigger](agent.docker)
    agent.deliver()
    agent.carry_out()
    agent.tick(2)

    told = agent.published()
    cause = next(each for each in told if each["topic"].endswith(f"container/{trigger}/web"))
    story = [each["topic"].split("/event/")[1] for each in told if each["correlationid"] == cause["correlationid"]]
    assert story == [
        f"container/{trigger}/web",
        "policy/decision/p",
        "action/started/web",
        *[f"container/{action}/web" for action in seen],
        "action/succeeded/web",
    ]
    assert agent.record().operator is None


# --- restart policies of the engine --------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_what_the_engine_restarts_itself_is_left_to_it(policy: str) -> None:
    agent = host(restart_policy=policy)

    agent.docker.crash()
    agent.deliver()
    assert agent.record().container.status is ContainerStatus.RESTARTING
    agent.tick(3)
    agent.docker.start()
    agent.deliver()
    agent.tick(3)

    assert agent.did == []
    assert agent.guards == ["restart_policy"]
    assert "started meanwhile" in agent.of(Dropped)[0].reason


def test_what_a_person_restarted_is_left_alone_also_after_the_engine_has_started_it_again() -> None:
    agent = host(SICK, check=True, restart_policy="always")
    agent.docker.restart()
    agent.deliver()
    agent.clock.advance(10)
    agent.docker.crash()
    agent.deliver()
    agent.clock.advance(1)
    agent.docker.start()
    agent.deliver()
    agent.clock.advance(30)
    agent.docker.health()
    agent.deliver()
    agent.tick(5)
    assert agent.guards == ["operator_intent"]
    assert agent.did == []

    agent.docker.crash()
    agent.docker.settles()
    agent.deliver()
    agent.docker.start()  # by hand: the engine had given up
    agent.deliver()
    agent.docker.health()
    agent.clock.advance(60)
    agent.deliver()
    agent.tick(5)
    assert agent.did == [("restart", "web")]


def test_what_a_person_ended_the_engine_does_not_restart() -> None:
    agent = host(restart_policy="always")
    agent.docker.kill()
    agent.read()

    assert agent.record().container.status is ContainerStatus.EXITED


@pytest.mark.parametrize(("policy", "code"), [("on-failure", 1), ("always", 1)])
def test_once_the_engine_gives_up_the_agent_acts(policy: str, code: int) -> None:
    agent = host(restart_policy=policy)
    agent.docker.crash(code=code)
    agent.deliver()
    agent.tick(3)
    assert agent.did == []

    agent.docker.settles()
    agent.tick(2)

    assert agent.did == [("restart", "web")]


UP = """
  - {name: up, select: {name: "*"}, when: status == "exited", then: {start: {}}}
"""


def crash_loop(agent: Host, ends: int = 3) -> None:
    """Ends so often, each but the last followed by a start by the engine; nobody has inspected it meanwhile."""
    for _ in range(ends - 1):
        agent.docker.crash()
        agent.clock.advance(1)
        agent.docker.start()
        agent.clock.advance(1)
    agent.docker.crash()
    agent.clock.advance(0.05)


@pytest.mark.parametrize("policies", [ON_DIE, UP], ids=["on die", "when exited"])
@pytest.mark.parametrize("restart_policy", ["always", "unless-stopped", "on-failure"])
@pytest.mark.parametrize("known", ["inspected in its wait", "events only", "away", "made while away"])
def test_a_kill_while_the_engine_waits_to_start_it_again_is_a_persons(
    restart_policy: str, policies: str, known: str
) -> None:
    agent = host(policies, restart_policy=restart_policy)
    name = "new" if known == "made while away" else "web"
    if "away" in known:
        agent.dies(5)
    if name == "new":
        agent.docker.create(name, restart_policy=restart_policy)
        agent.docker.crash(name)
        agent.docker.start(name)
        agent.docker.crash(name)
    else:
        crash_loop(agent)
    if known == "inspected in its wait":
        agent.deliver()
    agent.docker.kill_in_its_wait(name)
    if "away" in known:
        agent.clock.advance(3)
        agent.comes_back()
    agent.deliver()
    agent.tick(30)

    assert agent.did == []
    assert agent.record(name).end_cause is EndCause.OPERATOR
    assert agent.actions_seen(name)[-1] == ("stop", "synthetic")
    assert (agent.retained(f"container/{name}") or {})["status"] == "exited"
    held = agent.of(Held)[-1]
    assert held.guard is Guard.OPERATOR_INTENT
    assert f"ended {name} on purpose (while the engine waited to start it again)" in held.reason
    assert held.numbers["operator_action"] == "kill"

    agent.docker.start(name)  # by hand
    agent.deliver()
    assert agent.record(name).operator is None
    agent.clock.advance(60)
    agent.docker.crash(name, retried=False)
    agent.deliver()
    agent.tick(5)
    assert [target for _, target in agent.did] == [name]


@pytest.mark.parametrize("inspected", [True, False])
def test_what_its_restart_policy_does_not_start_again_ended_by_itself(*, inspected: bool) -> None:
    """The engine gives the policy up for a container that was sent HUP, and once the retries are used up."""
    agent = host(restart_policy="always")
    agent.docker.crash()
    agent.docker.start()
    if inspected:
        agent.deliver()
    agent.clock.advance(5)
    agent.docker.crash(retried=False)
    agent.deliver()
    agent.tick(5)

    assert agent.record().end_cause is EndCause.ITSELF
    assert agent.did == [("restart", "web")]


def test_on_failure_does_not_restart_what_ended_well() -> None:
    agent = host(restart_policy="on-failure")

    agent.docker.crash(code=0)
    agent.deliver()
    agent.tick(2)

    assert agent.did == [("restart", "web")]


# --- what nobody saw ------------------------------------------------------------------------------------------------


def test_what_ended_before_the_agent_was_there_is_not_started() -> None:
    agent = Host('  - {name: up, select: {name: "*"}, when: status == "exited", then: {start: {}}}', first_start=True)
    agent.docker.create(silent=True)
    agent.docker.stop()
    agent.docker.lose_events()
    agent.connect()

    agent.tick(3)

    assert agent.did == []
    assert agent.guards == ["operator_intent"]
    assert "could not see how" in agent.of(Held)[0].reason


def test_an_end_that_only_the_listing_shows_is_held_and_said() -> None:
    agent = host()
    agent.dies()
    agent.docker.crash()
    agent.comes_back(lost=True)
    agent.tick(3)

    assert agent.did == []
    assert ("die", "synthetic") in agent.actions_seen()
    assert agent.guards == ["operator_intent"]


def test_an_end_that_only_a_listing_shows_is_held_though_no_event_is_known_to_be_lost() -> None:
    agent = host()
    agent.docker.crash()
    agent.docker.lose_events()
    agent.relist()
    agent.deliver()
    agent.tick(3)

    assert agent.actions_seen()[-1] == ("die", "synthetic")
    assert agent.did == []
    assert agent.guards == ["operator_intent"]


@pytest.mark.parametrize(("away", "acts"), [(4 * 60, True), (6 * 60, False)])
def test_a_crash_that_is_replayed_triggers_while_it_is_fresh(away: float, *, acts: bool) -> None:
    agent = host()
    agent.docker.crash()
    agent.dies(away=away)

    agent.comes_back()

    assert bool(agent.did) is acts
    assert ("die", "replay") in agent.actions_seen()


def test_a_stop_that_is_replayed_is_a_persons() -> None:
    agent = host()
    agent.dies()
    agent.docker.stop()
    agent.comes_back()
    agent.tick(2)

    assert agent.did == []
    assert agent.record().end_cause is EndCause.OPERATOR


def test_a_replayed_crash_that_is_over_triggers_nothing() -> None:
    agent = host(ON_DIE + '  - {name: tell, select: {name: "*"}, on: {container: die}, then: {notify: {}}}\n')
    agent.dies()
    agent.docker.crash()
    agent.docker.start()

    agent.comes_back()
    agent.tick(2)

    assert agent.did == []
    assert agent.told == []


GAP_ENDED = NOW + 60


@pytest.mark.parametrize("origin", [Origin.STREAM, Origin.REPLAY])
@pytest.mark.parametrize(
    ("started_again", "die_at", "cause"),
    [
        (False, GAP_ENDED + 1, EndCause.UNKNOWN),
        (False, GAP_ENDED + 60, EndCause.UNKNOWN),
        (False, GAP_ENDED + 61, EndCause.ITSELF),
        (True, GAP_ENDED + 10, EndCause.ITSELF),
    ],
    ids=["just after", "at the boundary", "later", "a life that began after the gap"],
)
def test_a_kill_may_have_been_lost_in_a_gap(
    origin: Origin, die_at: float, cause: EndCause, *, started_again: bool
) -> None:
    agent = host()
    agent.see(GapObserved(reason="audit", since=NOW, until=GAP_ENDED))
    lives = [event("die", at=GAP_ENDED + 1), event("start", at=GAP_ENDED + 2)] if started_again else []
    for position, each in enumerate([*lives, event("die", at=die_at, exitCode="1")], start=agent.position + 1):
        agent.see(EventsObserved(events=(event(each.action, at=each.time, origin=origin, position=position),)))

    assert agent.record().end_cause is cause


def test_a_person_is_forgotten_after_15_minutes_and_the_state_topic_says_so() -> None:
    agent = host()
    agent.docker.restart()
    agent.deliver()
    assert (agent.retained("container/web") or {})["operator"]["action"] == "restart"

    agent.tick(15 * 60 + 1)

    assert "operator" not in (agent.retained("container/web") or {})


@pytest.mark.parametrize("rebooted", [False, True], ids=["while it runs", "over a reboot"])
def test_the_15_minutes_do_not_grow_when_the_clock_is_stepped_back(*, rebooted: bool) -> None:
    agent = host(SICK, check=True)
    agent.docker.restart()
    agent.deliver()
    if rebooted:
        agent.clock.reboot(1)  # and by how much it was stepped can't be told
    agent.clock.step_wall(-24 * 3600)
    if rebooted:
        agent.comes_back()
    agent.docker.health()
    agent.deliver()

    agent.tick(15 * 60 + 5)

    assert agent.did == [("restart", "web")]


@pytest.mark.parametrize("away", [True, False], ids=["the agent was away", "the agent was there"])
@pytest.mark.parametrize("step", [24 * 3600.0, -24 * 3600.0], ids=["forwards", "back"])
def test_a_step_of_the_clock_changes_nothing_of_the_15_minutes(step: float, *, away: bool) -> None:
    agent = host(SICK, check=True)
    agent.docker.restart()
    agent.deliver()
    agent.clock.advance(60)
    if away:
        agent.dies()
    agent.clock.step_wall(step)
    if away:
        agent.comes_back()
    agent.docker.health()
    agent.deliver()

    agent.tick(14 * 60 - 5)
    assert agent.did == []
    assert set(agent.guards) == {"operator_intent"}
    agent.tick(10)

    assert agent.did == [("restart", "web")]


def test_a_step_of_the_clock_over_a_reboot_can_not_be_told() -> None:
    agent = host(SICK, check=True)
    agent.docker.restart()
    agent.deliver()
    before = agent.record().operator
    agent.clock.reboot(60)
    agent.comes_back()
    after = agent.record().operator

    assert after == before


@pytest.mark.parametrize(
    ("signal", "stop_signal", "seconds", "by_it"),
    [
        ("9", "SIGTERM", 10_000.0, True),
        ("HUP", "SIGTERM", 10.0, True),
        ("HUP", "SIGTERM", 10.1, False),
        ("SIGQUIT", "SIGTERM", 21.0, False),
        ("15", "SIGTERM", 15 * 60.0, True),
        ("15", "SIGTERM", 15 * 60.0 + 1, False),
        # its own stop signal, however it is written
        ("3", "SIGQUIT", 15 * 60.0, True),
        ("3", "SIGQUIT", 15 * 60.0 + 1, False),
        ("HUP", "1", 15 * 60.0, True),
        ("HUP", "SIGQUIT", 10.1, False),
        # which is not known yet
        ("3", "", 15 * 60.0, True),
        ("USR1", "", 1.0, True),
        ("USR1", "SIGTERM", 1.0, False),
    ],
)
def test_a_signal_that_was_survived_does_not_count_for_ever(
    signal: str, stop_signal: str, seconds: float, *, by_it: bool
) -> None:
    assert signal_ended_it(signal, stop_signal, seconds) is by_it


def test_a_stop_by_hand_while_our_intent_waits_for_its_turn_is_a_person_s() -> None:
    agent = host(SICK, check=True)
    agent.docker.health()
    agent.deliver()
    agent.tick(4)
    (intent,) = agent.intents
    agent.docker.stop()
    agent.deliver()

    dropped = agent.pipeline.recheck(intent, agent.clock.now())

    assert isinstance(dropped, Dropped), "what is stopped is not unhealthy any more"
    assert agent.record().end_cause is EndCause.OPERATOR


@pytest.mark.parametrize(
    ("signal", "name"),
    [("10", "SIGUSR1"), ("12", "usr2"), ("37", "SIGRTMIN+3"), ("64", "RTMAX"), ("28", "SIGWINCH"), ("6", "SIGIOT")],
)
def test_a_stop_signal_is_the_same_by_number_and_by_name(signal: str, name: str) -> None:
    agent = Host(ON_DIE, first_start=True)
    agent.docker.create(silent=True, stop_signal=name)
    agent.connect()
    agent.docker.kill(signal=signal, ends=False)
    agent.docker.crash()
    agent.deliver()

    assert agent.record().end_cause is EndCause.OPERATOR
    assert agent.did == []


# --- on: {container: kill} -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_by_one", [True, False], ids=["a step each", "one step"])
def test_a_signal_sets_an_action_off_while_the_container_runs(*, one_by_one: bool) -> None:
    agent = host('  - {name: p, select: {name: "*"}, on: {container: kill}, then: {restart: {}}}')
    agent.docker.kill(signal="1", ends=False)
    agent.deliver(one_by_one=one_by_one)
    agent.tick(1)

    assert agent.did == [("restart", "web")]


def test_a_kill_by_hand_sets_an_action_off_where_the_policy_says_restart_stopped() -> None:
    policy = """
  - {name: p, select: {name: "*"}, on: {container: kill}, where: event.signal == "9", then: {start: {}}KEYS}
"""
    for keys, did in (("", []), (", restart_stopped: true", [("start", "web")])):
        agent = host(policy.replace("KEYS", keys))
        agent.docker.kill()
        agent.deliver(one_by_one=True)
        agent.tick(3)

        assert agent.did == did
        assert set(agent.guards) == {"operator_intent"}
