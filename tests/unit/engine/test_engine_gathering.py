"""In a storm events are gathered, so that one step and one write serve many; at any other time none waits."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from tests.support.engine_watch import EngineWatch
from tests.support.scripted_engine import ScriptedEngine, SteppedClock
from watchtower_agent.engine.event_stream import FLOOD, EventStream
from watchtower_agent.engine.session import BATCH, GATHER
from watchtower_agent.engine.storm import STORM_AFTER, Storm
from watchtower_agent.model.observation import EventsObserved

ROUNDS, EACH = 300, 5


@pytest.mark.parametrize("can_gather", [True, False])
async def test_a_storm_is_handed_over_in_few_steps_and_every_event_in_order(*, can_gather: bool) -> None:
    engine = ScriptedEngine(SteppedClock())
    engine.can_gather = can_gather
    async with EngineWatch(engine) as watch:
        await watch.until_listed()
        for number in range(ROUNDS):
            engine.happen(*(f"{number}-{each}" for each in range(EACH)))
            await asyncio.sleep(0.001)
        await watch.until(lambda: len(watch.events) == ROUNDS * EACH)
        assert [event.actor_id for event in watch.events] == [
            f"{n}-{each}" for n in range(ROUNDS) for each in range(EACH)
        ]
        assert [event.position for event in watch.events] == list(range(1, ROUNDS * EACH + 1))
        steps = [len(told.events) for told in watch.of(EventsObserved)]
        assert len(steps) < ROUNDS / 2
        assert sum(steps[:STORM_AFTER]) < ROUNDS * EACH / 2, "what is not known to be a storm yet does not wait"
        assert max(steps) <= BATCH


LINE = b'{"Type":"container","Action":"die"}'
CHECK = b'{"Type":"container","Action":"exec_start: curl -f http://localhost"}'


def paced(storm: Storm, *, begin: float, count: int, seconds: float, events: int = 1, line: bytes = LINE) -> list[bool]:
    """Whether it rages at each of so many handovers, so far apart."""
    return [storm.rages(events * [line], begin + number * seconds) for number in range(count)]


@pytest.mark.parametrize("seconds", [1.0, 1 / 60, 1 / 99])
def test_lone_events_are_never_a_storm(seconds: float) -> None:
    assert not any(paced(Storm(), begin=1000.0, count=10 * STORM_AFTER, seconds=seconds))


def test_health_checks_are_no_storm_however_many() -> None:
    storm = Storm()
    assert not any(paced(storm, begin=1000.0, count=1000, seconds=1 / 400, line=CHECK))
    mixed = [storm.rages([LINE, CHECK, CHECK], 1003.0 + number / 90) for number in range(200)]
    assert not any(mixed)


@pytest.mark.parametrize("seed", range(5))
def test_uneven_pauses_hide_no_storm(seed: int) -> None:
    chance, storm, now = random.Random(seed), Storm(), 1000.0
    raging = []
    for _ in range(300):
        now += min(chance.expovariate(150), 0.09)
        raging.append(storm.rages([LINE], now))
    assert raging[STORM_AFTER:].count(True) > 200


def test_a_burst_is_no_storm_yet() -> None:
    storm = Storm()
    assert not any(paced(storm, begin=1000.0, count=STORM_AFTER, seconds=0.001))
    assert not storm.rages([LINE], 1010.0), "it is over"
    assert not any(paced(storm, begin=1010.001, count=STORM_AFTER - 1, seconds=0.001))


def test_what_comes_fast_for_long_is_a_storm_also_while_it_is_gathered() -> None:
    storm = Storm()
    raging = paced(storm, begin=1000.0, count=STORM_AFTER + 10, seconds=1 / 110)
    assert raging == STORM_AFTER * [False] + 10 * [True]
    assert all(paced(storm, begin=1001.0, count=100, seconds=GATHER, events=200))


def test_a_hiccup_does_not_end_a_storm_but_a_lull_does() -> None:
    storm = Storm()
    paced(storm, begin=1000.0, count=10 * STORM_AFTER, seconds=0.001)
    assert paced(storm, begin=1000.25, count=20, seconds=0.001) == 20 * [True], "50 ms in which nothing came"
    assert not any(paced(storm, begin=1000.27 + 0.1, count=STORM_AFTER, seconds=0.001))
    paced(storm, begin=1001.0, count=10 * STORM_AFTER, seconds=0.001)
    assert paced(storm, begin=1001.25, count=6, seconds=0.05) == [True, True, True, False, False, False]


def test_after_a_storm_a_lone_event_is_handed_over_at_once() -> None:
    storm = Storm()
    paced(storm, begin=1000.0, count=10 * STORM_AFTER, seconds=0.001)
    assert storm.rages([LINE], 1000.2)
    assert not any(paced(storm, begin=1000.2 + 3 * GATHER, count=10, seconds=3 * GATHER))


@pytest.mark.parametrize("can_gather", [True, False])
async def test_gathering_ends_with_the_stream(*, can_gather: bool) -> None:
    engine = ScriptedEngine(SteppedClock())
    engine.can_gather = can_gather
    stream = EventStream(engine, since_ns=0)
    await stream.open()
    gathering = asyncio.create_task(stream.gather(60.0))
    engine.happen("last")
    engine.cut()
    async with asyncio.timeout(5):
        await gathering
    assert len(await stream.take(BATCH)) == 1
    assert await stream.take(BATCH) == []
    await stream.close()


async def test_what_comes_while_the_stream_is_left_alone_is_handed_over_together() -> None:
    engine = ScriptedEngine(SteppedClock())
    stream = EventStream(engine, since_ns=0)
    await stream.open()
    engine.happen("before")
    assert len(await stream.take(BATCH)) == 1
    await stream.gather(0.1)
    begun = time.monotonic()
    for each in range(5):
        engine.happen(f"meanwhile-{each}")
    assert len(await stream.take(BATCH)) == 5
    assert time.monotonic() - begun >= 0.1
    begun = time.monotonic()
    engine.happen("after")
    assert len(await stream.take(BATCH)) == 1
    assert time.monotonic() - begun < 0.1, "once, and not again"
    assert len(engine.feeds[0].left) == 1, "one wake-up for the first, one for all others"
    await stream.close()


async def test_a_flood_is_not_left_in_the_socket() -> None:
    engine = ScriptedEngine(SteppedClock())
    stream = EventStream(engine, since_ns=0)
    await stream.open()
    engine.happen(*map(str, range(FLOOD)))
    assert len(await stream.take(BATCH)) == FLOOD
    await stream.gather(60.0)
    engine.happen("more")
    assert len(await stream.take(BATCH)) == 1
    assert engine.feeds[0].left == []
    await stream.close()
