"""Commands as they are given: in this process, in one of its own whose words go into pipes, and on a terminal."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from rich.cells import cell_len

from tests.support.control import FakeControl
from tests.support.terminal import Terminal, environment
from watchtower_agent.cli.commands import main
from watchtower_agent.serving.control import ControlServer

LONG: Final = "shop-frontend-web-green-canary-eu-central-1-replica-12"
"""A name that is longer than its column."""
HOSTILE: Final = (
    "x" * 65536,
    "a\x1b[2J\x1b]0;title\x07\nb" * 50,
    "\u6771\u4eac\u90fd\u5e02" * 40,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 30,
    "e\u0301" * 200,
    "\u202e" + "desrever" * 20,
    "",
)
"""Names that would spoil a page."""


@pytest.fixture
def socket() -> Iterator[Path]:
    """Where the agent's control socket is to be."""
    # Not tmp_path: its length may leave too little of the 107 bytes.
    with TemporaryDirectory() as folder:
        yield Path(folder) / "s"


async def run(socket: Path, control: FakeControl, *arguments: str) -> int:
    """The exit code of a command that asks an agent behind the socket; what it says goes where this process writes."""
    async with ControlServer(control, socket):
        return await asyncio.to_thread(main, [*arguments, "--socket", str(socket)])


def piped(socket: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own that has no terminal: what it wrote, and its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "watchtower_agent", *arguments, "--socket", str(socket)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )


async def seen(socket: Path, control: FakeControl, *arguments: str, columns: int = 80) -> list[str]:
    """The lines that a terminal of so many columns is given, without their colours; none is wider, and none wraps."""
    async with (
        ControlServer(control, socket),
        Terminal(*arguments, "--socket", str(socket), columns=columns) as terminal,
    ):
        assert await terminal.ended() == 0
        lines = terminal.written()
        assert "\x1b[" in terminal.raw
    for line in lines:
        assert line.isprintable()
        assert line == line.rstrip()
        assert cell_len(line) <= columns, line
    return lines
