"""Policies that restart the engine: what they mean, and what is told of those that mean nothing."""

from __future__ import annotations

import pytest

from watchtower_agent.model.decision import Verb
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.guards.pacing import DEFAULT_COOLDOWN
from watchtower_agent.policies.linter.surroundings import UNTOLD, Surroundings, surroundings
from watchtower_agent.policies.policy import Budget, Policy, PolicySet

WHEN = "when: engine.responding == false, for: 30s"


def loaded(keys: str, where: Surroundings = UNTOLD) -> PolicySet | list[str]:
    text = f"version: 1\npolicies:\n  - {{name: p, {keys}}}\n"
    made = load_policies({"a.yaml": text.encode()}, where)
    return made if isinstance(made, PolicySet) else [str(each) for each in made]


def policy(keys: str) -> Policy:
    made = loaded(keys)
    assert isinstance(made, PolicySet), made
    return made.policies[0]


def test_it_has_a_budget_of_its_own() -> None:
    made = policy(f"{WHEN}, then: {{restart_engine: {{}}}}")
    assert (made.then.verb, made.selector) == (Verb.RESTART_ENGINE, None)
    assert made.budget == Budget(most=2, per=21600.0)
    assert (made.cooldown, DEFAULT_COOLDOWN[Verb.RESTART_ENGINE]) == (None, 900.0)


def test_a_part_of_the_budget_is_written() -> None:
    assert policy(f"{WHEN}, then: {{restart_engine: {{}}}}, budget: {{max: 1}}").budget == Budget(most=1, per=21600.0)
    assert policy(f"{WHEN}, then: {{restart_engine: {{}}}}, budget: {{per: 1d}}").budget == Budget(most=2, per=86400.0)


@pytest.mark.parametrize(
    "when",
    ["engine.connected == false", "engine.latency > 5s", "engine.memory > 4GiB and host.memory.percent > 90%"],
)
def test_conditions_about_the_engine(when: str) -> None:
    made = policy(f"when: {when}, then: {{restart_engine: {{}}, notify: {{severity: critical}}}}, mode: approve")
    assert made.then.notify is not None


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            "when: host.load1 > 9",
            "policies[0].when: the condition says nothing of the engine, which is to be",
        ),
        (
            "schedule: {cron: '0 3 * * *'}",
            "policies[0].then.restart_engine: restart_engine is for an engine that is in",
        ),
        ("on: {engine: down}", "policies[0].then.restart_engine: restart_engine is for an engine that is in trouble"),
        (f"{WHEN}, select: {{name: web}}", "policies[0].select: select is about containers, and restart_engine is"),
        (f"{WHEN}, depends: db", "policies[0].depends: depends is about containers"),
        (f"{WHEN}, restart_stopped: true", "policies[0].restart_stopped: restart_stopped is about containers"),
        (f"{WHEN}, backoff: {{initial: 5s}}", "policies[0].backoff: backoff is for restart and start"),
        (f"{WHEN}, cooldown: 0s", "policies[0].cooldown: an engine that was restarted needs longer than this"),
        (f"{WHEN}, budget: {{on_open: stop}}", "policies[0].budget.on_open: on_open is about a breaker"),
        (f"{WHEN}, budget: {{in_vain: 3}}", "policies[0].budget.in_vain: in_vain is about a breaker"),
    ],
)
def test_what_means_nothing(keys: str, said: str) -> None:
    found = loaded(f"{keys}, then: {{restart_engine: {{}}}}")
    assert isinstance(found, list)
    (problem,) = found
    assert said in problem


def test_it_is_one_action() -> None:
    found = loaded(f"{WHEN}, select: {{name: web}}, then: {{restart: {{}}, restart_engine: {{}}}}")
    assert isinstance(found, list)
    assert "restart and restart_engine are two actions" in found[0]


def _around(*, allowed: bool, url: str = "") -> Surroundings:
    return surroundings(source="auto", engine_url=url, interval=1.0, restart_engine=allowed)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (UNTOLD, []),
        (_around(allowed=True), []),
        (_around(allowed=False), ["set allow.restart_engine to true in agent.yaml (docs/service.md has the rest)"]),
        (_around(allowed=True, url="tcp://h:2375"), ["it is never restarted from here"]),
        (_around(allowed=True, url="ssh://h"), ["it is never restarted from here"]),
    ],
)
def test_where_it_is_never_done(where: Surroundings, said: list[str]) -> None:
    made = loaded(f"{WHEN}, then: {{restart_engine: {{}}}}", where)
    assert isinstance(made, PolicySet), made
    assert len(made.warnings) == len(said)
    for warning, words in zip(made.warnings, said, strict=True):
        assert words in str(warning)
        assert warning.path == "policies[0].then.restart_engine"
