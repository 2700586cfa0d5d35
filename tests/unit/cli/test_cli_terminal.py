"""`status` and `history` on a terminal: one line a row, nothing wraps, and what is cut says so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.command_line import HOSTILE, LONG, seen
from tests.support.control import HISTORY, FakeControl, status
from tests.support.facts import NOW


def policy(name: str, target: str, firing: Sequence[str] = ()) -> dict[str, object]:
    last = {"target": target, "verb": "restart", "result": "succeeded", "at": NOW - 100}
    return {"name": name, "mode": "enforce", "targets": 3, "firing": list(firing), "last_decision": last}


def past(policy: str, target: str) -> dict[str, object]:
    return dict(HISTORY[1]) | {"policy": policy, "target": target, "cause": f"{target}: health was unhealthy for 60 s"}


async def test_a_realistic_status_is_one_line_a_row(socket: Path) -> None:
    engine = {
        "connected": True,
        "version": "26.1.5+dfsg1",
        "url": "unix:///run/user/1000/containers/rootless/engine-of-the-build-machines/docker.sock",
        "url_source": "the context build-machines",
        "since": NOW,
        "events": 12,
    }
    items = [policy("restart-leaking-workers-of-the-shop", LONG, ["web", LONG]), policy("notify-oom", "db")]
    answer = status(engine=engine, policies={"digest": "d", "items": items, "problems": []})

    lines = await seen(socket, FakeControl(answer), "status", "--alive")

    (line,) = [line for line in lines if "26.1.5" in line]
    assert re.fullmatch(
        r"  engine     ✓ 26\.1\.5\+dfsg1 at unix:.*….* \(the .*\), since 21 Sep(?: \d{4})? 14:13:20", line
    )
    (line,) = [line for line in lines if line.startswith("  restart")]
    assert re.search(r"restart.*….*  enforce        3  web.*…  restart .*….* succeeded .* ago$", line)
    assert all(len(lines[n]) <= 80 for n in range(len(lines)))

    wide = await seen(socket, FakeControl(answer), "status", "--alive", columns=220)

    assert any(LONG in line and "restart-leaking-workers-of-the-shop" in line for line in wide)
    assert not any("…" in line for line in wide)
    assert len(wide) == len(lines)


async def test_a_realistic_history_is_one_line_a_row(socket: Path) -> None:
    rows = [past("heal-unhealthy", "web"), past("restart-leaking-workers-of-the-shop", LONG)]

    head, short, long = await seen(socket, FakeControl(past=rows), "history")

    assert head.split() == ["time", "policy", "action", "result", "why"]
    assert "restart web" in short
    assert re.search(r"^21 Sep 14:11:40  restart.*….*  restart .*….*  failed  .*…$", long)
    assert [line.index("failed") for line in (short, long)] == [head.index("result")] * 2

    wide = await seen(socket, FakeControl(past=rows), "history", columns=300)

    assert LONG in wide[2]
    assert not any("…" in line for line in wide)


async def test_what_waits_for_approval_fits_a_terminal(socket: Path) -> None:
    question = {
        "id": "7kq2mx",
        "state": "asked",
        "policy": "restart-leaking-workers-of-the-shop",
        "target": LONG,
        "verb": "restart",
        "reason": "memory.percent 91.0 % for 2.0 min (for: 2m) " * 3,
        "expires_at": NOW,
        "left": 3000.0,
    }

    lines = await seen(socket, FakeControl(status(approvals=[question])), "status", "--alive")

    (line,) = [line for line in lines if "7kq2mx" in line]
    assert re.search(r"^    7kq2mx  restart .*….* by .*….*, until .* \(50 min\)$", line)


async def test_why_something_is_wrong_is_told_in_full(socket: Path) -> None:
    reason = (
        "Nothing listens at mqtts://broker.example.org:8883. Start the broker there, or correct mqtt.url; tried again"
    )
    mqtt = {"connected": False, "url": "mqtts://broker.example.org:8883", "last_error": reason}

    lines = await seen(socket, FakeControl(status(mqtt=mqtt)), "status", "--alive")

    at = next(number for number, line in enumerate(lines) if "not connected to mqtts://broker" in line)
    assert " ".join(line.strip() for line in lines[at + 1 : at + 3]) == reason


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("name", HOSTILE)
async def test_no_name_breaks_the_lines(socket: Path, name: str, columns: int) -> None:
    engine = {"connected": True, "version": "1", "url": name, "url_source": name, "since": NOW}
    policies = {"digest": "", "items": [policy(name, name, [name, name])], "problems": [name] * 12}
    held = {"policy": name, "target": name, "verb": "restart", "guard": "cooldown", "reason": name}
    mqtt = {"connected": False, "url": name, "last_error": name}
    agent = {"version": "1", "host": name, "mode": "enforce", "uptime": 3.0}
    answer = status(engine=engine, mqtt=mqtt, policies=policies, pending=[held], agent=agent)

    lines = await seen(socket, FakeControl(answer), "status", "--alive", columns=columns)

    plain = status(engine=engine, policies=policies | {"items": [policy("a", "b")]}, mqtt=mqtt, pending=[held])
    assert len(lines) == len(await seen(socket, FakeControl(plain), "status", "--alive", columns=columns))
    assert len(await seen(socket, FakeControl(past=[past(name, name)]), "history", columns=columns)) == 2
