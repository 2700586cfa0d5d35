"""What a reconnect knows of the time since the agent last listened, and what it says of it: no more than it knows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.engine_watch import FAST, EngineWatch
from tests.support.scripted_engine import ScriptedEngine, SteppedClock
from watchtower_agent.engine.continuity import RING
from watchtower_agent.engine.event import parse_event
from watchtower_agent.model.engine_event import Cursor, EngineEvent, Origin
from watchtower_agent.model.observation import EngineFound, GapObserved

QUICK = replace(FAST, in_flight=0.05, settle=0.0, retry_first=0.01, stable_after=0.0)
HOUR = 3600.0


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def engine(clock: SteppedClock) -> ScriptedEngine:
    return ScriptedEngine(clock)


def watching(engine: ScriptedEngine, cursor: Cursor | None = None) -> EngineWatch:
    return EngineWatch(engine, cursor=cursor, timing=QUICK, clock=engine.clock)


def volumes(number: int) -> list[str]:
    return [f"v{each}" for each in range(number)]


async def baseline_only(engine: ScriptedEngine) -> Cursor:
    """What a first start ever leaves that sees no event."""
    async with watching(engine) as watch:
        [listed] = await watch.until_listed()
        assert not watch.of(GapObserved)
    assert listed.listening_since is not None
    return listed.listening_since


def told(watch: EngineWatch) -> tuple[list[str], bool]:
    """Causes of gaps, and whether the engine is said to be restarted since the first connection of this run."""
    return [gap.reason for gap in watch.of(GapObserved)], watch.of(EngineFound)[-1].restarted


# --- an agent that has handled no event yet --------------------------------------------------------------------------


async def test_what_happens_before_the_first_event_was_handled_is_replayed(engine: ScriptedEngine) -> None:
    engine.happen("before the agent")
    position = await baseline_only(engine)
    engine.happen("away", "as well")
    async with watching(engine, position) as watch:
        [listed] = await watch.until_listed()
        assert [(event.actor_id, event.origin) for event in watch.events] == [
            ("away", Origin.REPLAY),
            ("as well", Origin.REPLAY),
        ]
        assert told(watch) == ([], False)
        assert listed.listening_since is None, "now there is an event to go on from"


async def test_the_age_of_the_daemon_tells_that_an_empty_ring_is_the_old_one(engine: ScriptedEngine) -> None:
    position = await baseline_only(engine)
    engine.started_at = position.time_ns / 1e9 - HOUR
    async with watching(engine, position) as watch:
        await watch.until_listed()
        assert told(watch) == ([], False)


async def test_a_daemon_younger_than_the_position_is_another(engine: ScriptedEngine) -> None:
    engine.happen("before the agent")
    position = await baseline_only(engine)
    engine.restart()
    engine.started_at = position.time_ns / 1e9 + HOUR
    async with watching(engine, position) as watch:
        await watch.until_listed()
        assert told(watch) == (["engine_restarted"], True)


async def test_where_nothing_tells_that_it_is_the_same_daemon_only_the_loss_is_said(engine: ScriptedEngine) -> None:
    position = await baseline_only(engine)
    async with watching(engine, position) as watch:
        await watch.until_listed()
        assert told(watch) == (["replay_incomplete"], False)
        [gap] = watch.of(GapObserved)
        assert gap.since == position.time_ns / 1e9


async def test_a_ring_that_ran_over_before_the_first_event_was_handled_is_a_gap(engine: ScriptedEngine) -> None:
    engine.happen("before the agent")
    position = await baseline_only(engine)
    engine.happen(*volumes(RING))
    async with watching(engine, position) as watch:
        await watch.until_listed()
        assert told(watch) == (["replay_incomplete"], False)
        assert len(watch.events) == RING


async def test_a_cut_before_the_first_event_loses_nothing(engine: ScriptedEngine) -> None:
    async with watching(engine) as watch:
        await watch.until_listed()
        engine.cut()
        engine.happen("meanwhile")
        await watch.until_listed(2)
        assert [event.actor_id for event in watch.events] == ["meanwhile"]
        assert told(watch) == ([], False)


async def test_a_cut_before_the_first_event_that_the_ring_does_not_outlive_is_a_gap(engine: ScriptedEngine) -> None:
    async with watching(engine) as watch:
        await watch.until_listed()
        engine.cut()
        engine.happen(*volumes(RING))
        await watch.until_listed(2)
        assert told(watch) == (["replay_incomplete"], False)


async def test_what_the_stream_lost_before_it_was_cut_is_replayed(engine: ScriptedEngine, clock: SteppedClock) -> None:
    engine.happen("before the agent")
    async with watching(engine) as watch:
        await watch.until_listed()
        engine.happen("lost", lost=True)
        clock.offset += 1.1  # longer ago than stamps may be out of order
        engine.happen("heard")
        await watch.until(lambda: bool(watch.events))
        engine.cut()
        await watch.until_listed(2)
        assert [event.actor_id for event in watch.events] == ["heard", "lost"]
        assert watch.events[-1].origin is Origin.REPLAY
        assert told(watch) == ([], False)


async def test_what_was_there_before_the_agent_is_no_event_after_its_restart(engine: ScriptedEngine) -> None:
    engine.happen("before the agent")
    async with watching(engine) as first:
        await first.until_listed()
        engine.happen("handled")
        await first.until(lambda: bool(first.events))
    [handled] = first.events
    async with watching(engine, Cursor(time_ns=handled.time_ns, event_id=handled.id)) as second:
        await second.until_listed()
        assert not second.events


# --- causes of a gap -------------------------------------------------------------------------------------------------


async def reconnected(engine: ScriptedEngine, watch: EngineWatch) -> None:
    engine.cut()
    await watch.until_listed(2)


async def test_a_full_ring_says_nothing_of_a_restart_though_some_of_its_events_are_of_no_known_kind(
    engine: ScriptedEngine,
) -> None:
    async with watching(engine) as watch:
        await watch.until_listed()
        engine.happen("handled")
        await watch.until(lambda: bool(watch.events))
        engine.cut()
        engine.happen(*volumes(RING - 5))
        engine.happen(*volumes(5), kind="novelty")
        await watch.until_listed(2)
        assert told(watch) == (["replay_incomplete"], False)


async def test_a_ring_that_must_hold_the_event_and_does_not_is_another(engine: ScriptedEngine) -> None:
    engine.process = None
    async with watching(engine) as watch:
        await watch.until_listed()
        engine.happen("handled")
        await watch.until(lambda: bool(watch.events))
        engine.restart()
        engine.happen(*volumes(RING - 1))
        await watch.until_listed(2)
        assert told(watch) == (["engine_restarted"], True)


@pytest.mark.parametrize("change", ["process", "version", "nothing"])
async def test_a_ring_that_ran_over_is_another_only_if_something_else_says_so(
    engine: ScriptedEngine, change: str
) -> None:
    async with watching(engine) as watch:
        await watch.until_listed()
        engine.happen("handled")
        await watch.until(lambda: bool(watch.events))
        engine.cut()
        if change == "process":
            engine.process = (8, 8)
        elif change == "version":
            engine.info = replace(engine.info, version="27.0")
        engine.happen(*volumes(RING))
        await watch.until_listed(2)
        assert told(watch) == ((["replay_incomplete"], False) if change == "nothing" else (["engine_restarted"], True))


async def test_a_proxy_that_was_restarted_is_no_restart_of_the_daemon(engine: ScriptedEngine) -> None:
    async with watching(engine) as watch:
        await watch.until_listed()
        engine.happen("handled")
        await watch.until(lambda: bool(watch.events))
        engine.cut()
        engine.process = (8, 8)
        engine.happen("meanwhile")
        await watch.until_listed(2)
        assert [event.actor_id for event in watch.events] == ["handled", "meanwhile"]
        assert told(watch) == ([], False)


async def test_an_older_daemon_with_an_emptied_ring_is_believed_to_be_restarted_by_its_ring(
    engine: ScriptedEngine,
) -> None:
    """A proxy before the daemon is older than the agent, and tells nothing of the daemon."""
    engine.happen("handled")
    event = parse_event(engine.whole_ring()[0], engine_id=engine.info.id)
    assert isinstance(event, EngineEvent)
    engine.restart()
    engine.started_at = event.time - HOUR
    async with watching(engine, Cursor(time_ns=event.time_ns, event_id=event.id)) as watch:
        await watch.until_listed()
        assert told(watch) == (["engine_restarted"], True)
