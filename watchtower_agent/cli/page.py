"""Where answers are written to: a terminal with its width and colours, or a file or pipe without."""

from __future__ import annotations

from typing import Final, TextIO

from rich.console import Console
from rich.text import Text

from watchtower_agent.cli.layout import Part, fitted, length

_BESIDE: Final = 15
"""Cells before a fact: two blanks, what it is about, a mark."""
_MOST_LINES: Final = 4
"""Of one explanation."""
_LEAST_ROOM: Final = 24
"""Cells that a paragraph needs behind its head; else it begins on the next line."""
_NARROW: Final = 4
"""Cells before it then."""


class Page:
    """Writes lines, each on a line of its own whatever is in it.

    Attributes:
        width: Cells of the terminal; None where no terminal is, and then nothing is cut.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream.

        Args:
            stream: Standard output, most likely.
        """
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self.width = self._console.width if self._console.is_terminal else None

    def write(self, *parts: Part, indent: int = 0) -> bool:
        """One line of pieces, cut where it would wrap; whether it was."""
        room = None if self.width is None else self.width - indent
        self.put(Text(" " * indent) + fitted(parts, room))
        return room is not None and length(parts) > room

    def fact(self, about: str, *parts: Part, good: bool | None = None) -> None:
        """A line about a part of the agent, with a mark for well or not well, if that is the question."""
        mark = Text(" ") if good is None else Text("✓", style="green") if good else Text("✗", style="bold red")
        room = None if self.width is None else self.width - _BESIDE
        self.put(Text("  ") + Text(f"{about:10} ", style="dim") + mark + Text(" ") + fitted(parts, room))

    def explain(self, text: str) -> None:
        """A sentence below a fact, on as many lines as it needs, up to a few: what is wrong is not for cutting."""
        if self.width is None:
            self.fact("", Part(text=text))
            return
        room = max(1, self.width - _BESIDE)
        lines = Text(text[: room * _MOST_LINES * 2]).wrap(self._console, room)
        for line in lines[: _MOST_LINES - 1]:
            self.fact("", Part(text=line.plain.rstrip()))
        if rest := " ".join(line.plain.rstrip() for line in lines[_MOST_LINES - 1 :]):
            self.fact("", Part(text=rest))

    def paragraph(self, *head: Part, text: str, style: str = "") -> None:
        """A sentence behind its head, on as many lines as it needs, one below the other."""
        if self.width is None:
            self.write(*head, Part(text=text, style=style))
            return
        indent = length(head)
        begin = fitted(head, None)
        if self.width - indent < _LEAST_ROOM:
            self.write(*head)
            indent, begin = _NARROW, Text(" " * _NARROW)
        lines = Text(text, style).wrap(self._console, max(1, self.width - indent)) or [Text()]
        for number, line in enumerate(lines):
            self.put((Text(" " * indent) if number else begin) + line)

    def put(self, text: Text, end: str = "\n") -> None:
        """One line as it is, without blanks at its end."""
        text.rstrip()
        self._console.print(text, soft_wrap=True, end=end)
