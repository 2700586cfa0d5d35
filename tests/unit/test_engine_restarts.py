"""`restart_engine` in the loop: when it is wanted, what holds it, and what is remembered of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.core import Host, ended
from watchtower_agent.loop.explaining import Asked, explained
from watchtower_agent.model.decision import Decision, Held, Target, TargetKind, Verb
from watchtower_agent.model.observation import EngineLost
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.policies.guards.protection import Protection

POLICY = "- {name: hangs, when: engine.responding == false, for: 5s, then: {restart_engine: {}}"
HANGS = POLICY + "}"
ALLOWED = Protection(restart_engine=True)


def lost(host: Host) -> None:
    host.see(EngineLost(reason="no answer within 10 s", at=host.clock.wall))


def a_host(policies: str = HANGS, protection: Protection = ALLOWED) -> Host:
    host = Host(policies, protection=protection)
    host.docker.create()
    host.deliver()
    host.tick(2)
    return host


def restarts(host: Host, result: Result, *, back: bool = False) -> Outcome:
    """What is under way ends so; the engine is there again, or not."""
    (intent,) = host.open.values()
    host.begins(intent)
    begun = host.clock.wall
    host.clock.advance(10)
    outcome = ended(intent, result, begun, host.clock.wall)
    host.see(outcome)
    if back:
        host.connect(restarted=True)
    return outcome


def test_an_engine_that_does_not_answer_is_restarted_once() -> None:
    host = a_host()
    host.tick(10)
    assert host.intents == []
    lost(host)
    host.tick(4)
    assert host.intents == []
    host.tick(3)
    (intent,) = host.intents
    assert intent.decision.verb is Verb.RESTART_ENGINE
    assert intent.decision.target == Target(kind=TargetKind.HOST, id="engine", name="h1")
    host.tick(30)
    restarts(host, Result.SUCCEEDED, back=True)
    host.tick(60)
    assert len(host.intents) == 1
    assert host.of_guard("engine_down") == []


def test_not_unless_it_is_allowed() -> None:
    host = a_host(protection=Protection())
    lost(host)
    host.tick(60)
    assert host.intents == []
    (held,) = host.of(Held)
    assert (held.guard, held.final) == ("protected", True)
    assert "allow.restart_engine: false" in held.reason


def test_not_where_the_engine_is_elsewhere() -> None:
    host = a_host(protection=replace(ALLOWED, engine_here=False))
    lost(host)
    host.tick(60)
    assert host.intents == []
    assert "engine.unit" in host.of(Held)[0].reason


@pytest.mark.parametrize("mode", ["shadow", "approve"])
def test_modes(mode: str) -> None:
    host = a_host(f"{POLICY}, mode: {mode}}}")
    lost(host)
    host.tick(20)
    assert host.intents == []
    assert {held.guard for held in host.of(Held)} == {"mode"}
    assert len(host.of(Decision)) == 1
    if mode == "approve":
        assert host.of(Held)[-1].numbers["approval"]


def test_a_failed_one_waits_for_its_cooldown_then_for_its_budget() -> None:
    host = a_host()
    lost(host)
    host.tick(8)
    restarts(host, Result.FAILED)
    host.tick(880)
    assert len(host.intents) == 1
    assert "cooldown" in {held.guard for held in host.of(Held)}
    host.tick(40)
    assert len(host.intents) == 2
    restarts(host, Result.FAILED)
    host.tick(1000)
    assert len(host.intents) == 2
    held = host.of_guard("budget")[-1]
    assert held.numbers == {"restarts": 2, "budget": 2, "per": 21600.0}
    assert "which is all that may be (budget): look at it" in held.reason


def test_all_policies_have_one_budget_and_leave_that_of_the_host_alone() -> None:
    other = "- {name: lost, when: engine.connected == false, for: 5s, then: {restart_engine: {}}}"
    host = a_host(f"{HANGS}\n{other}", replace(ALLOWED, host_budget=replace(ALLOWED.host_budget, most=1)))
    lost(host)
    host.tick(8)
    restarts(host, Result.FAILED)
    host.tick(60)
    assert len(host.intents) == 1, "the other policy gives it as long to come up as its own would"
    assert "cooldown" in {held.guard for held in host.of(Held)}
    host.tick(900)
    assert len(host.intents) == 2
    restarts(host, Result.FAILED)
    host.tick(2000)
    assert len(host.intents) == 2
    assert host.pipeline.decisions.breaking.breakers.by == {}
    assert host.of_guard("breaker") == []


def test_what_was_left_alone_is_looked_at_again_after_a_while_and_uses_up_nothing() -> None:
    """A person stopped the engine: the agent says so now and then, and is there once it hangs again."""
    host = a_host()
    lost(host)
    for times in range(4):
        host.tick(920)
        assert len(host.intents) == times + 1
        restarts(host, Result.ABANDONED)
    assert host.of_guard("budget") == []


def test_a_budget_survives_a_kill() -> None:
    host = a_host(f"{POLICY}, budget: {{max: 1}}}}")
    lost(host)
    host.tick(8)
    assert len(host.intents) == 1
    host.dies(away=3)
    host.comes_back()
    host.tick(2)
    outcome = next(each for each in host.of(Outcome) if each.result is Result.INTERRUPTED)
    assert outcome.reason == "the agent ended while it restarted the engine: the engine answers"
    assert outcome.numbers["engine_answers"] is True
    host.tick(1000)
    lost(host)
    host.tick(1000)
    assert len(host.intents) == 1
    assert host.of_guard("budget")[-1].numbers["per"] == 21600.0


def test_one_that_a_kill_cut_short_and_that_did_not_help() -> None:
    host = a_host()
    lost(host)
    host.tick(8)
    host.dies(away=3)
    host._boot()
    host.tick(170)
    assert [each for each in host.of(Outcome) if each.result is Result.INTERRUPTED] == []
    host.tick(20)
    (outcome,) = [each for each in host.of(Outcome) if each.result is Result.INTERRUPTED]
    assert outcome.reason == "the agent ended while it restarted the engine: the engine does not answer since"


def explanation(host: Host) -> dict[str, Any]:
    (policy,) = host.policies.policies
    work = explained(host.pipeline, Asked(policy=policy), host.clock.now())
    while True:
        try:
            next(work)
        except StopIteration as end:
            (row,) = end.value["targets"]
            found: dict[str, Any] = row
            return found


def test_it_explains_itself() -> None:
    host = a_host()
    lost(host)
    host.tick(2)
    said = explanation(host)
    assert said["id"] == "engine"
    answers = {each["guard"]: each["answer"] for each in said["guards"]}
    asked = {"protected", "mode", "paused", "outside_window", "cooldown", "budget"}
    assert {guard for guard, answer in answers.items() if answer == "passes"} == asked
    assert said["next"]["words"] == "restarts the engine in 4 s unless its condition ends"
    host.tick(6)
    restarts(host, Result.FAILED)
    host.tick(10)
    said = explanation(host)
    assert (said["guard"], said["next"]["outlook"]) == ("cooldown", "held")


def test_it_is_not_begun_when_the_engine_answers_again_just_before() -> None:
    host = a_host()
    lost(host)
    host.tick(8)
    (intent,) = host.open.values()
    host.connect()
    host.ping()
    assert host.pipeline.recheck(intent, host.clock.now()) is not None
