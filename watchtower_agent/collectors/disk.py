"""The file system that holds the engine's data-root."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from watchtower_agent.collectors.tick import Tick

PATIENCE: Final = 0.2
"""Seconds that a tick waits for the answer, which takes 2 µs from a disk that works."""
SILENT_AFTER: Final = 10.0
"""Seconds after which a file system counts as hanging."""


class DiskCollector:
    """Asks statvfs at each tick. The data-root itself is never walked.

    It is asked on a thread of its own: the answer of a file system in the network, or on a broken disk, may never come,
    and must not hold up what else is sampled. While one question is open no other is asked.
    `host.disk.percent` is what `df` shows: used / (used + free for ordinary users). A file system without a fixed
    number of inodes (btrfs) has `host.disk.inodes_percent` unknown.

    Args:
        statvfs: The system call.
    """

    name = "disk"

    def __init__(self, statvfs: Callable[[str], os.statvfs_result] = os.statvfs) -> None:
        self._statvfs = statvfs
        self._question: _Question | None = None

    def collect(self, tick: Tick) -> None:
        """Read it. The data of an engine on another host is unknown, and no failure."""
        data_root = tick.request.engine.data_root
        if not data_root:
            return
        question = self._question = self._question or _Question(self._statvfs, data_root, tick.at.monotonic)
        if not question.answered(PATIENCE if question.asked_at == tick.at.monotonic else 0.0):
            if tick.at.monotonic - question.asked_at >= SILENT_AFTER:
                tick.failures[self.name] = f"The file system of {question.path} does not answer: host.disk is unknown."
            return
        self._question = None
        if question.path != data_root:
            return
        try:
            facts = question.answer()
        except FileNotFoundError:
            tick.failures[self.name] = (
                f"The engine's data-root {data_root} does not exist here: host.disk is unknown. An agent in a "
                f"container needs a volume there, it is on the same file system (-v watchtower-disk:{data_root}:ro). "
                "An engine in a virtual machine keeps its data out of reach."
            )
            return
        except OSError as error:
            tick.failures[self.name] = f"The file system of {data_root} can't be asked: {error.strerror}."
            return
        used = facts.f_blocks - facts.f_bfree
        if used + facts.f_bavail > 0:
            tick.host["host.disk.percent"] = 100 * used / (used + facts.f_bavail)
            tick.host["host.disk.free"] = facts.f_bavail * facts.f_frsize
        if facts.f_files > 0:
            tick.host["host.disk.inodes_percent"] = 100 * (facts.f_files - facts.f_ffree) / facts.f_files

    def close(self) -> None:
        """Nothing is kept open here. A question that hangs is left behind with its thread."""


class _Question:
    """One call of statvfs.

    Attributes:
        path: About which file system.
        asked_at: Monotonic seconds.
    """

    def __init__(self, statvfs: Callable[[str], os.statvfs_result], path: str, asked_at: float) -> None:
        self.path = path
        self.asked_at = asked_at
        self._statvfs = statvfs
        self._facts: os.statvfs_result | None = None
        self._error = OSError()
        self._thread = threading.Thread(target=self._ask, name="disk", daemon=True)
        self._thread.start()

    def answered(self, within: float) -> bool:
        """Whether the answer is there, now or within so many seconds."""
        self._thread.join(within)
        return not self._thread.is_alive()

    def answer(self) -> os.statvfs_result:
        """What the system says.

        Raises:
            OSError: It can't be said.
        """
        if self._facts is None:
            raise self._error
        return self._facts

    def _ask(self) -> None:
        try:
            self._facts = self._statvfs(self.path)
        except OSError as error:
            self._error = error
