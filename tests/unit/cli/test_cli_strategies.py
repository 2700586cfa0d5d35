"""Scaled services and resized containers in `status`, as people read them; the agent is a fake behind a real socket."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import seen
from tests.support.control import FakeControl, status

SERVICE = {
    "policy": "web",
    "service": "shop_web",
    "acts": True,
    "unseen": "",
    "failed": "",
    "wanted": 4,
    "running": 4,
    "needed": 6,
    "min": 1,
    "max": 4,
    "limit": "max",
}
RESIZED = {
    "policy": "right-size",
    "in_force": True,
    "containers": 12,
    "resized": 3,
    "at_max": 1,
    "killed_at_max": 0,
}


async def shown(socket: Path, **parts: object) -> list[str]:
    return await seen(socket, FakeControl(status(**parts)), "status", "--alive")


async def test_services_take_a_line_each(socket: Path) -> None:
    unseen = {"policy": "jobs", "service": "queue", "acts": False, "unseen": "this engine is in no Swarm", "failed": ""}
    others = [
        SERVICE | {"service": "idle", "wanted": 1, "needed": 1, "limit": None},
        SERVICE | {"service": "followed", "acts": False},
        SERVICE | {"service": "stuck", "failed": "a fixed port of the host", "needed": None},
    ]
    lines = await shown(socket, services=[SERVICE, unseen, *others])
    start = next(number for number, line in enumerate(lines) if line.startswith("  service "))
    assert [line.split(maxsplit=4) for line in lines[start + 1 : start + 2]] == [
        ["shop_web", "web", "4", "6", "1 to 4   max: it has no more"]
    ]
    assert "not known: this engine" in lines[start + 2]
    assert lines[start + 3].split() == ["idle", "web", "1", "1", "1", "to", "4", "-"]
    assert "the agent of the" in lines[start + 4]
    assert "the last change f" in lines[start + 5]


async def test_resized_containers_are_counted(socket: Path) -> None:
    gone = {"policy": "old", "in_force": False, "containers": 2, "resized": 2, "at_max": 0, "killed_at_max": 0}
    lines = await shown(socket, resized=[RESIZED, RESIZED | {"killed_at_max": 1}, gone])
    assert [line for line in lines if "Limits by" in line] == [
        "  Limits by right-size: 3 of 12 containers changed, 1 at max",
        "  Limits by right-size: 3 of 12 containers changed, 1 at max, 1 OOM-killed there",
        "  Limits by old: 2 of 2 containers changed; no policy any more: see revert",
    ]


async def test_where_there_are_none_nothing_is_shown(socket: Path) -> None:
    lines = await shown(socket, services=[], resized=[])
    assert lines == await shown(socket)
    assert not any("service" in line or "Limits" in line for line in lines)


async def test_nothing_in_it_moves_the_cursor(socket: Path) -> None:
    bad = "\x1b[2J\n"
    service = dict.fromkeys(SERVICE, bad)
    lines = await shown(socket, services=[service, {}], resized=[dict.fromkeys(RESIZED, bad), {}])
    assert all(line.isprintable() for line in lines)
