"""Twelve mistakes as people make them, three times over: twelve lines, each with what to write instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from watchtower_agent.policy_folder import check_folder

FOLDERS = Path(__file__).resolve().parents[3] / "data" / "policies_mistakes"


@pytest.mark.parametrize("folder", ["from_other_tools", "from_memory", "put_together_wrongly"])
def test_every_mistake_is_told_with_what_to_write_instead(folder: str) -> None:
    expected = (FOLDERS / folder / "expected.txt").read_text(encoding="utf-8").splitlines()

    found = [str(problem) for problem in check_folder(FOLDERS / folder).problems]

    assert found == expected
    assert len(found) == 12
    assert len({re.sub(r"^\S+: (policies\S*: )?", "", line) for line in found}) == 12
    for line in found:
        assert re.match(r"\w+\.ya?ml:\d+:\d+: ", line)


@pytest.mark.parametrize("folder", ["schedules_and_windows", "words_of_elsewhere"])
def test_every_mistake_is_told_once_at_its_place(folder: str) -> None:
    expected = (FOLDERS / folder / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert [str(problem) for problem in check_folder(FOLDERS / folder).problems] == expected
