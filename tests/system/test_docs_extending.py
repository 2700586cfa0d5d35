"""docs/extending.md builds a collector: what it shows works when it is done."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "extending.md"
TEST = "tests/unit/collectors/test_collectors_open_files.py"
CATALOGUE_TEST = "tests/unit/policies/test_policies_catalogue.py"


def new_files() -> dict[str, str]:
    """Path -> content of the files that the page makes."""
    return dict(re.findall(r"^`([\w/.]+\.py)`:\n\n```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))


def changes() -> list[tuple[str, str]]:
    """Path and hunks of the changes that it makes, in its order."""
    found = re.findall(
        r"^```diff\n--- a/(\S+)\n\+\+\+ b/\1\n@@\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return [(path, hunk) for path, hunks in found for hunk in hunks.split("@@\n")]


def changed(text: str, hunk: str) -> str:
    """The text with one hunk applied where its lines stand, which is one place."""
    lines = hunk.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    assert text.count(before) == 1, f"these lines are not there once any more:\n{before}"
    return text.replace(before, "".join(line[1:] for line in lines if line[0] in " +"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the checkout in which everything was done as the page says."""
    for name in ("watchtower_agent", "docs", "tests/support", "tests/unit/policies"):
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
        shutil.copy(CHECKOUT / name, tmp_path / name)
    for path, content in new_files().items():
        assert not (CHECKOUT / path).exists(), f"{path} is there already"
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    for path, hunk in changes():
        (tmp_path / path).write_text(changed((tmp_path / path).read_text(), hunk))
    return tmp_path


def run(copy: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_collector_of_the_page_works(copy: Path) -> None:
    assert len(new_files()) == 2
    assert len(changes()) == 4
    assert " passed" in run(copy, "pytest", "-q", "-p", "no:cacheprovider", TEST, CATALOGUE_TEST)
    metrics = run(copy, "watchtower_agent", "metrics", "--socket", str(copy / "none"))
    assert re.search(
        r"^  host\.open_files +number +files that all processes of the host have open$", metrics, re.MULTILINE
    )


def test_the_code_of_the_page_is_as_tidy_as_ours(copy: Path) -> None:
    changed_files = [*new_files(), *(path for path, _ in changes() if path.endswith(".py"))]
    run(copy, "ruff", "check", "--no-cache", *changed_files)
    run(copy, "ruff", "format", "--check", "--no-cache", *changed_files)


@pytest.mark.parametrize("forgotten", ["docs/policies.md", "watchtower_agent/policies/catalogue.py"])
def test_a_line_that_is_forgotten_is_noticed(copy: Path, forgotten: str) -> None:
    shutil.copy(CHECKOUT / forgotten, copy / forgotten)
    with pytest.raises(AssertionError, match=r"host\.open_files"):
        run(copy, "pytest", "-q", "-p", "no:cacheprovider", CATALOGUE_TEST)
