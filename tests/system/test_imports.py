"""Every import contract can fail: each breach is put into a copy of the tree, and lint-imports must name it.

A copy takes several breaches of each contract: a copy for each breach would take a second each, and more on a busy
machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
AT_ONCE = 5
"""Breaches of one contract that a copy takes."""
SHELL = {"durable", "inbox", "journal", "lag", "loop"}
"""Modules of the loop that may do I/O, read a clock or wait. All others belong to its pure core."""

BREACHES = [
    # contract, module that breaks it, the import that does
    ("layers", "state/host_state.py", "import watchtower_agent.loop.pipeline"),
    ("loop-layers", "loop/effects.py", "import watchtower_agent.loop.pipeline"),
    ("policies-layers", "policies/policy.py", "import watchtower_agent.policies.files.load"),
    ("policies-layers", "policies/times/cron.py", "import watchtower_agent.policies.guards"),
    ("guards-layers", "policies/guards/question.py", "import watchtower_agent.policies.guards.order"),
    ("guards-layers", "policies/guards/pacing.py", "import watchtower_agent.policies.guards.permission"),
    ("guards", "policies/guards/pacing.py", "import watchtower_agent.policies.making"),
    ("conditions-layers", "policies/conditions/tree.py", "import watchtower_agent.policies.conditions.check"),
    ("scaling-layers", "policies/scaling/needs.py", "import watchtower_agent.policies.scaling.memory"),
    ("scaling", "policies/scaling/tracking.py", "import watchtower_agent.policies.quantities"),
    ("scaling", "policies/scaling/needs.py", "import watchtower_agent.model.container"),
    ("resizing-layers", "policies/resizing/standing.py", "import watchtower_agent.policies.resizing.past"),
    ("resizing", "policies/resizing/sizing.py", "import watchtower_agent.policies.quantities"),
    ("pruning-layers", "policies/pruning/item.py", "import watchtower_agent.policies.pruning.plan"),
    ("pruning", "policies/pruning/plan.py", "import watchtower_agent.policies.quantities"),
    ("layers", "policies/policy.py", "import watchtower_agent.policy_folder"),
    ("layers", "of_no_layer.py", "import watchtower_agent.model"),
    ("layers", "policy_folder.py", "import watchtower_agent.storage"),
    ("layers", "logs.py", "import watchtower_agent.identity"),
    ("layers", "clock.py", "import watchtower_agent.ports"),
    ("layers", "answers.py", "import watchtower_agent.monitoring"),
    *(
        ("root", module, breach)
        for module in (
            "model/instant.py",
            "state/host_state.py",
            "policies/policy.py",
            "policies/guards/pacing.py",
            "loop/loop.py",
            "collectors/gauges.py",
            "publishing/cloudevent.py",
            "sources/question.py",
            "storage/store.py",
            "agent.py",
        )
        for breach in ("import watchtower_agent", "from watchtower_agent import __doc__")
    ),
    ("around-the-core", "__init__.py", "import watchtower_agent.clock"),
    ("around-the-core", "__init__.py", "import asyncio"),
    ("around-the-core", "loop/__init__.py", "import asyncio"),
    ("around-the-core", "loop/__init__.py", "import watchtower_agent.loop.loop"),
    ("model", "model/instant.py", "import watchtower_agent.errors"),
    ("pure", "model/instant.py", "import socket"),
    ("pure", "policies/policy.py", "import asyncio"),
    ("pure", "policies/policy.py", "import time"),
    ("pure", "policies/policy.py", "import os"),
    ("pure", "policies/policy.py", "import docker"),
    ("pure", "policies/policy.py", "import aiomqtt"),
    ("pure", "policies/policy.py", "import psutil"),
    ("pure", "policies/policy.py", "import sqlite3"),
    ("pure", "policies/policy.py", "import structlog"),
    ("pure", "policies/policy.py", "import watchtower_agent.clock"),
    ("pure", "state/host_state.py", "import pathlib"),
    ("pure", "loop/pipeline.py", "import asyncio"),
    ("pure", "loop/publication.py", "import watchtower_agent.clock"),
    ("pure", "loop/prune_answers.py", "import socket"),
    ("pure", "errors.py", "import socket"),
    ("core-libraries", "errors.py", "import glob"),
    ("core-libraries", "ports/store.py", "import logging"),
    ("core-libraries", "model/instant.py", "import logging"),
    ("core-libraries", "loop/prune_pass.py", "import mmap"),
    ("core-libraries", "model/instant.py", "import selectors"),
    ("core-libraries", "state/host_state.py", "import glob"),
    ("core-libraries", "policies/policy.py", "import pydantic_settings"),
    ("core-libraries", "state/host_state.py", "import yaml"),
    ("core-libraries", "state/host_state.py", "from datetime import datetime"),
    ("loop-ports", "loop/loop.py", "import watchtower_agent.engine.client"),
    ("loop-ports", "loop/inbox.py", "import watchtower_agent.storage.store"),
    ("loop-ports", "loop/loop.py", "import watchtower_agent.publishing.outbox"),
    *(
        ("loop-ports", "loop/loop.py", f"import watchtower_agent.{room}")
        for room in ("clock", "identity", "logs", "policy_folder", "schedules", "service_manager", "vitals")
    ),
    ("loop-ports", "loop/loop.py", "import watchtower_agent.sources.sources"),
    ("loop-ports", "loop/loop.py", "import watchtower_agent.actions.restart"),
    ("loop-ports", "loop/effects.py", "import watchtower_agent.actions.executor"),
    ("zones", "policies/times/moments.py", "import zoneinfo"),
    ("zones", "schedules.py", "from zoneinfo import ZoneInfo"),
    ("policies", "policies/policy.py", "import watchtower_agent.errors"),
    ("policies", "policies/policy.py", "import watchtower_agent.engine"),
    ("state", "state/host_state.py", "import watchtower_agent.errors"),
    ("state", "state/record.py", "import watchtower_agent.ports.store"),
    ("state", "ports/store.py", "import watchtower_agent.clock"),
    ("adapters", "collectors/__init__.py", "import watchtower_agent.engine"),
    ("adapters", "collectors/__init__.py", "import watchtower_agent.settings"),
    ("adapters", "engine/__init__.py", "import watchtower_agent.actions"),
    ("adapters", "publishing/__init__.py", "import watchtower_agent.policies"),
    ("adapters", "publishing/__init__.py", "import watchtower_agent.collectors"),
    ("adapters", "sources/__init__.py", "import watchtower_agent.publishing"),
    ("adapters", "storage.py", "import watchtower_agent.publishing"),
    ("adapters", "actions/__init__.py", "import watchtower_agent.publishing"),
    ("adapters", "actions/__init__.py", "import watchtower_agent.engine"),
    ("adapters", "serving/__init__.py", "import watchtower_agent.engine"),
    ("adapters", "engine/__init__.py", "import watchtower_agent.clock"),
    ("agent", "serving/__init__.py", "import watchtower_agent.agent"),
    ("loop", "cli/__init__.py", "import watchtower_agent.loop.loop"),
    ("cli", "agent.py", "import watchtower_agent.cli"),
    ("handed-clock", "parts.py", "from watchtower_agent.clock import monotonic"),
    ("handed-clock", "schedules.py", "import watchtower_agent.clock"),
    ("docker", "actions/__init__.py", "import docker"),
    ("docker", "collectors/__init__.py", "import requests"),
    ("docker", "agent.py", "import urllib3"),
    ("aiomqtt", "publishing/__init__.py", "import aiomqtt"),
    ("aiomqtt", "publishing/__init__.py", "import paho.mqtt.client"),
    ("psutil", "agent.py", "import psutil"),
    ("apscheduler", "agent.py", "import apscheduler.triggers.cron"),
    ("sqlite3", "agent.py", "import sqlite3"),
    ("clock", "engine/__init__.py", "import time"),
    ("clock", "collectors/registry.py", "import time"),
    ("clock", "agent.py", "from time import monotonic"),
    ("prometheus", "serving/http.py", "from prometheus_client import exposition"),
    ("rich", "agent.py", "import rich.table"),
]

PAST_IMPORTS = [
    # module that crosses a border, how, what is said of it
    ("engine/session.py", "asyncio.get_running_loop().time()", "the event loop's clock"),
    ("publishing/outbox.py", "lambda self: self._loop.time() - 1.0", "the event loop's clock"),
    ("publishing/link.py", "lambda loop: loop.time", "the event loop's clock"),
    ("parts.py", "lambda running: running.time()", "the event loop's clock"),
    ("loop/pace.py", "lambda loop: loop.time()", "the event loop's clock"),
    ("loop/inbox.py", "asyncio.get_event_loop().time", "the event loop's clock"),
    ("policies/policy.py", "open('/etc/hostname')", "`open` reads or writes"),
    ("loop/pipeline.py", "print('a step')", "`print` reads or writes"),
    ("errors.py", "open", "`open` reads or writes"),
    ("agent.py", "__import__('docker')", "only import statements"),
    ("actions/disk.py", "importlib.import_module('docker')", "only import statements"),
    ("publishing/suspect.py", "pkgutil.resolve_name('watchtower_agent.agent:Agent')", "only import statements"),
    ("storage/meta.py", "sys.modules['watchtower_agent.agent']", "only import statements"),
    ("policies/times/moments.py", "lambda of: of.now(of.tzinfo)", "`now` reads a clock"),
]


def contracts() -> set[str]:
    """Ids of the contracts in force."""
    configuration = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["id"] for contract in configuration["tool"]["importlinter"]["contracts"]}


def names() -> dict[str, str]:
    """What each of them is called in what lint-imports says."""
    configuration = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["id"]: contract["name"] for contract in configuration["tool"]["importlinter"]["contracts"]}


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """What lint-imports says of that tree."""
    return subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--cache-dir", tree / "cache"],
        cwd=tree,
        env={**os.environ, "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def rounds() -> list[list[tuple[str, str, str]]]:
    """The breaches, in groups in which each is told by words of its own."""
    groups: list[list[tuple[str, str, str]]] = []
    for breach in BREACHES:
        group = next((group for group in groups if _fits(breach, group)), None)
        if group is None:
            groups.append([breach])
        else:
            group.append(breach)
    return groups


def _fits(breach: tuple[str, str, str], group: list[tuple[str, str, str]]) -> bool:
    """Whether what is told of the group tells of that breach, too."""
    contract, module, text = breach
    alike = any(told(module, text) == told(other, its) for _, other, its in group)
    return not alike and sum(each == contract for each, _, _ in group) < AT_ONCE


def sections(said: str) -> dict[str, str]:
    """Id of a broken contract -> what lint-imports says of it."""
    ids = {name: each for each, name in names().items()}
    found: dict[str, str] = defaultdict(str)
    current = ""
    for line in said.partition("Broken contracts")[2].splitlines():
        current = ids.get(line.strip(), current)
        found[current] += line + "\n"
    return found


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], str]:
    """What is said of each breach under its contract's name; of the tree as it is, nothing."""
    tree = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "watchtower_agent", tree / "watchtower_agent", ignore=ignored)
    shutil.copy(CHECKOUT / "pyproject.toml", tree)
    verdict = lint_imports(tree)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    said: dict[tuple[str, str, str], str] = {}
    for group in rounds():
        for _, module, breach in group:
            with (tree / "watchtower_agent" / module).open("a", encoding="utf-8") as text:
                text.write(f"\n{breach}\n")
        verdict = lint_imports(tree)
        assert verdict.returncode == 1, verdict.stdout + verdict.stderr
        found = sections(verdict.stdout)
        said |= {each: found[each[0]] for each in group}
        for _, module, _ in group:
            original = CHECKOUT / "watchtower_agent" / module
            if original.exists():
                shutil.copy(original, tree / "watchtower_agent" / module)
            else:
                (tree / "watchtower_agent" / module).unlink()
    return said


def told(module: str, breach: str) -> str:
    """How lint-imports names that import."""
    importer = ".".join(Path("watchtower_agent", module).with_suffix("").parts).removesuffix(".__init__")
    imported = breach.split()[1]
    if not imported.startswith("watchtower_agent"):
        imported = imported.partition(".")[0]
    return f"{importer} -> {imported} ("


def test_every_contract_is_broken_once_here() -> None:
    assert {contract for contract, _, _ in BREACHES} == contracts()


@pytest.mark.parametrize("contract", ["pure", "core-libraries"])
def test_every_module_of_the_loop_is_of_its_shell_or_held_to_be_pure(contract: str) -> None:
    configuration = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    (found,) = (each for each in configuration["tool"]["importlinter"]["contracts"] if each["id"] == contract)
    held = {name.removeprefix("watchtower_agent.loop.") for name in found["source_modules"] if ".loop." in name}
    assert held == {path.stem for path in (CHECKOUT / "watchtower_agent/loop").glob("[a-z]*.py")} - SHELL


@pytest.mark.parametrize(("contract", "module", "breach"), BREACHES)
def test_a_broken_contract_fails(
    verdicts: dict[tuple[str, str, str], str], contract: str, module: str, breach: str
) -> None:
    said = verdicts[contract, module, breach]
    if module == "of_no_layer.py":
        assert "watchtower_agent.of_no_layer" in said
    else:
        assert told(module, breach) in said


def borders(tree: Path) -> subprocess.CompletedProcess[str]:
    """What scripts/borders.py says of that tree."""
    return subprocess.run(
        [sys.executable, tree / "scripts/borders.py"], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_border_that_no_import_statement_crosses_is_held_too(tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "watchtower_agent", tmp_path / "watchtower_agent")
    shutil.copytree(CHECKOUT / "scripts", tmp_path / "scripts")
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    verdict = borders(tmp_path)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr

    expected = []
    for module, crossing, words in PAST_IMPORTS:
        path = tmp_path / "watchtower_agent" / module
        text = path.read_text(encoding="utf-8")
        path.write_text(f"{text}\nCROSSING = {crossing}\n", encoding="utf-8")
        expected.append((f"watchtower_agent/{module}, line {len(text.splitlines()) + 2}: ", words))
    # One that reads it no more has to go from the list.
    (tmp_path / "watchtower_agent/storage/dead_telling.py").write_text('"""Nothing."""\n', encoding="utf-8")
    expected.append(("watchtower_agent/storage/dead_telling.py, line 1: ", "take it out of WAITS"))
    verdict = borders(tmp_path)

    assert verdict.returncode == 1
    lines = verdict.stdout.splitlines()
    assert len(lines) == len(expected)
    for place, words in expected:
        assert any(line.startswith(place) and words in line for line in lines), place


@pytest.mark.parametrize("reading", ["datetime.now(UTC)", "datetime.utcnow()", "datetime.today()"])
def test_no_clock_is_read_past_the_one_that_is_handed_in(reading: str) -> None:
    code = f"from datetime import UTC, datetime\n\nNOW = {reading}\nZONE = UTC\n"
    done = subprocess.run(
        [Path(sys.executable).with_name("ruff"), "check", "--stdin-filename=watchtower_agent/policies/policy.py", "-"],
        cwd=CHECKOUT,
        input=code,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "TID251" in done.stdout
