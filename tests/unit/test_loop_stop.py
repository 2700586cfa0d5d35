"""A loop to which next to nothing comes: it ends when it is told to, does not go on for nothing, and says when it has
taken something in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from tests.support.core import INSTALL_ID
from tests.support.fake_disk import UntouchedDisk
from tests.support.store import FakeStore
from watchtower_agent.actions.executor import Executor
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.errors import TemporaryError
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.loop import Loop
from watchtower_agent.loop.observations import Observation
from watchtower_agent.loop.pipeline import Pipeline
from watchtower_agent.loop.pipeline_options import PipelineOptions
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.message import EventMessage, MetricsMessage, StateMessage
from watchtower_agent.model.pause import PauseAsked
from watchtower_agent.model.sample import LocalEngine, SampleTarget
from watchtower_agent.policies.guards.pauses import AGENT
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.publishing.cloudevent import CloudEventComposer

INTERVAL = 20.0


class WatchedInbox(Inbox):
    """Says when the loop waits for the next sample, and for how long it would."""

    def __init__(self) -> None:
        super().__init__()
        self.resting = asyncio.Event()
        self.rest = 0.0

    async def take(self, within: float) -> list[Observation]:
        if within > INTERVAL / 2:
            self.rest = within
            self.resting.set()
        return await super().take(within)


class Outside:
    """Publisher, inspections, sampler and schedules: nobody is there."""

    def committed(self, events: Sequence[EventMessage], states: Sequence[StateMessage]) -> None: ...

    def metrics(self, message: MetricsMessage) -> None: ...

    def request(self, container_ids: Sequence[str], *, urgent: Collection[str] = ()) -> None: ...

    def watch(self, targets: tuple[SampleTarget, ...]) -> None: ...

    def demand(self, every_tick: frozenset[str], metrics_interval: float) -> None: ...

    def engine(self, engine: LocalEngine) -> None: ...

    def read_anew(self, container_id: str) -> None: ...

    def look_after(self) -> str:
        return ""

    def follow(self, told: object, /) -> None: ...

    def look(self) -> None: ...


class FullStore(FakeStore):
    """A store that takes nothing once it is full, or does not even answer.

    Attributes:
        full: Whether it is.
        hangs: Whether it does not answer.
        tried: It was asked since.
    """

    def __init__(self) -> None:
        super().__init__()
        self.full = self.hangs = False
        self.tried = asyncio.Event()

    async def commit(self, commit: Commit) -> None:
        if self.full or self.hangs:
            self.tried.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.full:
            raise TemporaryError("the disk is full")
        await super().commit(commit)


@asynccontextmanager
async def waiting_loop(
    inbox: WatchedInbox, store: FakeStore | None = None
) -> AsyncIterator[tuple[Loop, asyncio.Task[None]]]:
    """A loop that has nothing to do any more, and its task."""
    clock, outside = SystemClock(), Outside()
    options = PipelineOptions(
        host="h1", mode="enforce", interval=INTERVAL, metrics_interval=INTERVAL, protection=Protection()
    )
    pipeline = Pipeline(options, CloudEventComposer(host="h1", install_id=INSTALL_ID))
    engine = DockerEngine(EngineCalls(EngineAddress(url="tcp://nobody:1", source="settings"), clock=clock), clock=clock)
    loop = Loop(
        pipeline=pipeline,
        inbox=inbox,
        store=store or FakeStore(),
        publisher=outside,
        executor=Executor(engine, clock, recheck=pipeline.recheck, done=inbox.put),
        inspections=outside,
        sampling=outside,
        schedules=outside,
        services=outside,
        sources=outside,
        disk=UntouchedDisk(),
        clock=clock,
        interval=INTERVAL,
        metrics_interval=INTERVAL,
        committed=lambda _: None,
        told=lambda _: None,
        last_write_within=0.2,
    )
    running = asyncio.create_task(loop.run())
    async with asyncio.timeout(INTERVAL / 2):
        await inbox.resting.wait()
        yield loop, running
        loop.stop()
        await running
    engine.close()


async def test_a_loop_that_waits_ends_at_once() -> None:
    async with waiting_loop(WatchedInbox()) as (loop, running):
        loop.stop()
        done, _ = await asyncio.wait({running}, timeout=INTERVAL / 4)
        assert done


async def test_a_sample_that_is_a_little_late_finds_the_loop_at_rest() -> None:
    inbox = WatchedInbox()
    async with waiting_loop(inbox):
        assert 1.25 * INTERVAL < inbox.rest < 2 * INTERVAL


async def test_who_brings_something_hears_when_it_is_durable() -> None:
    store = FakeStore(install_id=INSTALL_ID)
    async with waiting_loop(WatchedInbox(), store) as (loop, _):
        await loop.bring(PauseAsked(what=AGENT, length=60.0))
        assert list((await store.load()).records["pause"]) == ["agent\0"]


async def test_of_two_who_bring_the_same_each_hears() -> None:
    asked = [PauseAsked(what=AGENT, length=60.0, reason=reason) for reason in ("one", "two")]
    store = FakeStore(install_id=INSTALL_ID)
    async with waiting_loop(WatchedInbox(), store) as (loop, _):
        await asyncio.gather(*map(loop.bring, asked))
        (record,) = (await store.load()).records["pause"].values()
        assert record["reason"] == "two"


async def test_who_no_longer_waits_for_it_does_not_hold_the_loop_up() -> None:
    inbox = WatchedInbox()
    async with waiting_loop(inbox) as (loop, running):
        waiting = asyncio.create_task(loop.bring(PauseAsked(what=AGENT, length=60.0)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await loop.bring(PauseAsked(what=AGENT, length=60.0))
        assert not running.done()


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_loop_whose_store_takes_nothing_ends_in_time_and_says_what_was_not_written(*, hangs: bool) -> None:
    inbox, store = WatchedInbox(), FullStore()
    async with waiting_loop(inbox, store) as (loop, running):
        known = len(store.commits)
        store.full, store.hangs = True, hangs
        with capture_logs() as logs:
            inbox.put(PauseAsked(what=AGENT, length=60.0))
            await store.tried.wait()
            loop.stop()
            async with asyncio.timeout(INTERVAL / 4):
                await running
                store.full = store.hangs = False  # in vain: what comes later must not be there without it
                await loop.drain()
        (lost, *_) = [line for line in logs if line["event"] == "store_given_up"]
        assert lost["events"] == 1
        assert lost["topics"][0].endswith("/event/agent/paused/self")
        assert len(store.commits) == known


async def test_a_store_that_takes_it_in_time_loses_nothing_at_the_end() -> None:
    inbox, store = WatchedInbox(), FullStore()
    async with waiting_loop(inbox, store) as (loop, running):
        known = len(store.commits)
        store.full = True
        inbox.put(PauseAsked(what=AGENT, length=60.0))
        await store.tried.wait()
        loop.stop()
        store.full = False
        await running
        assert len(store.commits) > known
