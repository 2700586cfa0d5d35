"""The scripts as a newcomer meets them: the lock, the checks, and what they say where they can't do their work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

from tests.support.patience import patient
from watchtower_agent.model.version import VERSION

CHECKOUT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")
PIN = re.compile(r"^([a-z0-9.-]+)==(\S+?)(?: ; .*)? \\$", re.MULTILINE)

WITHOUT_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""Runs a command as a user who may nothing but touch this user's own files."""


def pins(name: str) -> dict[str, str]:
    """Package -> version of one lock file."""
    return dict(PIN.findall((CHECKOUT / name).read_text(encoding="utf-8")))


def name_of(requirement: str) -> str:
    """The package that a requirement is about, as lock files spell it."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def script(*command: str, cwd: Path = CHECKOUT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it as typed into a shell, without an input."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patient(180),
        check=False,
    )


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_with_hashes_and_names_no_place(name: str) -> None:
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    unwrapped = [line for line in text.replace("\\\n", "").splitlines() if not line.lstrip().startswith("#")]

    assert unwrapped
    assert all("==" in line and "--hash=sha256:" in line for line in unwrapped)
    assert not re.search(r"://|--index|--find-links|--trusted|file:|(^|\s)/", text)


def test_the_agent_says_the_version_that_its_packages_have() -> None:
    assert tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] == VERSION


def test_the_locks_agree_and_cover_what_pyproject_wants() -> None:
    wanted = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = wanted["dependency-groups"]
    runtime, build, everything = (pins(name) for name in LOCKS)

    assert {name_of(requirement) for requirement in wanted["project"]["dependencies"]} <= runtime.keys()
    assert {name_of(requirement) for requirement in groups["build"]} == build.keys()
    assert {name_of(requirement) for requirement in groups["dev"] if isinstance(requirement, str)} <= everything.keys()
    assert runtime.items() | build.items() <= everything.items()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what scripts/check looks at, which uses this environment as its own."""
    tree = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("watchtower_agent", "scripts", "benchmarks"):
        shutil.copytree(CHECKOUT / name, tree / name, ignore=ignored)
    for name in ("pyproject.toml", *LOCKS):
        shutil.copy(CHECKOUT / name, tree)
    (tree / "tests").mkdir()
    for name in ("tests/__init__.py", "tests/conftest.py"):
        shutil.copy(CHECKOUT / name, tree / name)
    shutil.copytree(
        CHECKOUT / "tests/support", tree / "tests/support", ignore=ignored
    )  # all of them would take minutes
    (tree / ".venv").symlink_to(sys.prefix)
    return tree


@pytest.mark.only_full  # CI begins with scripts/check itself
def test_check_passes_a_clean_tree_and_finds_every_kind_of_fault_in_one_go(copy: Path) -> None:
    """In one tree: the second run has the types from the first."""
    verdict = script("scripts/check", cwd=copy)
    assert verdict.returncode == 0, verdict.stderr
    checks = ["types", "format", "lint", "imports", "borders"]
    assert re.findall(r"^check: (\w+) +ok ", verdict.stderr, re.MULTILINE) == checks

    broken = copy / "watchtower_agent/model/instant.py"
    faults = 'import watchtower_agent.errors\nWORDS: int = "text"\ndef  badly_formatted( ): print()\n'
    broken.write_text(broken.read_text(encoding="utf-8") + faults, encoding="utf-8")
    (copy / "tests/test_broken.py").write_text("import os\n\n" + faults.partition("\n")[2], encoding="utf-8")
    verdict = script("scripts/check", cwd=copy)

    assert verdict.returncode == 1
    assert re.findall(r"^check: (\w+) +FAILS", verdict.stderr, re.MULTILINE) == checks
    assert "check: not clean: types format lint imports borders;" in verdict.stderr
    for name in ("watchtower_agent/model/instant.py", "tests/test_broken.py"):
        assert re.search(rf"^{name}:\d+: error: Incompatible types", verdict.stderr, re.MULTILINE), name
        assert f"--> {name}:" in verdict.stderr
    assert "--> tests/test_broken.py:1:8" in verdict.stderr


def test_run_without_root_says_in_one_sentence_that_there_is_no_engine(tmp_path: Path) -> None:
    verdict = script(
        *(*WITHOUT_ROOT, "scripts/run"),
        DOCKER_HOST=f"unix://{tmp_path}/none.sock",
        WATCHTOWER_AGENT_STATE_DIR=str(tmp_path),
    )

    assert verdict.returncode == 3
    assert verdict.stderr == (
        f"run: no Docker Engine answers at unix://{tmp_path}/none.sock and only root can start one: "
        "start it, or run this as root\n"
    )
    assert verdict.stdout == ""


def test_an_environment_that_root_made_for_another_python_is_told_in_one_sentence() -> None:
    with tempfile.TemporaryDirectory(prefix="wt-") as name:  # pytest's own folders are closed to other users
        tree = Path(name, "checkout")
        shutil.copytree(CHECKOUT / "scripts", tree / "scripts")
        for lock in LOCKS:
            shutil.copy(CHECKOUT / lock, tree)
        python = tree / ".venv/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text("#!/bin/sh\necho Python 3.11.0\n")
        for made in (Path(name), tree.parent, *tree.rglob("*")):
            made.chmod(0o755)
        os.chown(tree, 65534, 65534)

        user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        verdict = script(*user, "scripts/run", cwd=tree, PATH="/usr/bin:/bin", HOME="/")

        assert python.exists()
    assert verdict.returncode == 3
    assert verdict.stderr.count("\n") == 1
    assert verdict.stderr.startswith("run: .venv was made by root and needs to be renewed for Python 3.")
    assert f"remove it (sudo rm -rf {tree}/.venv) and run this again" in verdict.stderr


def test_test_without_root_says_in_one_sentence_what_it_lacks() -> None:
    verdict = script(*WITHOUT_ROOT, "scripts/test")

    assert verdict.returncode == 3
    assert verdict.stderr.count("\n") == 1
    assert "only root can do that" in verdict.stderr


PARTS = {
    "unit": " tests/unit",
    "debian": " --hypothesis-profile=few",
    "agents": " tests/integration/test_agent_[a",
    "system": " tests/integration/test_agent_[!a",
    "others": "--ignore-glob=",
}
"""What scripts/test runs side by side -> a word that only that part's command has."""


@pytest.fixture
def rehearsal(tmp_path: Path) -> Path:
    """A checkout whose Python notes what tests it is to run, and does as the environment says instead."""
    tree = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "scripts", tree / "scripts")
    python = tree / "stub/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f"""#!/bin/bash
[[ $1 == -m ]] || exec {sys.executable} "$@"
echo "these are the words of $*" | tee -a ran
[[ $* != *"$WAITING"* ]] || {{ trap 'sleep 0.5; touch removed; exit 2' INT; touch waits
  while :; do sleep 0.05; done; }}
[[ $* != *"$ENDS"* ]] || {{ until [[ $WAITING == none || -e waits ]]; do sleep 0.05; done; exit "$WITH"; }}
""",
        encoding="utf-8",
    )
    python.chmod(0o755)
    for name in (".venv", ".venv-debian"):
        (tree / name).symlink_to("stub")
    return tree


@pytest.mark.parametrize("part", [*PARTS, "none"])
def test_test_runs_every_part_and_fails_with_any(rehearsal: Path, part: str) -> None:
    ends = PARTS.get(part, "none")
    verdict = script("scripts/test", cwd=rehearsal, WAITING="none", ENDS=ends, WITH="1")

    assert verdict.returncode == (0 if part == "none" else 1), verdict.stderr
    ran = (rehearsal / "ran").read_text(encoding="utf-8")
    assert all(word in ran for word in PARTS.values())
    assert sorted(re.findall("these are the words of .*", verdict.stdout)) == sorted(ran.splitlines())


@pytest.mark.parametrize("ends", ["none", " tests/machine"])
def test_test_in_full_runs_the_virtual_machine_after_all_others(rehearsal: Path, ends: str) -> None:
    verdict = script("scripts/test", "--full", cwd=rehearsal, WAITING="none", ENDS=ends, WITH="1")

    assert verdict.returncode == (0 if ends == "none" else 1), verdict.stderr
    *others, last = (rehearsal / "ran").read_text(encoding="utf-8").splitlines()
    assert last.endswith(" tests/machine")
    assert not any(" tests/machine" in other for other in others)


def test_test_that_is_interrupted_lets_the_parts_beside_it_remove_what_they_made(rehearsal: Path) -> None:
    environment = {"WAITING": PARTS["others"], "ENDS": PARTS["agents"], "WITH": "2"}
    verdict = script("scripts/test", cwd=rehearsal, **environment)

    assert verdict.returncode == 2
    assert (rehearsal / "removed").exists()


@pytest.mark.parametrize("arguments", [("--demon",), ("--keep",), ("--demo", "extra")])
def test_run_refuses_what_it_does_not_know(arguments: tuple[str, ...]) -> None:
    verdict = script("scripts/run", *arguments)

    assert verdict.returncode == 2
    assert "--demo" in verdict.stderr
