"""The central promise: nothing leaves the process, and nothing is done, before it is on the disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import cast

from structlog.testing import capture_logs

from tests.support.core import INSTALL_ID, Host
from tests.support.fake_disk import UntouchedDisk
from tests.support.patience import patient
from tests.support.store import FakeStore
from watchtower_agent.actions.executor import Executor
from watchtower_agent.errors import TemporaryError
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.loop import Loop
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.message import EventMessage, MetricsMessage, StateMessage
from watchtower_agent.model.observation import EventsObserved
from watchtower_agent.model.outcome import Intent
from watchtower_agent.model.sample import LocalEngine, SampleTarget

POLICIES = """  - name: revive
    select: {name: "*"}
    on: {container: die}
    then: {start: {}}
"""


class SlowStore(FakeStore):
    """A commit is under way until the test lets it end, and says so."""

    def __init__(self, order: list[str]) -> None:
        super().__init__(install_id=INSTALL_ID)
        self.order = order
        self.slow = False
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def commit(self, commit: Commit) -> None:
        if not self.slow:
            await super().commit(commit)
            return
        self.order.append("commit begins")
        self.begun.set()
        await self.may_end.wait()
        await super().commit(commit)
        self.order.append("commit ends")


class Outside:
    """Everything that the loop lets something out to; each notes when it is reached."""

    def __init__(self, order: list[str]) -> None:
        self.order = order
        self.published: list[EventMessage] = []
        self.started: list[Intent] = []
        self.news = asyncio.Event()

    def note(self, what: str) -> None:
        self.order.append(what)
        self.news.set()

    def committed(self, events: Sequence[EventMessage], states: Sequence[StateMessage]) -> None:  # noqa: ARG002 - the port's
        self.published += events
        self.note("published")

    def metrics(self, message: MetricsMessage) -> None:  # noqa: ARG002 - the port's
        self.note("metrics")

    def start(self, intent: Intent) -> None:
        self.started.append(intent)
        self.note("action started")

    def request(self, container_ids: Sequence[str], *, urgent: Collection[str] = ()) -> None: ...

    def watch(self, targets: tuple[SampleTarget, ...]) -> None:  # noqa: ARG002 - the port's
        self.note("sampler told")

    def demand(self, every_tick: frozenset[str], metrics_interval: float) -> None: ...

    def engine(self, engine: LocalEngine) -> None: ...

    def read_anew(self, container_id: str) -> None: ...

    def look_after(self) -> str:
        return ""

    def follow(self, told: object, /) -> None: ...

    def look(self) -> None: ...

    async def until(self, condition: Callable[[], bool], *, within: float = 5.0) -> None:
        async with asyncio.timeout(within):
            while not condition():
                await self.news.wait()
                self.news.clear()


class Bench:
    """A host on which web has just crashed, and the loop that is about to hear of it."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.followed: list[EventMessage] = []
        self.store = SlowStore(self.order)
        self.outside = Outside(self.order)
        self.inbox = Inbox()
        self.host: Host
        self.loop: Loop


@contextlib.asynccontextmanager
async def crashed() -> AsyncIterator[Bench]:
    bench = Bench()
    outside = bench.outside
    host = bench.host = await asyncio.to_thread(Host, POLICIES)  # it runs its own short loops
    host.docker.create("web")
    await asyncio.to_thread(host.deliver)
    host.docker.crash("web")
    bench.loop = Loop(
        pipeline=host.pipeline,
        inbox=bench.inbox,
        store=bench.store,
        publisher=outside,
        executor=cast(Executor, outside),
        inspections=outside,
        sampling=outside,
        schedules=outside,
        services=outside,
        sources=outside,
        disk=UntouchedDisk(),
        clock=host.clock,
        interval=1.0,
        metrics_interval=10.0,
        committed=bench.followed.extend,
        told=lambda _: None,
    )
    running = asyncio.create_task(bench.loop.run())
    try:
        yield bench
        bench.loop.stop()
        await running
    finally:
        running.cancel()


async def test_what_is_decided_is_let_out_only_after_its_commit_returned() -> None:
    async with crashed() as bench:
        bench.store.slow = True
        bench.inbox.put(EventsObserved(events=tuple(bench.host.docker.events)))
        async with asyncio.timeout(5):
            await bench.store.begun.wait()
        for _ in range(50):  # whatever could run, has run
            await asyncio.sleep(0)
        assert bench.order == ["commit begins"]
        assert (bench.followed, bench.outside.started) == ([], [])
        bench.store.slow = False  # later steps are no matter
        bench.store.may_end.set()
        await bench.outside.until(lambda: "published" in bench.order)
        # The engine is called before anybody is told: whoever is down waits for that.
        assert bench.order[:4] == ["commit begins", "commit ends", "action started", "published"]
        commit = next(commit for commit in bench.store.commits if commit.intents)
        assert bench.outside.started == list(commit.intents)
        assert set(commit.events) <= set(bench.outside.published)
        assert set(commit.events) <= set(bench.followed)


async def test_a_store_that_fails_for_long_is_not_said_to_be_silent() -> None:
    async with crashed() as bench:
        bench.store.fail = [TemporaryError("The disk is full.") for _ in range(6)]  # then more than 2 s between tries
        with capture_logs() as logged:
            bench.inbox.put(EventsObserved(events=tuple(bench.host.docker.events)))
            await bench.outside.until(lambda: "action started" in bench.order, within=patient(20))
        events = [line["event"] for line in logged if line["event"].startswith("store_")]
        assert events == ["store_failing", "store_works_again"]


async def test_a_store_that_fails_is_tried_again_until_it_works_and_nothing_leaves_meanwhile() -> None:
    async with crashed() as bench:
        bench.store.fail = [TemporaryError("The disk is full."), TemporaryError("The disk is full.")]
        with capture_logs() as logged:
            bench.inbox.put(EventsObserved(events=tuple(bench.host.docker.events)))
            async with asyncio.timeout(5):
                while not bench.loop.store_error:  # noqa: ASYNC110 - it is a value, there is nothing to wait on
                    await asyncio.sleep(0)
            assert bench.loop.store_error == "The disk is full."
            assert bench.order == []
            await bench.outside.until(lambda: "action started" in bench.order)
        assert bench.loop.store_error == ""
        assert bench.store.fail == []
        assert len(bench.outside.started) == 1
        events = [line["event"] for line in logged]
        assert [event for event in events if event.startswith("store_")] == ["store_failing", "store_works_again"]
        failing = next(line for line in logged if line["event"] == "store_failing")
        assert failing["error"] == "The disk is full."
        assert failing["consequence"]
