"""What an engine that was killed leaves behind: processes and mounts, through which nothing may be removed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Final

_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def mounts_at(folder: Path, mounts: str) -> list[str]:
    """What is mounted there and below, the newest first.

    Args:
        folder: An absolute path without links.
        mounts: As /proc/mounts has them, where a space is written in octal.
    """
    written = [line.split(" ")[1] for line in mounts.split("\n") if line]
    points = [_ESCAPED.sub(lambda match: chr(int(match[1], 8)), point) for point in written]
    return [point for point in reversed(points) if Path(point).is_relative_to(folder)]


def unmount(folder: Path) -> None:
    """Unmount what is mounted there and below."""
    mounts = os.fsdecode(Path("/proc/mounts").read_bytes())
    for point in mounts_at(folder, mounts):
        subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL, check=False)


def kill_orphans(exec_root: Path) -> None:
    """Kill what lives on without its dockerd: containerd, the shims and their containers.

    Args:
        exec_root: Of that dockerd: it stands in their command lines.
    """
    for process in _naming(os.fsencode(exec_root)):
        for orphan in (*_children(process), process.name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(orphan), signal.SIGKILL)


def remove(folder: Path) -> None:
    """Remove a folder, but nothing of another file system."""
    unmount(folder)
    subprocess.run(["rm", "-rf", "--one-file-system", folder], check=False)


def _naming(words: bytes) -> list[Path]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may end meanwhile
            if words in (process / "cmdline").read_bytes():
                found.append(process)
    return found


def _children(process: Path) -> list[str]:
    children = []
    for thread in process.glob("task/*/children"):
        with contextlib.suppress(OSError):
            children += thread.read_text().split()
    return children
