"""What is told of an interruption: a loss when the engine is not there, nothing when it was only slow to come back."""

from __future__ import annotations

import asyncio

import pytest

from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.outage import Cause, Outage
from watchtower_agent.model.observation import EngineLost

AFTER = 0.05
OURS = Cause("a resync was asked for", ours=True)
THEIRS = Cause("its event stream ended")


class Heard:
    """An outage, and what it tells."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[object] = asyncio.Queue()
        self.outage = Outage(sink=self.told.put_nowait, clock=SystemClock(), after=AFTER)

    async def loss(self) -> str:
        lost = await asyncio.wait_for(self.told.get(), 5)
        assert isinstance(lost, EngineLost)
        return lost.reason

    async def nothing(self) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.told.get(), 3 * AFTER)
        assert not self.outage.reported


async def test_an_engine_that_is_gone_is_told_once_it_is_not_back_soon() -> None:
    heard = Heard()
    heard.outage.begin(THEIRS)
    assert await heard.loss() == "its event stream ended; the engine does not answer yet"
    heard.outage.failed("connection refused")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(heard.told.get(), 3 * AFTER)


async def test_an_engine_that_is_back_soon_is_no_loss() -> None:
    heard = Heard()
    heard.outage.begin(THEIRS)
    heard.outage.end()
    await heard.nothing()


async def test_a_slow_engine_is_not_lost_when_the_agent_itself_asks_anew() -> None:
    heard = Heard()
    heard.outage.begin(OURS)
    await heard.nothing()
    assert heard.outage.pending


async def test_an_engine_that_does_not_answer_then_is_lost() -> None:
    heard = Heard()
    heard.outage.begin(OURS)
    heard.outage.failed("connection refused")
    assert await heard.loss() == "a resync was asked for; connection refused"
