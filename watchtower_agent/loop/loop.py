"""The loop: takes what reached the inbox, lets the pipeline decide, makes it durable, and only then lets it out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from watchtower_agent.actions.executor import Executor
from watchtower_agent.errors import TemporaryError
from watchtower_agent.loop.effects import Effects
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.journal import log_fact
from watchtower_agent.loop.pace import Settling
from watchtower_agent.loop.pipeline import Observation, Pipeline
from watchtower_agent.model.commit import Commit
from watchtower_agent.model.message import EventMessage
from watchtower_agent.model.sample import LocalEngine, SampleTarget
from watchtower_agent.policies.timetable import Timed
from watchtower_agent.ports import Clock, Inspections, Publisher, Store

log = structlog.get_logger(__name__)

_INSPECT_AFTER, _INSPECT_LATEST = 0.2, 5.0
"""Seconds that an inspection waits: until its container was quiet for so long, but no longer than that."""
_INSPECTIONS_AT_ONCE = 25
"""Inspections asked for at a time, so that a fresh start on a full host does not crowd out its first samples."""
_HEARTBEAT = 1.5
"""Intervals between samples after which the loop goes on though nothing came. Some ticks take longer than the one
before: a heartbeat of one interval would often be just ahead of a sample, and wake the loop for nothing."""
_RETRY_FIRST, _RETRY_MOST = 0.1, 5.0
"""Seconds between tries to write to a store that fails."""


class SamplingControl(Protocol):
    """What the loop tells the sampler."""

    def watch(self, targets: tuple[SampleTarget, ...]) -> None:
        """Sample these from the next tick on."""

    def demand(self, every_tick: frozenset[str], metrics_interval: float) -> None:
        """Read what these names need at every tick, the rest at the metrics interval."""

    def engine(self, engine: LocalEngine) -> None:
        """Watch the file system of the engine's data, and its process."""

    def read_anew(self, container_id: str) -> None:
        """Read its limits and its counter of OOM kills at the next tick."""

    def look_after(self) -> str:
        """Go on without what does not come back. Tells what a tick waits for, in words; empty when none is late."""
        ...


class ScheduleControl(Protocol):
    """What the loop tells whoever watches the clock."""

    def follow(self, timetable: tuple[Timed, ...]) -> None:
        """From now on these scheduled policies are in force."""


class Loop:
    """One task; it owns the pipeline and with it HostState.

    Args:
        pipeline: Decides.
        inbox: Where everything comes in.
        store: Makes durable.
        publisher: Sends what is durable.
        executor: Carries out what is durable.
        inspections: Asks the engine about containers.
        sampling: Is told whom to sample.
        schedules: Is told which policies run when.
        clock: The host's clocks.
        interval: Seconds between samples. When nothing comes, the loop goes on after one and a half of them.
        metrics_interval: Seconds between metrics batches.
        committed: Called with the events of every commit, for those who follow them.
    """

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        inbox: Inbox,
        store: Store,
        publisher: Publisher,
        executor: Executor,
        inspections: Inspections,
        sampling: SamplingControl,
        schedules: ScheduleControl,
        clock: Clock,
        interval: float,
        metrics_interval: float,
        committed: Callable[[Sequence[EventMessage]], None],
    ) -> None:
        self._pipeline = pipeline
        self._inbox = inbox
        self._store = store
        self._publisher = publisher
        self._executor = executor
        self._inspections = inspections
        self._sampling = sampling
        self._schedules = schedules
        self._clock = clock
        self._interval = interval
        self._metrics_interval = metrics_interval
        self._committed = committed
        self._to_inspect = Settling(quiet=_INSPECT_AFTER, longest=_INSPECT_LATEST, at_once=_INSPECTIONS_AT_ONCE)
        self._inspect_timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._awaited: dict[int, tuple[Observation, asyncio.Future[None]]] = {}
        """By the identity of what somebody brought, and waits for."""
        self.store_error = ""

    async def run(self) -> None:
        """Until `stop`: one step after the other. What arrives during a commit is the next step's."""
        while not self._stopping:
            rest = self._pipeline.rest(self._clock.now().monotonic, at_most=_HEARTBEAT * self._interval)
            observations = await self._inbox.take(within=rest)
            waits_for = self._sampling.look_after()
            await self._step(self._pipeline.step(observations, self._clock.now(), sampler_waits_for=waits_for))
            self._handled(observations)

    async def bring(self, observation: Observation) -> None:
        """Bring something of which every single one counts; returns once what follows from it is durable."""
        handled = asyncio.get_running_loop().create_future()
        self._awaited[id(observation)] = (observation, handled)
        self._inbox.put(observation)
        try:
            await handled
        finally:
            del self._awaited[id(observation)]

    def _handled(self, observations: Sequence[Observation]) -> None:
        for observation in observations if self._awaited else ():
            _, handled = self._awaited.get(id(observation), (None, None))
            if handled is not None and not handled.done():
                handled.set_result(None)

    async def drain(self) -> None:
        """Take in what has arrived until nothing is left. For the end, after `run` returned."""
        while observations := await self._inbox.take(within=0.01):
            await self._step(self._pipeline.step(observations, self._clock.now()))
        await self._step(self._pipeline.step((), self._clock.now(), last=True))

    def stop(self) -> None:
        """Let `run` return after the step at hand, at once when it waits for something to happen."""
        self._stopping = True
        self._inbox.wake()

    async def _step(self, effects: Effects) -> None:
        commit = effects.commit()
        if not commit.empty:
            await self._make_durable(commit)
            self._publisher.committed(commit.events, commit.states)
            self._committed(commit.events)
        if not self._stopping:
            for intent in effects.intents:
                self._executor.start(intent)
        for metrics in effects.metrics:
            self._publisher.metrics(metrics)
        if effects.timetable is not None:
            self._schedules.follow(effects.timetable)
        self._sample(effects)
        self._inspect_soon(effects)
        for fact in effects.facts:
            log_fact(fact)

    def _sample(self, effects: Effects) -> None:
        if effects.watch is not None:
            self._sampling.watch(effects.watch)
        if effects.demand is not None:
            self._sampling.demand(effects.demand, self._metrics_interval)
        if effects.engine is not None:
            self._sampling.engine(effects.engine)
        for container_id in effects.anew:
            self._sampling.read_anew(container_id)

    async def _make_durable(self, commit: Commit) -> None:
        """Try until it is written: nothing is published or done that is not, and nothing is forgotten meanwhile."""
        wait = _RETRY_FIRST
        while True:
            try:
                await self._store.commit(commit)
            except TemporaryError as error:
                if not self.store_error:
                    log.warning(
                        "store_failing", error=str(error), consequence="the agent holds everything until it works"
                    )
                self.store_error = str(error)
                await asyncio.sleep(wait)
                wait = min(_RETRY_MOST, wait * 2)
            else:
                if self.store_error:
                    log.warning("store_works_again", was=self.store_error)
                self.store_error = ""
                return

    def _inspect_soon(self, effects: Effects) -> None:
        self._to_inspect.want(effects.inspect, asyncio.get_running_loop().time())
        self._look_after_inspections()

    def _look_after_inspections(self) -> None:
        if self._to_inspect and self._inspect_timer is None:
            self._inspect_timer = asyncio.get_running_loop().call_later(_INSPECT_AFTER, self._inspect_now)

    def _inspect_now(self) -> None:
        self._inspect_timer = None
        due = self._to_inspect.due(asyncio.get_running_loop().time(), self._pipeline.state.containers)
        if due:
            self._inspections.request(due)
        self._look_after_inspections()
