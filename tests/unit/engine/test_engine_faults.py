"""What bounds and steadies the session: its reader's buffer, the time between tries, audits while the loop is busy."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.support.engine_watch import FAST, EngineWatch
from tests.support.scripted_engine import ScriptedEngine, SteppedClock
from watchtower_agent.engine.calls import EngineGreeting
from watchtower_agent.engine.event_stream import EventStream, StreamEnd
from watchtower_agent.engine.session import BATCH
from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.observation import EventsObserved, GapObserved

RETRY = 2.0
"""Seconds before the second try, of which the jitter leaves at least half."""


async def test_the_readers_buffer_is_bounded_in_bytes_that_wait() -> None:
    engine = ScriptedEngine(SteppedClock())
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


class BusyWatch(EngineWatch):
    """A loop that takes its time for every step."""

    def sink(self, observation: object) -> None:
        if isinstance(observation, EventsObserved):
            time.sleep(0.03)
        super().sink(observation)


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
