"""The loop: takes what reached the inbox, lets the pipeline decide, makes it durable, and only then lets it out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from watchtower_agent.actions.executor import Executor
from watchtower_agent.loop.durable import LAST_WRITE_MAY_TAKE, Durable
from watchtower_agent.loop.effects import Effects
from watchtower_agent.loop.inbox import Inbox
from watchtower_agent.loop.journal import log_fact
from watchtower_agent.loop.observations import Observation
from watchtower_agent.loop.pace import Pace, Settling
from watchtower_agent.loop.pipeline import Pipeline
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.message import EventMessage
from watchtower_agent.model.removal import Fate, Look, Removal, Removed, Retagging
from watchtower_agent.model.sample import LocalEngine, SampleTarget
from watchtower_agent.model.source import SourcesWanted
from watchtower_agent.policies.timetable import Timed
from watchtower_agent.ports.clock import Clock
from watchtower_agent.ports.delivery import Publisher
from watchtower_agent.ports.sampling import Inspections
from watchtower_agent.ports.store import Store

_INSPECT_AFTER, _INSPECT_LATEST = 0.2, 5.0
"""Seconds that an inspection waits: until its container was quiet for so long, but no longer than that."""
_INSPECTIONS_AT_ONCE = 25
"""Inspections asked for at a time, so that a fresh start on a full host does not crowd out its first samples."""
_BETWEEN_INSPECTIONS = 0.05
"""Seconds, once that many were asked for: of containers that nothing waits for. Each costs the engine and the agent
more than the event that it follows."""
_HEARTBEAT = 1.5
"""Intervals between samples after which the loop goes on though nothing came. Some ticks take longer than the one
before: a heartbeat of one interval would often be just ahead of a sample, and wake the loop for nothing."""
_HEAD_START = 0.001
"""Seconds for which the calls of a step's actions have the interpreter to themselves, before anybody is told: whoever
is down would wait while the agent publishes and logs."""
_LET_OUT_WITHIN = 5.0
"""Seconds from the last look at what is to be deleted within which the engine is asked to."""


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

    def follow(self, timetable: tuple[Timed, ...], /) -> None:
        """From now on these scheduled policies are in force."""


class ServiceControl(Protocol):
    """What the loop tells whoever asks the Swarm about services."""

    def follow(self, names: frozenset[str], /) -> None:
        """From now on these are of interest."""

    def look(self) -> None:
        """Ask soon."""


class DiskControl(Protocol):
    """What the loop asks of whoever looks at the engine's disk and deletes what is on it."""

    def look(self, look: Look, /) -> None:
        """Ask what there is; the answer is a DiskListed or a DiskUnlisted."""

    def remove(self, removal: Removal, /) -> None:
        """Delete it if it may be still; the answer is a Removed."""

    def retag(self, retagging: Retagging, /) -> None:
        """Give an image tags back; the answer is a Retagged."""


class SourceControl(Protocol):
    """What the loop tells whoever takes in what comes from outside this host."""

    def follow(self, wanted: SourcesWanted, /) -> None:
        """From now on this is wanted."""


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
        services: Is told which services of a Swarm are scaled.
        sources: Is told what is wanted of others than this host.
        disk: Looks at the engine's disk, and deletes what is on it.
        clock: The host's clocks.
        interval: Seconds between samples. When nothing comes, the loop goes on after one and a half of them.
        metrics_interval: Seconds between metrics batches.
        committed: Called with the events of every commit, for those who follow them.
        told: Called with all that happened in a step, for those who count it.
        last_write_within: Seconds for which is tried to write what has to be durable, once the agent has to end.

    Attributes:
        moved_at: When the last step ended, on the monotonic clock, seconds.
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
        services: ServiceControl,
        sources: SourceControl,
        disk: DiskControl,
        clock: Clock,
        interval: float,
        metrics_interval: float,
        committed: Callable[[Sequence[EventMessage]], None],
        told: Callable[[Sequence[Fact]], None],
        last_write_within: float = LAST_WRITE_MAY_TAKE,
    ) -> None:
        self._pipeline = pipeline
        self._inbox = inbox
        self._durable = Durable(store, clock, last_write_within=last_write_within)
        self._publisher = publisher
        self._executor = executor
        self._inspections = inspections
        self._sampling = sampling
        self._schedules = schedules
        self._services = services
        self._sources = sources
        self._disk = disk
        self._clock = clock
        self._interval = interval
        self._metrics_interval = metrics_interval
        self._committed = committed
        self._told = told
        self._to_inspect = Settling(
            quiet=_INSPECT_AFTER,
            longest=_INSPECT_LATEST,
            at_once=_INSPECTIONS_AT_ONCE,
            pace=Pace(burst=_INSPECTIONS_AT_ONCE, interval=_BETWEEN_INSPECTIONS),
        )
        self._inspect_timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._awaited: dict[int, tuple[Observation, asyncio.Future[Effects]]] = {}
        """By the identity of what somebody brought, and waits for."""
        self.moved_at = clock.now().monotonic

    @property
    def store_error(self) -> str:
        """Why nothing can be written at this moment; empty while it can."""
        return self._durable.error

    async def run(self) -> None:
        """Until `stop`: one step after the other. What arrives during a commit is the next step's."""
        while not self._stopping:
            rest = self._pipeline.rest(self._clock.now().monotonic, at_most=_HEARTBEAT * self._interval)
            observations = await self._inbox.take(within=rest)
            waits_for = self._sampling.look_after()
            effects = self._pipeline.step(observations, self._clock.now(), sampler_waits_for=waits_for)
            if await self._step(effects):
                self._handled(observations, effects)
            self.moved_at = self._clock.now().monotonic

    async def bring(self, observation: Observation) -> Effects:
        """Bring something of which every single one counts; returns the effects of its step, once these are durable."""
        handled: asyncio.Future[Effects] = asyncio.get_running_loop().create_future()
        self._awaited[id(observation)] = (observation, handled)
        self._inbox.put(observation)
        try:
            return await handled
        finally:
            del self._awaited[id(observation)]

    def _handled(self, observations: Sequence[Observation], effects: Effects) -> None:
        for observation in observations if self._awaited else ():
            _, handled = self._awaited.get(id(observation), (None, None))
            if handled is not None and not handled.done():
                handled.set_result(effects)

    async def drain(self) -> None:
        """Take in what has arrived until nothing is left. For the end, after `run` returned.

        Where the store took no more, all of that is decided about and told in the log, but neither written nor let out.
        """
        while observations := await self._inbox.take(within=0.01):
            await self._step(self._pipeline.step(observations, self._clock.now(), ending=True))
        await self._step(self._pipeline.step((), self._clock.now(), ending=True, last=True))

    def stop(self) -> None:
        """Let `run` return after the step at hand, at once when it waits for something to happen."""
        self._stopping = True
        self._durable.ends()
        self._inbox.wake()

    async def _step(self, effects: Effects) -> bool:
        """Make it durable and let it out; whether that was done: once the agent has to end, it may not be."""
        commit, begun = effects.commit(), self._clock.now().monotonic
        if not commit.empty and not await self._durable.write(commit):
            return False
        if effects.intents and not self._stopping:
            for intent in effects.intents:
                self._executor.start(intent)
            await asyncio.sleep(_HEAD_START)
        if not commit.empty:
            self._publisher.committed(commit.events, commit.states)
            self._committed(commit.events)
        self._ask_of_the_disk(effects, self._clock.now().monotonic - begun)
        for metrics in effects.metrics:
            self._publisher.metrics(metrics)
        if effects.timetable is not None:
            self._schedules.follow(effects.timetable)
        self._sample(effects)
        self._look_around(effects)
        self._inspect_soon(effects)
        self._told(effects.facts)
        for fact in effects.facts:
            log_fact(fact)
        return True

    def _ask_of_the_disk(self, effects: Effects, waited: float) -> None:
        """Let removals out, unless they were decided too long ago: a disk that is full may keep a commit waiting."""
        if self._stopping:
            return
        for removal in effects.removals:
            if waited < _LET_OUT_WITHIN:
                self._disk.remove(removal)
            else:
                self._inbox.put(Removed(removal=removal, fate=Fate.LATE))
        for retagging in effects.retaggings:
            self._disk.retag(retagging)
        if effects.look is not None:
            self._disk.look(effects.look)

    def _sample(self, effects: Effects) -> None:
        if effects.watch is not None:
            self._sampling.watch(effects.watch)
        if effects.demand is not None:
            self._sampling.demand(effects.demand, self._metrics_interval)
        if effects.engine is not None:
            self._sampling.engine(effects.engine)
        for container_id in effects.anew:
            self._sampling.read_anew(container_id)

    def _look_around(self, effects: Effects) -> None:
        if effects.services is not None:
            self._services.follow(effects.services)
        if effects.sources is not None:
            self._sources.follow(effects.sources)
        if effects.look_again:
            self._services.look()

    def _inspect_soon(self, effects: Effects) -> None:
        self._to_inspect.want(effects.inspect, asyncio.get_running_loop().time())
        self._look_after_inspections()

    def _look_after_inspections(self) -> None:
        if self._to_inspect and self._inspect_timer is None:
            self._inspect_timer = asyncio.get_running_loop().call_later(_INSPECT_AFTER, self._inspect_now)

    def _inspect_now(self) -> None:
        self._inspect_timer = None
        now = asyncio.get_running_loop().time()
        due = self._to_inspect.due(now, self._pipeline.state.containers, self._pipeline.urgent)
        if due:
            self._inspections.request(due, urgent=self._pipeline.urgent(due))
        self._look_after_inspections()
