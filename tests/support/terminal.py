"""A terminal of a given size with a program in it: what stands on its screen, keys, resizing, how it was left.

It knows the few sequences that our programs write, and fails on any other: what a hostile name smuggles in is seen.
"""

from __future__ import annotations

import asyncio
import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from rich.cells import cell_len

ROOT: Final = Path(__file__).parents[2]
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_SEQUENCE: Final = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Screen:
    """What a terminal shows.

    Attributes:
        modes: Private modes that are on: 7 wrapping, 25 cursor, 1049 alternate screen.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.modes = {7, 25}
        self._cells: list[list[str]] = []
        self._row = self._column = 0
        self._unfinished = ""
        self._of_before = False
        """What comes was written for the size of before, until the program begins anew."""
        self._clear(0)

    def resize(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self._of_before = True
        self._clear(0)

    def display(self) -> list[str]:
        """Its lines, without blanks at their end."""
        return ["".join(row).rstrip() for row in self._cells]

    def feed(self, text: str) -> None:
        text, self._unfinished = self._unfinished + text, ""
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self._put(text[at])
                at += 1
                continue
            found = _SEQUENCE.match(text, at)
            if found is None:
                self._unfinished = text[at:]
                assert len(self._unfinished) < 16, f"not a sequence of ours: {self._unfinished[:40]!r}"
                return
            self._do(found[1], found[2], found[3])
            at = found.end()

    def _do(self, private: str, numbers: str, letter: str) -> None:
        match private, letter:
            case "?", "h":
                self.modes.add(int(numbers))
            case "?", "l":
                self.modes.discard(int(numbers))
            case "", "H":
                row, _, column = numbers.partition(";")
                self._row, self._column = int(row or 1) - 1, int(column or 1) - 1
                assert self._row < self.lines or self._of_before, "it writes below the last line"
                self._row = min(self._row, self.lines - 1)
            case "", "K":
                # After the last cell the cursor stands on it, so that is what goes.
                begin = min(self._column, self.columns - 1)
                self._cells[self._row][begin:] = [" "] * (self.columns - begin)
            case "", "J":
                if numbers == "2":
                    self._of_before = False
                    self._clear(0)
                else:
                    self._clear(self._row)
            case "", "m":
                pass
            case _:
                raise AssertionError(f"not a sequence of ours: ESC[{private}{numbers}{letter}")

    def _put(self, char: str) -> None:
        if char == "\r":
            self._column = 0
        elif char == "\n":
            self._row = min(self._row + 1, self.lines - 1)
        else:
            assert char.isprintable(), f"{char!r} reached the terminal"
            width = cell_len(char)
            if width == 0:
                return
            if self._of_before and self._column + width > self.columns:
                return
            assert self._column + width <= self.columns, "it writes past the right edge"
            self._cells[self._row][self._column : self._column + width] = [char, *[""] * (width - 1)]
            self._column += width

    def _clear(self, row: int) -> None:
        self._cells[row:] = [[" "] * self.columns for _ in range(self.lines - row)]


class Terminal:
    """A program of ours in a terminal. An async context: at its end the program is killed if it runs still."""

    def __init__(self, *arguments: str, columns: int = 80, lines: int = 24) -> None:
        self.screen = Screen(columns, lines)
        self.raw = ""
        self._arguments = arguments
        self._ours, self._theirs = pty.openpty()
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._news = asyncio.Event()
        self._size()
        self.before = self.settings()
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: ASYNC220 - a millisecond; asyncio's own can't take the terminal over
            [sys.executable, "-m", "watchtower_agent", *self._arguments],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no other thread holds a lock
            env=environment(),
        )
        asyncio.get_running_loop().add_reader(self._ours, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        os.close(self._theirs)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def settings(self) -> list[Any]:
        """How the terminal is set: echo, lines or keys, signals."""
        return termios.tcgetattr(self._theirs)

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(columns, lines)
        self._size()

    async def until(self, wanted: Callable[[list[str]], object], *, within: float = 15.0) -> list[str]:
        """Wait until its screen is as wanted; the lines."""
        try:
            async with asyncio.timeout(within):
                while not wanted(self.screen.display()):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raised = self.raw[at:] if (at := self.raw.rfind("Traceback")) >= 0 else ""
            raise AssertionError("\n".join(["never as wanted:", *self.screen.display(), raised])) from None
        return self.screen.display()

    def written(self) -> list[str]:
        """All lines that the program wrote, also those that the screen has no room for, without colours."""
        self._read()
        *lines, rest = _COLOUR.sub("", self.raw).split("\r\n")
        assert rest == "", f"it ends amid a line: {rest!r}"
        return lines

    async def ended(self) -> int:
        """Wait for the program's end; its exit code."""
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), 10)

    async def stopped(self) -> None:
        """Wait until it has stopped itself, as a shell does."""
        await asyncio.wait_for(
            asyncio.to_thread(os.waitid, os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT), timeout=10
        )

    def left_as_it_was(self) -> bool:
        """Whether the terminal is as it was before the program began."""
        self._read()
        return self.screen.modes == {7, 25} and self.settings() == self.before

    def _size(self) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", self.screen.lines, self.screen.columns, 0, 0))
        if getattr(self, "_process", None) is not None:
            self.process.send_signal(signal.SIGWINCH)

    def _read(self) -> None:
        os.set_blocking(self._ours, False)
        try:
            while part := os.read(self._ours, 65536):
                text = self._decode.decode(part)
                self.raw += text
                self.screen.feed(text)
        except OSError:  # nothing more for now
            pass
        self._news.set()


def environment() -> Mapping[str, str]:
    """For a program of ours in a terminal."""
    return {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}} | {
        "TERM": "xterm-256color",
        "PYTHONPATH": str(ROOT),
        "TZ": "UTC",
    }
