"""The whole terminal for a while: keys without Enter, lines where they belong, and everything as it was at the end."""

from __future__ import annotations

import os
import select
import shutil
import signal
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Self, TextIO

from rich.console import Console
from rich.text import Text

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J"
"""Alternate screen, no cursor, no wrapping: what is wider than it looks ends at the edge and moves no other line."""
_LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_KEYS: Final = {
    **{f"\x1b{form}{letter}": key for form in "[O" for letter, key in (("A", "up"), ("B", "down"))},
    **{f"\x1b{form}{letter}": key for form in "[O" for letter, key in (("H", "home"), ("F", "end"))},
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
}
_LONGEST_KEY: Final = 16
"""Characters of an escape sequence; what is longer is none."""


class Ended(Exception):  # noqa: N818 - an end that was asked for, no error
    """The terminal is gone, or the process was told to end."""


class Screen:
    """The terminal behind two streams. A context: inside, the screen is ours; afterwards all is as it was.

    Ctrl-C ends it with KeyboardInterrupt, Ctrl-Z gives the terminal back until `fg`.

    Args:
        source: Where keys come from.
        target: Where lines go to.
    """

    def __init__(self, source: TextIO, target: TextIO) -> None:
        self._in, self._out = source.fileno(), target.fileno()
        self._console = Console(file=target, highlight=False, markup=False, emoji=False)
        self._before: list[Any] | None = None
        self._shown: list[str] = []
        self._size = (0, 0)
        self._typed = ""
        self._handlers: dict[int, Any] = {}
        self._times_taken = 0
        # A signal or another thread wakes who waits in `wait`.
        self._woken, self._wake = os.pipe()
        for descriptor in (self._woken, self._wake):
            os.set_blocking(descriptor, False)

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, self._end)
        self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._pause)
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._woken)
        os.close(self._wake)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, now."""
        size = shutil.get_terminal_size() if not os.isatty(self._out) else os.get_terminal_size(self._out)
        return max(1, size.columns), max(1, size.lines)

    def wake(self) -> None:
        """Let who waits go on. From any thread."""
        with suppress(BlockingIOError, OSError):
            os.write(self._wake, b"\0")

    def wait(self, seconds: float) -> list[str]:
        """The keys that were pressed: letters, or `up`, `page down` and the like. Empty when something else happened.

        Raises:
            Ended: The terminal is gone.
        """
        ready, _, _ = select.select([self._in, self._woken], [], [], max(0.0, seconds))
        if self._woken in ready:
            with suppress(BlockingIOError):
                os.read(self._woken, 4096)
        if self._in not in ready:
            return []
        try:
            typed = os.read(self._in, 4096)
        except OSError:
            typed = b""
        if not typed:
            raise Ended
        return self._keys(typed.decode("utf-8", "replace"))

    def show(self, lines: Sequence[Text]) -> None:
        """Show these from the top; only lines that changed are written."""
        size = self.size
        if size != self._size:
            self._size, self._shown = size, []
        columns, height = size
        taken = self._times_taken
        written = [] if self._shown else ["\x1b[2J"]
        rendered = [self._rendered(line, columns) for line in lines[:height]]
        for row, line in enumerate(rendered):
            if row >= len(self._shown) or self._shown[row] != line:
                # Emptied first: after a line as wide as the terminal the cursor stands on its last cell.
                written.append(f"\x1b[{row + 1};1H\x1b[K{line}")
        if len(rendered) < len(self._shown):
            written.append(f"\x1b[{len(rendered) + 1};1H\x1b[J")
        self._write("".join(written))
        self._shown = rendered if taken == self._times_taken else []  # else it was given back and taken meanwhile

    def _rendered(self, line: Text, columns: int) -> str:
        line.truncate(columns)
        with self._console.capture() as capture:
            self._console.print(line, soft_wrap=True, end="")
        return capture.get()

    def _keys(self, typed: str) -> list[str]:
        self._typed += typed
        keys: list[str] = []
        while self._typed:
            if not self._typed.startswith("\x1b"):
                keys.append(self._typed[0])
                self._typed = self._typed[1:]
                continue
            known = next((sequence for sequence in _KEYS if self._typed.startswith(sequence)), "")
            if known:
                keys.append(_KEYS[known])
                self._typed = self._typed[len(known) :]
            elif any(sequence.startswith(self._typed) for sequence in _KEYS):
                break  # the rest of it comes with the next read
            else:
                self._typed = _after_sequence(self._typed)
        return keys

    def _take(self) -> None:
        if os.isatty(self._in):
            self._before = termios.tcgetattr(self._in)
            tty.setcbreak(self._in)
        self._shown = []
        self._times_taken += 1
        self._write(_ENTER)

    def _give_back(self) -> None:
        with suppress(OSError, Ended):  # the terminal may be gone
            self._write(_LEAVE)
        if self._before is not None:
            with suppress(termios.error):
                termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)

    def _pause(self, *_: object) -> None:
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()  # fg

    @staticmethod
    def _end(*_: object) -> None:
        raise Ended

    def _write(self, text: str) -> None:
        content = text.encode("utf-8", "replace")
        while content:
            try:
                content = content[os.write(self._out, content) :]
            except BlockingIOError:
                select.select([], [self._out], [])
            except OSError:
                raise Ended from None


def _after_sequence(typed: str) -> str:
    """What follows an escape sequence that means nothing here: its letters are no keys."""
    if typed[1:2] not in {"[", "O"}:
        return typed[2:] if len(typed) > 1 else ""
    for index, char in enumerate(typed[2:_LONGEST_KEY], 2):
        if "@" <= char <= "~":
            return typed[index + 1 :]
    return ""
