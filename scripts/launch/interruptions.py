"""Ctrl-C and its like: kept back by the kernel, taken in this one place. None is lost, none comes at a bad moment.

`scripts/run` has them blocked before Python starts. What is started has to unblock them again: `as_usual`.
"""

from __future__ import annotations

import signal
import time
from typing import Final

ENDING: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
_BLOCKED: Final = ENDING | {signal.SIGCHLD}


class InterruptedBeginningError(Exception):
    """A signal came before the agent or the demo has begun."""


class Interruptions:
    """The signals that end this process; there is one of this kind, made before anything else."""

    def __init__(self) -> None:
        """From now on no signal ends this process by itself."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
        # what is ignored from the start (nohup, a job in a shell's background) stays ignored
        taken = {number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN}
        self._awaited = taken | {signal.SIGCHLD}
        self._came = False

    def came(self) -> bool:
        """Whether there has been one by now."""
        while self.awaited(0):
            pass
        return self._came

    def awaited(self, seconds: float) -> bool:
        """Wait for the next one, or for the end of a child.

        Args:
            seconds: For that long at most.

        Returns:
            Whether one came.
        """
        news = signal.sigtimedwait(self._awaited, seconds)
        if news is None or news.si_signo == signal.SIGCHLD:
            return False
        self._came = True
        return True

    def look(self) -> None:
        """Go on only if there has been none.

        Raises:
            InterruptedBeginningError: There has.
        """
        if self.came():
            raise InterruptedBeginningError

    def pause(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            InterruptedBeginningError: One came.
        """
        until = time.monotonic() + seconds
        self.look()
        while (left := until - time.monotonic()) > 0:
            if self.awaited(left):
                raise InterruptedBeginningError


def as_usual() -> None:
    """In a child, once it has a session of its own and before its program: signals meet it again.

    Not those that came before it had left the terminal's foreground: this process has them as well, and decides.
    """
    while signal.sigtimedwait(ENDING, 0):
        pass
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no KeyboardInterrupt between here and the program
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED)
