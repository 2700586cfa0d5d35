"""What the pages say is there: links, files, commands, policies, payloads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.schema import validate_message
from watchtower_agent.cli.lines import event_line
from watchtower_agent.model.decision import Guard, Verb
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.policy import PolicySet, WhenTrigger
from watchtower_agent.policies.wording import because_of_condition

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "watchtower_agent"
DOCS = CHECKOUT / "docs"
PAGES = sorted({*CHECKOUT.glob("*.md"), *DOCS.rglob("*.md"), *(CHECKOUT / "config").rglob("*.md")})
COMMANDS = {
    *(
        "run",
        "check",
        "schema",
        "status",
        "top",
        "explain",
        "trigger",
        "revert",
        "prune",
        "metrics",
        "pause",
        "resume",
        "approve",
        "reject",
    ),
    "events",
    "history",
}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {4}\S.*$", re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"\bwatchtower-agent ([a-z][a-z-]*)(?![\w.:/-])")
_MODULE = re.compile(r"(?:[a-z0-9_]+/)*[a-z0-9_]+\.(?:py|lark)|[a-z0-9_]+(?:/[a-z0-9_]+)*/")


def name_of(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def fences(page: Path, language: str) -> list[str]:
    return [text for found, text in _FENCE.findall(page.read_text()) if found == language]


def code(page: Path) -> Iterator[str]:
    text = page.read_text()
    for _, block in _FENCE.findall(text):
        yield from block.splitlines()
    text = _FENCE.sub("", text)
    yield from (line for line in _INDENTED.findall(text) if not line.lstrip().startswith(("#", "- ", "|")))
    yield from _INLINE.findall(text)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = _INLINE.sub("", _FENCE.sub("", page.read_text()))
    broken = []
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        aim = page if not path else page.parent / path
        if not aim.exists() or (anchor and anchor not in anchors(aim)):
            broken.append(target)
    assert not broken


def test_the_index_has_every_page() -> None:
    index = DOCS / "README.md"
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in _LINK.findall(index.read_text())}
    assert set(DOCS.rglob("*.md")) - {index} <= linked


def test_the_readme_s_policy_is_in_force_and_short() -> None:
    (policy,) = fences(CHECKOUT / "README.md", "yaml")
    loaded = load_policies({"readme.yaml": policy.encode()})
    assert isinstance(loaded, PolicySet), loaded
    (heal,) = loaded.policies
    assert heal.then.verb is Verb.RESTART
    assert isinstance(heal.trigger, WhenTrigger)
    assert len(policy.splitlines()) == 10


def test_the_readme_s_event_is_one_of_that_policy() -> None:
    page = CHECKOUT / "README.md"
    (payload,) = fences(page, "json")
    (topic,) = re.findall(r"`(watchtower/v1/[^`]+)`", page.read_text())
    event = validate_message(topic, json.dumps(json.loads(payload)).encode())
    (policy,) = fences(page, "yaml")
    loaded = load_policies({"readme.yaml": policy.encode()})
    assert isinstance(loaded, PolicySet)
    (heal,) = loaded.policies
    assert isinstance(heal.trigger, WhenTrigger)
    assert event["data"]["policy"] == heal.name
    # what the agent says of those numbers
    numbers = event["data"]["decision_numbers"]
    known = {name: value for name, value in numbers.items() if name in heal.trigger.condition.names}
    reason = because_of_condition(heal.trigger.condition, known, held_for=numbers["true_for"], hold=numbers["for"])
    assert event["data"]["decision_reason"] == reason
    assert event["data"]["decision_numbers"]["for"] == heal.trigger.hold
    assert event["data"]["parameters"] == heal.then.parameters


@pytest.mark.parametrize("kind", ["policy.decision", "action.started", "action.succeeded"])
def test_the_lines_of_a_restarted_engine_are_those_of_what_was_published(kind: str) -> None:
    event = json.loads((DOCS / "contract" / "examples" / "event" / f"{kind}.restart_engine.json").read_text())
    assert event["data"]["verb"] == Verb.RESTART_ENGINE
    page = (DOCS / "policies.md").read_text()
    section = page.partition("### Restarting the engine\n")[2].partition("\n## ")[0]
    loaded = load_policies({"policy.yaml": section.partition("```yaml\n")[2].partition("```")[0].encode()})
    assert isinstance(loaded, PolicySet)
    (policy,) = loaded.policies
    assert event["data"]["policy"] == policy.name
    shown = event_line(f"watchtower/v1/h1/event/{kind.replace('.', '/')}/h1", event)
    _, _, line = shown.partition(" ")  # without the time, which is local
    assert line in {each.strip().partition(" ")[2] for each in section.splitlines()}


@pytest.mark.parametrize("number", range(13))
def test_the_policies_of_the_page_about_them_load(number: int) -> None:
    examples = fences(DOCS / "policies.md", "yaml")
    assert len(examples) == 13
    text = examples[number]
    if not text.startswith("version:"):
        text = f"version: 1\npolicies:\n{text}"
    loaded = load_policies({"example.yaml": text.encode()})
    assert isinstance(loaded, PolicySet), loaded


def test_the_command_line_has_the_commands_that_the_pages_name() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "watchtower_agent", "--help"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = answer.stdout.partition("commands:")[2].partition("exit codes:")[0]
    offered = set(re.findall(r"^    ([a-z]+) +\S", listed, re.MULTILINE))
    named = {command for page in PAGES for text in code(page) for command in _COMMAND.findall(text)}
    assert offered == COMMANDS
    assert COMMANDS >= named >= {"run", "check", "status"}
    table = re.findall(r"^\| `([a-z]+)", (DOCS / "commands.md").read_text().partition("\n## ")[0], re.MULTILINE)
    assert set(table) == offered


def test_the_tree_in_the_architecture_is_the_tree() -> None:
    page = DOCS / "architecture.md"
    section = page.read_text().partition("## The tree")[2].partition("\nBeside the package")[0]
    told = set(re.findall(r"`([a-z_]+(?:\.py|/))`", "\n".join(row.split("|")[1] for row in _rows(section))))
    there = {
        f"{entry.name}/" if entry.is_dir() else entry.name
        for entry in PACKAGE.iterdir()
        if (entry.suffix == ".py" and entry.name != "__init__.py") or (entry / "__init__.py").exists()
    }
    assert told == there


@pytest.mark.parametrize(
    ("heading", "room"),
    [("### The loop, module by module", "loop"), ("### Policies, module by module", "policies")],
    ids=["loop", "policies"],
)
def test_the_lists_in_the_architecture_have_every_module_on_a_line_of_its_own(heading: str, room: str) -> None:
    """A new module gets its line there; what it says is the module's first line, or shorter."""
    section = (DOCS / "architecture.md").read_text().partition(f"{heading}\n")[2].partition("\n### ")[0]
    told, folder = set(), PACKAGE / room
    for line in section.splitlines():
        if found := re.match(r"`(policies/[a-z]+)/`: ", line):
            folder = PACKAGE / found.group(1)
        elif found := re.match(r"- `(\w+\.(?:py|lark))`: \S", line):
            told.add(folder / found.group(1))
    there = {path for path in (PACKAGE / room).rglob("*.py") if path.name != "__init__.py"}
    assert told == there | set((PACKAGE / room).rglob("*.lark"))


def _rows(section: str) -> list[str]:
    return [line for line in section.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize(
    "page",
    [DOCS / "architecture.md", CHECKOUT / "CONTRIBUTING.md", *sorted((DOCS / "adr").glob("*.md"))],
    ids=name_of,
)
def test_every_module_that_is_named_is_there(page: Path) -> None:
    text = page.read_text()
    if page.name == "0005-tree.md":  # tells of files that were planned
        text = text.partition("## Decision")[2].replace("`schedules.py` comes", "")
    missing = []
    for name in _INLINE.findall(text):
        if not _MODULE.fullmatch(name) or name in {
            "unit/",
            "contract/",
            "integration/",
            "simulation/",
            "system/",
            "support/",
        }:
            continue
        rooms = [CHECKOUT, PACKAGE, *(entry for entry in PACKAGE.rglob("*") if entry.is_dir())]
        if not any((room / name).exists() for room in rooms):
            missing.append(name)
    assert not missing


def test_the_page_about_guards_has_every_guard_in_the_order_in_which_they_are_asked() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "guards.md").read_text(), re.MULTILINE)
    assert rows == [guard.value for guard in Guard]


def test_every_test_that_a_page_names_is_there() -> None:
    named = [
        (page, file, test)
        for page in PAGES
        for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text())
    ]
    assert any(page.name == "delivery.md" for page, _, _ in named)
    for page, file, test in named:
        assert re.search(rf"^(?:async )?def {test}\(", (CHECKOUT / file).read_text(), re.MULTILINE), (
            f"{page.name} names {file}::{test}, which is not there"
        )
