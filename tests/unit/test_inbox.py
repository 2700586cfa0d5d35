"""The way into the loop: in order, bounded, never blocking; what is dropped is counted."""

from __future__ import annotations

import asyncio
from array import array
from dataclasses import replace

import pytest

from tests.support.core import INFO, NOW, container_id, event, policy_set
from tests.support.store_values import intent, outcome
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.observations import Observation
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import (
    ContainerObserved,
    EngineFound,
    EngineLost,
    EnginePinged,
    EventsObserved,
    GapObserved,
    InventoryObserved,
    PoliciesRejected,
    ReadingObserved,
    SiblingObserved,
)
from watchtower_agent.model.removal import Retagged, Retagging
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
        GapObserved(reason="audit", since=NOW, until=NOW),
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


# --- what waits while the store fails for hours ----------------------------------------------------------------------

FOUND = EngineFound(info=INFO, restarted=False, at=NOW)


def gap(reason: str, since: float, until: float, count: int | None = None) -> GapObserved:
    return GapObserved(reason=reason, since=since, until=until, count=count)


def inspection(name: str, at: float) -> ContainerObserved:
    return ContainerObserved(container_id=container_id(name), container=None, after_position=0, at=at)


def notice(action: str, reason: str, subject: str = "") -> Notice:
    return Notice(kind=EventKind.AGENT, action=action, subject=subject, reason=reason, at=NOW)


@pytest.mark.parametrize(
    "observation",
    [
        EnginePinged(latency=0.1, at=NOW),
        inspection("web", NOW),
        InventoryObserved(containers=(), after_position=0, at=NOW),
        FOUND,
        EngineLost(reason="gone", at=NOW),
        gap("audit", NOW, NOW + 1, 1),
        batch(1),
        notice("sampling_degraded", "no cgroups"),
        PoliciesRejected(problems=("nonsense",), at=NOW),
        EventsObserved(events=(event("die"),) * 500),
    ],
    ids=lambda observation: type(observation).__name__,
)
async def test_whatever_keeps_coming_is_bounded(observation: Observation) -> None:
    inbox = Inbox()
    for _ in range(1000):
        inbox.put(observation)

    assert len(inbox) <= MOST / AT_ONCE + 1


async def test_the_newest_stands_where_it_came() -> None:
    inbox = Inbox()
    arriving: list[Observation] = [
        EnginePinged(latency=0.1, at=NOW),
        inspection("web", NOW),
        inspection("db", NOW),
        events(1),
        EnginePinged(latency=0.2, at=NOW + 1),
        inspection("web", NOW + 1),
    ]
    for each in arriving:
        inbox.put(each)

    assert await inbox.take(0) == arriving[2:]


async def test_gaps_of_one_cause_become_one_that_stands_before_the_events_after_the_first() -> None:
    inbox = Inbox()
    for each in (gap("audit", NOW, NOW + 1, 2), events(1), gap("audit", NOW + 5, NOW + 6, 3), gap("other", NOW, NOW)):
        inbox.put(each)

    assert await inbox.take(0) == [gap("audit", NOW, NOW + 6, 5), events(1), gap("other", NOW, NOW)]


async def test_dead_letters_that_wait_become_one_gap_that_names_the_first_of_them() -> None:
    inbox = Inbox()
    for number in range(1, 31):
        inbox.put(GapObserved(reason="dead_letter", since=NOW, until=NOW, count=1, sequences=(number,)))

    (both,) = await inbox.take(0)
    assert isinstance(both, GapObserved)
    assert (both.count, both.sequences) == (30, tuple(range(1, 21)))


async def test_a_gap_of_unknown_size_makes_the_sum_unknown() -> None:
    inbox = Inbox()
    inbox.put(gap("audit", NOW + 5, NOW + 6, 2))
    inbox.put(gap("audit", NOW, NOW + 1))

    assert await inbox.take(0) == [gap("audit", NOW, NOW + 6)]


async def test_a_restart_of_the_engine_is_not_forgotten_over_a_later_connection() -> None:
    inbox = Inbox()
    lost = EngineLost(reason="gone", at=NOW)
    for each in (lost, replace(FOUND, restarted=True), lost, replace(FOUND, at=NOW + 9)):
        inbox.put(each)

    assert await inbox.take(0) == [lost, replace(FOUND, restarted=True, at=NOW + 9)]


async def test_a_good_policy_set_outlives_a_bad_one() -> None:
    inbox = Inbox()
    good, bad = policy_set(""), PoliciesRejected(problems=("nonsense",), at=NOW)
    for each in (good, bad, bad):
        inbox.put(each)

    assert await inbox.take(0) == [good, bad]


async def test_notices_of_other_words_all_count() -> None:
    inbox = Inbox()
    said = [notice("started", "one"), notice("stopping", "two"), notice("told", "three", subject="a")]
    for each in said:
        inbox.put(each)

    assert await inbox.take(0) == said


async def test_every_outcome_counts() -> None:
    inbox = Inbox()
    ended = [outcome(intent(number)) for number in (1, 1, 2)]
    for each in ended:
        inbox.put(each)

    assert await inbox.take(0) == ended


async def test_who_waits_can_be_woken_for_nothing() -> None:
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.take(within=60))
    await asyncio.sleep(0)
    inbox.wake()

    assert await asyncio.wait_for(waiting, 5) == []


async def test_the_newest_of_each_metric_from_outside_and_of_each_other_host_counts() -> None:
    inbox = Inbox()
    readings = [ReadingObserved(name=name, value=value, moment=1.0) for name, value in [("a", 1), ("b", 2), ("a", 3)]]
    readings.append(replace(readings[2], value=None, silent=True))  # which contradicts nothing
    batches = [
        SiblingObserved(host=host, node="", interval=5.0, moment=at) for host, at in [("x", 1), ("y", 1), ("x", 2)]
    ]
    brought: list[Observation] = [*readings, *batches]
    for each in brought:
        inbox.put(each)

    assert await inbox.take(0) == [readings[1], readings[2], readings[3], batches[1], batches[2]]


async def test_what_came_of_each_image_that_was_given_its_tags_back_is_taken() -> None:
    inbox = Inbox()
    answers = [Retagged(retagging=Retagging(id=each, tags=frozenset({f"{each}:1"}))) for each in ("a", "b")]
    for answer in answers:
        inbox.put(answer)

    assert await inbox.take(0) == answers
