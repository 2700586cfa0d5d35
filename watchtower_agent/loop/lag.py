"""The event loop's own lag, measured from inside: always by the lengths of its turns, and by timers when asked to."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Final

from watchtower_agent.loop.turns import Turns

LONGEST_PROBE: Final = 60.0
"""Seconds."""
_BETWEEN: Final = 0.025
_GOLDEN: Final = 0.618034


class TimedSelector(selectors.DefaultSelector):
    """What the event loop waits with. All that the loop does happens between two waits: that is a turn.

    Measuring costs about a microsecond a turn, of which there are some ten a second. asyncio's own debug mode looks at
    every single callback, and a timer that is to find a lag of milliseconds would have to fire a hundred times a
    second, which costs more than the whole agent may.

    A turn is counted from when the loop would have woken, where that is known: a wait that lasted longer than it was
    to, because another thread held the interpreter or the machine was busy, is part of the turn after it.

    Args:
        clock: Monotonic seconds.

    Attributes:
        turns: All so far.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.turns = Turns()
        self._clock = clock
        self._began = clock()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait; the turn at hand is over, and the next begins when this returns."""
        waits_from = self._clock()
        self.turns.add(waits_from - self._began)
        found = super().select(timeout)
        woken = self._clock()
        on_time = timeout is None or timeout <= 0 or bool(found)
        self._began = woken if on_time or timeout is None else min(woken, waits_from + timeout)
        return found


async def probe(turns: Turns, seconds: float) -> Mapping[str, object]:
    """What the turns of a while tell; then let timers fire for as long, and say how late they were.

    The turns don't know for how long the loop, woken by something that came, waited for another thread to let go of the
    interpreter; timers do. Forty a second, at uneven distances, so that they don't keep step with the sampler's ticks.
    They cost a tenth of a percent of a core or more, so they run only for as long as somebody asks, and not while the
    turns are looked at.

    Args:
        turns: The loop's own.
        seconds: How long each; `LONGEST_PROBE` at most.
    """
    seconds = min(seconds, LONGEST_PROBE)
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)  # the turn at hand began before anybody asked
    before, begun = turns.copy(), loop.time()
    await asyncio.sleep(seconds)
    undisturbed = told(turns.since(before), loop.time() - begun)
    return {"turns": undisturbed, "timers": await _timers(seconds)}


async def _timers(seconds: float) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    late: list[float] = []
    phase = 0.0
    while (now := loop.time()) < until:
        phase = (phase + _GOLDEN) % 1.0
        due = now + _BETWEEN * (0.5 + phase)
        fired: asyncio.Future[None] = loop.create_future()
        loop.call_at(due, fired.set_result, None)
        await fired
        late.append(max(0.0, loop.time() - due))
    return {"count": len(late), "late": _percentiles(sorted(late))}


def told(turns: Turns, within: float) -> dict[str, object]:
    """The turns as the agent's answers tell of them: times in seconds.

    Args:
        turns: Some.
        within: Seconds in which they were taken.
    """
    return {
        "turns": turns.count,
        # The turns of the start are older than what they are a share of.
        "busy": min(1.0, turns.seconds / within) if within > 0 else 0.0,
        "lag": {"p99": turns.lag(0.99, within), "p99.9": turns.lag(0.999, within)},
        "longest": turns.longest,
    }


def _percentiles(ordered: list[float]) -> dict[str, float]:
    def least(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    return {"p50": least(0.5), "p99": least(0.99), "p99.9": least(0.999), "longest": ordered[-1] if ordered else 0.0}
