"""How a storm is taken: in gulps rather than in sips. Pure, times are given."""

from __future__ import annotations

from collections.abc import Container, Iterable


class Pace:
    """Spaces out steps once they come thick and fast, so that one disk write serves many events.

    A token bucket: a burst goes through at once, what comes on top waits for its turn. Alone, an event never waits.

    Args:
        burst: Steps that need not wait.
        interval: Seconds between steps when the burst is used up.
    """

    def __init__(self, *, burst: int, interval: float) -> None:
        self._burst = burst
        self._interval = interval
        self._tokens = float(burst)
        self._at = 0.0

    def wait(self, now: float) -> float:
        """Seconds that the next step has to wait. Each call is a step; `now` is monotonic."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) / self._interval)
        self._at = now
        self._tokens -= 1
        return max(0.0, -self._tokens * self._interval)


class Settling:
    """Who is to be asked about, once quiet: what an answer tells of a container in turmoil is out of date at once.

    Args:
        quiet: Seconds without another request after which one is due.
        longest: Seconds after the first request when it is due in any case.
        at_once: How many are due at a time, so that a full host does not crowd out everything else.
    """

    def __init__(self, *, quiet: float, longest: float, at_once: int) -> None:
        self._quiet = quiet
        self._longest = longest
        self._at_once = at_once
        self._waiting: dict[str, tuple[float, float]] = {}

    def __bool__(self) -> bool:
        """Whether anyone waits."""
        return bool(self._waiting)

    def want(self, ids: Iterable[str], now: float) -> None:
        """These are to be asked about; `now` is monotonic."""
        for each in ids:
            _, first = self._waiting.get(each, (0.0, now))
            self._waiting[each] = (min(now + self._quiet, first + self._longest), first)

    def due(self, now: float, known: Container[str]) -> list[str]:
        """Take those whose time has come, in the order of their first request, without those that are gone.

        Args:
            now: Monotonic.
            known: Who still exists.
        """
        self._waiting = {each: times for each, times in self._waiting.items() if each in known}
        ready = [each for each, (at, _) in self._waiting.items() if at <= now][: self._at_once]
        for each in ready:
            del self._waiting[each]
        return ready
