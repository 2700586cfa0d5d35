"""Which containers are read, and the open files of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from watchtower_agent.collectors import cgroup_v1, cgroup_v2
from watchtower_agent.collectors.cgroup_paths import Locator, Place
from watchtower_agent.collectors.cgroup_tree import NOTHING_KNOWN, CgroupTree, discover
from watchtower_agent.collectors.files import Descriptors, UnreadableError
from watchtower_agent.collectors.gauges import NEVER, CpuGauge, Gauge, MemoryGauge
from watchtower_agent.collectors.request import SLOW_INTERVAL
from watchtower_agent.model.sample import SampleTarget

LONGEST_SEARCH_WAIT = 600.0
"""Seconds between two walks through the whole tree when the walks find nothing."""


class Life:
    """One life of a container: from a start to its end.

    Attributes:
        target: Who it is, as last told.
        started_at: When this life began, as far as it was ever told; a target may lose it until the next inspection.
        cpu: Its CPU, None while its cgroup is not found.
        memory: Its memory, None while its cgroup is not found or has no memory controller.
        place: Its cgroup, None while it is not found.
        paced: Collector -> what it keeps open of this life, for those that read it at a pace of their own.
        doubted: Whether its main process was looked for once, in vain.
        ended: Whether its cgroup was there and is gone.
    """

    __slots__ = (
        "_tell_end",
        "cpu",
        "doubted",
        "ended",
        "look_at",
        "memory",
        "missing_since",
        "paced",
        "place",
        "started_at",
        "target",
    )

    def __init__(self, target: SampleTarget, now: float, ended: Callable[[], None] = lambda: None) -> None:
        self._tell_end = ended
        self.target = target
        self.started_at = target.started_at
        self.cpu: CpuGauge | None = None
        self.memory: MemoryGauge | None = None
        self.place: Place | None = None
        self.paced: dict[str, Gauge] = {}
        self.doubted = False
        self.ended = False
        self.missing_since = now
        self.look_at = NEVER

    def continues_as(self, target: SampleTarget) -> bool:
        """Whether it is the same life. A start that is not known (yet) is no other start."""
        return self.started_at is None or target.started_at is None or self.started_at == target.started_at

    def update(self, target: SampleTarget) -> None:
        """More, or less, is known of it."""
        self.target = target
        self.started_at = target.started_at if target.started_at is not None else self.started_at
        self.doubted = False
        self.look_at = NEVER  # a pid or a parent may be known now: worth another look

    def end(self) -> None:
        """Its cgroup is gone: the expected end of every container, and no error."""
        self.close()
        self._tell_end()
        self.ended = True
        self.doubted = False
        self.started_at = None
        self.look_at = NEVER  # a restart under the same id may have made a new cgroup by the next tick

    def close(self) -> None:
        """Let go of all descriptors and forget what they said."""
        if self.cpu:
            self.cpu.files.close()
        if self.memory:
            self.memory.files.close()
        for gauge in self.paced.values():
            gauge.close()
        self.paced.clear()
        self.cpu = self.memory = self.place = None


class Roster:
    """Keeps one `Life` for each target, in the targets' order, with its cgroup found and its files open."""

    def __init__(self, *, cgroup_root: str, proc_root: str, descriptors: Descriptors) -> None:
        self._cgroup_root = cgroup_root
        self._proc_root = proc_root
        self._descriptors = descriptors
        self._targets: tuple[SampleTarget, ...] = ()
        self._by_id: dict[str, Life] = {}
        self._locator: Locator | None = None
        self._discover_at = NEVER
        self._search_at = NEVER
        self._search_wait = SLOW_INTERVAL
        self._hidden = ""
        self._hidden_at = 0
        self._missing = False
        self._looked_at = 0
        self.tree: CgroupTree | None = None
        self.problem = ""
        self.blind = False
        """No cgroup of any container is to be found, though there is time enough to have found one."""
        self.lives: tuple[Life, ...] = ()
        self.changes = 0
        """Counts what may give a collector something else to read: other lives, a cgroup found, a pid known."""

    def follow(self, targets: tuple[SampleTarget, ...], now: float) -> None:
        """Make `lives` the lives of these targets, and look for the cgroups of those that have none yet."""
        if targets is not self._targets:
            self._change(targets, now)
        if self._locator is None and now >= self._discover_at:
            self._discover(now)
        if self._locator is not None and (self._missing or self._looked_at != self.changes):
            self._looked_at = self.changes
            self._look(self._locator, now)

    def process_is(self, target: SampleTarget) -> bool:
        """Whether the process with the target's pid belongs to the container."""
        return self._locator is not None and self._locator.process_is(target)

    def close(self) -> None:
        """Let go of all descriptors."""
        for life in self._by_id.values():
            life.close()
        self._by_id.clear()
        self._targets, self.lives = (), ()

    def _change(self, targets: tuple[SampleTarget, ...], now: float) -> None:
        before, self._by_id = self._by_id, {}
        for target in targets:
            life = before.pop(target.container_id, None)
            if life is not None and not life.continues_as(target):
                life.close()
                life = None
            if life is None:
                life = Life(target, now, self._changed)
            elif life.target != target:
                life.update(target)
            self._by_id[target.container_id] = life
        for life in before.values():
            life.close()
        self._targets = targets
        self.changes += 1
        self.lives = tuple(self._by_id[target.container_id] for target in targets)

    def _changed(self) -> None:
        self.changes += 1

    def _discover(self, now: float) -> None:
        try:
            self.tree = discover(self._cgroup_root)
        except UnreadableError as error:
            self.problem, self.blind = str(error), True
            self._discover_at = now + SLOW_INTERVAL
            return
        self._locator = Locator(tree=self.tree, proc_root=self._proc_root)

    def _look(self, locator: Locator, now: float) -> None:
        missing = [life for life in self.lives if life.cpu is None]
        self._missing = bool(missing)
        for life in missing:
            self._find(locator, life, now)
        missing = [life for life in missing if life.cpu is None and not life.ended]
        lost = [life for life in missing if now - life.missing_since >= SLOW_INTERVAL]
        # while no rule is known, one walk finds it for all; later, one that is missing has most likely ended
        searched = lost if locator.knows_the_rule else missing
        if searched and now >= self._search_at:
            self._search(locator, searched, now)
            lost = [life for life in lost if life.cpu is None]
        self.blind = bool(lost) and len(lost) == len(self.lives)
        self.problem = _missing_problem(len(lost), len(self.lives), lost[0].target, self._cgroup_root) if lost else ""
        if self._hidden_at != self.changes:
            self._hidden_at = self.changes
            hidden = [life for life in self.lives if life.place and life.place.hidden]
            self._hidden = _hidden_problem(len(hidden), hidden[0], self._cgroup_root) if hidden else ""
        self.problem = self.problem or self._hidden

    def _search(self, locator: Locator, missing: list[Life], now: float) -> None:
        found = locator.search(frozenset(life.target.container_id for life in missing))
        self._search_wait = SLOW_INTERVAL if found else min(LONGEST_SEARCH_WAIT, 2 * self._search_wait)
        self._search_at = now + self._search_wait
        for life in missing:
            life.look_at = NEVER
            self._find(locator, life, now)

    def _find(self, locator: Locator, life: Life, now: float) -> None:
        if now < life.look_at:
            return
        life.look_at = now + SLOW_INTERVAL
        place = locator.find(life.target)
        if place:
            self._open(life, place)

    def _open(self, life: Life, place: Place) -> None:
        assert self.tree is not None  # a locator is made from it
        v1: Mapping[str, str] = self.tree.v1
        memory = cgroup_v1.MemoryV1 if "memory" in v1 else cgroup_v2.MemoryV2
        self.changes += 1
        life.ended = False
        life.place = place
        if "cpuacct" in v1:
            life.cpu = CpuGauge(cgroup_v1.CpuV1(place, self._descriptors), place.cpu)
        else:
            life.cpu = CpuGauge(cgroup_v2.CpuV2(place, self._descriptors), place.accounting)
        if place.memory:
            life.memory = MemoryGauge(memory(place, self._descriptors), place.memory)


def _missing_problem(missing: int, all_of_them: int, first: SampleTarget, root: str) -> str:
    which = f"none of the {all_of_them}" if missing == all_of_them else f"{missing} of the {all_of_them} not"
    unknown = NOTHING_KNOWN if missing == all_of_them else "their CPU and memory are unknown"
    return (
        f"Of the running containers {which} found below {root} (such as {first.container_id[:12]}): {unknown}. "
        "An engine on another host has no cgroups here; an agent in a container needs the host's "
        "cgroup namespace (cgroup: host)."
    )


def _hidden_problem(hidden: int, first: Life, root: str) -> str:
    assert first.place is not None  # it was found, in part
    which = " and ".join(first.place.hidden)
    return (
        f"Of {hidden} of the running containers (such as {first.target.container_id[:12]}) the cgroups of {which} are "
        f"not to be seen below {root}: what they tell is unknown. An agent in a container needs the host's cgroup "
        "namespace (cgroup: host)."
    )
