"""What bounds and steadies the session: its reader's buffer, the time between tries, audits while the loop is busy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.support.engine_watch import FAST, EngineWatch
from tests.support.scripted_engine import ScriptedEngine, SteppedClock
from watchtower_agent.engine import session
from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.calls import EngineGreeting
from watchtower_agent.engine.event_stream import EventStream, StreamEnd
from watchtower_agent.engine.session import BATCH
from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.observation import EventsObserved, GapObserved, InventoryObserved

RETRY = 2.0
"""Seconds before the second try, of which the jitter leaves at least half."""


async def test_the_readers_buffer_is_bounded_in_bytes_that_wait() -> None:
    engine = ScriptedEngine(SteppedClock())
    engine.can_gather = False
    stream = EventStream(engine, since_ns=0, capacity_bytes=1000)
    await stream.open()
    for _ in range(5):  # what was taken does not count any more
        engine.write(b"x" * 900)
        assert await stream.take(BATCH) == [b"x" * 900]
    assert [stream.end] == [None]
    engine.write(b"x" * 600)
    engine.write(b"y" * 600)
    await stream.gather(5)
    assert stream.end is StreamEnd.OVERFLOW
    assert await stream.take(BATCH) == [b"x" * 600]
    assert await stream.take(BATCH) == []
    await stream.close()


class RefusesOnce(ScriptedEngine):
    """Its first answer is a refusal, so that the next wait would be a long one."""

    refused = False

    def connect(self) -> EngineGreeting:
        if not self.refused:
            self.refused = True
            raise TemporaryError("not yet")
        return super().connect()


@pytest.mark.parametrize(("stable_after", "waits"), [(0.0, False), (60.0, True)])
async def test_a_session_that_lasted_begins_the_tries_anew(stable_after: float, *, waits: bool) -> None:
    timing = replace(FAST, retry_first=RETRY, retry_cap=2 * RETRY, stable_after=stable_after)
    engine = RefusesOnce(SteppedClock())
    async with EngineWatch(engine, timing=timing) as watch:
        await watch.until_listed()
        begun = time.monotonic()
        engine.cut()
        await watch.until_listed(2)
        assert (time.monotonic() - begun > RETRY / 2) is waits


async def test_agents_that_lost_one_engine_come_back_spread_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []

    def chance(low: float, high: float) -> float:
        asked.append((low, high))
        return 0.001  # no wait is so short without it

    monkeypatch.setattr("random.uniform", chance)
    engine = RefusesOnce(SteppedClock())
    timing = replace(FAST, retry_first=60.0, retry_cap=60.0, stable_after=600.0)
    async with EngineWatch(engine, timing=timing) as watch:
        await watch.until_listed()
        engine.cut()
        await watch.until_listed(2, timeout=10)
    assert set(asked) == {(0.5, 1.0)}


class BusyWatch(EngineWatch):
    """A loop that takes its time for every step."""

    def sink(self, observation: object) -> None:
        if isinstance(observation, EventsObserved):
            time.sleep(0.03)
        super().sink(observation)


class RefusesTwice(ScriptedEngine):
    """On a socket of this host."""

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__(clock)
        self.address = EngineAddress(url="unix:///nowhere", source="settings")
        self.refusals = 0

    def connect(self) -> EngineGreeting:
        self.refusals += 1
        if self.refusals <= 2:
            raise TemporaryError("not yet")
        return super().connect()


async def test_an_engine_on_this_host_is_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOCAL_RETRY_CAP", 0.1)
    async with EngineWatch(
        RefusesTwice(SteppedClock()), timing=replace(FAST, retry_first=60.0, retry_cap=60.0)
    ) as watch:
        await watch.until_listed(timeout=10)


async def test_what_waits_for_a_busy_loop_is_not_taken_for_lost() -> None:
    engine = ScriptedEngine(SteppedClock())
    timing = replace(FAST, audit_every=0.02, in_flight=0.03, settle=0.0)
    async with BusyWatch(engine, timing=timing) as watch:
        await watch.until_listed()
        names = [f"v{number}" for number in range(20 * BATCH)]
        engine.happen(*names)
        await watch.until(lambda: len(watch.events) == len(names))
        audits = engine.looked_back
        await watch.until(lambda: engine.looked_back >= audits + 5)
        assert [event.actor_id for event in watch.events] == names
        assert not watch.of(GapObserved)
        assert watch.session.counts.reconnects == 0


async def test_what_was_lost_and_stamped_before_the_last_audit_is_found_by_the_next() -> None:
    clock = SteppedClock()
    engine = ScriptedEngine(clock)
    async with EngineWatch(engine, clock=clock, timing=replace(FAST, audit_every=0.02, in_flight=0.02)) as watch:
        await watch.until_listed()
        audits = engine.looked_back
        await watch.until(lambda: engine.looked_back >= audits + 3)
        clock.offset = -0.02  # the engine stamps an event some time before it shows it
        engine.happen("late", lost=True)
        clock.offset = 0.0
        await watch.until(lambda: [event.actor_id for event in watch.events] == ["late"], timeout=5)
        assert [gap.reason for gap in watch.of(GapObserved)] == ["audit"]


class StampsLater(ScriptedEngine):
    """Changes its state before it stamps the event: one comes right after the second listing was made."""

    stamped = False

    def past_events(self, since_ns: int, until_ns: int) -> Sequence[bytes]:
        if self.listed == 2 and until_ns > self.clock.now().wall * 1e9 and not self.stamped:
            self.stamped = True
            self.happen("late")
        return super().past_events(since_ns, until_ns)


async def test_a_listing_is_told_after_the_events_that_it_may_have_been_ahead_of() -> None:
    clock = SteppedClock()
    async with EngineWatch(StampsLater(clock), clock=clock, timing=replace(FAST, settle=0.2)) as watch:
        await watch.until_listed()
        watch.session.resync()
        await watch.until_listed(2)
        told = [each for each in watch.observations if isinstance(each, EventsObserved | InventoryObserved)]
        assert [type(each) for each in told] == [InventoryObserved, EventsObserved, InventoryObserved]
