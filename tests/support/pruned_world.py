"""The oracle of pruning around the agent's whole core: people, builds, an engine and an agent that come and go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from typing import Final

from tests.support.core import container, policy_set
from tests.support.pruned_host import PrunedHost
from tests.support.pruning import Host
from tests.support.pruning_world import Made, Op, World
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.disk_usage import DiskUsage
from watchtower_agent.model.engine_event import EngineEvent, EventKind, Origin
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import EngineLost, EventsObserved, GapObserved
from watchtower_agent.model.removal import DiskListed, Fate, Kind, Look, PlanAsked, PruneAsked, Removal, Removed
from watchtower_agent.policies.pruning.item import Item
from watchtower_agent.policies.pruning.rules import DAY

POLICY = """
- name: tidy
  when: host.disk.percent > 99%
  prune:
    until: host.disk.percent < 1%
    images: {keep_newest: 1, keep: [base]}
    containers: {}
    networks: {}
    volumes: {only: ["scratch-*"]}
"""
_NONE_PRUNES: Final = policy_set("- {name: tell, when: host.disk.percent > 99%, then: {notify: {}}}")
_OF_PEOPLE: Final = (
    "run_once",
    "run",
    "tag",
    "build",
    "pull",
    "stop",
    "remove",
    "untag",
    "load",
    "wait",
    "down",
    "others",
)
_MOST_ANSWERS: Final = 12
"""Of one pass, within one thing that happens."""


class CoreHost(Host):
    """An engine's disk, and the agent's core that follows it.

    Attributes:
        core: The agent.
        away: The agent does not run: what happens is replayed when it does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.core = PrunedHost(POLICY, volumes=True)
        self.away = False
        self._position = 0
        self._missed: list[EngineEvent] = []

    @property
    def now(self) -> Instant:
        return self.core.clock.now()

    def wait(self, seconds: float) -> Host:
        self.passed += seconds
        self.core.clock.advance(seconds)
        if not self.away:
            self.core.ping()
        return self

    def list(self) -> DiskUsage:
        """The next look is answered, if there is one."""
        if not self.away:
            self.core.see()
            if self.core.asked and isinstance(self.core.asked[0], Look):
                self.core.see(self.core.answer())
        return self.disk

    def event(
        self,
        kind: EventKind,
        action: str,
        actor: str,
        attributes: Mapping[str, str] | None = None,
        *,
        image_id: str = "",
        ago: float = 0.0,
    ) -> None:
        del image_id, ago
        self.wait(0.001)
        self._position += 1
        event = EngineEvent(
            id=f"{self._position:032x}",
            kind=kind,
            action=action,
            actor_id=actor,
            attributes=attributes or {},
            time_ns=int(self.now.wall * 1e9),
            origin=Origin.REPLAY if self.away else Origin.STREAM,
            position=self._position,
        )
        self._missed.append(event)
        if not self.away:
            self.tell()

    def tell(self) -> None:
        """The agent is told what has happened."""
        events, self._missed = tuple(self._missed), []
        if events:
            self.core.see(EventsObserved(events=events))


class PrunedWorld(World):
    """All of it. What must hold is looked at whenever the agent lets a removal out."""

    host: CoreHost

    def __init__(self, ops: list[Op]) -> None:
        self.run = self.asked = 0
        self.begun: list[str] = []
        self.ended: list[str] = []
        host = CoreHost()
        super().__init__(ops, host)
        host.core.on_removal = self._let_out
        self._seen: tuple[list[str], dict[str, Made]] = ([], {})
        self._answer()

    def live(self) -> None:
        super().live()
        for _ in range(3):
            self._prune(3, 0)
            self.host.wait(1.0)
        self._count()
        assert len(self.ended) == len(set(self.ended))
        assert sorted(self.begun) == sorted(self.ended), "each pass that was begun ends, once"
        assert not self.host.core.store_records("prune")

    def look(self) -> DiskUsage:
        self.host.wait(0.001)
        self._answer()
        return self.disk()

    # What happens to the agent.

    def _list(self, _: int, __: int) -> None:
        self.host.wait(3600.0)
        self.host.core.see()
        self._answer()

    def _late(self, _: int, __: int) -> None:
        self._answer(how=1)

    def _restart(self, one: int, _: int) -> None:
        """It dies, and with it what it had asked; the engine goes on with that, or has not begun."""
        core, host = self.host.core, self.host
        self._count()
        known = core.store_records("use"), core.store_records("passes")
        asked = [each for each in core.asked if isinstance(each, Removal)]
        core.dies()
        self.run += 1
        host.away = True
        if asked and one % 2:
            core.asked.append(asked[0])
            self._perform()
        host.wait((1.0, 60.0, DAY)[one % 3])
        self._sync()
        core._boot()
        usage = core.pipeline.decisions.pruning.tracking.usage
        assert usage is not None
        assert {*usage.keys()} >= known[0].keys(), "nothing is forgotten"
        assert core.store_records("passes") == known[1]
        host.away = False
        host.tell()
        core.connect(origin=Origin.REPLAY)
        self.look()

    def _engine(self, _: int, __: int) -> None:
        """The engine ends, and comes back."""
        core = self.host.core
        core.see(EngineLost(reason="away", at=core.clock.wall))
        while core.asked:
            core.refuses("connection refused")
        self.host.wait(5.0)
        self._sync()
        core.connect(restarted=True)

    def _miss(self, _: int, __: int) -> None:
        before, self.silent = self.silent, True
        self.step()
        self.silent = before
        core = self.host.core
        core.see(GapObserved(reason="replay_incomplete", since=core.clock.wall - 1, until=core.clock.wall))
        self._sync()
        core.connect()
        self.look()

    def _forget(self, _: int, other: int) -> None:
        if self.silent:
            return
        core = self.host.core
        core.see(_NONE_PRUNES)
        while core.asked:
            core.see(self._perform())
        op = self._next()
        if op is not None and op[0] in _OF_PEOPLE:
            self.silent = True  # as far as anybody remembers it
            self.step()
            self.silent = False
            self._sync()
        self._only_names()
        if other % 2:
            self._count()
            core.policies, before = _NONE_PRUNES, core.policies
            core.dies()
            self.run += 1
            core._boot()
            core.policies = before
        core.see(core.policies)
        core.connect()
        self.look()

    def _clock(self, one: int, _: int) -> None:
        step = (10 * DAY, -DAY)[one % 2]
        self.host.core.clock.step_wall(step)
        self.host.core.see()
        self.forward += max(step, 0.0)

    def _prune(self, one: int, other: int) -> None:
        """A person sets a pass off; other things happen while it goes on, and not every answer comes."""
        if self.silent:
            return
        self.host.core.by_hand()
        self._go_on(one, other)

    def _hand(self, one: int, other: int) -> None:
        """A person looks at a plan, and has it carried out a while later."""
        if self.silent:
            return
        core = self.host.core
        self.asked += 1
        core.engine.disk = self.disk()
        listed = DiskListed(disk=core.disk(), look=Look.SIZES, space=core.space)
        core.see(PlanAsked(policies=("tidy",), listed=listed, correlation_id=f"plan-{self.asked}"))
        (*_, shown) = core.notices("prune_plan")
        if other % 2:
            self.step()
        core.see(PruneAsked(policy="tidy", plan=str(shown.data["plan"])))
        self._go_on(one, other)

    def _go_on(self, one: int, other: int) -> None:
        """What was set off goes on."""
        for number in range(_MOST_ANSWERS if other else 100):
            if not self.host.core.asked:
                break
            if other >> number % 5 & 1:
                self.step()
            self._answer(how=(one + number) % 7 if other else 6)

    # What the engine answers.

    def _answer(self, how: int = 6) -> None:
        """To what it was asked first: late, with an error, after it was done or not, or as it should be."""
        core, run = self.host.core, self.run
        if not core.asked:
            return
        if how == 0:
            core.refuses()
            return
        answer = self._perform()
        if how == 1 and self._next_is_told():
            self.step()
        if how == 2 and isinstance(answer, Removed):
            answer = replace(answer, fate=Fate.FAILED, reason="it took too long")
        if self.run == run:
            self.host.wait(0.001)
            core.see(answer)
        self._count()

    def _next_is_told(self) -> bool:
        """Whether the events of what happens next say which image it is about: those of a pull name it only."""
        op = self._next()
        return op is not None and op[0] != "pull"

    def _next(self) -> Op | None:
        op = next(self._ops, None)
        self._ops = iter(()) if op is None else chain([op], self._ops)
        return op

    def _perform(self) -> DiskListed | Removed:
        core = self.host.core
        core.engine.disk = self.disk()
        answer = core.answer()
        assert isinstance(answer, DiskListed | Removed)
        if isinstance(answer, DiskListed):
            self._seen = self.services[-2:], {key: replace(each) for key, each in self.images.items()}
        elif answer.fate is Fate.DELETED:
            if answer.removal.kind is Kind.CONTAINER:  # of which nothing but its own inspection tells that it ran
                self._check(_item(answer.removal))
            self._delete(_item(answer.removal))
        return answer

    def _sync(self) -> None:
        """What a listing of its containers shows."""
        core = self.host.core
        core.docker.containers = {
            each.name: container(
                each.name,
                identity=each.name,
                image=each.reference,
                status=ContainerStatus.RUNNING if each.status == "running" else ContainerStatus.EXITED,
            )
            for each in self.containers.values()
        }

    def _count(self) -> None:
        """Passes, before the next run of the agent forgets what it said."""
        core = self.host.core
        for effects in core.steps:
            self.begun += [each.decision.id for each in effects.begun]
            self.ended += [each.decision.id for each in effects.outcomes]
        core.steps.clear()

    # What must hold.

    def _let_out(self, removal: Removal) -> None:
        core = self.host.core
        (going,) = core.begun
        plans = [each for each in core.notices("prune_plan") if each.data["plan"] == going.decision.parameters["plan"]]
        (items,) = [each.data["items"] for each in plans]
        assert isinstance(items, list)
        assert removal.id in [each["id"] for each in items], "nothing but what is planned"
        if removal.kind is Kind.CONTAINER:
            return
        self._check_as_seen(_item(removal))

    def _check_as_seen(self, item: Item) -> None:
        """Of services, and of what was built upon what, only listings tell, and then the engine itself."""
        services, images = self.services, self.images
        self.services, seen = self._seen
        self.images = {
            key: replace(each, parent=seen[key].parent if key in seen else "") for key, each in images.items()
        }
        try:
            self._check(item)
        finally:
            self.services, self.images = services, images


def _item(removal: Removal) -> Item:
    return Item(kind=removal.kind, id=removal.id, name=removal.name, size=None, unused=0.0, asked=0.0)
