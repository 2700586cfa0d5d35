"""When dead letters are told: the first at once, many in a row together, ever more seldom."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

from watchtower_agent.storage.gaps import DeadLetters

_FIRST, _MOST = 1.0, 60.0
"""Seconds from one telling to the next: doubled each time."""
_OVER_AFTER: Final = 2 * _MOST
"""Seconds without a dead letter told after which the next one is told at once."""


class DeadTelling:
    """Spaces what is told of dead letters.

    What follows from a telling may be refused by the broker as well: a policy that notifies of gaps, on a topic that
    the broker denies, would else go on for ever, as fast as the broker answers.

    Args:
        tell: Takes them, in the event loop.
    """

    def __init__(self, tell: Callable[[DeadLetters], None]) -> None:
        self._tell = tell
        self._waiting: DeadLetters | None = None
        self._told_at = -math.inf
        self._space = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, letters: DeadLetters) -> None:
        """These are to be told, now or together with those that come until then."""
        self._waiting = letters if self._waiting is None else self._waiting.joined(letters)
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        passed = loop.time() - self._told_at
        if passed > _OVER_AFTER:
            self._space = 0.0
        if passed >= self._space:
            self._now()
        else:
            self._timer = loop.call_later(self._space - passed, self._now)

    def close(self) -> None:
        """Tell no more: what waits is told at the next start, as the store remembers it."""
        if self._timer is not None:
            self._timer.cancel()

    def _now(self) -> None:
        self._timer = None
        letters, self._waiting = self._waiting, None
        if letters is None:
            return
        self._told_at = asyncio.get_running_loop().time()
        self._space = min(_MOST, max(_FIRST, 2 * self._space))
        self._tell(letters)
