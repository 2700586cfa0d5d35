"""What of this machine can be moved: its processors, its account of pressure, and a swap file made for the test."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MIB: Final = 1 << 20
_ON_DISK: Final = "/var/tmp"
"""A real disk where there is one: no swap can be in memory."""
_BURN: Final = "import os, sys\nprint(flush=True)\nparent = os.getppid()\nwhile os.getppid() == parent: pass"


class SwapRefusedError(Exception):
    """This machine lets nobody add swap: a container, a kernel without it, a file system that can't have any."""


@contextlib.contextmanager
def swap_file(size: int) -> Iterator[None]:
    """So many bytes of swap more, used before any other, until left.

    Raises:
        SwapRefusedError: There is none to be had here.
    """
    with tempfile.TemporaryDirectory(prefix="wt-swap-", dir=_ON_DISK) as folder:
        path = Path(folder, "swap")
        path.touch(0o600)
        path.write_bytes(bytes(size))  # a file with holes is refused
        _run("mkswap", str(path))
        _run("swapon", "--priority=32767", str(path))
        try:
            yield
        finally:
            subprocess.run(["swapoff", str(path)], check=True)


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SwapRefusedError(str(error)) from error


@functools.cache
def can_swap() -> bool:
    """Whether swap can be added here: the only way to know is to add some."""
    try:
        with swap_file(MIB):
            return True
    except (SwapRefusedError, OSError):  # or it has no such disk, or no room there
        return False


@functools.cache
def accounts_pressure() -> bool:
    """Whether the kernel keeps an account of pressure, as many do only if they are told to at boot."""
    try:
        return all(Path("/proc/pressure", resource).read_bytes() for resource in ("cpu", "io", "memory"))
    except OSError:
        return False


@contextlib.contextmanager
def burning() -> Iterator[None]:
    """Twice as many processes as processors, none of which ever waits for anything but a processor."""
    with contextlib.ExitStack() as held:
        for _ in range(2 * (os.cpu_count() or 1)):
            burner = held.enter_context(subprocess.Popen([sys.executable, "-S", "-c", _BURN], stdout=subprocess.PIPE))
            held.callback(burner.kill)
            assert burner.stdout is not None
            burner.stdout.readline()
        yield
