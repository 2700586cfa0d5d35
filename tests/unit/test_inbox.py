"""The way into the loop: in order, bounded, never blocking; what is dropped is counted."""

from __future__ import annotations

import asyncio
from array import array

import pytest

from tests.support.core import NOW, event
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.pipeline import Observation
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import EnginePinged, EventsObserved, GapObserved
from watchtower_agent.model.sample import SampleBatch

MOST, AT_ONCE = 100_000, 500


def events(number: int, *, at: float = NOW) -> EventsObserved:
    return EventsObserved(events=(event("die", at=at),) * number)


def batch(at: float) -> SampleBatch:
    return SampleBatch(at=Instant(wall=at, monotonic=at), interval=1.0, columns={"cpu.percent": array("d")})


async def test_what_comes_first_is_taken_first() -> None:
    inbox = Inbox()
    seen: list[Observation] = [
        events(1),
        EnginePinged(latency=0.1, at=NOW),
        events(2),
        EnginePinged(latency=0.2, at=NOW),
    ]
    for each in seen:
        inbox.put(each)

    assert inbox.events == 3
    assert await inbox.take(0) == seen
    assert inbox.events == 0
    assert await inbox.take(0) == []


async def test_who_waits_is_woken() -> None:
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.take(within=60))
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(events(1))

    assert await asyncio.wait_for(waiting, 5) == [events(1)]


async def test_nothing_comes_within_the_time() -> None:
    assert await Inbox().take(within=0.01) == []


async def test_of_two_ticks_that_wait_only_the_newer_counts_and_it_stands_where_it_came() -> None:
    inbox = Inbox()
    arriving: list[Observation] = [batch(1), events(1), batch(2), EnginePinged(latency=0.1, at=NOW)]
    for each in arriving:
        inbox.put(each)

    assert await inbox.take(0) == [events(1), batch(2), EnginePinged(latency=0.1, at=NOW)]


async def test_a_storm_is_taken_in_portions() -> None:
    inbox = Inbox()
    for _ in range(AT_ONCE + 2):
        inbox.put(events(1))

    assert len(await inbox.take(0)) == AT_ONCE
    assert inbox.events == 2
    assert len(await inbox.take(0)) == 2


async def test_a_batch_is_never_torn() -> None:
    inbox = Inbox()
    for number in (AT_ONCE - 1, 400, 1):
        inbox.put(events(number))

    assert [len(each.events) for each in await inbox.take(0) if isinstance(each, EventsObserved)] == [AT_ONCE - 1, 400]


@pytest.mark.parametrize(("more", "dropped"), [(0, 0), (1, 1), (7, 7)])
async def test_what_is_too_much_is_dropped_and_counted(more: int, dropped: int) -> None:
    inbox = Inbox()
    overflows: list[str] = []
    inbox.on_overflow = lambda: overflows.append("resync")
    inbox.put(events(MOST))
    if more:
        inbox.put(events(more, at=NOW + 5))
        inbox.put(events(2, at=NOW + 9))
    inbox.put(EnginePinged(latency=0.1, at=NOW))

    taken = await inbox.take(0) + await inbox.take(0)

    gaps = [each for each in taken if isinstance(each, GapObserved)]
    expected = GapObserved(reason="inbox_overflow", since=NOW + 5, until=NOW + 9, count=dropped + 2)
    assert gaps == ([expected] if dropped else [])
    assert overflows == (["resync"] if dropped else []), "asked for once, not once per batch"
    assert inbox.events == 0
    inbox.put(events(3))
    assert await inbox.take(0) == [events(3)]


async def test_an_empty_batch_is_nothing() -> None:
    inbox = Inbox()
    inbox.put(EventsObserved(events=()))

    assert await inbox.take(0) == []
