"""Whose turn it is to read, as others see it: a collector that never ends its turn is left behind with its thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from watchtower_agent.model.values import dataclass

SEARCH = "cgroup"
"""Who looks for the containers' cgroups: no collector, but one reading among them."""
FACTS = "facts"
"""Who asks how much memory and how many processors the host has."""


class LeftBehindError(Exception):
    """The sampler went on without this thread while it waited: what it has read is of no use, and it ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One reading by one collector, or by who comes before them. No two are equal.

    Attributes:
        name: Of the collector, `SEARCH` or `FACTS`.
        began: Monotonic seconds.
    """

    name: str
    began: float


class Turns:
    """The turns of one thread. It tells of each; any other thread may ask, and leave it behind in one.

    Args:
        monotonic: The clock by which others tell whether a turn is late.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._left_behind = False
        self._present: Turn | None = None
        self._took: dict[str, float] = {}

    @property
    def present(self) -> Turn | None:
        """The turn that goes on; None between two ticks."""
        return self._present

    def begin(self, name: str) -> None:
        """The last turn has ended and the next one begins.

        Raises:
            LeftBehindError: The last one took too long.
        """
        now = self._monotonic()
        self._go_on(Turn(name, now), now)

    def end(self) -> None:
        """The last turn has ended. Raises as `begin` does."""
        self._go_on(None, self._monotonic())

    def took(self) -> dict[str, float]:
        """Whose turn took how many seconds since this was last asked. To be asked by the thread itself."""
        took, self._took = self._took, {}
        return took

    def leave_behind(self, turn: Turn) -> bool:
        """Let the thread end where this turn does, unless it has ended meanwhile. Gives whether the thread is left."""
        with self._lock:
            if self._left_behind or self._present is not turn:
                return False
            self._left_behind = True
            return True

    def _go_on(self, turn: Turn | None, now: float) -> None:
        # One lock for the question and the answer: else who is just being left behind could begin one more turn.
        with self._lock:
            if self._left_behind:
                raise LeftBehindError
            before, self._present = self._present, turn
        if before is not None:
            self._took[before.name] = now - before.began
