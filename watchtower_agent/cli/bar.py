"""One line at the end of a terminal that shows how far something is; other lines scroll by above it."""

from __future__ import annotations

import sys
from threading import Lock
from typing import Final

from rich.text import Text

from watchtower_agent.cli.layout import fitted, words
from watchtower_agent.cli.page import Page

_WIDTH: Final = 24
"""Cells of the bar itself."""
_CLEAR: Final = "\r\x1b[K"


class Bar:
    """A bar. Nothing of it is written where no terminal is.

    Args:
        page: Where other lines go, on the same terminal.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._lock = Lock()
        self._shown: Text | None = None

    def show(self, part: float, text: str) -> None:
        """Draw it anew.

        Args:
            part: Of the whole, 0 to 1.
            text: What stands behind it.
        """
        if self._page.width is None:
            return
        done = round(min(1.0, max(0.0, part)) * _WIDTH)
        line = (words("  "), words("━" * done, "green"), words("─" * (_WIDTH - done), "dim"), words(f" {text}"))
        with self._lock:
            self._shown = fitted(line, self._page.width - 1)
            self._draw()

    def above(self, *parts: Text) -> None:
        """Put lines above it."""
        with self._lock:
            self._wipe()
            for each in parts:
                self._page.put(each)
            self._draw()

    def end(self) -> None:
        """Take it away."""
        with self._lock:
            self._wipe()
            self._shown = None

    def _draw(self) -> None:
        if self._shown is not None:
            self._wipe()
            self._page.put(self._shown, end="")
            sys.stdout.flush()

    def _wipe(self) -> None:
        if self._shown is not None:
            sys.stdout.write(_CLEAR)
