"""Approve mode, whatever happens: nothing is done but what a person approved."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings, strategies as st

from tests.support.approving import HEAL, REVIVE
from tests.support.core import Host, policy_set
from tests.support.numbers import examples
from watchtower_agent.model.approval import ApprovalAnswered
from watchtower_agent.model.container import Health
from watchtower_agent.model.pause import PauseAsked, ResumeAsked
from watchtower_agent.policies.guards.pauses import AGENT

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.integers(1, 40)),
        st.tuples(st.just("later"), st.integers(1, 200)),
        st.tuples(st.sampled_from(["sick", "well", "crash", "start", "approve", "reject", "carry"]), st.just(0)),
        st.tuples(st.sampled_from(["die", "die begun", "pause", "resume", "other", "same", "enough"]), st.just(0)),
        st.tuples(st.just("clock"), st.sampled_from([-7200, 7200])),
    ),
    max_size=30,
)
BOTH = (HEAL + REVIVE).replace("mode: approve", "mode: approve\n  approve_within: 2m")
POLICIES = {
    "same": BOTH,
    "other": BOTH.replace("stop_timeout: 3s", "stop_timeout: 4s"),
    "enough": BOTH.replace("mode: approve", "mode: shadow"),
}


@settings(max_examples=examples(150))
@given(steps=STEPS)
def test_nothing_is_done_but_what_a_person_approved_in_time_and_did_not_take_back(steps: list[tuple[str, int]]) -> None:
    host = Host(BOTH)
    host.docker.create("web", check=True, silent=True)
    host.relist()
    host.deliver()
    given_at: dict[str, tuple[float, Any]] = {}
    done: list[str] = []
    for step, number in steps:
        play(host, step, number, given_at, done)
    assert len(set(done)) == len(done), "an approval was used twice"


def play(host: Host, step: str, number: int, given_at: dict[str, tuple[float, Any]], done: list[str]) -> None:
    """One thing happens."""
    if step in {"approve", "reject"}:
        approves = step == "approve"
        for question in list(host.pipeline.decisions.approving.approvals.waiting())[:1]:
            host.see(ApprovalAnswered(approval=question.id, approves=approves))
            given_at[question.id] = (question.asked.monotonic, question.decision) if approves else (-1e9, None)
    elif step in {"carry", "die begun"}:
        for intent in list(host.open.values()):
            if host.pipeline.recheck(intent, host.clock.now()) is None:
                writes(host, intent, given_at, done)
                if step == "die begun":
                    host.docker.do(intent)
        happens(host, "die" if step == "die begun" else step, number)
    else:
        happens(host, step, number)
    host.deliver()


def happens(host: Host, step: str, number: int) -> None:
    """Something that is no answer."""
    web = host.docker.find("web")
    match step:
        case "sick" | "well" if web.running:
            host.docker.health("web", Health.UNHEALTHY if step == "sick" else Health.HEALTHY)
        case "crash" if web.running:
            host.docker.crash("web")
        case "start":
            host.docker.start("web")
        case "pause":
            host.see(PauseAsked(what=AGENT, length=60))
        case "resume":
            host.see(ResumeAsked(what=AGENT))
        case "carry":
            host.carry_out()
        case "same" | "other" | "enough":
            host.see(policy_set(POLICIES[step]))
        case _:
            time_passes(host, step, number)


def time_passes(host: Host, step: str, seconds: int) -> None:
    """By itself, over a death of the agent, or on the wall clock alone."""
    if step == "die":
        host.dies(5)
        host.comes_back()
    elif step == "clock":
        host.clock.step_wall(seconds)
        host.see()
    elif step == "later":
        host.clock.advance(seconds)
    host.tick(seconds if step == "tick" else 1)


def writes(host: Host, intent: Any, given_at: dict[str, tuple[float, Any]], done: list[str]) -> None:  # noqa: ANN401 - an intent
    decision = intent.decision
    asked_at, published = given_at[decision.approval]
    assert host.clock.monotonic - asked_at < 120
    assert (decision.policy, decision.verb, decision.target) == (published.policy, published.verb, published.target)
    assert dict(decision.parameters) == dict(published.parameters)
    done.append(decision.approval)
