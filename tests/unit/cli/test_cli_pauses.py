"""`pause` and `resume` as people and programs use them, and pauses in `status`; the agent is a fake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.command_line import run
from tests.support.control import FakeControl, status
from tests.support.facts import NOW
from watchtower_agent.cli.commands import main

LEAK = {"scope": "policy", "name": "leak", "since": NOW, "until": NOW + 5400, "left": 5400.0, "reason": "moving"}
ALL = {"scope": "agent", "name": "", "since": NOW, "until": NOW + 60, "left": 59.9, "reason": ""}
OCTOBER = ALL | {"until": 1_791_028_800.0}  # 3 October, noon
WEB = {"scope": "container", "name": "web\x1b[2J", "since": NOW, "until": NOW + 60, "left": 59.9, "reason": ""}


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def answer(asked: Mapping[str, object], *paused: Mapping[str, object], **more: object) -> dict[str, object]:
    return {"scope": asked["scope"], "name": asked["name"], "paused": list(paused), **more}


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("pause", "leak"), {"policy": "leak", "target": None, "length": 3600, "reason": ""}),
        (("pause", "--all", "--for", "90m"), {"policy": None, "target": None, "length": 5400, "reason": ""}),
        (
            ("pause", "--target", "web", "--for", "30d", "--reason", "we move"),
            {"policy": None, "target": "web", "length": 2592000, "reason": "we move"},
        ),
        (("resume", "leak"), {"policy": "leak", "target": None}),
        (("resume", "--all"), {"policy": None, "target": None}),
        (("resume", "--target", "web"), {"policy": None, "target": "web"}),
    ],
)
async def test_what_is_written_is_what_is_asked(
    socket: Path, arguments: tuple[str, ...], asked: dict[str, object]
) -> None:
    control = FakeControl()
    control.pauses = answer(LEAK, LEAK)
    assert await run(socket, control, *arguments) == 0
    assert control.asked == [asked]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("pause",), "one of the arguments POLICY --all --target is required"),
        (("resume",), "one of the arguments POLICY --all --target is required"),
        (("pause", "leak", "--all"), "not allowed with argument"),
        (("pause", "--all", "--for", "0s"), "is not a duration between 1s and 30d"),
        (("pause", "--all", "--for", "31d"), "is not a duration between 1s and 30d"),
        (("pause", "--all", "--for", "soon"), "soon"),
        (("pause", "--all", "--reason", "x" * 201), "a reason has at most 200 characters"),
        (("resume", "leak", "--for=1h"), "unrecognized arguments"),
    ],
)
def test_wrong_usage_asks_nobody(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


async def test_an_unknown_policy_is_told_by_the_agent(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(socket, FakeControl(), "pause", "leek") == 1
    assert "did you mean leak?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "said", "lines"),
    [
        ("pause", answer(LEAK, LEAK), ["policy leak is paused until", "  moving"]),
        (
            "pause",
            answer(ALL, LEAK, ALL),
            ["the agent is paused until", "", "Paused, too:", "  policy leak is", "    mov"],
        ),
        ("pause", answer(WEB, WEB), ["container web\\x1b[2J is paused until"]),
        ("pause", answer(OCTOBER, OCTOBER), ["the agent is paused until 3 Oct "]),
        ("resume", answer(LEAK, was_paused=True), ["policy leak goes on."]),
        ("resume", answer(ALL, was_paused=False), ["the agent was not paused."]),
        ("resume", answer(ALL, WEB, was_paused=True), ["the agent goes on.", "", "Still paused:", "  container web"]),
    ],
)
async def test_the_answer_for_people(
    socket: Path, capsys: pytest.CaptureFixture[str], command: str, said: dict[str, object], lines: list[str]
) -> None:
    control = FakeControl()
    control.pauses = said
    assert await run(socket, control, command, "--all") == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == len(lines)
    assert all(line.startswith(begin) for line, begin in zip(shown, lines, strict=True)), shown


async def test_the_answer_for_programs(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    control = FakeControl()
    control.pauses = answer(LEAK, LEAK)
    assert await run(socket, control, "pause", "leak", "--json") == 0
    assert json.loads(capsys.readouterr().out) == control.pauses


async def test_status_shows_what_is_paused(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await run(socket, FakeControl(status(paused=[LEAK, ALL])), "status")
    shown = capsys.readouterr().out
    assert "\n  Paused:\n    policy leak is paused until " in shown
    assert "(1 h 30 min)\n      moving\n    the agent is paused until " in shown
    await run(socket, FakeControl(status(paused=[])), "status")
    assert "Paused" not in capsys.readouterr().out
