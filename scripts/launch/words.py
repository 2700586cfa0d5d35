"""Words to the user, and the end that some of them are."""

from __future__ import annotations

import contextlib
import enum
import sys


class Status(enum.IntEnum):
    """Exit codes of `scripts/run`; beside them there are those of the agent and of the demo."""

    SETTINGS = 2
    ENVIRONMENT = 3
    INTERRUPTED = 130


class RefusalError(Exception):
    """It can't go on; the text says why and what to do, and is empty where that has been said."""

    def __init__(self, status: int, text: str = "") -> None:
        """Say with which exit code.

        Args:
            status: The exit code.
            text: For the user.
        """
        super().__init__(text)
        self.status = status


def say(text: str) -> None:
    """One line to the user; where the terminal is gone, what has to be ended is ended all the same."""
    with contextlib.suppress(OSError):
        print(f"run: {text}", file=sys.stderr, flush=True)
