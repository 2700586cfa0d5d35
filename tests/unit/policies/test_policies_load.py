"""The loader: whole or not at all, every mistake in one go, each with its place and a remedy."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.model.decision import Mode, Severity, Verb
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.policies.load import load_policies
from watchtower_agent.policies.policy import Notify, OnTrigger, Place, Policy, PolicySet, Then, WhenTrigger
from watchtower_agent.policies.problem import Problem

CHECKOUT = Path(__file__).resolve().parents[3]
SHIPPED = CHECKOUT / "config" / "policies"
TWELVE = CHECKOUT / "tests" / "data" / "policies_twelve_mistakes"
GOOD = """\
version: 1
policies:
  - name: heal
    description: Heals.
    mode: shadow
    select: {labels: {autoheal: true}}
    when: health == "unhealthy"
    for: 1m
    then:
      restart: {stop_timeout: 30s}
      notify: {severity: critical, message: Sick again}
    cooldown: 5m
    restart_stopped: true

  - name: oom
    on: {container: [oom, die], engine: "*"}
    where: event.age < 5m
    then: {notify: {}}
"""


def loaded(text: str) -> PolicySet:
    policies = load_policies({"a.yaml": text.encode()})
    assert isinstance(policies, PolicySet), "\n".join(map(str, policies))
    return policies


def problems(text: str | bytes) -> tuple[Problem, ...]:
    found = load_policies({"a.yaml": text.encode() if isinstance(text, str) else text})
    assert isinstance(found, tuple)
    return found


def policy(body: str) -> Policy:
    return loaded(f"version: 1\npolicies:\n  - name: a\n    {body}\n").policies[0]


def lines(body: str) -> list[str]:
    """What is wrong with one policy, whose second line this is."""
    return [str(each) for each in problems(f"version: 1\npolicies:\n  - name: a\n    {body}\n")]


def test_a_file_becomes_policies() -> None:
    heal, oom = loaded(GOOD).policies
    assert (heal.name, heal.description, heal.mode) == ("heal", "Heals.", Mode.SHADOW)
    assert heal.selector is not None
    assert isinstance(heal.trigger, WhenTrigger)
    assert heal.trigger.condition.text == 'health == "unhealthy"'
    assert heal.trigger.hold == 60.0
    assert heal.then == Then(
        verb=Verb.RESTART,
        parameters={"stop_timeout": 30.0},
        notify=Notify(severity=Severity.CRITICAL, message="Sick again"),
    )
    assert (heal.cooldown, heal.restart_stopped) == (300.0, True)
    assert heal.place == Place(file="a.yaml", line=3, column=5)
    assert isinstance(oom.trigger, OnTrigger)
    assert oom.trigger.events == {
        (EventKind.CONTAINER, "oom"),
        (EventKind.CONTAINER, "die"),
        (EventKind.ENGINE, "*"),
    }
    assert oom.trigger.where is not None
    assert oom.then == Then(verb=None, notify=Notify(severity=Severity.WARNING, message=""))
    assert (oom.selector, oom.cooldown, oom.restart_stopped, oom.mode) == (None, None, False, Mode.ENFORCE)


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


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # keys
        (
            "slect: {name: a}\n    when: host.load1 > 3\n    then: {notify: {}}",
            '4:5: policies[0].slect: unknown key "slect", did you mean select?',
        ),
        (
            "budget: 1\n    when: host.load1 > 3\n    then: {notify: {}}",
            '4:5: policies[0].budget: unknown key "budget", choose one of name,',
        ),
        (
            "when: host.load1 > 3\n    then: {notify: {severty: info}}",
            "5:21: policies[0].then.notify.severty: unknown key",
        ),
        (
            "select: {labels: {a: b}, compose: {servce: x}}\n    on: {container: die}\n    then: {notify: {}}",
            '4:40: policies[0].select.compose.servce: unknown key "servce", did you mean service?',
        ),
        (
            "when: host.load1 > 3\n    then: {notify: {}, start: {x: 1}}\n    select: {name: a}",
            '5:32: policies[0].then.start.x: unknown key "x", leave it out',
        ),
        # values
        (
            "mode: approve\n    when: host.load1 > 3\n    then: {notify: {}}",
            '4:11: policies[0].mode: "approve" is not known here, choose one of enforce, shadow, off',
        ),
        (
            "when: host.load1 > 3\n    then: {notify: {severity: warn}}",
            '5:31: policies[0].then.notify.severity: "warn" is not known here, did you mean warning?',
        ),
        ("when: 3\n    then: {notify: {}}", "4:11: policies[0].when: this is not a text, write a text"),
        ("when:\n    then: {notify: {}}", "4:10: policies[0].when: there is no value, give it one"),
        ("mode:\n    when: host.load1 > 3\n    then: {notify: {}}", "4:10: policies[0].mode: there is no value"),
        (
            "when: host.load1 > 3\n    then: {notify: {severity: ~}}",
            "5:31: policies[0].then.notify.severity: there is no",
        ),
        (
            "when: host.load1 > 3\n    for: 60\n    then: {notify: {}}",
            '5:10: policies[0].for: "60" has no unit, write 60s',
        ),
        (
            "when: host.load1 > 3\n    for: 1h30m\n    then: {notify: {}}",
            '5:10: policies[0].for: "1h30m" is not a duration',
        ),
        ("when: host.load1 > 3\n    for: -5s\n    then: {notify: {}}", '5:10: policies[0].for: "-5s" is out of range'),
        (
            "when: host.load1 > 3\n    for: 5sec\n    then: {notify: {}}",
            '5:10: policies[0].for: unknown unit "sec", the units are ms, s, m, h, d',
        ),
        (
            "when: host.load1 > 3\n    for: 5MiB\n    then: {notify: {}}",
            '5:10: policies[0].for: "5MiB" is not a duration',
        ),
        (
            "when: host.load1 > 3\n    for: [5s]\n    then: {notify: {}}",
            "5:10: policies[0].for: this is not a duration",
        ),
        (
            "when: host.load1 > 3\n    restart_stopped: yes\n    then: {notify: {}}",
            "5:22: policies[0].restart_stopped: this is neither true nor false",
        ),
        (
            "select: web\n    when: cpu.cores > 3\n    then: {notify: {}}",
            "4:13: policies[0].select: this is not a mapping",
        ),
        (
            "select: {name: []}\n    when: cpu.cores > 3\n    then: {notify: {}}",
            "4:20: policies[0].select.name: the list is empty",
        ),
        (
            "select: {name: [a, 3]}\n    when: cpu.cores > 3\n    then: {notify: {}}",
            "4:24: policies[0].select.name[1]: this is not a text",
        ),
        (
            "select: {status: runing}\n    when: cpu.cores > 3\n    then: {notify: {}}",
            '4:22: policies[0].select.status: "runing" is not known here, did you mean running?',
        ),
        (
            "select: {name: a}\n    when: cpu.cores > 3\n    then: {kill: {signal: SIGTRM}}",
            '6:27: policies[0].then.kill.signal: "SIGTRM" is not a signal',
        ),
        (
            "select: {name: a}\n    when: cpu.cores > 3\n    then: {kill: {signal: 99}}",
            '6:27: policies[0].then.kill.signal: "99" is not a signal',
        ),
        (
            "select: {name: a}\n    when: cpu.cores > 3\n    then: {restart: }",
            "6:21: policies[0].then.restart: there is no value, write {} for no parameters",
        ),
        (
            "select: {name: a}\n    when: cpu.cores > 3\n    then: restart",
            "6:11: policies[0].then: this is not a mapping",
        ),
        # keys together
        (
            "select: {}\n    when: cpu.cores > 3\n    then: {notify: {}}",
            '4:13: policies[0].select: this selects by nothing, write {name: "*"}',
        ),
        (
            "select: {name: a, not: {}}\n    when: cpu.cores > 3\n    then: {notify: {}}",
            "4:28: policies[0].select.not: this selects by nothing",
        ),
        (
            "select: {compose: {}}\n    when: cpu.cores > 3\n    then: {notify: {}}",
            "4:23: policies[0].select.compose: neither project nor service",
        ),
        (
            "select: {labels: {}}\n    when: cpu.cores > 3\n    then: {notify: {}}",
            "4:22: policies[0].select.labels: no label is named",
        ),
        ("then: {notify: {}}", "3:5: policies[0]: the policy has no trigger, add when"),
        ("when: host.load1 > 3", "3:5: policies[0]: the policy does nothing, add then"),
        ("when: host.load1 > 3\n    then: {}", "5:11: policies[0].then: no action is named, name one of restart"),
        (
            "when: host.load1 > 3\n    on: {engine: down}\n    then: {notify: {}}",
            "5:5: policies[0].on: a policy has one trigger",
        ),
        ("on: {engine: down}\n    for: 3s\n    then: {notify: {}}", "5:5: policies[0].for: for belongs to when"),
        (
            "when: host.load1 > 3\n    where: event.age > 3s\n    then: {notify: {}}",
            "5:5: policies[0].where: where belongs to on",
        ),
        (
            "select: {name: a}\n    when: cpu.cores > 3\n    then: {restart: {}, stop: {}}",
            "6:25: policies[0].then.stop: restart and stop are two actions",
        ),
        (
            "when: cpu.cores > 3\n    then: {notify: {}}",
            '4:11: policies[0].when: the condition is about containers, and none are selected, add select: {name: "*"}',
        ),
        (
            'when: labels["a"] == "b"\n    then: {notify: {}}',
            "4:11: policies[0].when: the condition is about containers",
        ),
        (
            "when: host.load1 > 3\n    then: {restart: {}}",
            "5:12: policies[0].then.restart: restart needs containers to act on",
        ),
        (
            "on: {container: die}\n    then: {restart: {}}",
            "5:12: policies[0].then.restart: restart needs containers to act on",
        ),
        (
            "on: {engine: down}\n    then: {restart: {}}",
            "5:12: policies[0].then.restart: engine events have no container to restart",
        ),
        (
            "on: {engine: down}\n    select: {name: a}\n    then: {restart: {}}",
            "5:5: policies[0].select: engine events are not about a container",
        ),
        (
            "on: {container: die, engine: down}\n    select: {name: a}\n    then: {notify: {}}",
            "5:5: policies[0].select: engine events are not about a container",
        ),
        (
            'on: {image: pull}\n    where: health == "healthy"\n    then: {notify: {}}',
            "5:12: policies[0].where: image events are not about a container",
        ),
        # events
        ("on: oom\n    then: {notify: {}}", "4:9: policies[0].on: this is not a mapping"),
        ("on: {}\n    then: {notify: {}}", "4:9: policies[0].on: no event is named"),
        (
            "on: {contaner: die}\n    then: {notify: {}}",
            '4:10: policies[0].on.contaner: no events are of the kind "contaner", did you mean container?',
        ),
        (
            "on: {container: [die, ooom]}\n    then: {notify: {}}",
            '4:27: policies[0].on.container[1]: container has no event "ooom", did you mean oom?',
        ),
        (
            "on: {policy: decision}\n    then: {notify: {}}",
            '4:18: policies[0].on.policy: policy has no event "decision"',
        ),
        (
            "on: {action: succeeded}\n    then: {notify: {}}",
            "4:10: policies[0].on.action: the agent's own actions are no trigger",
        ),
        (
            'on: {container: "health_status: unhealthy"}\n    then: {notify: {}}',
            'write health_status, and where: health == "unhealthy"',
        ),
        # conditions, by the place of the wrong word
        (
            "when: host.load > 3\n    then: {notify: {}}",
            '4:11: policies[0].when: unknown name "host.load", did you mean host.load',
        ),
        (
            "on: {container: die}\n    where: event.exit_code != 0s\n    then: {notify: {}}",
            "5:31: policies[0].where: event.exit_code is a number and 0s is a duration",
        ),
        ("when: avg(host.load1, 5m) > 3\n    then: {notify: {}}", "4:11: policies[0].when: unknown function avg"),
    ],
)
def test_every_mistake_has_its_line_column_path_and_remedy(body: str, expected: str) -> None:
    found = lines(body)
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a.yaml:1:1: the file is empty, write version: 1"),
        ("# nothing\n", "a.yaml:1:1: the file is empty"),
        ("- a\n", "a.yaml:1:1: the file is not a mapping"),
        ("policies: []", "a.yaml:1:1: version: the key version is missing"),
        ("version: 1", "a.yaml:1:1: policies: the key policies is missing"),
        ("version: 2\npolicies: []", 'a.yaml:1:10: version: "2" is not known here, the only one is 1'),
        ("version: '1'\npolicies: []", "a.yaml:1:10: version: "),
        ("version: 1\npolicy: []\npolicies: []", 'a.yaml:2:1: policy: unknown key "policy", did you mean policies?'),
        ("version: 1\npolicies: {}", "a.yaml:2:11: policies: this is not a list"),
        ("version: 1\npolicies: [a]", "a.yaml:2:12: policies[0]: this is not a policy"),
        (
            "version: 1\npolicies: [{on: {engine: up}, then: {notify: {}}}]",
            "a.yaml:2:12: policies[0].name: the key name is missing",
        ),
        (
            "version: 1\npolicies: [{name: a b, on: {engine: up}, then: {notify: {}}}]",
            'a.yaml:2:19: policies[0].name: "a b" is no name for a policy',
        ),
        (
            f"version: 1\npolicies: [{{name: {'a' * 65}, on: {{engine: up}}, then: {{notify: {{}}}}}}]",
            "a.yaml:2:19: policies[0].name: this text is too long, use 64",
        ),
        (
            "version: 1\nversion: 1\npolicies: []",
            'a.yaml:2:1: the key "version" stands here a second time, keep one: the first is at line 1',
        ),
        ("version: &v 1\npolicies: []", 'a.yaml:1:10: version: "&v" is an anchor'),
        ("version: !!int 1\npolicies: []", 'a.yaml:1:10: version: "tag:yaml.org,2002:int" is a tag'),
        ("version: 1\npolicies: []\n---\nversion: 1\n", "a.yaml:3:1: a second document begins"),
        ("version: 1\n? [a]\n: 1\n", "a.yaml:2:3: a key is not a text"),
        ("version: 1\npolicies: [" + "[" * 40, "a.yaml:2:42: this is nested 33 levels deep"),
        ("version: 1\npolicies:\n\t- name: a", "a.yaml:3:1: not valid YAML: "),
        ('version: 1\npolicies:\n  - name: "a\n', "a.yaml:3:11: not valid YAML: "),
        (
            "version: 1\na: b: c\n",
            "a.yaml:2:5: not valid YAML: mapping values are not allowed in this context, put a value that contains",
        ),
        ("version: 1\nä: \x07", "a.yaml:2:4: the character U+0007 is not allowed in YAML"),
        (b"version: 1\n# \xe4\n", "a.yaml:2:3: byte 0xe4 is not UTF-8, save the file as UTF-8"),
        ("version: 1\npolicies: []\n".encode("utf-16"), "a.yaml:1:1: byte 0xff is not UTF-8"),
        (b"#" * (1024 * 1024 + 1), "a.yaml:1:1: the file has more than 1 MiB, split it"),
    ],
)
def test_every_mistake_of_a_file_has_its_place(text: str | bytes, expected: str) -> None:
    found = [str(each) for each in problems(text)]
    assert len(found) == 1, found
    assert found[0].startswith(expected)


def test_a_reused_anchor_is_told_at_both_places() -> None:
    found = [str(each) for each in problems("version: 1\npolicies:\n  - &a {}\n  - *a\n")]
    assert any(line.startswith('a.yaml:3:5: policies[0]: "&a" is an anchor') for line in found)
    assert any(line.startswith('a.yaml:4:5: policies[1]: "*a" is an alias') for line in found)


@pytest.mark.parametrize(
    ("written", "line", "column"),
    [
        ("when: health == 'none' and cpu.prcent > 1", 4, 32),
        ('when: "health == \\"none\\" and cpu.prcent > 1"', 4, 35),
        ("when: 'health == ''none'' and cpu.prcent > 1'", 4, 35),
        ("when: health == 'none'\n      and cpu.prcent > 1", 5, 11),
        ("when: >-\n      health == 'none'\n      and cpu.prcent > 1", 6, 11),
        ("when: |\n      health == 'none' and\n\n      cpu.prcent > 1", 7, 7),
        ("when: 'health == ''none''\n\n      and\n      cpu.prcent > 1'", 7, 7),
    ],
)
def test_a_wrong_word_is_found_however_the_condition_is_written(written: str, line: int, column: int) -> None:
    (found,) = problems(
        f"version: 1\npolicies:\n  - name: a\n    {written}\n    select: {{name: a}}\n    then: {{notify: {{}}}}\n"
    )
    assert (found.line, found.column) == (line, column)


def test_mistakes_do_not_hide_each_other() -> None:
    found = problems(
        dedent("""\
        version: 1
        extra: 1
        policies:
          - name: a
            slect: 1
            select: {name: 3}
            when: cpu.prcent > 1
            for: 5
            mode: maybe
            then: {restart: {stop_timeout: 5}, kill: {signal: X}}
            cooldown: 1y
        """)
    )
    assert [(each.line, each.path) for each in found] == [
        (2, "extra"),
        (5, "policies[0].slect"),
        (6, "policies[0].select.name"),
        (7, "policies[0].when"),
        (8, "policies[0].for"),
        (9, "policies[0].mode"),
        (10, "policies[0].then.restart.stop_timeout"),
        (10, "policies[0].then.kill"),
        (10, "policies[0].then.kill.signal"),
        (11, "policies[0].cooldown"),
    ]


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


def test_ten_thousand_mistakes_are_told_in_seconds() -> None:
    item = "  - name: p{0}\n    kay{0}: 1\n    when: nam{0} > 3\n    for: {0}\n    mode: m{0}\n    then: {{no: {{}}}}\n"
    text = "version: 1\npolicies:\n" + "".join(item.format(i) for i in range(2000))
    begin = time.perf_counter()
    assert len(problems(text)) == 10_000
    assert time.perf_counter() - begin < 15


def test_a_hostile_text_stays_on_one_line() -> None:
    policy = '  - name: "a\\nb\\e[31m"\n    "k\\n\\u2028": 1\n    on: {engine: up}\n    then: {notify: {}}\n'
    for each in problems("version: 1\npolicies:\n" + policy):
        assert str(each).isprintable()


def test_the_shipped_policies_load_and_are_safe() -> None:
    files = {path.name: path.read_bytes() for path in SHIPPED.iterdir()}
    shipped = load_policies(files)
    assert isinstance(shipped, PolicySet), shipped
    acting = [each for each in shipped.policies if each.then.verb is not None]
    assert [each.name for each in acting] == ["heal-unhealthy"]
    assert acting[0].selector is not None
    assert list(acting[0].selector.labels) == ["autoheal"]
    assert acting[0].then.parameters == {}, "the label autoheal.stop.timeout decides"
    assert {each.name for each in shipped.policies} == {"heal-unhealthy", "notify-oom", "notify-crash", "notify-disk"}


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


# What follows is checked on random input: the loader answers with policies or problems, never with an exception.


def answered(content: bytes) -> None:
    answer = load_policies({"a.yaml": content})
    if isinstance(answer, PolicySet):
        return
    assert answer
    for each in answer:
        assert str(each).isprintable()
        assert each.line >= 1
        assert each.column >= 1
        assert each.line <= content.count(b"\n") + 1


@given(content=st.binary(max_size=200))
def test_junk_is_answered(content: bytes) -> None:
    answered(content)


SHIPPED_TEXTS = [GOOD.encode(), *(path.read_bytes() for path in sorted(SHIPPED.iterdir()))]


@given(
    base=st.sampled_from(SHIPPED_TEXTS),
    cuts=st.lists(
        st.tuples(
            st.integers(0, 2000),
            st.integers(0, 12),
            st.sampled_from(
                [
                    b"",
                    b"\n",
                    b"  ",
                    b"- ",
                    b": ",
                    b"{",
                    b"]",
                    b'"',
                    b"'",
                    b"&a ",
                    b"*a",
                    b"!x ",
                    b"|",
                    b"\x00",
                    b"\xff",
                    b"#",
                    b"null",
                    b"99",
                ]
            )
            | st.binary(max_size=4),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_a_damaged_file_is_answered(base: bytes, cuts: list[tuple[int, int, bytes]]) -> None:
    for at, length, instead in cuts:
        begin = at % (len(base) + 1)
        base = base[:begin] + instead + base[begin + length :]
    answered(base)


WORDS = """version policies name description mode select when for on where then cooldown restart_stopped labels image
compose project service swarm_service networks status not restart start stop kill pause notify stop_timeout signal
severity message container engine die"""
KEYS = st.sampled_from(WORDS.split()) | st.text(max_size=5)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(["die", "*", "30s", "SIGTERM", "enforce", "running", 'health == "none"', "host.load1 > 3", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(policies=st.lists(st.dictionaries(KEYS, VALUES, max_size=8), max_size=3))
def test_any_shape_is_answered(policies: object) -> None:
    # JSON is YAML.
    answered(json.dumps({"version": 1, "policies": policies}).encode())


def test_every_comparison_of_a_condition_tells_its_mistake() -> None:
    text = """\
version: 1
policies:
  - name: a
    select: {name: "*"}
    when: memory.prcent > 90% and memory.usage > 30s or (not foo == 1)
    then: {restart: {}}
"""
    found = load_policies({"a.yaml": text.encode()})

    assert isinstance(found, tuple)
    assert [problem.line for problem in found] == [5, 5, 5]
    assert [next(word for word in ("memory.prcent", "30s", "foo") if word in problem.message) for problem in found] == [
        "memory.prcent",
        "30s",
        "foo",
    ]
