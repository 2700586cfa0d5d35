"""OOM kills in the cgroups that a container makes within its own, where the kernel does not add them up (v1)."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from watchtower_agent.collectors.files import NUMBER, Parse, read_once
from watchtower_agent.errors import PermanentError

DEEPEST: Final = 8
"""Levels below the container's own cgroup that are looked into."""
MOST: Final = 256
"""Cgroups below one container that are counted. It may make thousands; the agent's time is not its to spend."""


class KillsBelow:
    """Counts the kills in everything below one cgroup, each once: also those of a cgroup that has gone since.

    What a cgroup had between the last look and its end is not seen.

    Args:
        directory: The container's own cgroup.
        file: The name of the file that has the count.
        parse: Finds it there.
    """

    __slots__ = ("_directory", "_file", "_gone", "_known", "_parse")

    def __init__(self, directory: str, file: str, parse: Parse) -> None:
        self._directory = directory
        self._file = file
        self._parse = parse
        self._gone = 0
        self._known: dict[int, tuple[str, int]] = {}
        """By inode, which is not given out again: where the cgroup is, and its kills."""

    def count(self) -> int:
        """Look, and give how many there have been. It never falls."""
        found = self._below()
        for inode, (path, kills) in list(self._known.items()):
            if inode not in found and _inode(path) != inode:
                self._gone += kills
                del self._known[inode]
        for inode, path in found.items():
            if inode in self._known or len(self._known) < MOST:
                _, before = self._known.get(inode, (path, 0))
                self._known[inode] = path, max(before, self._read(path))
        return self._gone + sum(kills for _, kills in self._known.values())

    def _below(self) -> dict[int, str]:
        """Every cgroup below, by inode: level by level, so that a deep one does not hide the others."""
        found: dict[int, str] = {}
        level = [self._directory]
        for _ in range(DEEPEST):
            below: list[str] = []
            for directory in level:
                below.extend(_children(directory, found))
                if len(found) >= MOST:
                    return found
            level = below
        return found

    def _read(self, path: str) -> int:
        with suppress(PermanentError, ValueError):  # it has ended this moment
            return self._parse(read_once(f"{path}/{self._file}", NUMBER * 2))
        return 0


def _children(directory: str, found: dict[int, str]) -> list[str]:
    children: list[str] = []
    with suppress(OSError):
        if os.stat(directory).st_nlink == 2:  # noqa: PLR2004, PTH116 - no directory in it; asked of a thousand containers
            return children
        with os.scandir(directory) as entries:
            for entry in entries:
                if len(found) >= MOST:
                    break
                if entry.is_dir(follow_symlinks=False):
                    found[entry.inode()] = entry.path
                    children.append(entry.path)
    return children


def _inode(path: str) -> int:
    with suppress(OSError):
        return os.stat(path).st_ino  # noqa: PTH116 - as above
    return -1
