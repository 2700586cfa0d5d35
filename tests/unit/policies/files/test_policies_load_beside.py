"""A mistake hides no other: what is certain all the same is told beside it, in one go."""

from __future__ import annotations

import pytest

from tests.support.policies import problems

NONE_SELECTED = "the condition is about containers, and none are selected"
NEEDS_CONTAINERS = "restart needs containers to act on"


def messages(*policies: str) -> list[str]:
    body = "".join(f"- {{{policy}}}\n" for policy in policies)
    return [f"{each.line}:{each.column} {each.message}" for each in problems(f"version: 1\npolicies:\n{body}")]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (
            "name: a, when: cpu.cores > 1GiB, then: {restart: {}}",
            [f"3:19 {NONE_SELECTED}", "3:31 cpu.cores is a number and 1GiB is a number of bytes"],
        ),
        (
            "name: a, when: memory.percnt > 3%, then: {restart: {}}",
            ['3:19 unknown name "memory.percnt"', f"3:19 {NONE_SELECTED}"],
        ),
        (
            "name: a, when: 'memory.percent > 3% and', then: {notify: {}}",
            [f"3:19 {NONE_SELECTED}", "3:43 the condition ends too early"],
        ),
        (
            "name: a, when: unhealthy, then: {notify: {}}",
            ['3:19 unknown name "unhealthy"', f"3:19 {NONE_SELECTED}"],
        ),
        (
            "name: a, when: 'labels[\"x\"] == 3', then: {notify: {}}",
            [f"3:19 {NONE_SELECTED}", '3:35 labels["x"] is a text and 3 is a number'],
        ),
        (
            "name: a, when: labels.x == 3, then: {notify: {}}",
            ["3:19 labels.x needs a key in brackets", f"3:19 {NONE_SELECTED}"],
        ),
        ("name: a, when: host.load1 > 3%, then: {notify: {}}", ["3:32 host.load1 is a number and 3% is a percentage"]),
        (
            "name: a, when: host.load1 > 3%, then: {restart: {}}",
            ["3:32 host.load1 is a number and 3% is a percentage", f"3:43 {NEEDS_CONTAINERS}"],
        ),
        (
            "name: a, when: [3], then: {restart: {}}",
            ["3:19 this is not a text", f"3:31 {NEEDS_CONTAINERS}"],
        ),
        ("name: a, then: {restart: {}}", ["3:3 the policy has no trigger", f"3:20 {NEEDS_CONTAINERS}"]),
        (
            "name: a, on: {contaner: die}, then: {restart: {}}",
            ['3:18 no events are of the kind "contaner"', f"3:41 {NEEDS_CONTAINERS}"],
        ),
        (
            "name: a, on: {container: 5}, then: {restart: {}}",
            ["3:29 this is not a text", f"3:40 {NEEDS_CONTAINERS}"],
        ),
        (
            "name: a, on: {image: pul}, where: status == exited, then: {restart: {}}",
            [
                '3:25 image has no event "pul"',
                "3:38 image events are not about a container",
                "3:48 exited is not a name",
                "3:63 image events have no container to restart",
            ],
        ),
        (
            "name: a, on: {image: pul}, select: {name: x}, then: {notify: {}}",
            ['3:25 image has no event "pul"', "3:31 image events are not about a container"],
        ),
        (
            "name: a, when: host.disk.percnt > 90%, prune: {images: {}}",
            ['3:19 unknown name "host.disk.percnt"', "3:50 when is about the disk, and nothing says when there is"],
        ),
        (
            "name: a, on: {engine: uup}, then: {restart_engine: {}}",
            ['3:26 engine has no event "uup"', "3:39 restart_engine is for an engine that is in trouble"],
        ),
        (
            "name: a, select: {name: x}, on: {container: die}, then: {start: {}}, backoff: {factor: x, max: 1s}",
            ["3:91 this is not a factor", "3:99 max is less than initial"],
        ),
        (
            "name: a, select: {name: x}, on: {container: die}, then: {start: {}}, backoff: {initial: x, max: 1s}",
            ['3:92 "x" is not a duration'],
        ),
    ],
)
def test_a_mistake_in_a_trigger_hides_nothing_that_is_certain(policy: str, expected: list[str]) -> None:
    found = messages(policy)

    assert len(found) == len(expected)
    assert all(each.startswith(start) for each, start in zip(found, expected, strict=True)), found


@pytest.mark.parametrize(
    "beside", ["when: helth == 3", "when: uptime > 3s, cooldwn: 3s", "on: {container: dye}", "when: [], budget: 3"]
)
def test_policies_with_mistakes_that_wait_for_each_other_are_told_so(beside: str) -> None:
    waiting = f"name: a, select: {{name: web}}, depends: db, {beside}, then: {{restart: {{}}}}"
    other = "name: b, select: {name: db}, depends: web, when: uptime > 3s, then: {restart: {}}"

    for policies in ((waiting, other), (other, waiting)):
        assert any("wait for each other" in each for each in messages(*policies))


@pytest.mark.parametrize(
    "beside",
    ["mode: of, when: uptime > 3s", "when: uptime > 3s, slect: {name: api}", "depend: x, when: uptime > 3s"],
)
def test_nothing_is_told_of_others_where_a_mistake_may_change_who_waits_for_whom(beside: str) -> None:
    waiting = f"name: a, select: {{name: web}}, depends: db, {beside}, then: {{restart: {{}}}}"
    other = "name: b, select: {name: db}, depends: web, when: uptime > 3s, then: {restart: {}}"

    found = messages(waiting, other)

    assert len(found) == 1
    assert "wait for each other" not in found[0]


def test_a_service_that_is_scaled_twice_is_told_beside_what_is_missing_in_one_of_them() -> None:
    target = "target: {compose: {project: shop, service: web}}"
    wrong = f"name: a, {target}, scale: {{min: 1, metrics: [{{metric: cpu.percnt, target: 60%}}]}}"
    right = f"name: b, {target}, scale: {{min: 1, max: 3, metrics: [{{metric: cpu.percent, target: 60%}}]}}"

    assert messages(wrong, right)[-1] == "4:13 policy a (a.yaml:3:3) scales shop/web already"
    assert messages(right, wrong)[0] == "4:13 policy b (a.yaml:3:3) scales shop/web already"


def test_a_name_that_is_taken_moves_no_place() -> None:
    waiting = "name: a, select: {name: web}, depends: db, when: uptime > 3s, then: {restart: {}}"
    other = "name: b, select: {name: db}, depends: web, when: uptime > 3s, then: {restart: {}}"
    again = "name: a, select: {name: api}, then: {restart: {}}"

    found = messages(waiting, other, again)

    assert found[0].startswith("3:43 a and b (a.yaml:4:3) wait for each other")
    assert [each.partition(" ")[0] for each in found[1:]] == ["5:3", "5:10"]


BROKEN = """version: 1
policies:
  # The first quote is never closed.
  - name: p
    for: "60
    mode: onn
  - name: q
    select: {nmae: web}
    when: memory.prcent > 90%
    then: {restart: {}}

  - name: r
\tselect: x
  - name: s
    when: *s
    then: {notify: {}}
  - name: t
    select: [x
  - name: u
    on: {container: dye}
    then: {notify: {}}
foo: 1
"""


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("indent", ["  ", ""])
def test_a_policy_that_is_no_yaml_hides_no_mistake_of_the_others(indent: str, line_end: str) -> None:
    found = [
        f"{each.line} {each.path}: {each.message}"
        for each in problems(BROKEN.replace("\n  ", f"\n{indent}").replace("\n", line_end))
    ]

    assert found == [
        "5 : this quote is never closed",
        '8 policies[1].select.nmae: unknown key "nmae"',
        '9 policies[1].when: unknown name "memory.prcent"',
        "13 : a tab is no indentation in YAML",
        '15 policies[3].when: a text that begins with "*" needs quotes',
        "18 : this [ is never closed",
        '20 policies[5].on.container: container has no event "dye"',
        '22 foo: unknown key "foo"',
    ]


def test_a_second_document_hides_nothing_of_the_first() -> None:
    text = "version: 1\npolicies:\n- {name: a, on: {engine: uup}, then: {notify: {}}}\n---\nversion: [2\n"

    assert [(each.line, each.message) for each in problems(text)] == [
        (3, 'engine has no event "uup"'),
        (4, "a second document begins"),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("version: [1\npolicies:\n- name: a\n  when: [x\n- name: b\n  wehn: x\n", 1),
        ("version: 1\npolicies: [{name: a,\n  when: 'x}]\n", 3),
        ("version: 1\npolicies:\n  - name: a\n    wehn: y\n - name: b\n   wehn: x\n", 5),
    ],
)
def test_where_policies_cannot_be_told_apart_the_first_mistake_alone_is_told(text: str, line: int) -> None:
    (problem,) = problems(text)

    assert problem.line == line
