"""The agent in simulated time: its real pipeline, and what its shell does around it."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from tests.support.core import INFO, INSTALL_ID, ended, now, policy_set
from tests.support.simulation.world import World
from tests.support.store import FakeStore
from watchtower_agent.loop.observations import Observation
from watchtower_agent.loop.pipeline import Pipeline
from watchtower_agent.loop.pipeline_options import PipelineOptions
from watchtower_agent.model.approval import Approval, ApprovalAnswered, ApprovalState
from watchtower_agent.model.container import Container
from watchtower_agent.model.decision import Edge, Held
from watchtower_agent.model.engine_event import EngineEvent, Origin
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.observation import (
    ContainerObserved,
    EngineFound,
    EngineLost,
    EnginePinged,
    EventsObserved,
    GapObserved,
    InventoryObserved,
)
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.model.pause import PauseAsked, Paused
from watchtower_agent.model.sample import SampleBatch, SampleTarget
from watchtower_agent.model.shared_cause import SharedCauseRule
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.publishing.cloudevent import CloudEventComposer

INSPECTED_AFTER: Final = 0.2
WRITES_AFTER: Final = 0.05
ACTION_TAKES: Final = 0.25
LISTED_AFTER: Final = 0.5
"""Seconds, of what the shell does."""
_CLOSE: Final = 60.0
"""Seconds to the next sample after something has happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One call that changes a container, at the moment before it is made.

    Attributes:
        intent: What is done, and why.
        container: Its target, as the engine has it.
        at: When, on the monotonic clock.
        wall: When, seconds since the epoch.
    """

    intent: Intent
    container: Container
    at: float
    wall: float


class SimulatedAgent:
    """Drives the pipeline as `loop`, `executor`, `inventory` and the sampler do.

    Attributes:
        protection: What no policy may touch, and the host's budget.
        shared_cause: When many failures are taken for one.
        questions: What a person is asked about, by the id of the approval -> when that was, on the monotonic clock.
        answers: Ids of approvals -> whether a person approved or rejected them.
        paused: What a person told to keep still -> until when, on the monotonic clock.
        connected: The engine's events are read.
        listed: The containers were listed since the engine was found, or events were lost.
        memory: Container id -> when it was last sampled with a known `memory.percent`, and that.
        before_each_act: Are asked before every write.
        told: Are told every fact.
        actions: How many writes there were.
    """

    def __init__(
        self,
        world: World,
        policies: str,
        *,
        interval: float,
        protection: Protection,
        shared_cause: SharedCauseRule,
    ) -> None:
        """A process that is not started yet.

        Args:
            world: Where it runs.
            policies: As in a file.
            interval: Seconds between samples. When something has happened there are more, the first after a minute:
                so time passes in long steps while nothing does.
            protection: As the settings have it.
            shared_cause: Likewise.
        """
        self.world = world
        self.policies = policy_set(policies)
        self.interval = interval
        self.protection = protection
        self.shared_cause = shared_cause
        self.questions: dict[str, tuple[Approval, float]] = {}
        self.answers: dict[str, bool] = {}
        self.paused: dict[Paused, float] = {}
        self.listed = False
        self.memory: dict[str, tuple[float, float]] = {}
        self.before_each_act: list[Callable[[Act], None]] = []
        self.told: list[Callable[[Fact], None]] = []
        self.actions = 0
        self._options = PipelineOptions(
            host="h1",
            mode="enforce",
            interval=interval,
            metrics_interval=86_400.0,
            keep=0.0,
            protection=protection,
            shared_cause=shared_cause,
        )
        self._store = FakeStore(install_id=INSTALL_ID)
        self._run = 0
        self._position = 0
        self._unread: list[EngineEvent] = []
        self.connected = False
        self._asked: dict[str, None] = {}
        self._pause = interval
        self._ticks = 0
        self._blind: set[str] = set()
        self._deaf_until = 0.0
        self._pipeline: Pipeline | None = None
        world.listeners.append(self._heard)

    # --- its life ---------------------------------------------------------------------------------------------------

    def starts(self) -> None:
        """A new process."""
        self._run += 1
        composer = CloudEventComposer(host="h1", install_id=INSTALL_ID, labels=[])
        self._pipeline = Pipeline(self._options, composer)
        resume = now(self._store.load())
        records = json.loads(json.dumps(resume.records))
        self._pipeline.resume(replace(resume, records=records), now(self._store.open_intents()), self.world.clock.now())
        self._position, self.connected = 0, False
        self._asked.clear()
        self.memory.clear()
        self._see(self.policies)
        if self.world.reachable:
            self.connects()
        self._tick_soon()

    def dies(self) -> None:
        """kill -9: all that is left is what was committed."""
        self._run += 1
        self._pipeline, self.connected, self.listed = None, False, False

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self._pipeline is not None

    def connects(self, *, lost: bool = False) -> None:
        """The engine is found; what it remembers is replayed, and a moment later its containers are listed.

        Args:
            lost: It remembers nothing of what happened meanwhile.
        """
        self.connected, self.listed = True, False
        if lost:
            self._unread.clear()
        self._see(EngineFound(info=INFO, restarted=False, at=self.world.clock.wall))
        if lost:
            wall = self.world.clock.wall
            self._see(GapObserved(reason="replay_incomplete", since=wall - 1, until=wall))
        self._read(Origin.REPLAY)
        self._after(LISTED_AFTER, self._list)

    def disconnects(self, *, late: bool = False) -> None:
        """The engine does not answer any more.

        Args:
            late: A listing that it gave just before comes just after it was lost.
        """
        if self.connected:
            self.connected, self.listed = False, False
            self._see(EngineLost(reason="it does not answer", at=self.world.clock.wall))
            if late:
                self._see(self._listing())

    def blinded(self, containers: Iterable[str], seconds: float) -> None:
        """What is sampled of these (by id) is not known for a while."""
        these = set(containers)
        self._blind |= these
        self.world.after(seconds, partial(self._blind.difference_update, these))

    def sampler_hangs(self, seconds: float) -> None:
        """No samples come for a while; pings do."""
        self._deaf_until = max(self._deaf_until, self.world.clock.monotonic + seconds)

    def pauses(self, what: Paused, seconds: float) -> None:
        """A person tells it to keep still; a container is told by its first name."""
        if self.alive:
            self.paused[what] = self.world.clock.monotonic + seconds
            self._see(PauseAsked(what=replace(what, name=self.world.called(what.name)), length=seconds))

    def answered(self, approval: str, *, approves: bool) -> None:
        """A person answers, however late."""
        if self.alive:
            self.answers[approval] = approves
            self._see(ApprovalAnswered(approval=approval, approves=approves))

    # --- its shell --------------------------------------------------------------------------------------------------

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        """Unless this process has ended by then."""
        run = self._run
        self.world.after(seconds, lambda: act() if self._run == run and self.alive else None)

    def _see(self, *observations: Observation) -> None:
        if self._pipeline is None:
            return
        effects = self._pipeline.step(observations, self.world.clock.now())
        now(self._store.commit(effects.commit()))
        self._store.commits.clear()
        now(self._store.events_delivered([message.sequence for message in effects.events]))
        for intent in effects.intents:
            self._after(WRITES_AFTER, partial(self._write, intent))
        if effects.inspect and not self._asked:
            self._after(INSPECTED_AFTER, self._inspect)
        self._asked.update(effects.inspect)
        for fact in effects.facts:
            if isinstance(fact, Approval) and fact.state is ApprovalState.ASKED:
                self.questions[fact.id] = fact, self.world.clock.monotonic
            for listener in self.told:
                listener(fact)
        if any(isinstance(fact, EngineEvent | Edge | Outcome | Held) for fact in effects.facts):
            self._pause = min(_CLOSE, self.interval)
            self._tick_soon()

    def _heard(self, events: Sequence[EngineEvent]) -> None:
        self._unread.extend(events)
        if self.connected:
            self._read(Origin.STREAM)

    def _read(self, origin: Origin) -> None:
        batch = []
        for event in self._unread:
            self._position += 1
            batch.append(replace(event, origin=origin, position=self._position))
        self._unread.clear()
        if batch:
            self._see(EventsObserved(events=tuple(batch)))

    def _list(self) -> None:
        if not self.connected:
            return
        self.listed = True
        self._see(self._listing())

    def _listing(self) -> InventoryObserved:
        listing = self.world.docker.listing()
        return InventoryObserved(containers=listing, after_position=self._position, at=self.world.clock.wall)

    def _inspect(self) -> None:
        asked, self._asked = self._asked, {}
        if self.connected:
            self._see(
                *(
                    ContainerObserved(
                        container_id=identity,
                        container=self.world.docker.containers.get(identity),
                        after_position=self._position,
                        at=self.world.clock.wall,
                    )
                    for identity in asked
                )
            )

    def _tick_soon(self) -> None:
        self._ticks += 1
        number = self._ticks
        self._after(self._pause, lambda: self._tick() if number == self._ticks else None)

    def _tick(self) -> None:
        self._pause = min(self.interval, 2 * self._pause)
        observed: list[Observation] = []
        if self.connected:
            observed.append(EnginePinged(latency=0.001, at=self.world.clock.wall))
        if self.world.clock.monotonic >= self._deaf_until:
            observed.append(self._sample())
        self._tick_soon()
        self._see(*observed)

    def _sample(self) -> SampleBatch:
        at = self.world.clock.now()
        running = [each for each in self.world.docker.containers.values() if each.running]
        used = [math.nan if each.id in self._blind else self.world.used(each) for each in running]
        for each, percent in zip(running, used, strict=True):
            if percent == percent:  # noqa: PLR0124 - NaN is the one number that differs from itself
                self.memory[each.id] = (at.monotonic, percent)
        return SampleBatch(
            at=at,
            interval=self.interval,
            targets=tuple(SampleTarget(container_id=each.id) for each in running),
            columns={"memory.percent": array("d", used)},
        )

    # --- what it does -----------------------------------------------------------------------------------------------

    def _write(self, intent: Intent) -> None:
        assert self._pipeline is not None
        stopped = self._pipeline.recheck(intent, self.world.clock.now())
        target = self.world.docker.containers.get(intent.decision.target.id)
        begun = self.world.clock.wall
        if stopped is not None or target is None:
            guard = {"guard": stopped.guard.value} if isinstance(stopped, Held) else {}
            abandoned = ended(intent, Result.ABANDONED, begun, begun, guard)
            self._see(replace(abandoned, asked=stopped is None))
            return
        self.actions += 1
        act = Act(intent=intent, container=target, at=self.world.clock.monotonic, wall=begun)
        for look in self.before_each_act:
            look(act)
        if not self.world.reachable:
            self._see(ended(intent, Result.FAILED, begun, begun))
            return
        self.world.docker.do(intent)
        self._after(ACTION_TAKES, lambda: self._see(ended(intent, Result.SUCCEEDED, begun, self.world.clock.wall)))
