"""`metrics NAME --of CONTAINER --last …`: the past of one name, drawn."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len

from tests.support.command_line import piped
from tests.support.control import FakeControl
from tests.support.facts import NOW
from tests.support.terminal import Terminal
from watchtower_agent.cli.chart import bars, gathered, scale, trend
from watchtower_agent.cli.text import local_time
from watchtower_agent.serving.control import ControlServer

MIB = 2.0**20
LEAK = [*(MIB * (100 + number) for number in range(350)), None, None, *[MIB * 30] * 8]


def seen(values: Sequence[float | None], name: str = "memory.working_set", **changes: object) -> dict[str, object]:
    begin = NOW - 10 * len(values)
    return {
        "name": name,
        "unit": "B",
        "container": "web",
        "at": NOW,
        "now": values[-1] if values else None,
        "kept": 3600.0,
        "step": 10.0 if values else None,
        "points": [[begin + 10 * number, value] for number, value in enumerate(values)],
    } | changes


async def asked(
    socket: Path, found: dict[str, object], *arguments: str
) -> tuple[list[dict[str, object]], subprocess.CompletedProcess[str]]:
    control = FakeControl()
    control.seen = found
    async with ControlServer(control, socket):
        done = await asyncio.to_thread(piped, socket, "metrics", *arguments)
    return control.asked, done


async def test_a_leak_and_a_crash_as_a_picture(socket: Path) -> None:
    requests, done = await asked(socket, seen(LEAK), "memory.working_set", "--of", "web", "--last", "1h")
    assert (done.returncode, done.stderr) == (0, "")
    assert requests == [{"name": "memory.working_set", "container": "web", "last": 3600}]
    title, *chart, times, facts = done.stdout.splitlines()
    assert title == "memory.working_set of web, last 1 h, averages of 10 s"
    assert len(chart) == 8
    assert chart[0].startswith("  500.0 MiB ┤ ")
    assert chart[4].startswith("  250.0 MiB ┤ ")
    heights = [sum(line[cell : cell + 1] not in {"", " ", "·"} for line in chart) for cell in range(13, 80)]
    assert (heights[:60], heights[-1]) == (sorted(heights[:60]), 1), "it grows, and falls"
    assert times.split() == [local_time(NOW - 3600), local_time(NOW - 2400), local_time(NOW - 1200), local_time(NOW)]
    assert facts.split("  ") == [
        "",
        "min 30.0 MiB",
        f"avg {sum(each for each in LEAK if each) / 358 / MIB:.1f} MiB",
        "max 449.0 MiB",
        "now 30.0 MiB",
    ]


@pytest.mark.parametrize("columns", [40, 80, 200, 400])
async def test_it_fits_the_terminal(socket: Path, columns: int) -> None:
    control = FakeControl()
    control.seen = seen(LEAK, container="a-name-that-is-long" * 4)
    terminal = Terminal(
        "metrics", "memory.working_set", "--of", "web", "--socket", str(socket), columns=columns, lines=20
    )
    async with ControlServer(control, socket), terminal:
        assert await terminal.ended() == 0
        lines = await terminal.until(lambda lines: any("min 30.0 MiB" in line for line in lines))
    drawn = [line for line in lines if "█" in line]
    assert (len(drawn) > 5) is (columns >= 60)
    assert all(cell_len(line) <= columns for line in lines)
    assert sum(1 for line in lines if line.strip()) == (11 if columns >= 60 else 2)
    assert control.asked == [{"name": "memory.working_set", "container": "web", "last": 86400}]


async def test_a_time_of_which_nothing_is_known_is_marked(socket: Path) -> None:
    _, done = await asked(socket, seen([1.0, None, None, 2.0], "pids"), "pids", "--of", "web")
    assert "█·" in done.stdout.splitlines()[-3].replace("▄", "█")
    assert done.stdout.splitlines()[-1].endswith("  · not known")


async def test_for_programs(socket: Path) -> None:
    _, done = await asked(socket, seen([1.0, None, 2.5], "cpu.percent"), "cpu.percent", "--of", "web", "--json")
    answer = json.loads(done.stdout)
    assert answer["points"] == [[NOW - 30, 1.0], [NOW - 20, None], [NOW - 10, 2.5]]
    assert (answer["name"], answer["container"], answer["step"]) == ("cpu.percent", "web", 10.0)


async def test_more_than_is_kept_is_told(socket: Path) -> None:
    _, done = await asked(socket, seen([1.0, 2.0], "cpu.percent"), "cpu.percent", "--of", "web", "--last", "6h")
    assert "no more than 1 h is kept, see sampling.history" in done.stdout
    assert "last 20 s" in done.stdout


async def test_of_the_host_no_container_is_named(socket: Path) -> None:
    found = seen([0.5, 1.5], "host.load1", container=None)
    requests, done = await asked(socket, found, "host.load1", "--last", "10m")
    assert requests == [{"name": "host.load1", "container": None, "last": 600}]
    assert done.stdout.startswith("host.load1, last 20 s")
    assert "max 1.50  now 1.50" in done.stdout


@pytest.mark.parametrize("values", [[], [None, None]])
async def test_nothing_known_is_said(socket: Path, values: list[float | None]) -> None:
    _, done = await asked(socket, seen(values), "memory.working_set", "--of", "web")
    assert done.returncode == 0
    assert "nothing of it is known in this time" in done.stdout


async def test_what_an_agent_sends_moves_no_cursor(socket: Path) -> None:
    hostile = seen([1.0, 2.0], container="web\x1b[2J", now="\x1b]0;x", unit="\x1b")
    _, done = await asked(socket, hostile, "memory.working_set", "--of", "web")
    assert all(line.isprintable() for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--of", "web"], 2, "need a name, as in: watchtower-agent metrics cpu.percent --of web --last 1h"),
        (["cpu.percent", "--last", "1x"], 2, 'unknown unit "x"'),
        (["cpu.percent", "--last", "5"], 2, "has no unit"),
        (["cpu.percent", "--last", "25h"], 2, "'25h' is not a duration between 1s and 24h"),
        (["cpu.percent", "--last", "0s"], 2, "'0s' is not a duration between 1s and 24h"),
        (["cpu.precent", "--of", "web"], 1, "there is no name 'cpu.precent'; did you mean cpu.percent?"),
    ],
)
async def test_wrong_words_are_told(socket: Path, arguments: list[str], code: int, words: str) -> None:
    _, done = await asked(socket, seen([1.0], "cpu.percent"), *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr


def test_without_an_agent_there_is_nothing_to_draw(socket: Path) -> None:
    done = piped(socket, "metrics", "cpu.percent", "--of", "web")
    assert (done.returncode, done.stdout) == (3, "")
    assert "No agent answers at " in done.stderr


# --- drawing ---


def test_bars_grow_by_eighths_and_what_is_known_is_never_nothing() -> None:
    assert bars([0.0, 1.0, 4.0, 8.0, None, 12.0, 16.0], 2, 16.0) == ["     ▄█", "▁▁▄█·██"]


def test_a_peak_is_seen_however_many_share_its_cell() -> None:
    shown = gathered([*[1.0] * 500, 99.0, *[1.0] * 499], 10)
    assert shown == [*[1.0] * 5, 99.0, *[1.0] * 4]
    assert gathered([1.0, None, 2.0], 6) == [1.0, 1.0, None, None, 2.0, 2.0]


def test_a_trend_is_short_while_little_is_known_and_little_things_stay_little() -> None:
    assert trend([], 5, least_top=10.0) == ""
    assert trend([None, None, 0.0, None, 100.0], 5, least_top=10.0) == "  ▁·█"
    assert trend([0.5, 1.0, None], 3, least_top=10.0) == "▁▁·"
    assert trend([None] * 6, 3, least_top=10.0) == "   "


@given(st.floats(1e-6, 1e15), st.booleans())
def test_a_scale_ends_at_a_round_number_not_far_above(most: float, of_bytes: bool) -> None:
    top = scale(most, of_bytes=of_bytes)
    assert most <= top <= 2.01 * most


@given(st.lists(st.none() | st.floats(0, 1e12), min_size=1, max_size=400), st.integers(1, 200))
def test_any_values_fill_their_cells(values: list[float | None], cells: int) -> None:
    shown = gathered(values, cells)
    assert len(shown) == cells
    known = [value for value in values if value is not None]
    if known and cells <= len(values):
        assert max(value for value in shown if value is not None) == max(known)
    top = scale(max(known, default=0.0), of_bytes=False)
    assert all(len(line) == cells for line in bars(shown, 3, top))
    assert math.isfinite(top)
