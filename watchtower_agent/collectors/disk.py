"""The file system that holds the engine's data-root."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Final

from watchtower_agent.collectors.gauges import NEVER
from watchtower_agent.collectors.request import Pace
from watchtower_agent.collectors.tick import Tick

EVERY: Final = 10.0
"""Seconds between two questions."""
PATIENCE: Final = 0.2
"""Seconds that a tick waits for the answer, which takes 2 µs from a disk that works."""
SILENT_AFTER: Final = 10.0
"""Seconds after which a file system counts as hanging."""


class DiskCollector:
    """Asks statvfs every 10 s: a thread of its own costs more than the question. The data-root itself is never walked.

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
        self._data_root = ""
        self._question: _Question | None = None
        self._asked_at = NEVER
        self._numbers: Mapping[str, float] = {}
        self._failure = ""

    def collect(self, tick: Tick) -> None:
        """Ask when it is due, else write what was last said. An engine's data elsewhere is unknown, and no failure."""
        data_root, now = tick.request.engine.data_root, tick.at.monotonic
        if data_root != self._data_root:
            self._data_root, self._asked_at = data_root, NEVER
            self._numbers, self._failure = {}, ""
        if not data_root:
            return
        if self._question is not None or Pace(max(EVERY, tick.interval), tick.interval).due(self._asked_at, now):
            self._ask(data_root, now)
        tick.host.update(self._numbers)
        if self._failure:
            tick.failures[self.name] = self._failure

    def _ask(self, data_root: str, now: float) -> None:
        self._numbers, self._failure = {}, ""
        question = self._question = self._question or _Question(self._statvfs, data_root, now)
        if not question.answered(PATIENCE if question.asked_at == now else 0.0):
            if now - question.asked_at >= SILENT_AFTER:
                self._failure = f"The file system of {question.path} does not answer: host.disk is unknown."
            return
        self._question = None
        if question.path != data_root:
            return
        self._asked_at = now
        try:
            self._numbers = _numbers(question.answer())
        except FileNotFoundError:
            self._failure = (
                f"The engine's data-root {data_root} does not exist here: host.disk is unknown. An agent in a "
                f"container needs a volume there, it is on the same file system (-v watchtower-disk:{data_root}:ro). "
                "An engine in a virtual machine keeps its data out of reach."
            )
        except OSError as error:
            self._failure = f"The file system of {data_root} can't be asked: {error.strerror}."

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


def _numbers(facts: os.statvfs_result) -> Mapping[str, float]:
    used = facts.f_blocks - facts.f_bfree
    found: dict[str, float] = {}
    if used + facts.f_bavail > 0:
        found["host.disk.percent"] = 100 * used / (used + facts.f_bavail)
        found["host.disk.free"] = facts.f_bavail * facts.f_frsize
    if facts.f_files > 0:
        found["host.disk.inodes_percent"] = 100 * (facts.f_files - facts.f_ffree) / facts.f_files
    return found
