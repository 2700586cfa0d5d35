"""What stands still above a container's cgroup stands still in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from watchtower_agent.collectors.files import Descriptors, KeptFile
from watchtower_agent.errors import PermanentError

FORGOTTEN_AFTER: Final = 600.0
"""Seconds after which a directory that nobody asked about has nobody below it any more."""

Essence = Callable[[bytes], object]
"""That of what a file says which stands still when nothing happens; None where it tells nothing of the kind."""


class CommonGround:
    """One file of the cgroups right above containers', which counts for all below them together.

    While such a count stands still so do those below, and need not be read: one file instead of all containers' of an
    idle host.

    Args:
        size: Bytes enough for what it says; more is not believed.
        essence: What of it is compared.
        descriptors: Counts what is kept open.
        lag: Seconds by which the kernel may bring a lower count up to date later than a higher one.
    """

    def __init__(self, size: int, essence: Essence, descriptors: Descriptors, *, lag: float = 0.0) -> None:
        self._size = size
        self._essence = essence
        self._descriptors = descriptors
        self._lag = lag
        self._grounds: dict[str, _Ground] = {}
        self._now = -math.inf

    def begin(self, now: float) -> None:
        """A round of readings begins: what is above is read once in it, and before anything below.

        Args:
            now: Monotonic seconds.
        """
        self._now = now
        for path in [path for path, ground in self._grounds.items() if now - ground.looked_at > FORGOTTEN_AFTER]:
            self._grounds.pop(path).file.close()

    def still_since(self, path: str) -> float:
        """Since when a reading of the file of the same name in a cgroup right below still holds.

        Args:
            path: Of the file above.

        Returns:
            Monotonic seconds: what was read then or later has not changed; infinite where it may have.
        """
        ground = self._grounds.get(path)
        if ground is None:
            ground = self._grounds[path] = _Ground(KeptFile(path, self._size, self._descriptors))
        if ground.looked_at != self._now:
            ground.look(self._essence, self._size, self._now)
        return ground.since + self._lag

    def close(self) -> None:
        """Let go of all descriptors."""
        for ground in self._grounds.values():
            ground.file.close()
        self._grounds.clear()


class _Ground:
    """One file.

    Attributes:
        looked_at: Monotonic seconds of the last look.
        since: Monotonic seconds of the first look of which each later one saw the same; infinite while unknown.
    """

    __slots__ = ("_said", "file", "looked_at", "since")

    def __init__(self, file: KeptFile) -> None:
        self.file = file
        self.looked_at = -math.inf
        self.since = math.inf
        self._said: object = None

    def look(self, essence: Essence, size: int, now: float) -> None:
        try:
            data = self.file.read()
            said = essence(data) if len(data) < size else None
        except PermanentError:  # a root has none, a kernel may not account here: nothing is known of what is below
            said = None
        if said is None:
            self.since = math.inf
        elif said != self._said:
            self.since = now
        self._said, self.looked_at = said, now
