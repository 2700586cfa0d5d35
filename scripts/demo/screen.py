"""What people see of the demo: aligned lines, colours on a terminal only."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
from typing import Final

from scripts.demo.story import Line, Progress
from scripts.demo.troubles import TROUBLES

_COLOURS: Final = {
    "sign": "2",
    "cause": "33",
    "decision": "36",
    "action": "35",
    "outcome": "32",
    "held": "31",
    "after": "2",
}
_LEAST_WIDTH: Final = 60
_WIDTH_OF_A_FILE: Final = 120
_BEFORE_WORDS: Final = 37
"""Columns of time, story, stage and container."""


class Screen:
    """Writes to standard output, each line at once."""

    def __init__(self) -> None:
        """Look at what standard output is."""
        terminal = sys.stdout.isatty()
        self._colours = terminal and not os.environ.get("NO_COLOR")
        self._width = max(_LEAST_WIDTH, shutil.get_terminal_size().columns) if terminal else _WIDTH_OF_A_FILE
        self._since = time.monotonic()

    def say(self, text: str = "") -> None:
        """A sentence of the demo's own."""
        print(text, flush=True)

    def introduce(self, port: int) -> None:
        """Who is who, and how to look on.

        Args:
            port: Of the broker, on this machine.
        """
        self.say("\nThe agent runs. Four containers start, each with a trouble of its own:\n")
        for trouble in TROUBLES:
            self.say(f"  {trouble.name:9}  {trouble.plot}")
        self.say("\nLines with the same number are one story. From its cause to its outcome, every")
        self.say("event bears one correlation id. To see the events themselves, in another shell:\n")
        self.say(f"  mosquitto_sub -p {port} -v -t 'watchtower/v1/demo/event/#'\n")
        self._since = time.monotonic()
        head = f"{'time':>7}  {'story':5}  {'stage':8}  {'container':9}  what happened"
        self.say(self._paint("1", head))

    def show(self, line: Line) -> None:
        """One line, wrapped under itself when it is long."""
        stage = self._paint(_COLOURS[line.stage], f"{line.stage:8}")
        words = textwrap.wrap(line.words, self._width - _BEFORE_WORDS, break_on_hyphens=False) or [""]
        body = ("\n" + " " * _BEFORE_WORDS).join(words)
        seconds = time.monotonic() - self._since
        self.say(f"{seconds:5.1f} s  {f'#{line.number}':5}  {stage}  {line.who:9}  {body}")

    def sum_up(self, progress: Progress) -> None:
        """How each story ended, and under which correlation id."""
        self.say()
        self.say(self._paint("1", f"  {'container':9}  {'story':5}  {'answer':7}  correlation id"))
        for trouble in TROUBLES:
            end = progress.endings.get(trouble.name)
            answer = f"#{end.number:<4}  {trouble.verb:7}  {end.correlation}" if end else "-      NOT SEEN TO"
            self.say(f"  {trouble.name:9}  {answer}")
        self.say("\nThe policies that said so: config/demo/policies/demo.yaml")

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text
