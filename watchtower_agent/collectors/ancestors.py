"""What the cgroups above containers allow: a limit there holds for all that is below."""

from __future__ import annotations

import math
from collections.abc import Callable

from watchtower_agent.collectors.files import UnreadableError, parent_of
from watchtower_agent.collectors.gauges import NEVER
from watchtower_agent.collectors.request import LIMITS_INTERVAL
from watchtower_agent.errors import AbsentError

LimitOf = Callable[[str], float]
"""A cgroup's own limit, infinite for none. Raises AbsentError or UnreadableError."""


class AncestorLimits:
    """The smallest limit above a container. Containers share the cgroups there: each is read once for all.

    The root is one of them: within a cgroup namespace (LXC) it is a cgroup like any other, and may be limited.
    """

    def __init__(self) -> None:
        self._root = ""
        self._limit_of: LimitOf = lambda _: math.inf
        self._known: dict[str, float] = {}
        self._known_at = NEVER
        self._problem = ""

    def look_in(self, root: str, limit_of: LimitOf) -> None:
        """Which hierarchy they are in, and how a limit is read there."""
        self._root, self._limit_of = root, limit_of

    def least_above(self, directory: str, now: float) -> float:
        """The smallest limit of the cgroups above this one; infinite without one.

        Args:
            directory: A cgroup of that hierarchy.
            now: Monotonic seconds.

        Raises:
            UnreadableError: One of them can't be read.
        """
        if now - self._known_at >= LIMITS_INTERVAL / 2:
            self._known.clear()
            self._known_at = now
        above = []
        while directory != self._root and directory.startswith(self._root) and directory:
            directory = parent_of(directory)
            above.append(directory)
            if directory in self._known:
                break
        least = math.inf
        for directory in reversed(above):
            if directory in self._known:
                least = self._known[directory]
            else:
                least = self._known[directory] = self._own(directory, least)
        if math.isnan(least):
            raise UnreadableError(self._problem)
        return least

    def _own(self, directory: str, above: float) -> float:
        """Its own limit or the one above it, the smaller; NaN when either is not known."""
        try:
            return min(above, self._limit_of(directory))  # min(NaN, x) is NaN
        except AbsentError:
            return above  # gone meanwhile, and what was below it too
        except UnreadableError as error:
            self._problem = str(error)
            return math.nan
