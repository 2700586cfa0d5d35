"""`explain` and `trigger` as people and programs use them, and breakers in `status`; the agent is a fake."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.command_line import run, seen
from tests.support.control import FakeControl, status
from tests.support.facts import NOW
from watchtower_agent.cli.commands import main

POLICY = {
    "name": "heal",
    "mode": "enforce",
    "does": "restart",
    "notifies": False,
    "place": "heal.yaml:3:5",
    "condition": 'health == "unhealthy"',
    "trigger": "when",
    "for": 60.0,
    "keep_for": 0.0,
}
HEALTH = {"name": "health", "value": "unhealthy", "sign": "==", "threshold": '"unhealthy"', "true": True}


def guard(name: str, answer: str = "passes", **changes: object) -> dict[str, object]:
    return {"guard": name, "answer": answer, "reason": f"{name} says so", "numbers": {}, "release_at": None} | changes


def target(name: str, **changes: object) -> dict[str, object]:
    """One of which the condition has been true for 46 s."""
    return {
        "target": name,
        "kind": "container",
        "id": "a" * 64,
        "selected": True,
        "mismatches": [],
        "guard": None,
        "condition": {
            "true": True,
            "firing": False,
            "closeness": 1.0,
            "held_for": 46.0,
            "for": 60.0,
            "comparisons": [HEALTH],
            "comparisons_left_out": 0,
        },
        "wanted": None,
        "under_way": None,
        "guards": [
            guard("protected"),
            guard("cooldown", "holds", reason="acted 12.0 s ago (cooldown: 30s)", release_at=NOW + 18),
        ],
        "next": {
            "outlook": "counting",
            "words": "restarts in 14 s unless healthy",
            "at": NOW + 14,
            "budget": "budget 3 of 5 in 30 min",
        },
    } | changes


def answer(*targets: Mapping[str, object], policy: Mapping[str, object] = POLICY, **more: object) -> dict[str, object]:
    return {"at": NOW, "policy": policy, "by_hand": False, "problems": 0, "targets": list(targets)} | more


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def fake(said: Mapping[str, object]) -> FakeControl:
    control = FakeControl()
    control.explained = said
    return control


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        ({"trigger": "scale", "does": "scale", "service": "shop/web"}, "service shop/web, at every sample"),
        ({"trigger": "resize", "does": "resize"}, "at every sample"),
    ],
)
async def test_what_looks_all_the_time_says_so(socket: Path, trigger: Mapping[str, object], words: str) -> None:
    policy = {**POLICY, "condition": None, "for": None, **trigger}
    one = target("web", condition=None, guards=[])

    assert (await seen(socket, fake(answer(one, policy=policy)), "explain", "heal"))[1] == f"  {words}"

    many = answer(one, target("api", condition=None, guards=[]), policy=policy)
    table = "\n".join(await seen(socket, fake(many), "explain", "heal"))
    assert len(re.findall(r"^  (web|api) +on every sample", table, re.MULTILINE)) == 2


async def test_one_target_in_full(socket: Path) -> None:
    assert await seen(socket, fake(answer(target("web"))), "explain", "heal", "web") == [
        "heal → restart on web",
        '  when health == "unhealthy", for 1m',
        "",
        "  next       restarts in 14 s unless healthy (14:13:34); budget 3 of 5 in 30 min",
        "",
        "  condition  true for 46s of 1m",
        '             ✓ health == "unhealthy", now unhealthy',
        "",
        "  ✓ protected        protected says so",
        "  ✗ cooldown         acted 12.0 s ago (cooldown: 30s), until 14:13:38 (18s)",
    ]


async def test_a_threshold_that_is_measured_is_told_with_its_value(socket: Path) -> None:
    known = {"name": "cpu.percent", "value": 61.3, "sign": ">", "threshold": "max(cpu.percent, 9s)", "limit": 62.5}
    said = target("web")
    condition = said["condition"]
    assert isinstance(condition, dict)
    condition["comparisons"] = [known | {"true": False}, known | {"limit": None, "true": None}]
    lines = await seen(socket, fake(answer(said)), "explain", "heal", "web")
    assert lines[6:8] == [
        "             ✗ cpu.percent > max(cpu.percent, 9s), now 61.3 % against 62.5 %",
        "             · cpu.percent > max(cpu.percent, 9s), now 61.3 % against not known",
    ]


async def test_sentences_wrap_below_themselves(socket: Path) -> None:
    long = "a sentence with its numbers that is longer than a line of eighty cells and so goes on below, at its place"
    said = target("web", guards=[guard("budget", reason=long), guard("backoff", "not_asked")])
    lines = await seen(socket, fake(answer(said)), "explain", "heal", "web")
    assert lines[-3:] == [
        "  ✓ budget           a sentence with its numbers that is longer than a line of",
        "                     eighty cells and so goes on below, at its place",
        "  · not asked about restart: backoff",
    ]
    wide = await seen(socket, fake(answer(said)), "explain", "heal", "web", columns=200)
    assert wide[-2] == f"  ✓ budget           {long}"


async def test_all_targets_on_a_line_each_and_how_many_there_are_more(socket: Path) -> None:
    held = target(
        "shop-frontend-web-green-canary-7",
        wanted={"verb": "restart", "reason": "unhealthy", "since": NOW - 3},
        guard="backoff",
        next={
            "outlook": "held",
            "words": "restart is held by backoff for 18 s, then done unless healthy",
            "at": NOW + 18,
        },
    )
    control = fake(answer(held, *(target(f"web-{number}") for number in range(40))))
    lines = await seen(socket, control, "explain", "heal")
    assert lines[:6] == [
        "heal → restart",
        '  when health == "unhealthy", for 1m',
        "",
        "  target           how close      what comes next",
        "  shop-fr…anary-7  held: backoff  restart is held by backoff for 18 s, then don…",
        "  web-0            46s of 1m      restarts in 14 s unless healthy (14:13:34)",
    ]
    assert len(lines) == 26
    assert lines[-1] == "  and 21 more; one in full: watchtower-agent explain heal TARGET"
    wide = await seen(socket, control, "explain", "heal", columns=200)
    assert "restart is held by backoff for 18 s, then done unless healthy (14:13:38)" in wide[4]


async def test_programs_get_all_targets_in_one_document(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    control = fake(answer(*(target(f"web-{number}") for number in range(250))))
    assert await run(socket, control, "explain", "heal", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [each["target"] for each in said["targets"]] == [f"web-{number}" for number in range(250)]
    assert said["total"] == 250
    assert [each["offset"] for each in control.asked] == [0, 100, 200]


async def test_who_is_not_selected_hears_why(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = target(
        "db",
        selected=False,
        mismatches=["name: it is db, not w*"],
        guards=[],
        next={"outlook": "not_selected", "words": "nothing: the policy does not select db", "at": None},
    )
    assert await run(socket, fake(answer(said, problems=2)), "explain", "heal", "db") == 0
    shown = capsys.readouterr().out.splitlines()
    assert "  The policy folder has 2 problems: what is new in it is not in force." in shown
    assert "  next       nothing: the policy does not select db" in shown
    assert "             ✗ name: it is db, not w*" in shown


async def test_events_and_schedules_say_what_sets_them_off(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event = {"name": "event.exit_code", "value": None, "sign": "!=", "threshold": "0", "true": None}
    on = POLICY | {"trigger": "on", "on": ["container die"], "condition": "event.exit_code != 0", "notifies": True}
    said = target("web", condition={"true": None, "comparisons": [event]})
    assert await run(socket, fake(answer(said, policy=on)), "explain", "heal", "web") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:2] == ["heal → restart and notify on web", "  on container die where event.exit_code != 0"]
    assert "             · event.exit_code != 0, known with the event" in shown
    timed = POLICY | {"trigger": "schedule", "schedule": "30 3 * * * UTC", "mode": "shadow"}
    assert await run(socket, fake(answer(target("a"), target("b"), policy=timed)), "explain", "heal") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:2] == ["heal → restart (shadow)", "  schedule 30 3 * * * UTC"]


async def test_nobody_to_explain_is_said(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(socket, fake(answer()), "explain", "heal") == 0
    assert "It selects no container that there is." in capsys.readouterr().out


async def test_an_unknown_policy_is_told_by_the_agent(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(socket, fake(answer()), "explain", "heel") == 1
    assert "did you mean heal?" in capsys.readouterr().err


@pytest.mark.parametrize("columns", [20, 40, 80])
async def test_nothing_that_is_answered_breaks_a_terminal(socket: Path, columns: int) -> None:
    bad = "x\x1b[2J\u6771\u4eac" * 30
    said = target(
        bad,
        mismatches=[bad],
        guards=[guard(bad, bad, reason=bad), guard(bad, "not_asked")],
        next={"outlook": bad, "words": bad, "at": "soon", "budget": bad},
        wanted={"reason": bad, "since": bad},
        condition={"true": True, "held_for": bad, "for": None, "comparisons": [{"name": bad, "value": bad}, 7]},
    )
    policy = {"name": bad, "mode": bad, "does": bad, "condition": bad, "trigger": bad, "for": bad}
    await seen(socket, fake(answer(said, policy=policy, problems=bad)), "explain", "heal", "web", columns=columns)
    await seen(socket, fake(answer(said, target(bad), {}, policy={})), "explain", "heal", columns=columns)


# --- trigger ----------------------------------------------------------------------------------------------------------


async def test_a_dry_run_asks_for_nothing_to_be_done(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = {"outlook": "now", "words": "restarts at once", "at": NOW, "budget": ""}
    control = fake(answer(target("web", next=now)))
    assert await run(socket, control, "trigger", "heal", "web", "--dry-run") == 0
    shown = capsys.readouterr().out.splitlines()
    assert control.asked == [{"policy": "heal", "target": "web", "offset": 0, "limit": 20}]
    assert shown[0] == "heal → restart on web, if it were set off by hand now"
    assert "  next       restarts at once" in shown
    assert shown[-1] == "Nothing was done: this is what would be, at this moment."
    assert not any("condition" in line for line in shown)


async def test_what_became_of_each_target(socket: Path) -> None:
    control = FakeControl()
    control.triggered = {
        "at": NOW,
        "policy": "heal",
        "set_off": True,
        "total": 3,
        "targets": [
            {"target": "web", "verb": "restart", "result": "begun", "reason": "it is begun"},
            {
                "target": "db",
                "verb": "restart",
                "result": "held",
                "guard": "cooldown",
                "reason": "acted 12.0 s ago (cooldown: 30s)",
                "release_at": NOW + 18,
            },
            {"target": "vault", "verb": "restart", "result": "not_done", "guard": "protected", "reason": "a label"},
        ],
    }
    assert await seen(socket, control, "trigger", "heal") == [
        "heal is set off by hand:",
        "  restart web begun",
        "  restart db held by cooldown, until 14:13:38 (18s)",
        "    acted 12.0 s ago (cooldown: 30s)",
        "  restart vault not done (protected)",
        "    a label",
    ]
    assert control.asked == [{"policy": "heal", "target": None}]


async def test_what_has_gone_meanwhile_was_not_set_off(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    control = FakeControl()
    control.triggered = {"at": NOW, "policy": "heal", "set_off": False, "targets": []}
    assert await run(socket, control, "trigger", "heal") == 1
    assert capsys.readouterr().out == "Nothing was set off: the policy or the container has gone meanwhile.\n"
    assert await run(socket, control, "trigger", "heal", "--json") == 1
    assert json.loads(capsys.readouterr().out) == control.triggered


@pytest.mark.parametrize("command", ["explain", "trigger"])
def test_wrong_usage_asks_nobody(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command])
    assert ended.value.code == 2
    assert "POLICY" in capsys.readouterr().err


# --- status -----------------------------------------------------------------------------------------------------------


def breaker(**changes: object) -> dict[str, object]:
    """One of `web` that opened two minutes ago."""
    return {
        "scope": "container",
        "name": "web",
        "phase": "open",
        "opened_by": "heal",
        "times_opened": 2,
        "budget": {"max": 5, "per": 1800.0},
        "cause": "5 actions on web within 30m did not help",
        "since": time.time() - 120,
        "probe_at": time.time() + 3500.5,
        "probe": None,
    } | changes


HALF_OPEN = {
    "scope": "host",
    "name": "",
    "phase": "half_open",
    "opened_by": "revive",
    "times_opened": 1,
    "budget": {"max": 6, "per": 600.0},
    "cause": "",
    "probe_at": None,
    "probe": {"policy": "revive", "target": "db", "verb": "restart", "since": NOW},
}


async def test_status_shows_breakers_that_are_not_closed(socket: Path) -> None:
    answered = status(breakers=[breaker(), breaker(**HALF_OPEN), breaker(probe_at=time.time() - 1)])
    lines = await seen(socket, FakeControl(answered), "status", "--alive")
    shown = lines[lines.index("  Breakers:") + 1 :][:6]
    assert re.fullmatch(r"    web is open since [\w: ]+; one is tried at [\w: ]+ \(58m\)", shown[0])
    assert shown[1] == "      5 actions on web within 30m did not help, opened 2 times; by policy heal"
    assert re.match(r"    this host is half-open since [\w: ]+: whether the restart of db", shown[2])
    assert shown[3] == "      more than 6 actions within 10m were wanted; by policy revive"
    assert re.fullmatch(r"    web is open since [\w: ]+; the next is tried", shown[4])
    closed = await seen(socket, FakeControl(status(breakers=[])), "status", "--alive")
    assert "  Breakers:" not in closed
