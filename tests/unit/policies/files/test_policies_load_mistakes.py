"""Every mistake in one go, each with its place and a remedy."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.support.policies import lines, problems
from watchtower_agent.policies.files.load import load_policies


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # keys
        (
            "slect: {name: a}\n    when: host.load1 > 3\n    then: {notify: {}}",
            '4:5: policies[0].slect: unknown key "slect", did you mean select?',
        ),
        (
            "colour: 1\n    when: host.load1 > 3\n    then: {notify: {}}",
            '4:5: policies[0].colour: unknown key "colour", choose one of name,',
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
            "mode: perhaps\n    when: host.load1 > 3\n    then: {notify: {}}",
            '4:11: policies[0].mode: "perhaps" is not known here, choose one of enforce, shadow, approve, off',
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
            '5:10: policies[0].for: "1h30m" is not a duration, write 90m',
        ),
        (
            "when: host.load1 > 3\n    for: -5s\n    then: {notify: {}}",
            '5:10: policies[0].for: "-5s" is less than nothing',
        ),
        (
            "when: host.load1 > 3\n    for: 20y\n    then: {notify: {}}",
            '5:10: policies[0].for: unknown unit "y", the units are ms, s, m, h, d, as in 30s',
        ),
        (
            "when: host.load1 > 3\n    cooldown: 4000d\n    then: {notify: {}}",
            '5:15: policies[0].cooldown: "4000d" is longer than ten years, write a duration of at most 3650d',
        ),
        (
            "select: {name: a}\n    on: {container: die}\n    then: {stop: {stop_timeout: 61m}}",
            "6:33: policies[0].then.stop.stop_timeout: no stop takes longer than 1h, write a duration",
        ),
        (
            "when: host.load1 > 3\n    for: 5sec\n    then: {notify: {}}",
            '5:10: policies[0].for: unknown unit "sec", write 5s',
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
        # patterns that match nothing
        (
            "select: {name: 'web-[a'}\n    when: cpu.cores > 3\n    then: {notify: {}}",
            '4:25: policies[0].select.name: the bracket in "web-[a" is never closed, close it with ]',
        ),
        (
            "select: {name: [a, '']}\n    when: cpu.cores > 3\n    then: {notify: {}}",
            "4:24: policies[0].select.name[1]: the pattern is empty and matches no name, write a name",
        ),
        (
            "select: {compose: {project: ' '}}\n    when: cpu.cores > 3\n    then: {notify: {}}",
            "4:33: policies[0].select.compose.project: the pattern is only blanks",
        ),
        (
            "select: {not: {labels: {tier: '[z-a]'}}, name: a}\n    when: cpu.cores > 3\n    then: {notify: {}}",
            '4:35: policies[0].select.not.labels.tier: nothing lies between z and a in "[z-a]", write [a-z]',
        ),
        (
            "select: {labels: {' ': x}}\n    when: cpu.cores > 3\n    then: {notify: {}}",
            '4:23: policies[0].select.labels." ": a label needs a name, write it like',
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
        (
            "when: host.disk.free < 9999999999TiB\n    then: {notify: {}}",
            '4:28: policies[0].when: "9999999999TiB" is more bytes than anything has, write a size below 8388608TiB',
        ),
        (
            "when: host.disk.free < 1e300\n    then: {notify: {}}",
            "4:28: policies[0].when: 1e300 is more bytes than anything has, write it like",
        ),
        (
            "when: host.disk.free < -1GiB\n    then: {notify: {}}",
            "4:28: policies[0].when: host.disk.free is never below zero, write it like host.disk.free > 512MiB",
        ),
        (
            "when: engine.latency > 9999999h\n    then: {notify: {}}",
            '4:28: policies[0].when: "9999999h" is longer than ten years, write a duration of at most 3650d',
        ),
        (
            "when: mean(host.load1, 5m) > 3\n    then: {notify: {}}",
            '4:11: policies[0].when: unknown function "mean"',
        ),
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
        ("version: 1\npolicies:\n\t- name: a", "a.yaml:3:1: a tab is no indentation in YAML, indent with blanks"),
        ('version: 1\npolicies:\n  - name: "a\n', 'a.yaml:3:11: this quote is never closed, close it with "'),
        ("version: 1\na: b: c\n", 'a.yaml:2:5: a text that contains ": " needs quotes, write "b: c"'),
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
        ("when: >-\n\n      cpu.prcent > 1", 6, 7),
        ("when: |\n", 4, 11),
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


def test_mistakes_within_one_comparison_and_beside_a_slip_have_their_lines_and_columns() -> None:
    text = """\
version: 1
policies:
  - name: a
    select: {name: "*"}
    when: >
      cpu.percnt > memory.usge
      and exit_code in [1, "a", 3s]
      or labels[x] == "y"
    then: {restart: {}}
"""
    found = load_policies({"a.yaml": text.encode()})

    assert isinstance(found, tuple)
    assert [(problem.line, problem.column) for problem in found] == [(6, 7), (6, 20), (7, 28), (7, 33), (8, 17)]


@pytest.mark.parametrize(
    ("then", "pacing", "expected"),
    [
        (
            "restart",
            "budget: {max: 0}",
            "7:19: A.budget.max: this is not a number of actions, write one from 1 to 1000",
        ),
        ("restart", "budget: {max: 1.5}", "7:19: A.budget.max: this is not a number of actions"),
        ("restart", "budget: {max: true}", "7:19: A.budget.max: this is not a number of actions"),
        (
            "restart",
            "budget: {in_vain: 0}",
            "7:23: A.budget.in_vain: this is not a number of containers, write one from 1 to 1000",
        ),
        ("restart", "budget: {in_vains: 3}", 'in_vains: unknown key "in_vains", did you mean in_vain?'),
        ("restart", "budget: {per: 2d}", "7:19: A.budget.per: no budget is counted over so long or short, write a"),
        ("restart", "budget: {per: 500ms}", "7:19: A.budget.per: no budget is counted over so long or short"),
        ("restart", "budget: {probe_after: 7h}", "7:27: A.budget.probe_after: no breaker waits for so long or short"),
        ("restart", "budget: {probe_after: 0s}", "7:27: A.budget.probe_after: no breaker waits for so long or short"),
        (
            "restart",
            "budget: {on_open: kill}",
            '7:23: A.budget.on_open: "kill" is not known here, choose one of notify,',
        ),
        ("restart", "budget: 5", "7:13: A.budget: this is not a mapping, write {max: 5, per: 30m}"),
        ("restart", "backoff: 10s", "7:14: A.backoff: this is not a mapping, write {initial: 10s, max: 15m}"),
        ("restart", "backoff: {factor: 0.5}", "7:23: A.backoff.factor: this is not a factor, write a number from 1"),
        ("restart", "backoff: {factor: 101}", "7:23: A.backoff.factor: this is not a factor"),
        ("restart", "backoff: {factor: two}", "7:23: A.backoff.factor: this is not a factor"),
        ("restart", "backoff: {initial: 1h}", "7:14: A.backoff.max: max is less than initial, write a max that is"),
        ("restart", "backoff: {initial: 10}", '7:24: A.backoff.initial: "10" has no unit'),
        ("restart", "backoff: {inital: 5s}", '7:15: A.backoff.inital: unknown key "inital", did you mean initial?'),
        ("stop", "backoff: {max: 5m}", "7:5: A.backoff: backoff is for restart and start, and this policy does a stop"),
        ("notify", "backoff: {max: 5m}", "7:5: A.backoff: backoff is for restart and start, and this policy only"),
        ("notify", "budget: {max: 5}", "7:5: A.budget: a budget is for actions, and this policy only notifies, leave"),
    ],
)
def test_every_mistake_in_backoff_and_budget(then: str, pacing: str, expected: str) -> None:
    (found,) = lines(f"select: {{name: a}}\n    on: {{container: die}}\n    then: {{{then}: {{}}}}\n    {pacing}")
    assert expected.replace("A.", "policies[0].") in found


@pytest.mark.parametrize(
    ("then", "keys", "expected"),
    [
        (
            "restart",
            "approve_within: 1h",
            "7:5: A.approve_within: approve_within belongs to mode: approve, and this policy",
        ),
        ("restart", "mode: enforce\n    approve_within: 1h", "8:5: A.approve_within: approve_within belongs to mode: "),
        (
            "notify",
            "mode: approve\n    approve_within: 1h",
            "8:5: A.approve_within: people are asked about actions, and",
        ),
        (
            "restart",
            "mode: approve\n    approve_within: 8d",
            "8:21: A.approve_within: nobody is asked for so long or short",
        ),
        (
            "restart",
            "mode: approve\n    approve_within: 0s",
            "8:21: A.approve_within: nobody is asked for so long or short",
        ),
        ("restart", "mode: approve\n    approve_within: 60", '8:21: A.approve_within: "60" has no unit'),
        (
            "restart",
            "mode: aprove\n    approve_within: 1h",
            '7:11: A.mode: "aprove" is not known here, did you mean approve?',
        ),
    ],
)
def test_every_mistake_about_approvals(then: str, keys: str, expected: str) -> None:
    (found,) = lines(f"select: {{name: a}}\n    on: {{container: die}}\n    then: {{{then}: {{}}}}\n    {keys}")
    assert expected.replace("A.", "policies[0].") in found
