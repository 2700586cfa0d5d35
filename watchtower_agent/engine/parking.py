"""Containers whose inspection hangs: when each is asked about again. Pure, times are given."""

from __future__ import annotations

from watchtower_agent.model.values import dataclass

FIRST, CAP = 5.0, 30.0
"""Seconds from one try that got no answer to the next, doubled with each: every one that the agent gives up leaves
another that waits in the engine."""


@dataclass(slots=True)
class _Parked:
    """One of them.

    Attributes:
        due: When it is asked about again, monotonic; None while it is.
        last: When its last try ended, monotonic.
        tries: That got no answer, in a row.
        soon: It was wanted while it was asked about.
    """

    due: float | None
    last: float
    tries: int = 0
    soon: bool = False


class Parking:
    """Keeps them until one is answered."""

    def __init__(self) -> None:
        self._parked: dict[str, _Parked] = {}

    def __contains__(self, container_id: str) -> bool:
        """Whether its last inspection hung."""
        return container_id in self._parked

    def park(self, container_id: str, now: float, *, hangs: bool) -> int:
        """It got no answer.

        Args:
            container_id: Whose inspection it was.
            now: Monotonic.
            hangs: The engine was silent about it; else it refused, as it does of any while it goes down.

        Returns:
            How many in a row hung.
        """
        parked = self._parked.setdefault(container_id, _Parked(due=now, last=now))
        parked.tries += hangs
        wait = FIRST if parked.soon else min(CAP, FIRST * 2 ** min(10, max(0, parked.tries - 1)))
        parked.due, parked.last, parked.soon = now + wait, now, False
        return parked.tries

    def wanted(self, container_id: str, now: float) -> None:
        """Something tells that it may answer by now: it is asked about earlier, but not without end."""
        parked = self._parked[container_id]
        if parked.due is None:
            parked.soon = True
        else:
            parked.due = min(parked.due, max(now, parked.last + FIRST))

    def take(self, now: float) -> str | None:
        """One that is due, the longest waiting first; it is being asked about from now on."""
        due = [(parked.due, each) for each, parked in self._parked.items() if parked.due is not None]
        if not due or min(due)[0] > now:
            return None
        _, found = min(due)
        self._parked[found].due = None
        return found

    def next_due(self) -> float | None:
        """When the next is due, monotonic; None while none waits."""
        return min((parked.due for parked in self._parked.values() if parked.due is not None), default=None)

    def free(self, container_id: str) -> None:
        """It was answered."""
        self._parked.pop(container_id, None)
