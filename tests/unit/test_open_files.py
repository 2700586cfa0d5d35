"""The agent under a limit on open files that is too low for it: a sentence, and never a stack trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.patience import patient

CHECKOUT = Path(__file__).resolve().parents[2]


def said(tmp_path: Path, limit: int, *, inherited: Sequence[int] = ()) -> tuple[int, str]:
    """How an agent ends under the limit, with these files open from its start; and what it said."""
    (tmp_path / "policies").mkdir()
    settings = {
        "policies": str(tmp_path / "policies"),
        "state_dir": str(tmp_path / "state"),
        "engine": {"url": f"unix://{tmp_path}/nobody.sock"},
        "mqtt": {"url": None},
        "control": {"socket": str(tmp_path / "control.sock")},
        "log": {"format": "json"},
    }
    config = tmp_path / "agent.yaml"
    config.write_text(json.dumps(settings))
    command = ["prlimit", f"--nofile={limit}:{limit}", sys.executable, "-m", "watchtower_agent", "run", "--config"]
    kept = {key: text for key, text in os.environ.items() if not key.startswith(("WATCHTOWER_AGENT_", "DOCKER_"))}
    with subprocess.Popen(
        [*command, str(config)],
        cwd=CHECKOUT,
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=inherited,
        text=True,
    ) as agent:
        try:
            text, _ = agent.communicate(timeout=patient(30))
        finally:
            agent.kill()
    return agent.returncode, text


@pytest.fixture
def eight_files() -> Iterator[list[int]]:
    with ExitStack() as opened:
        yield [opened.enter_context(open(os.devnull)).fileno() for _ in range(8)]  # noqa: PTH123 - a device


@pytest.mark.parametrize("limit", [5, 12, 14])
def test_too_low_a_limit_is_named_before_anything_is_opened(tmp_path: Path, limit: int) -> None:
    code, text = said(tmp_path, limit)
    assert code == 1
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines] == ["agent_can_not_go_on"]
    assert lines[0]["error"].startswith(f"The limit on open files is {limit}, and 3 are open already: the agent can't")
    assert lines[0]["error"].endswith("Raise it (systemd: LimitNOFILE=65536, docker run: --ulimit nofile=65536).")
    assert not (tmp_path / "state").exists()


def test_files_that_are_open_already_may_use_the_limit_up(tmp_path: Path, eight_files: list[int]) -> None:
    code, text = said(tmp_path, 20, inherited=eight_files)
    assert code == 1
    assert "The limit on open files is 20, and 11 are open already" in text
