"""The loader: whole or not at all, every mistake in one go, each with its place and a remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.policies import GOOD, loaded, policy
from watchtower_agent.model.decision import Mode, Severity, Verb
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.policy import (
    Backoff,
    Budget,
    Notify,
    OnTrigger,
    Place,
    PolicySet,
    ScheduleTrigger,
    Then,
    WhenTrigger,
)
from watchtower_agent.policies.problem import Problem

CHECKOUT = Path(__file__).resolve().parents[4]
SHIPPED = CHECKOUT / "config" / "policies"
TWELVE = CHECKOUT / "tests" / "data" / "policies_twelve_mistakes"


def test_a_file_becomes_policies() -> None:
    heal, oom, nightly = loaded(GOOD).policies
    assert (heal.name, heal.description, heal.mode) == ("heal", "Heals.", Mode.SHADOW)
    assert heal.selector is not None
    assert isinstance(heal.trigger, WhenTrigger)
    assert heal.trigger.condition.text == 'health == "unhealthy"'
    assert (heal.trigger.hold, heal.trigger.keep) == (60.0, 600.0)
    assert [(str(each.opens), each.open_for) for each in heal.windows] == [
        ("0 2 * * * Europe/Berlin", 10800.0),
        ("0 22 * * fri-mon UTC", 172800.0),
    ]
    assert heal.then == Then(
        verb=Verb.RESTART,
        parameters={"stop_timeout": 30.0},
        notify=Notify(severity=Severity.CRITICAL, message="Sick again"),
    )
    assert (heal.cooldown, heal.restart_stopped) == (300.0, True)
    assert heal.backoff == Backoff(initial=5.0, factor=1.5, longest=120.0, reset_after=3600.0)
    assert heal.budget == Budget(most=3, per=7200.0, probe_after=2700.0, stops=True)
    assert heal.place == Place(file="a.yaml", line=3, column=5)
    assert isinstance(oom.trigger, OnTrigger)
    assert oom.trigger.events == {
        (EventKind.CONTAINER, "oom"),
        (EventKind.CONTAINER, "die"),
        (EventKind.ENGINE, "*"),
    }
    assert oom.trigger.where is not None
    assert oom.then == Then(verb=None, notify=Notify(severity=Severity.WARNING, message=""))
    assert (oom.backoff, oom.budget) == (Backoff(), Budget())
    assert (oom.selector, oom.cooldown, oom.restart_stopped, oom.mode) == (None, None, False, Mode.ENFORCE)
    assert isinstance(nightly.trigger, ScheduleTrigger)
    assert str(nightly.trigger.schedule) == "*/30 3 1-31 jan-dec * Australia/Lord_Howe"
    assert (nightly.then.verb, nightly.windows) == (Verb.STOP, ())


@pytest.mark.parametrize(
    ("keys", "mode", "within"),
    [
        ("mode: approve", Mode.APPROVE, 3600.0),
        ("mode: approve, approve_within: 1s", Mode.APPROVE, 1.0),
        ("mode: shadow, approve_within: 7d", Mode.SHADOW, 604_800.0),
        ("mode: off, approve_within: 90m", Mode.OFF, 5400.0),
    ],
)
def test_how_long_people_are_asked(keys: str, mode: Mode, within: float) -> None:
    policy = f"{{name: a, select: {{name: a}}, on: {{container: die}}, then: {{stop: {{}}}}, {keys}}}"
    (made,) = loaded(f"version: 1\npolicies: [{policy}]").policies
    assert (made.mode, made.approve_within) == (mode, within)


def test_what_is_left_out_of_backoff_and_budget_is_as_without_them() -> None:
    made = policy(
        "select: {name: a}\n    on: {container: die}\n    then: {start: {}}\n    backoff: {factor: 3}\n"
        "    budget: {max: 9}"
    )
    assert made.backoff == Backoff(factor=3.0)
    assert made.budget == Budget(most=9)


def test_a_folder_is_ordered_by_file_and_its_digest_tells_changes() -> None:
    one, two = (
        f"version: 1\npolicies: [{{name: {n}, on: {{engine: down}}, then: {{notify: {{}}}}}}]".encode() for n in "ab"
    )
    folder = load_policies({"b.yaml": one, "a.yaml": two})
    assert isinstance(folder, PolicySet)
    assert [each.name for each in folder.policies] == ["b", "a"]
    again = load_policies({"a.yaml": two, "b.yaml": one})
    assert isinstance(again, PolicySet)
    assert again.digest == folder.digest
    renamed = load_policies({"a.yaml": two, "c.yaml": one})
    assert isinstance(renamed, PolicySet)
    assert renamed.digest != folder.digest


@pytest.mark.parametrize(
    "text",
    ["version: 1\npolicies: []", "version: 1\npolicies:\n  # - name: later\n", "\ufeffversion: 1\npolicies: []\n"],
)
def test_a_file_without_policies_is_no_mistake(text: str) -> None:
    assert loaded(text).policies == ()


def test_no_files_are_no_policies() -> None:
    empty = load_policies({})
    assert isinstance(empty, PolicySet)
    assert empty.policies == ()


@pytest.mark.parametrize(
    ("body", "verb", "parameters"),
    [
        ("then: {restart: {}}", Verb.RESTART, {}),
        ("then: {stop: {stop_timeout: 1500ms}}", Verb.STOP, {"stop_timeout": 1.5}),
        ("then: {start: {}}", Verb.START, {}),
        ("then: {kill: {}}", Verb.KILL, {}),
        ("then: {kill: {signal: hup}}", Verb.KILL, {"signal": "SIGHUP"}),
        ("then: {kill: {signal: SIGRTMIN+3}}", Verb.KILL, {"signal": "SIGRTMIN+3"}),
        ("then: {kill: {signal: 15}}", Verb.KILL, {"signal": "15"}),
        ("then: {pause: {}}", Verb.PAUSE, {}),
        ("then: {unpause: {}}", Verb.UNPAUSE, {}),
    ],
)
def test_verbs_and_their_parameters(body: str, verb: Verb, parameters: dict[str, object]) -> None:
    then = policy(f"select: {{name: web}}\n    when: cpu.cores > 1\n    {body}").then
    assert (then.verb, then.parameters, then.notify) == (verb, parameters, None)


def test_yaml_is_read_as_1_2() -> None:
    """PyYAML alone reads the key as true, `off` as false, and 012 as 10."""
    text = "select: {name: web}\n    on: {container: die}\n    mode: off\n    description: 'no'\n    then: {start: {}}"
    assert policy(text).mode is Mode.OFF
    assert "no text" not in str(policy("on: {engine: down}\n    description: yes\n    then: {notify: {message: on}}"))
    assert policy("on: {engine: down}\n    then: {notify: {message: 1:30}}").then.notify == Notify(message="1:30")


def test_a_name_is_unique_over_the_folder_even_among_broken_policies() -> None:
    good = b"version: 1\npolicies: [{name: a, on: {engine: up}, then: {notify: {}}}]"
    bad = b"version: 1\npolicies: [{name: a, on: {engine: up}}]"
    found = load_policies({"b.yaml": good, "a.yaml": good, "c.yaml": bad})
    assert isinstance(found, tuple)
    assert [str(each) for each in found] == [
        'b.yaml:2:19: policies[0].name: the name "a" is taken, choose another: it is used at a.yaml:2:19',
        "c.yaml:2:12: policies[0]: the policy does nothing, add then: {restart: {}}, or then: {notify: {}}",
        'c.yaml:2:19: policies[0].name: the name "a" is taken, choose another: it is used at a.yaml:2:19',
    ]


def test_a_folder_has_a_thousand_policies_at_most() -> None:
    def folder(count: int) -> PolicySet | tuple[Problem, ...]:
        items = [f"{{name: p{i}, on: {{engine: up}}, then: {{notify: {{}}}}}}" for i in range(count)]
        return load_policies({"a.yaml": f"version: 1\npolicies: [{', '.join(items)}]".encode()})

    assert isinstance(folder(1000), PolicySet)
    found = folder(1001)
    assert isinstance(found, tuple)
    assert "the folder has 1001 policies, 1000 is the most" in str(found[0])
    assert "there are 10001 policies" in str(folder(10_001))


def test_the_shipped_policies_load_and_are_safe() -> None:
    files = {path.name: path.read_bytes() for path in SHIPPED.iterdir()}
    shipped = load_policies(files)
    assert isinstance(shipped, PolicySet), shipped
    acting = [each for each in shipped.policies if each.then.verb is not None and each.mode is not Mode.SHADOW]
    assert [each.name for each in acting] == ["heal-unhealthy"]
    assert acting[0].selector is not None
    assert list(acting[0].selector.labels) == ["autoheal"]
    assert acting[0].then.parameters == {}, "the label autoheal.stop.timeout decides"
    assert {each.name for each in shipped.policies} == {
        "heal-unhealthy",
        "notify-oom",
        "notify-crash",
        "notify-disk",
        "prune-disk",
    }


def test_twelve_mistakes_are_twelve_lines() -> None:
    found = load_policies({path.name: path.read_bytes() for path in TWELVE.iterdir()})
    assert isinstance(found, tuple)
    assert len(found) == 12
    assert len({each.message for each in found}) == 12
    for each in found:
        assert re.fullmatch(r"\w+\.yaml:\d+:\d+: .+, .+", str(each))


def test_the_examples_of_the_documentation_load() -> None:
    text = (CHECKOUT / "docs" / "policies.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(examples) >= 3
    for example in examples:
        whole = example if example.startswith("version:") else "version: 1\npolicies:\n" + example
        assert loaded(whole).policies
