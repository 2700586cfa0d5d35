"""`approve` and `reject` as people use them, and approvals in `status`, `history` and events; the agent is a fake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import run
from tests.support.control import HISTORY, FakeControl, status
from tests.support.facts import NOW
from watchtower_agent.cli.commands import main
from watchtower_agent.cli.lines import event_sentence


def asked(name: str = "web", state: str = "asked", **changes: object) -> dict[str, object]:
    return {
        "id": f"{name[:3]}234",
        "state": state,
        "policy": "heal",
        "target": name,
        "verb": "restart",
        "parameters": {},
        "reason": "unhealthy for 10.0 s (for: 10s)",
        "because": "",
        "from_event": False,
        "expires_at": NOW + 3000,
        "left": 3000.0,
        "guard": None,
        "guard_reason": None,
        "release_at": None,
    } | changes


HELD: dict[str, Any] = {"guard": "cooldown", "guard_reason": "acted 12.0 s ago (cooldown: 30s)", "release_at": NOW + 18}


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (("approve",), {"approve": None, "reason": ""}),
        (("approve", "7kq2mx"), {"approve": "7kq2mx", "reason": ""}),
        (("approve", "7kq2mx", "--reason", "we looked"), {"approve": "7kq2mx", "reason": "we looked"}),
        (("reject", "7kq2mx", "--reason", "not now"), {"reject": "7kq2mx", "reason": "not now"}),
    ],
)
async def test_what_is_written_is_what_is_asked(
    socket: Path, arguments: tuple[str, ...], question: dict[str, object]
) -> None:
    control = FakeControl()
    assert await run(socket, control, *arguments) == 0
    assert control.asked == [question]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("reject",), "the following arguments are required: ID"),
        (("approve", "a", "b"), "unrecognized arguments: b"),
        (("approve", "a", "--reason", "x" * 201), "a reason has at most 200 characters"),
    ],
)
def test_wrong_usage_asks_nobody(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


async def test_what_the_agent_refuses_is_an_error(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(socket, FakeControl(), "approve", "nope") == 1
    assert "there is no approval 'nope' to give; none waits for an answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ({"answered": None, "approvals": []}, ["Nothing waits for approval."]),
        (
            {"answered": None, "approvals": [asked(), asked("db")]},
            [
                "Waiting for an answer (approve ID, or reject ID):",
                "  web234  restart web by heal, until ",
                "          unhealthy for 10.0 s (for: 10s)",
                "  db234  restart db by heal, until ",
                "          unhealthy",
            ],
        ),
        (
            {"answered": asked(state="begun"), "approvals": []},
            ["Approved: restart web by heal has begun.", "  How it ends: watchtower-agent history"],
        ),
        (
            {"answered": asked(state="given", **HELD), "approvals": [asked(state="given", **HELD)]},
            [
                "Approved: restart web by heal; it is not done yet.",
                "  held by cooldown until ",
                "    acted 12.0 s ago (cooldown: 30s)",
                "  It is done once it may be, unless it is not wanted any more, until ",
            ],
        ),
        (
            {"answered": asked(state="given"), "approvals": [asked("db")]},
            [
                "Approved: restart web by heal; it is not done yet.",
                "  next in turn, or what it rests on is not known at this moment",
                "  It is done once",
                "",
                "Waiting for an answer, too:",
                "  db234  restart db by heal, until",
                "          unhealthy",
            ],
        ),
        (
            {"answered": asked(state="rejected"), "approvals": []},
            [
                "Rejected: restart web by heal.",
                "  It is not done, and not asked for again while its condition lasts.",
            ],
        ),
        (
            {"answered": asked(state="rejected", from_event=True), "approvals": []},
            ["Rejected: restart web by heal.", "  It is not done, and not asked for again."],
        ),
        (
            {"answered": None, "approvals": [asked("w\x1b[2J", reason="r\n")]},
            ["Waiting for", "  w\\x1b[", "          r\\n"],
        ),
    ],
)
async def test_the_answer_for_people(
    socket: Path, capsys: pytest.CaptureFixture[str], answer: Mapping[str, object], lines: list[str]
) -> None:
    control = FakeControl()
    control.approvals = answer
    assert await run(socket, control, "approve", "x") == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == len(lines), shown
    assert all(line.startswith(begin) for line, begin in zip(shown, lines, strict=True)), shown


async def test_of_many_the_first_are_shown(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    control = FakeControl()
    control.approvals = {"answered": None, "approvals": [asked(f"web{number}") for number in range(1030)]}
    await run(socket, control, "approve")
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 1 + 2 * 20 + 1
    assert shown[-1] == "  and 1,010 more: approve --json"


async def test_the_answer_for_programs(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    control = FakeControl()
    control.approvals = {"answered": asked(), "approvals": [asked("db")]}
    assert await run(socket, control, "approve", "x", "--json") == 0
    assert json.loads(capsys.readouterr().out) == control.approvals


async def test_status_shows_what_waits_for_approval_apart_from_what_guards_hold(
    socket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pending = {"policy": "heal", "verb": "restart", "guard": "mode", "reason": "a person is asked", "release_at": None}
    held = {**pending, "target": "db", "guard": "cooldown", "approval": "db234", "reason": "acted"}
    await run(
        socket,
        FakeControl(
            status(
                approvals=[asked(), asked("db", state="given", **HELD)],
                pending=[{**pending, "target": "web", "approval": "web234"}, held],
            )
        ),
        "status",
    )
    shown = capsys.readouterr().out
    assert "\n  Waiting for approval (approve ID, or reject ID):\n    web234  restart web by heal, until " in shown
    assert "(50 min)\n            unhealthy for 10.0 s (for: 10s)\n" in shown
    assert "\n  Waiting for their guards:\n    restart db by heal: cooldown, approved\n" in shown
    assert "a person is asked" not in shown


async def test_history_says_what_was_approved(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**HISTORY[0], "approval": "web234"}, HISTORY[1]]
    await run(socket, FakeControl(past=rows), "history")
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert "approved: health was unhealthy" in first
    assert "approved" not in second


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ("asked", "heal asks to restart web (approve web234, until 14:13:20): unhealthy"),
        ("given", "heal is allowed to restart web (web234): unhealthy"),
        ("rejected", "heal is not allowed to restart web (web234): unhealthy"),
        ("expired", "heal asks no longer to restart web (web234): unhealthy"),
        ("withdrawn", "heal asks no longer to restart web (web234): unhealthy"),
    ],
)
def test_the_events_are_readable(monkeypatch: pytest.MonkeyPatch, action: str, sentence: str) -> None:
    monkeypatch.setenv("TZ", "UTC")
    data = {"policy": "heal", "verb": "restart", "target": {"name": "web"}, "approval": "web234", "reason": "unhealthy"}
    event = {"time": "2026-09-21T13:13:20Z", "data": {**data, "expires_at": "2026-09-21T14:13:20Z"}}
    assert event_sentence(f"watchtower/v1/h1/event/policy/approval_{action}/heal", event) == sentence
