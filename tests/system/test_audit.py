"""What the audit of dependencies makes of pip-audit's report, and a bill of materials of the lock file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
LOCK = (
    "one==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:00\n    # via two\nTwo_b==2.0 \\\n    --hash=sha256:11\n"
)
WEAK = {"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": [], "description": ""}


def run(script: str, *arguments: Path | str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / script), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def audited(folder: Path, report: object, *, words: str = "", strict: bool = False) -> tuple[int, str]:
    files = {"report": report if isinstance(report, str) else json.dumps(report), "words": words, "lock": LOCK}
    for name, text in files.items():
        (folder / name).write_text(text)
    return run("audited.py", *(folder / name for name in files), *(["--strict"] if strict else []))


def report(*packages: Mapping[str, object]) -> dict[str, object]:
    return {"dependencies": list(packages), "fixes": []}


CLEAN = {"name": "one", "version": "1.0", "vulns": []}
ALSO_CLEAN = {"name": "two-b", "version": "2.0", "vulns": []}
SKIPPED = {"name": "two-b", "skip_reason": "not found there"}


@pytest.mark.parametrize("strict", [False, True])
def test_nothing_known_is_said_when_every_package_was_asked_about(tmp_path: Path, *, strict: bool) -> None:
    code, said = audited(tmp_path, report(CLEAN, ALSO_CLEAN), strict=strict)
    assert (code, said) == (0, "audit: 2 packages, nothing is known against them\n")


@pytest.mark.parametrize("strict", [False, True])
def test_something_known_is_a_failure(tmp_path: Path, *, strict: bool) -> None:
    code, said = audited(tmp_path, report({**CLEAN, "vulns": [WEAK]}, SKIPPED), strict=strict)
    assert code == 1
    assert "one 1.0: PYSEC-1, mended in 1.1" in said


@pytest.mark.parametrize(
    ("made", "words", "why"),
    [
        (report(CLEAN, SKIPPED), "", "1 of 2 packages could not be asked about (not found there)"),
        (report(CLEAN), "", "1 of 2 packages could not be asked about (no word why)"),
        ("", "Traceback\nConnectionError: no such host\n", "2 of 2 packages could not be asked about (Connection"),
        ("{", "", "2 of 2"),
        ("[]", "", "2 of 2"),
    ],
)
def test_what_could_not_be_asked_is_never_silent_and_fails_where_it_must_not_be(
    tmp_path: Path, made: object, words: str, why: str
) -> None:
    code, said = audited(tmp_path, made, words=words)
    assert code == 0
    assert "NOT AUDITED" in said
    assert why in said
    assert audited(tmp_path, made, words=words, strict=True)[0] == 3


@pytest.mark.parametrize(
    ("components", "code", "says"),
    [
        ([("one", "1.0"), ("two.b", "2.0")], 0, "2 packages, as the lock file lists them"),
        ([("one", "1.0")], 1, "two-b 2.0 is not in the bill"),
        ([("one", "1.0"), ("two-b", "2.0"), ("pip", "9")], 1, "pip 9 is in the bill and not in the lock file"),
    ],
)
def test_a_bill_lists_what_the_lock_file_lists(
    tmp_path: Path, components: list[tuple[str, str]], code: int, says: str
) -> None:
    bill = {"components": [{"name": name, "version": version} for name, version in components]}
    (tmp_path / "bill").write_text(json.dumps(bill))
    (tmp_path / "lock").write_text(LOCK)
    became, said = run("bill.py", tmp_path / "bill", tmp_path / "lock")
    assert became == code
    assert says in said
