"""`revert` as people and programs use it; the agent is a fake behind a real socket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import run, seen
from tests.support.control import FakeControl
from tests.support.facts import NOW
from watchtower_agent.cli.commands import main

MIB = 2**20
REVERTED = {
    "at": NOW,
    "policy": "right-size",
    "target": "web",
    "verb": "resize",
    "set_off": True,
    "limits": [
        {"resource": "memory", "limit": 228 * MIB, "to": 128 * MIB},
        {"resource": "cpu", "limit": 0.62, "to": None},
    ],
    "result": "begun",
    "reason": "it is begun",
    "guard": None,
    "release_at": None,
    "then": "policy right-size raises them when it needs more",
}


async def test_what_goes_back_and_what_comes_after_it(socket: Path) -> None:
    control = FakeControl()
    control.reverted = REVERTED
    assert await seen(socket, control, "revert", "web", "--policy", "right-size") == [
        "web gets back what it had before policy right-size changed it:",
        "  memory 228M → 128M",
        "  cpu 0.62 → none",
        "  resize web begun",
        "  then policy right-size raises them when it needs more",
    ]
    assert control.asked == [{"container": "web", "policy": "right-size"}]


async def test_what_a_guard_says(socket: Path) -> None:
    control = FakeControl()
    held = {"result": "held", "guard": "paused", "reason": "the agent is paused for 1h", "release_at": NOW + 18}
    control.reverted = REVERTED | held
    lines = await seen(socket, control, "revert", "web")
    assert lines[3:5] == ["  resize web held by paused, until 14:13:38 (18s)", "    the agent is paused for 1h"]
    control.reverted = REVERTED | {"result": "not_done", "guard": "mode", "reason": "shadow mode", "release_at": None}
    lines = await seen(socket, control, "revert", "web")
    assert lines[3:] == ["  resize web not done (mode)", "    shadow mode"]


async def test_what_it_says_to_programs(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    control = FakeControl()
    control.reverted = REVERTED
    assert await run(socket, control, "revert", "web", "--json") == 0
    assert json.loads(capsys.readouterr().out) == REVERTED


async def test_nothing_to_revert(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(socket, FakeControl(), "revert", "db") == 1
    assert capsys.readouterr().err == ("watchtower-agent: The agent refuses: no limit of db is as the agent made it\n")
    control = FakeControl()
    control.reverted = {"set_off": False}
    assert await run(socket, control, "revert", "web") == 1
    assert "the container or the changes have gone meanwhile" in capsys.readouterr().out


async def test_nothing_in_it_moves_the_cursor(socket: Path) -> None:
    bad = "\x1b[2J\n"
    control = FakeControl()
    limits = [{"resource": bad, "limit": bad, "to": 1}]
    control.reverted = (
        REVERTED | dict.fromkeys(("policy", "target", "result", "reason", "then"), bad) | {"limits": limits}
    )
    lines = await seen(socket, control, "revert", "web")
    assert all(line.isprintable() for line in lines)


def test_wrong_usage_asks_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["revert"])
    assert ended.value.code == 2
    assert "CONTAINER" in capsys.readouterr().err
