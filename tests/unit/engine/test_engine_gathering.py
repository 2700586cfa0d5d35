"""In a storm events are gathered, so that one step and one write serve many; at any other time none waits."""

from __future__ import annotations

import asyncio
import statistics
import time

from tests.support.engine_watch import EngineWatch
from tests.support.scripted_engine import ScriptedEngine, SteppedClock
from watchtower_agent.engine.event_stream import EventStream
from watchtower_agent.engine.session import BATCH, GATHER, STORM_AFTER
from watchtower_agent.model.observation import EventsObserved

ROUNDS, EACH = 300, 5


async def test_a_storm_is_handed_over_in_few_steps_and_every_event_in_order() -> None:
    engine = ScriptedEngine(SteppedClock())
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


async def test_a_lone_event_never_waits() -> None:
    engine = ScriptedEngine(SteppedClock())
    async with EngineWatch(engine) as watch:
        await watch.until_listed()
        waited = []
        for number in range(3 * STORM_AFTER):
            await asyncio.sleep(0.4 * GATHER)  # 60 a second, so many in a row
            begun = time.monotonic()
            engine.happen(f"lone-{number}")
            await watch.until(lambda number=number: len(watch.events) == number + 1)  # type: ignore[misc] # mypy takes no default
            waited.append(time.monotonic() - begun)
        assert statistics.median(waited) < GATHER / 4
        assert len(watch.of(EventsObserved)) == 3 * STORM_AFTER


async def test_after_a_storm_a_lone_event_does_not_wait() -> None:
    engine = ScriptedEngine(SteppedClock())
    async with EngineWatch(engine) as watch:
        await watch.until_listed()
        for number in range(ROUNDS):
            engine.happen(*(f"{number}-{each}" for each in range(EACH)))
            await asyncio.sleep(0.001)
        await watch.until(lambda: len(watch.events) == ROUNDS * EACH)
        waited = []
        for number in range(9):
            await asyncio.sleep(3 * GATHER)
            begun = time.monotonic()
            engine.happen(f"lone-{number}")
            await watch.until(lambda number=number: len(watch.events) == ROUNDS * EACH + number + 1)  # type: ignore[misc] # mypy takes no default
            waited.append(time.monotonic() - begun)
        assert statistics.median(waited) < GATHER / 2


async def test_gathering_ends_with_the_stream() -> None:
    engine = ScriptedEngine(SteppedClock())
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
