"""How a storm is taken: in gulps rather than in sips. Pure, times are given."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable


class Pace:
    """Spaces out what comes thick and fast, so that one disk write, or one message, serves many changes.

    A token bucket: a burst goes through at once, what comes on top waits for its turn. Alone, nothing ever waits.

    Args:
        burst: How many in a row need not wait.
        interval: Seconds between two when the burst is used up.
    """

    def __init__(self, *, burst: int, interval: float) -> None:
        self._burst = burst
        self._interval = interval
        self._left = float(burst)
        self._at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next may go, 0 when it may now. All times are monotonic."""
        return max(0.0, (1 - self._left_at(now)) * self._interval)

    def went(self, now: float, *, weight: float = 1.0) -> None:
        """One went.

        Args:
            now: Monotonic.
            weight: How many of them it counts for; what it takes beyond the burst is waited for afterwards.
        """
        self._left = self._left_at(now) - weight
        self._at = now

    def _left_at(self, now: float) -> float:
        return min(self._burst, self._left + max(0.0, now - self._at) / self._interval)


class Settling:
    """Who is to be asked about, once quiet: what an answer tells of a container in turmoil is out of date at once.

    Args:
        quiet: Seconds without another request after which one is due.
        longest: Seconds after the first request when it is due in any case.
        at_once: How many are due at a time, so that a full host does not crowd out everything else.
        pace: Of those that are quiet but that nobody waits for; in a lasting turmoil of a hundred containers each is
            quiet for a moment now and then.
    """

    def __init__(self, *, quiet: float, longest: float, at_once: int, pace: Pace) -> None:
        self._quiet = quiet
        self._longest = longest
        self._at_once = at_once
        self._pace = pace
        self._waiting: dict[str, tuple[float, float]] = {}

    def __bool__(self) -> bool:
        """Whether anyone waits."""
        return bool(self._waiting)

    def want(self, ids: Iterable[str], now: float) -> None:
        """These are to be asked about; `now` is monotonic."""
        for each in ids:
            _, first = self._waiting.get(each, (0.0, now))
            self._waiting[each] = (min(now + self._quiet, first + self._longest), first)

    def due(self, now: float, known: Container[str], urgent: Callable[[Iterable[str]], Container[str]]) -> list[str]:
        """Take those whose time has come, in the order of their first request, without those that are gone.

        Args:
            now: Monotonic.
            known: Who still exists.
            urgent: Of these ids, those that something waits for.
        """
        self._waiting = {each: times for each, times in self._waiting.items() if each in known}
        quiet = [(each, first) for each, (at, first) in self._waiting.items() if at <= now]
        waited_for = urgent(each for each, _ in quiet)
        ready: list[str] = []
        for each, first in quiet:
            if len(ready) == self._at_once:
                break
            if each not in waited_for and now < first + self._longest:
                if self._pace.wait(now):
                    continue
                self._pace.went(now)
            ready.append(each)
            del self._waiting[each]
        return ready
