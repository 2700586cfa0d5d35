"""What is started, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from scripts.launch.interruptions import Interruptions, as_usual
from scripts.launch.words import RefusalError, Status

ANSWERS_WITHIN: Final = 30.0
"""Seconds within which an engine or a broker answers, once it was started."""
ENDS_WITHIN: Final = 30.0
_AGAIN_AFTER: Final = 1.0
_LOOKS_EVERY: Final = 0.2
_LAST_LINES: Final = 10


class Processes:
    """The processes that this one starts; the services among them end with it, the last one first."""

    def __init__(self, interruptions: Interruptions) -> None:
        """Start nothing yet.

        Args:
            interruptions: What may come meanwhile.
        """
        self.interruptions = interruptions
        self.environment: dict[str, str] = dict(os.environ)
        """What each process finds in its environment."""
        self._services: list[subprocess.Popen[bytes]] = []

    def result(self, command: Sequence[str], *, ended_by: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Run a command to its end.

        Args:
            command: Its words on standard error are shown.
            ended_by: What it and its children are told where this one is to end; told again until they have.

        Returns:
            Its exit code, and its words on standard output.

        Raises:
            InterruptedBeginningError: A signal came, and the command has ended since.
        """
        self.interruptions.look()
        with tempfile.TemporaryFile() as words:  # no pipe, which something that outlives the command could keep open
            process = _spawn(command, self.environment, output=words)
            while process.poll() is None:
                if self.interruptions.came():
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, ended_by)
                    self.interruptions.awaited(_AGAIN_AFTER)
                else:
                    self.interruptions.awaited(_LOOKS_EVERY)
            self.interruptions.look()
            words.seek(0)
            return _exit_code(process), words.read().decode(errors="replace")

    def service(self, name: str, log: Path, command: Sequence[str], answers: Callable[[], bool]) -> None:
        """Start something that goes on until `end`.

        Args:
            name: What it is to the user.
            log: Where its words go.
            command: The program and its arguments.
            answers: Whether it is ready.

        Raises:
            RefusalError: It does not start.
            InterruptedBeginningError: A signal came.
        """
        with log.open("wb") as words:
            process = _spawn(_ends_with_us(command), self.environment, output=words, errors=subprocess.STDOUT)
        self._services.append(process)
        until = time.monotonic() + ANSWERS_WITHIN
        while not answers():
            if process.poll() is not None or time.monotonic() > until:
                self.interruptions.look()
                with contextlib.suppress(OSError):
                    print(*last_lines(log.read_text(errors="replace")), sep="\n", file=sys.stderr, flush=True)
                raise RefusalError(Status.ENVIRONMENT, f"{name} did not start; its last words are above")
            self.interruptions.pause(_LOOKS_EVERY)

    def foreground(self, command: Sequence[str]) -> int:
        """Run what all this is for; each signal asks it to end.

        Args:
            command: The program and its arguments; its words are shown.

        Returns:
            Its exit code.
        """
        process = _spawn(_ends_with_us(command), self.environment)
        while process.poll() is None:
            if self.interruptions.awaited(_AGAIN_AFTER):
                process.terminate()
        return _exit_code(process)

    def end(self) -> None:
        """End the services, the last one first; what does not end within its time is killed."""
        while self._services:
            process = self._services.pop()
            process.terminate()
            try:
                process.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def last_lines(text: str) -> list[str]:
    """The last words of a log."""
    return text.splitlines()[-_LAST_LINES:]


def _ends_with_us(command: Sequence[str]) -> tuple[str, ...]:
    """Where this process is killed, nothing goes on without it."""
    return ("setpriv", "--pdeathsig", "TERM", *command)


def _spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    output: IO[bytes] | None = None,
    errors: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start it out of reach of the terminal's Ctrl-C: here it is decided in which order all ends."""
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        preexec_fn=as_usual,  # noqa: PLW1509 - there is one thread, so no lock that another one could hold
    )


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    """As a shell has it: 128 and the signal's number for what a signal ended."""
    code = process.wait()
    return code if code >= 0 else 128 - code
