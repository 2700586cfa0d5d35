"""What is not the agent: time, the engine and its containers, and people."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Final

from tests.support.core import Docker, FakeClock, container_id
from tests.support.simulation.workload import STEADY, Workload
from watchtower_agent.model.container import Container, ContainerStatus, Health
from watchtower_agent.model.engine_event import EngineEvent

FIRST_VERDICT: Final = 3.0
"""Seconds after a start at which a health check passes for the first time."""
ENGINE_RESTARTS_AFTER: Final = 1.0
"""Seconds after which the engine itself starts what its restart policy says."""

_TOLD_AFTER: Final = 0.001
"""Seconds from what the engine does to its event."""
_RENAMED: Final = "-renamed"


def first_name(name: str) -> str:
    """What a container was called before it was renamed, if it was."""
    return name.removesuffix(_RENAMED)


@dataclass(slots=True)
class World:
    """One host. Nothing in it happens but at a moment of its queue.

    A container that is renamed stays the one that it was: here, and to who asks, its name is its first.

    Attributes:
        clock: Its clocks.
        docker: Its engine.
        random: Draws all that is not said.
        reachable: Whether the agent reaches the engine.
        protected: Names of containers that nothing may be done to.
        stopped_by_people: Name -> when a person stopped it who has not started it again.
        touched_by_people: Name -> when a person last restarted it, and which of its lives that began.
        needs: Name -> the name of the container that it needs.
        listeners: Are told of the engine's events, in their order.
    """

    clock: FakeClock
    docker: Docker
    random: random.Random
    reachable: bool = True
    protected: set[str] = field(default_factory=set)
    stopped_by_people: dict[str, float] = field(default_factory=dict)
    touched_by_people: dict[str, tuple[float, int]] = field(default_factory=dict)
    needs: dict[str, str] = field(default_factory=dict)
    listeners: list[Callable[[Sequence[EngineEvent]], None]] = field(default_factory=list)
    workloads: dict[str, Workload] = field(default_factory=dict)
    lives: dict[str, int] = field(default_factory=dict)
    """Name -> how often it was started."""
    started: dict[str, float] = field(default_factory=dict)
    """Name -> when it was started last, on the monotonic clock."""
    _first_names: dict[str, str] = field(default_factory=dict)
    """Id -> first name."""
    _turns: dict[str, int] = field(default_factory=dict)
    """Name -> how often it was started or ended: what was to happen in between happens no more."""
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)

    # --- time -------------------------------------------------------------------------------------------------------

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Let it happen then."""
        heapq.heappush(self._due, (self.clock.monotonic + seconds, next(self._order), act))

    def run(self, seconds: float) -> None:
        """Let time pass, and everything happen that is due."""
        until = self.clock.monotonic + seconds
        while self._due and self._due[0][0] <= until:
            due, _, act = heapq.heappop(self._due)
            self.clock.advance(max(0.0, due - self.clock.monotonic))
            act()
            self.settle()
        self.clock.advance(max(0.0, until - self.clock.monotonic))

    def settle(self) -> None:
        """What the engine has done since is told: to the containers, whose lives begin and end, and to who listens."""
        while self.docker.events:
            events = tuple(self.docker.events)
            self.docker.events.clear()
            self.clock.advance(_TOLD_AFTER)
            for event in events:
                self._lives_on(event)
            for listener in self.listeners:
                listener(events)

    # --- containers -------------------------------------------------------------------------------------------------

    def create(self, name: str, workload: Workload = STEADY, **known: object) -> None:
        """A container that has been there for an hour when the simulation begins."""
        made = self.docker.create(name, silent=True, **known)  # type: ignore[arg-type] # as `container` takes them
        self._first_names[made.id] = name
        self.workloads[name] = workload
        self._begins(name)
        self.started[name] = self.clock.monotonic - 3600.0

    def there(self, name: str) -> Container | None:
        """The container of that name."""
        return self.docker.containers.get(container_id(name))

    def name(self, container: str) -> str:
        """The first name of a container, by its id."""
        return self._first_names[container]

    def called(self, name: str) -> str:
        """What the engine calls it now."""
        here = self.there(name)
        return name if here is None else here.name

    def now_called(self, name: str) -> str:
        """The first name of the container that the engine calls so now; empty when there is none."""
        return next((self.name(each.id) for each in self.docker.containers.values() if each.name == name), "")

    def used(self, container: Container) -> float:
        """Percent of its memory limit that it uses."""
        name = self.name(container.id)
        return self.workloads[name].used(self.clock.monotonic - self.started[name], self.lives.get(name, 0))

    def _lives_on(self, event: EngineEvent) -> None:
        name = self.name(event.actor_id)
        here = self.there(name)
        if event.action == "start":
            self._begins(name)
        elif event.action == "die":
            self._turns[name] += 1
            if here is not None and here.status is ContainerStatus.RESTARTING:
                self._in_this_life(name, ENGINE_RESTARTS_AFTER, lambda name: self.docker.start(self.called(name)))

    def _begins(self, name: str) -> None:
        self.started[name] = self.clock.monotonic
        life = self.lives[name] = self.lives.get(name, 0) + 1
        self._turns[name] = self._turns.get(name, 0) + 1
        workload = self.workloads[name]
        checked = (here := self.there(name)) is not None and here.health is not Health.NONE
        ill = workload.ill(life)
        sick = workload.sick if ill and checked else None
        if checked and (sick is None or sick > FIRST_VERDICT):
            self._in_this_life(name, FIRST_VERDICT, partial(self._verdict, Health.HEALTHY))
        if sick is not None:
            self._in_this_life(name, sick, partial(self._falls_sick, workload))
        if ill and workload.crashes is not None:
            self._in_this_life(name, workload.crashes, lambda name: self.docker.crash(self.called(name), workload.code))
        if ill and (full := workload.runs_out()) is not None:
            self._in_this_life(name, full, lambda name: self.docker.oom(self.called(name)))

    def _falls_sick(self, workload: Workload, name: str) -> None:
        self._verdict(Health.UNHEALTHY, name)
        if workload.well is not None:
            self._in_this_life(name, workload.well, partial(self._recovers, workload))

    def _recovers(self, workload: Workload, name: str) -> None:
        self._verdict(Health.HEALTHY, name)
        if workload.sick is not None:
            self._in_this_life(name, workload.sick, partial(self._falls_sick, workload))

    def _verdict(self, health: Health, name: str) -> None:
        self.docker.health(self.called(name), health)

    def _in_this_life(self, name: str, seconds: float, act: Callable[[str], None]) -> None:
        """Unless that life has ended by then."""
        turn = self._turns[name]

        def unless_over() -> None:
            here = self.there(name)
            if here is not None and self._turns[name] == turn and here.status is not ContainerStatus.PAUSED:
                act(name)

        self.after(seconds, unless_over)

    # --- what goes wrong, and people --------------------------------------------------------------------------------

    def sickens(self, name: str) -> None:
        """Its health check fails, whatever it usually does."""
        here = self.there(name)
        if here is not None and here.status is ContainerStatus.RUNNING and here.health is not Health.NONE:
            self._verdict(Health.UNHEALTHY, name)

    def crashes(self, name: str, code: int = 1) -> None:
        """It ends by itself, whatever it usually does."""
        here = self.there(name)
        if here is not None and here.status is ContainerStatus.RUNNING:
            self.docker.crash(here.name, code)

    def person_stops(self, name: str) -> None:
        """`docker stop`."""
        here = self.there(name)
        if here is not None and here.running:
            self.docker.stop(here.name)
            self.stopped_by_people[name] = self.clock.monotonic

    def person_starts(self, name: str) -> None:
        """`docker start`."""
        here = self.there(name)
        if here is not None and not here.running:
            self.docker.start(here.name)
            self.stopped_by_people.pop(name, None)

    def person_restarts(self, name: str) -> None:
        """`docker restart`."""
        here = self.there(name)
        if here is not None and here.running:
            self.docker.restart(here.name)
            self.touched_by_people[name] = self.clock.monotonic, self.lives[name] + 1
            self.stopped_by_people.pop(name, None)

    def person_renames(self, name: str) -> None:
        """`docker rename`, there and back."""
        here = self.there(name)
        if here is not None:
            self.docker.rename(here.name, name if here.name != name else name + _RENAMED)

    def clock_is_set(self, seconds: float) -> None:
        """Somebody sets the wall clock forwards, or back."""
        self.clock.step_wall(seconds)

    def forget_people_since(self, moment: float) -> None:
        """What they restarted since then nobody can know any more."""
        self.touched_by_people = {
            name: touched for name, touched in self.touched_by_people.items() if touched[0] < moment
        }


def world(seed: int = 0) -> World:
    """An empty host."""
    clock = FakeClock()
    return World(clock=clock, docker=Docker(clock), random=random.Random(seed))
