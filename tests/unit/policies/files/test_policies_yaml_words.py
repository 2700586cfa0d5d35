"""What is no YAML is told in the words of the file, where the mistake is, and once."""

from __future__ import annotations

import re

import pytest

from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.policy import PolicySet

TAIL = "    when: cpu.cores > 1\n    then: {restart: {}}\n"
LIBYAML = re.compile(r"scalar|token|mapping values|stream|block|flow|while |expected key|not valid YAML")


def lines(text: str) -> list[str]:
    found = load_policies({"a.yaml": text.encode()})
    assert not isinstance(found, PolicySet), "nothing was found"
    return [str(problem) for problem in found]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("name: *web foo", '4:11: policies[0].name: a text that begins with "*" needs quotes, write "*web foo"'),
        ("select: {name: *}", '4:20: a text that begins with "*" needs quotes, write "*"'),
        (
            "select: {name: *-web}",
            '4:20: policies[0].select.name: a text that begins with "*" needs quotes, write "*-web"',
        ),
        ("select: {name: *.web}", '4:20: a text that begins with "*" needs quotes, write "*.web"'),
        (
            "select: {name: [*web, db]}",
            '4:21: policies[0].select.name[0]: a text that begins with "*" needs quotes, write "*web"',
        ),
        (
            "select: {name: '*web'}\n    <<: *b",
            '5:9: policies[0]."<<": keys are not merged here, write them out: aliases',
        ),
        (
            "select: {name: !web}",
            '4:20: a text that begins with "!" needs quotes, write "!web"',
        ),
        (
            "description: !web",
            '4:18: policies[0].description: "!web" is a tag, remove it: types follow from how a value is written',
        ),
        ("select: !a!b", '4:13: a text that begins with "!" needs quotes, write "!a!b"'),
        ("select:\n      name: [ab]*", '5:17: "*" is not expected after a list, put the text in quotes: "[ab]*"'),
        ("description: ? b", '4:18: a text that begins with "?" needs quotes, write "? b"'),
        ("description: %foo", '4:18: a text that begins with "%" needs quotes, write "%foo"'),
        ("description: @ops, please # or not", '4:18: a text that begins with "@" needs quotes, write "@ops, please"'),
        ('description: `"`', '4:18: a text that begins with "`" needs quotes, write \'`"`\''),
        ("description: note: this", '4:22: a text that contains ": " needs quotes, write "note: this"'),
        ("when: cpu.cores > 1: b", '4:24: a text that contains ": " needs quotes, write "cpu.cores > 1: b"'),
        ("\tselect: {name: web}", "4:1: a tab is no indentation in YAML, indent with blanks, not with a tab"),
        (
            "select: {name: web",
            "4:13: this { is not closed before line 5 begins something else, close it with }, or write a comma",
        ),
        ("select: {name: [web}", '4:24: "}" is not expected here within [], close it with ], or write a comma'),
        (
            "select: {name: [web, , db]}",
            "4:26: a value is missing here, write one, or remove the sign that is too much",
        ),
        (
            "select: {name: web}}",
            '4:24: "}" follows where the value has ended, remove it, or open a bracket for it before "}"',
        ),
        ('select: {name: "web}', '4:20: this quote is never closed, close it with "'),
        (
            'when: "web" == name',
            '4:17: "== name" follows where the quotes have ended, put the whole value in quotes: \'"web" == name\'',
        ),
        (
            "description: 'it's'",
            "4:22: \"s'\" follows where the quotes have ended, put the whole value in quotes: \"'it's'\"",
        ),
        (
            'select: {name: "web\\d"}',
            "4:24: a backslash in double quotes begins an escape, and this is none, write \\\\ for a backslash",
        ),
        (
            "description: |9x\n      b",
            "4:20: after | or > nothing more belongs on the line, begin the text on the next line",
        ),
        (
            "description: b\n     select: {name: web}",
            "5:6: this line is indented further than the one above it, which has a value already, begin it in column 5",
        ),
        (
            "description: b\n   select: {name: web}",
            "5:4: this line is indented neither like the items above it nor like their keys, begin an item with a dash",
        ),
        ("description:b", '4:17: a blank is missing after the colon in "description:b", write description: b'),
        (
            "select: {name:web}",
            '4:14: policies[0].select."name:web": a blank is missing after the colon in "name:web", write name: web',
        ),
        ("select web", '4:5: a colon is missing after "select web", write keys and values like name: web'),
        ("on: - die", "4:9: a list can't begin on the line of its key, begin it on the next line, or write [a, b]"),
        ("- die", "4:5: an item of a list stands among keys, put it under a key of its own, or remove the dash"),
        (": die", "4:5: there is no key before this colon, write one, as in name: web"),
        ("description: b\u2028c", "4:19: the invisible character U+2028 breaks the line here, remove it"),
        (
            "description: b\n<<<<<<< HEAD",
            '5:1: "<<<<<<< HEAD" was left by a merge, keep one of the two versions and remove the marks',
        ),
    ],
)
def test_a_line_that_is_no_yaml_is_told_once_with_what_to_write(written: str, told: str) -> None:
    name = "" if written.startswith("name:") else "    name: a\n"
    head = "version: 1\npolicies:\n  - mode: off\n"
    found = lines(f"{head}    {written}\n{TAIL}{name}" if not written.startswith("\t") else f"{head}{written}\n{TAIL}")
    about = [line for line in found if not re.search(r"none are selected|needs containers", line)]
    assert len(about) == 1, about
    assert about[0].startswith(f"a.yaml:{told}")
    assert not LIBYAML.search(about[0])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version:1\npolicies: []\n", '1:9: a blank is missing after the colon in "version:1", write version: 1'),
        ("version: 1\npolicies:\n  -name: a\n   mode: off\n", "3:4: a blank is missing after the dash, write - name:"),
        ("%YAML 1.1\nversion: 1\n", "2:1: this stands outside of the document, remove it, or the line above"),
        ("%FOO\n---\nversion: 1\n", "1:1: a line that begins with % means something else to YAML, remove it"),
        (
            '{"version": 1,\n "policies": [\n',
            "3:1: the file ends within brackets, close every { with } and every [ with ]",
        ),
        ("x" * 1100 + ": 1\n", "1:1: this key is too long, write 1,000 characters at most before the colon"),
        ("version: 1\npolicies: " + "[" * 5000, "2:1010: brackets are nested far too deep here, close them, 32 levels"),
    ],
)
def test_a_whole_file_that_is_no_yaml(text: str, told: str) -> None:
    (line,) = lines(text)
    assert line.startswith(f"a.yaml:{told}")
    assert not LIBYAML.search(line)


def test_what_stands_for_an_anchor_that_exists_is_told_to_be_written_out() -> None:
    found = lines("version: 1\npolicies:\n  - &x {name: a, when: host.load1 > 1, then: {notify: {}}}\n  - *x\n")
    assert found == [
        'a.yaml:3:5: policies[0]: "&x" is an anchor, remove it: aliases and anchors are not read',
        'a.yaml:4:5: policies[1]: "*x" is an alias, write the value out: aliases and anchors are not read',
    ]
