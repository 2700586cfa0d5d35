"""A clock that is set back, while the agent runs or was away: nothing hangs, nothing comes twice, a loss is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.engine_watch import FAST, EngineWatch
from tests.support.scripted_engine import ScriptedEngine, SteppedClock
from watchtower_agent.engine.continuity import RING
from watchtower_agent.engine.event import parse_event
from watchtower_agent.model.engine_event import Cursor, EngineEvent, Origin
from watchtower_agent.model.observation import EngineFound, GapObserved, InventoryObserved

HOUR = 3600.0
AUDITING = replace(FAST, audit_every=0.05, in_flight=0.05, settle=0.0, retry_first=0.01, stable_after=0.0)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def engine(clock: SteppedClock) -> ScriptedEngine:
    return ScriptedEngine(clock)


def watching(engine: ScriptedEngine, clock: SteppedClock, cursor: Cursor | None = None) -> EngineWatch:
    return EngineWatch(engine, clock=clock, cursor=cursor, timing=AUDITING)


def names(watch: EngineWatch) -> list[str]:
    return [event.actor_id for event in watch.events]


def newest(engine: ScriptedEngine) -> EngineEvent:
    event = parse_event(engine.whole_ring()[-1], engine_id=engine.info.id)
    assert isinstance(event, EngineEvent)
    return event


def cursor_at(event: EngineEvent) -> Cursor:
    return Cursor(time_ns=event.time_ns, event_id=event.id)


async def happen(engine: ScriptedEngine, watch: EngineWatch, *each: str) -> None:
    for name in each:
        engine.happen(name)
    await watch.until(lambda: set(each) <= set(names(watch)))


async def test_a_running_session_goes_on_when_the_clock_is_stepped_back(
    engine: ScriptedEngine, clock: SteppedClock
) -> None:
    clock.offset = -HOUR / 2
    engine.happen("baseline")  # its stamp comes round once more: it must never be taken for an event
    clock.offset = 0.0
    async with watching(engine, clock) as watch:
        await watch.until_listed()
        await happen(engine, watch, "before")
        clock.offset = -HOUR
        await happen(engine, watch, "after")
        await watch.until_listed(2)
        await happen(engine, watch, "later")
        clock.offset = -HOUR / 2 + 10
        await happen(engine, watch, "much later")
        engine.cut()
        await watch.until_listed(3)
        assert names(watch) == ["before", "after", "later", "much later"]
        assert not watch.of(GapObserved)
        assert engine.hung == 0


async def test_what_the_stream_lost_before_the_step_is_found_after_it(
    engine: ScriptedEngine, clock: SteppedClock
) -> None:
    timing = replace(AUDITING, audit_every=0.5)  # what is lost is not found before the clock is set
    engine.happen("baseline")
    async with EngineWatch(engine, clock=clock, timing=timing) as watch:
        await watch.until_listed()
        await happen(engine, watch, "before")
        engine.happen("lost", lost=True)
        await happen(engine, watch, "heard")
        engine.happen("lost as well", lost=True)
        clock.offset = -HOUR
        await watch.until(lambda: "lost as well" in names(watch))
        assert names(watch) == ["before", "heard", "lost", "lost as well"]
        assert [event.origin for event in watch.events[-2:]] == [Origin.REPLAY, Origin.REPLAY]


async def test_a_session_that_saw_no_event_goes_on_when_the_clock_is_stepped_back(
    engine: ScriptedEngine, clock: SteppedClock
) -> None:
    engine.happen("baseline")
    async with watching(engine, clock) as watch:
        await watch.until_listed()
        clock.offset = -HOUR
        listed = (await watch.until_listed(2))[-1]
        await happen(engine, watch, "after")
        assert names(watch) == ["after"]
        assert listed.listening_since is not None
        assert listed.listening_since.time_ns <= clock.now().wall * 1e9, "the next start must find it in the past"
        assert engine.hung == 0


async def test_the_ring_has_it_all_though_the_clock_was_stepped_back_while_the_agent_was_away(
    engine: ScriptedEngine, clock: SteppedClock
) -> None:
    engine.happen("baseline")
    engine.happen("handled")
    cursor = cursor_at(newest(engine))
    engine.happen("away")
    clock.offset = -HOUR
    engine.happen("stepped")
    async with watching(engine, clock, cursor) as watch:
        await watch.until_listed()
        await happen(engine, watch, "live")
        assert [(event.actor_id, event.origin) for event in watch.events] == [
            ("away", Origin.REPLAY),
            ("stepped", Origin.REPLAY),
            ("live", Origin.STREAM),
        ]
        assert not watch.of(GapObserved)
        assert engine.hung == 0


@pytest.mark.parametrize("knows_zero", [True, False])
async def test_a_cursor_from_the_future_that_nobody_knows_is_a_gap_up_to_now(
    engine: ScriptedEngine, clock: SteppedClock, knows_zero: bool
) -> None:
    engine.knows_zero = knows_zero
    engine.happen("unheard")
    begun = clock.now().wall
    unknown = Cursor(time_ns=int((begun + HOUR) * 1e9), event_id="unknown")
    async with watching(engine, clock, unknown) as watch:
        await watch.until_listed()
        await happen(engine, watch, "live")
        [gap] = watch.of(GapObserved)
        assert gap.reason == "clock_stepped_back"
        assert begun <= gap.since <= gap.until <= clock.now().wall
        assert names(watch) == ["unheard", "live"]
        engine.cut()
        await watch.until_listed(2)
        assert len(watch.of(GapObserved)) == 1, "told once"
        assert engine.hung == 0


async def test_after_a_step_the_next_start_looks_from_where_this_one_did(
    engine: ScriptedEngine, clock: SteppedClock
) -> None:
    unknown = Cursor(time_ns=int((clock.now().wall + HOUR) * 1e9), event_id="unknown")
    async with watching(engine, clock, unknown) as first:
        [listed] = await first.until_listed()
        assert not first.of(EngineFound)[0].restarted, "an empty ring after a step of the clock proves nothing"
    engine.started_at = clock.now().wall - HOUR
    engine.happen("away")
    async with watching(engine, clock, listed.listening_since) as second:
        await second.until_listed()
        assert names(second) == ["away"]
        assert not second.of(GapObserved)


async def test_a_position_from_the_future_is_a_gap_and_the_baseline_no_event(
    engine: ScriptedEngine, clock: SteppedClock
) -> None:
    engine.happen("baseline")
    clock.offset = 0.001  # the stamps of both must differ
    position = Cursor(time_ns=int(clock.now().wall * 1e9), event_id="")
    engine.happen("away")
    clock.offset = -HOUR
    async with watching(engine, clock, position) as watch:
        await watch.until_listed()
        assert [gap.reason for gap in watch.of(GapObserved)] == ["clock_stepped_back"]
        assert names(watch) == ["away"]


async def test_a_cursor_that_the_clock_has_caught_up_with_is_found_behind_newer_stamps(
    engine: ScriptedEngine, clock: SteppedClock
) -> None:
    engine.happen("handled")
    cursor = cursor_at(newest(engine))
    clock.offset = -HOUR
    engine.happen("stepped")
    clock.offset = 60.0
    async with watching(engine, clock, cursor) as watch:
        await watch.until_listed()
        assert names(watch) == ["stepped"]
        assert not watch.of(GapObserved)


async def test_a_ring_that_ran_over_after_a_step_is_a_gap(engine: ScriptedEngine, clock: SteppedClock) -> None:
    engine.happen("handled")
    cursor = cursor_at(newest(engine))
    clock.offset = -HOUR
    engine.happen(*(f"v{number}" for number in range(RING)))
    async with watching(engine, clock, cursor) as watch:
        await watch.until_told(InventoryObserved)
        assert [gap.reason for gap in watch.of(GapObserved)] == ["clock_stepped_back"]
        assert names(watch) == [f"v{number}" for number in range(RING)]
