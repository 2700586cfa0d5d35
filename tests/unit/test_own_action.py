"""A person acts on a container while the engine carries the agent's own action out: which events are whose?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.core import NOW, Host, ended, event
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Held, Verb
from watchtower_agent.model.outcome import Result
from watchtower_agent.state.attribution import EndCause
from watchtower_agent.state.own_action import OwnAction

SICK = """
  - name: heal
    select: {name: "*"}
    when: health == "unhealthy"
    for: 3s
    then: {restart: {}}
"""
STOPS_AFTER = 8


def sick(policies: str) -> Host:
    """Its only container is unhealthy for long enough."""
    made = Host(policies, first_start=True)
    made.docker.create(silent=True, check=True)
    made.connect()
    made.clock.advance(60)
    made.docker.health()
    made.deliver()
    made.tick(4)
    return made


def deaf(verb: str = "restart") -> Host:
    """It ignores TERM, is unhealthy, and our restart waits for its stop timeout. The engine sent TERM for us."""
    keys = f"{{stop_timeout: {STOPS_AFTER}s}}" if verb in {"restart", "stop"} else "{}"
    agent = sick(SICK.replace("restart: {}", f"{verb}: {keys}"))
    agent.begins(agent.intents[0])
    if verb in {"restart", "stop"}:
        agent.docker.kill(signal="15", ends=False)
        agent.deliver()
    agent.clock.advance(1)
    return agent


def killed(agent: Host, *, stops: int) -> None:
    """A KILL ends it; the engine tells so many `stop`, before the end."""
    agent.docker.kill(ends=False)
    for _ in range(stops):
        agent.docker.tell("stop")
    agent.docker.kill()
    del agent.docker.events[-2]  # the end alone
    agent.deliver(one_by_one=True)


def comes_up(agent: Host) -> None:
    """The engine ends our restart."""
    agent.clock.advance(0.2)
    agent.docker.start()
    agent.docker.tell("restart")
    agent.deliver(one_by_one=True)
    agent.see(ended(agent.intents[0], Result.SUCCEEDED, agent.clock.wall - 1, agent.clock.wall))


def stopped_by_hand(agent: Host) -> None:
    agent.docker.kill(signal="15", ends=False)
    agent.deliver()
    agent.clock.advance(2)
    killed(agent, stops=2)


def killed_by_hand(agent: Host) -> None:
    killed(agent, stops=1)


def told_to_end_by_hand(agent: Host) -> None:
    """`docker kill -s INT`, on which it ends."""
    agent.docker.kill(signal="2", ends=False)
    agent.docker.crash(code=0)
    agent.docker.settles()
    agent.docker.tell("stop")
    agent.deliver(one_by_one=True)


def twice_told_by_hand(agent: Host) -> None:
    """`docker kill -s TERM`; it ends when our time is over."""
    agent.docker.kill(signal="15", ends=False)
    agent.deliver()
    agent.clock.advance(STOPS_AFTER - 1)
    killed(agent, stops=1)


CROSSED = [stopped_by_hand, killed_by_hand, told_to_end_by_hand, twice_told_by_hand]


@pytest.mark.parametrize("away", [True, False], ids=["the agent was away", "the agent was there"])
@pytest.mark.parametrize("act", CROSSED)
def test_a_person_s_act_during_our_restart_is_not_forgotten(act: Callable[[Host], None], *, away: bool) -> None:
    agent = deaf()

    act(agent)
    assert agent.record().end_cause is EndCause.OPERATOR
    comes_up(agent)
    if away:
        agent.dies()
        agent.comes_back()
    agent.docker.health()
    agent.deliver()
    agent.tick(14 * 60)

    assert agent.did == [("restart", "web")]
    assert set(agent.guards) == {"operator_intent"}
    assert "someone else did a" in agent.of(Held)[-1].reason
    assert agent.record().container.status is ContainerStatus.RUNNING
    agent.tick(62)
    assert agent.did == [("restart", "web")] * 2


def test_what_a_person_does_during_our_restart_is_told_as_theirs() -> None:
    agent = deaf()
    stopped_by_hand(agent)

    ours = agent.intents[0].decision.correlation_id
    told = [each["topic"].split("/event/")[1] for each in agent.published() if each["correlationid"] == ours]

    assert [topic for topic in told if topic.startswith("container/")] == ["container/kill/web", "container/stop/web"]


@pytest.mark.parametrize(("after", "ours"), [(STOPS_AFTER - 1, True), (STOPS_AFTER - 2, False)])
def test_the_kill_after_our_stop_timeout_is_ours(after: float, *, ours: bool) -> None:
    agent = deaf()
    agent.clock.advance(after)
    killed(agent, stops=1)

    assert agent.record().end_cause is (EndCause.AGENT if ours else EndCause.OPERATOR)
    comes_up(agent)
    assert (agent.record().operator is None) is ours
    assert agent.record().restarts_by_agent == 1


def test_a_stop_by_hand_that_is_told_after_our_start_ends_nothing() -> None:
    agent = deaf()
    agent.docker.kill(signal="15", ends=False)
    agent.deliver()
    agent.clock.advance(2)
    killed(agent, stops=1)
    agent.docker.start()
    agent.docker.tell("stop")
    agent.docker.tell("restart")
    agent.read(one_by_one=True)

    assert agent.record().container.status is ContainerStatus.RUNNING
    operator = agent.record().operator
    assert operator is not None
    assert operator.action == "stop"


def test_a_stop_by_hand_right_after_our_start_ends_it_before_our_call_returns() -> None:
    agent = deaf()
    agent.clock.advance(STOPS_AFTER)
    killed(agent, stops=1)
    agent.docker.start()
    agent.docker.tell("restart")
    agent.docker.stop()
    agent.deliver(one_by_one=True)

    assert agent.record().container.status is ContainerStatus.EXITED
    assert agent.record().end_cause is EndCause.OPERATOR


def test_a_restart_by_hand_during_ours_is_a_person_s() -> None:
    agent = deaf()
    agent.docker.kill(signal="15", ends=False)
    agent.deliver()
    agent.clock.advance(1)
    killed(agent, stops=2)
    comes_up(agent)
    agent.docker.tell("restart")
    agent.deliver()

    operator = agent.record().operator
    assert operator is not None
    assert operator.action == "restart"


@pytest.mark.parametrize("act", [stopped_by_hand, killed_by_hand])
def test_a_person_s_act_during_our_stop_is_theirs(act: Callable[[Host], None]) -> None:
    agent = deaf("stop")

    act(agent)

    assert agent.record().end_cause is EndCause.OPERATOR


@pytest.mark.parametrize("told", ["die, stop", "stop, die"])
def test_our_own_stop_is_ours_in_whatever_order_it_is_told(told: str) -> None:
    agent = deaf("stop")
    agent.clock.advance(STOPS_AFTER)
    agent.docker.kill(ends=False)
    agent.deliver()
    agent.docker.kill()
    del agent.docker.events[0]  # it was told
    agent.docker.tell("stop")
    if told == "stop, die":
        die, stop = agent.docker.events
        agent.docker.events[:] = [replace(stop, time_ns=die.time_ns), replace(die, time_ns=stop.time_ns)]
    agent.deliver()

    assert agent.record().end_cause is EndCause.AGENT
    assert agent.record().operator is None


@pytest.mark.parametrize("verb", ["pause", "unpause"])
def test_an_end_during_our_pause_is_a_person_s(verb: str) -> None:
    agent = deaf(verb)

    agent.docker.kill()
    agent.deliver(one_by_one=True)

    assert agent.record().end_cause is EndCause.OPERATOR


@pytest.mark.parametrize(
    ("by_hand", "cause"), [("9", EndCause.OPERATOR), ("1", EndCause.AGENT)], ids=["KILL by hand", "HUP, a reload"]
)
def test_our_kill_sends_one_signal(by_hand: str, cause: EndCause) -> None:
    agent = sick(SICK.replace("restart: {}", "kill: {signal: TERM}"))
    agent.begins(agent.intents[0])
    agent.docker.kill(signal="15", ends=False)
    agent.docker.kill(signal=by_hand, ends=False)
    agent.docker.crash()
    agent.docker.settles()
    agent.deliver(one_by_one=True)

    assert agent.record().end_cause is cause


def test_a_resize_causes_one_update_and_what_a_person_updates_is_theirs() -> None:
    resized = OwnAction(verb=Verb.RESIZE, begun=NOW, ended=None)
    ours, theirs, again = event("update", at=NOW + 0.1), event("die", at=NOW + 0.2), event("update", at=NOW + 0.3)
    assert resized.covers(ours)
    assert not resized.covers(theirs)
    after = resized.after(ours)
    assert (after.complete, after.ended) == (True, ours.time)
    assert not after.covers(again)
