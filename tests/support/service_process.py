"""Ending a program that a test has started."""

from __future__ import annotations

import signal
import subprocess

from tests.support.patience import patient


def end(process: subprocess.Popen[bytes], *, within: float = 20.0) -> None:
    """Ask it to end, wait, and kill it where it does not. Nothing happens to one that has ended.

    Args:
        process: A child of this one.
        within: Seconds that it may take; more on a slow machine.
    """
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=patient(within))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
