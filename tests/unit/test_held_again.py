"""Held decisions are told once per change of what holds them: not at every sample, not only when another guard does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given, settings, strategies as st

from tests.support.core import Host
from watchtower_agent.model.decision import Decision, Guard, Held, Target, TargetKind, Verb
from watchtower_agent.model.observation import EnginePinged
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope, ResumeAsked
from watchtower_agent.policies.news import worth_telling

HEAL = '- {name: heal, select: {name: web}, when: health == "unhealthy", then: {restart: {}}}\n'
AGENT, POLICY = Paused(scope=PauseScope.AGENT), Paused(scope=PauseScope.POLICY, name="heal")
HOUR = 3600.0


def sick(policies: str = HEAL, *, held_by: Callable[[Host], None]) -> Host:
    """A host on which the restart of a sick container is held."""
    agent = Host(policies)
    for name in ("web", "db"):
        agent.docker.create(name, check=True, silent=True)
    agent.relist()
    agent.deliver()
    held_by(agent)
    agent.docker.health("web")
    agent.deliver()
    agent.tick()
    return agent


def pause(agent: Host, what: Paused = AGENT, length: float = HOUR) -> None:
    agent.see(PauseAsked(what=what, length=length))


def restart(agent: Host) -> None:
    agent.docker.restart("web")
    agent.deliver()


def told(agent: Host) -> list[str]:
    return [held.reason.partition(" (")[0] for held in agent.of(Held)]


def test_where_samples_are_slow_what_was_told_is_not_told_before_and_after_each() -> None:
    agent = sick(HEAL.replace("then:", "cooldown: 1h, then:"), held_by=lambda _: None)
    agent.carry_out()
    agent.docker.health("web")
    agent.deliver()
    for _ in range(20):
        agent.clock.advance(4.0)  # a decision of a condition counts for two samples, a second each
        agent.tick()
    assert [held.guard for held in agent.of(Held)] == [Guard.COOLDOWN]
    agent.clock.advance(4.0)
    agent.ping()
    (waiting,) = agent.pipeline.decisions.agenda.waiting.values()
    assert waiting.held is not None
    assert waiting.held.guard is Guard.COOLDOWN


def test_what_is_too_old_from_the_start_is_told_as_that() -> None:
    agent = sick(held_by=lambda _: None)
    (intent,) = agent.intents
    agent.clock.advance(4.0)
    outcome = agent.attempt(intent)
    assert outcome.numbers["guard"] == "stale"


def test_another_pause_under_the_one_that_ends_is_told() -> None:
    def by_two(agent: Host) -> None:
        pause(agent, AGENT, 2 * HOUR)
        pause(agent, POLICY, HOUR)

    agent = sick(held_by=by_two)
    first = agent.of(Held)
    agent.see(ResumeAsked(what=AGENT))
    agent.tick(2)

    assert len(first) == 1
    assert len(told(agent)) == 2
    assert agent.of(Held)[1].numbers["paused"] != first[0].numbers["paused"]
    assert [each["data"]["guard"] for each in agent.published() if "/policy/held/" in each["topic"]] == ["paused"] * 2


def test_of_two_pauses_the_longer_is_told_with_its_end_and_that_the_shorter_ends_is_no_news() -> None:
    def by_two(agent: Host) -> None:
        pause(agent, AGENT, HOUR)
        pause(agent, POLICY, 2 * HOUR)

    agent = sick(held_by=by_two)
    (held,) = agent.of(Held)
    agent.clock.advance(HOUR)
    agent.tick(2)

    assert held.numbers["paused"] == "policy"
    assert held.release_at is not None
    assert held.release_at - agent.clock.wall == pytest.approx(HOUR, abs=5)
    assert agent.of(Held) == [held]


def test_a_pause_that_is_made_longer_is_told() -> None:
    agent = sick(held_by=pause)
    agent.tick(10)
    assert len(told(agent)) == 1
    pause(agent, AGENT, 2 * HOUR)
    agent.tick(10)
    assert len(told(agent)) == 2


def test_a_stop_by_hand_after_a_restart_by_hand_is_told() -> None:
    agent = sick(HEAL.replace('health == "unhealthy"', 'uptime >= 0s or status == "exited"'), held_by=restart)
    agent.tick(10)
    (first,) = [held for held in agent.of_guard("operator_intent") if held.release_at is not None]
    agent.docker.stop("web")
    agent.deliver()
    agent.tick(10)

    assert first.numbers["operator_action"] == "restart"
    (*_, last) = agent.of_guard("operator_intent")
    assert (last.numbers["operator_action"], last.release_at) == ("stop", None)


def in_a_window(agent: Host) -> None:
    """Nothing more: the policy's window is shut."""


CAUSES: dict[str, tuple[str, Callable[[Host], None]]] = {
    "agent paused": (HEAL, lambda agent: pause(agent, AGENT, 3 * HOUR)),
    "policy paused": (HEAL, lambda agent: pause(agent, POLICY, 3 * HOUR)),
    "stopped by hand": (HEAL.replace('health == "unhealthy"', "restarts >= 0"), lambda agent: agent.docker.stop("web")),
    "outside its window": (
        HEAL.replace("then", 'windows: [{cron: "0 12 1 1 *", for: 1h}], then'),
        in_a_window,
    ),
    "shadow": (HEAL.replace("then", "mode: shadow, then"), in_a_window),
    "dependency": (HEAL.replace("then", "depends: {name: db}, then"), lambda agent: agent.docker.stop("db")),
}


@pytest.mark.parametrize("cause", CAUSES)
@settings(max_examples=10)
@given(pauses=st.lists(st.integers(1, 180), min_size=40, max_size=40), steps=st.lists(st.floats(-4e4, 4e4), max_size=2))
@example(pauses=[1] * 40, steps=[-3602.0])  # to the moment at which the containers started
@example(pauses=[1] * 40, steps=[-3640.0])  # which the clock shows again in the middle
def test_one_cause_is_told_once(cause: str, pauses: list[int], steps: list[float]) -> None:
    policies, held_by = CAUSES[cause]
    agent = sick(policies, held_by=held_by)
    assert len(told(agent)) == 1
    for number, seconds in enumerate(pauses):
        agent.clock.advance(seconds)
        if number < len(steps) and cause != "outside its window":
            agent.clock.step_wall(steps[number])
        agent.see(EnginePinged(latency=0.001, at=agent.clock.wall), agent.sample({}))
    assert len(told(agent)) == 1, [(held.guard, held.reason, held.release_at) for held in agent.of(Held)]


WISH = Decision(
    id="d",
    policy="heal",
    target=Target(kind=TargetKind.CONTAINER, id="w", name="web"),
    verb=Verb.RESTART,
    reason="sick",
    correlation_id="c",
    decided_at=0.0,
    expires_at=1e9,
)


@pytest.mark.parametrize(
    ("guard", "left", "later", "told_again"),
    [
        (Guard.COOLDOWN, 300.0, 59.0, False),
        (Guard.COOLDOWN, 300.0, 61.0, True),
        (Guard.COOLDOWN, 300.0, -200.0, False),
        (Guard.BREAKER, 3600.0, 359.0, False),
        (Guard.BREAKER, 3600.0, 361.0, True),
        (Guard.SHARED_CAUSE, 300.0, 120.0, False),
    ],
)
def test_how_much_later_is_told(guard: Guard, left: float, later: float, *, told_again: bool) -> None:
    before = Held(decision=WISH, guard=guard, reason="", release_at=1000.0 + left, at=1000.0)
    assert worth_telling(before, replace(before, release_at=1000.0 + left + later, at=1001.0)) is told_again


@given(
    st.sampled_from(sorted(Guard)),
    st.floats(1, 86_400),
    st.lists(st.floats(0, 59), min_size=60, max_size=60),
)
def test_what_slides_a_little_is_told_once(guard: Guard, left: float, slides: list[float]) -> None:
    held, at = Held(decision=WISH, guard=guard, reason="", release_at=left, at=0.0), 0.0
    for slide in slides:
        at += 60.0
        assert held.release_at is not None
        later = replace(held, release_at=held.release_at + slide, at=at)
        assert not worth_telling(held, later)
        held = later
