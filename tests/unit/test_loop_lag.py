"""The event loop's own lag, on a real event loop that is held up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from watchtower_agent.loop.lag import LONGEST_PROBE, TimedSelector, probe
from watchtower_agent.loop.turns import Turns


def on_timed_loop(work: Callable[[Turns], Coroutine[None, None, Any]]) -> tuple[Any, Turns]:
    selector = TimedSelector(time.monotonic)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(work(selector.turns)), selector.turns


def hold_up(seconds: float) -> None:
    time.sleep(seconds)  # what an event loop is there to avoid


def test_a_turn_is_as_long_as_it_holds_the_loop_and_waiting_is_no_turn() -> None:
    async def work(_: Turns) -> None:
        hold_up(0.05)
        await asyncio.sleep(0.3)
        hold_up(0.02)

    _, turns = on_timed_loop(work)
    assert 0.05 <= turns.longest < 0.25
    assert 0.07 <= turns.seconds < 0.3


def test_to_wake_late_is_part_of_the_turn_that_follows() -> None:
    # Made at 0, it waits from 1 on for a millisecond and is woken at 9; the next wait begins at 9.5.
    ticks = iter([0.0, 1.0, 9.0, 9.5, 9.5])
    selector = TimedSelector(lambda: next(ticks))
    selector.select(timeout=0.001)
    assert selector.turns.longest == 1.0
    selector.select(timeout=0)
    selector.close()
    assert selector.turns.longest == pytest.approx(8.5 - 0.001)


def test_what_comes_before_the_time_is_over_begins_a_turn_when_it_is_seen() -> None:
    async def work(_: Turns) -> None:
        came = asyncio.Event()
        loop = asyncio.get_running_loop()
        threading.Timer(0.2, lambda: loop.call_soon_threadsafe(came.set)).start()
        await asyncio.wait_for(came.wait(), 5)

    _, turns = on_timed_loop(work)
    assert turns.seconds < 0.2


def test_timers_find_what_the_turns_tell() -> None:
    async def work(turns: Turns) -> Mapping[str, Any]:
        hold_up(0.2)  # before anybody asked

        async def busy() -> None:
            while True:
                hold_up(0.03)
                await asyncio.sleep(0.03)

        disturbing = asyncio.create_task(busy())
        found = await probe(turns, 1.0)
        disturbing.cancel()
        return found

    found, _ = on_timed_loop(work)
    late, told = found["timers"]["late"], found["turns"]
    assert found["timers"]["count"] > 10
    assert late["longest"] > 0.015
    assert late["p50"] <= late["p99"] <= late["p99.9"] <= late["longest"]
    assert told["turns"] > 10
    assert 0.3 < told["busy"] < 0.9
    assert 0.02 < told["lag"]["p99.9"] <= told["longest"] < 0.19


def test_timers_fire_for_no_longer_than_asked_and_never_for_longer_than_a_minute() -> None:
    async def work(turns: Turns) -> float:
        begun = time.monotonic()
        await probe(turns, 0.1)  # so long by turns, and so long by timers
        return time.monotonic() - begun

    took, _ = on_timed_loop(work)
    assert 0.2 <= took < 1
    assert LONGEST_PROBE == 60
