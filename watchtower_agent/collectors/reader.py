"""One tick from begin to end, without a thread: what the sampler does each second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from watchtower_agent.collectors import registry
from watchtower_agent.collectors.cgroup_tree import NOTHING_KNOWN
from watchtower_agent.collectors.disk import DiskCollector
from watchtower_agent.collectors.files import RAISE_IT, Descriptors, raise_descriptor_limit
from watchtower_agent.collectors.host_facts import HostFacts
from watchtower_agent.collectors.request import Request, Source
from watchtower_agent.collectors.roster import Roster
from watchtower_agent.collectors.stats_api import StatsCollector
from watchtower_agent.collectors.stats_questions import Ask
from watchtower_agent.collectors.tick import Collector, Tick
from watchtower_agent.collectors.turn import FACTS, SEARCH, Turns
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.ports.clock import Clock

MANY = 100
"""Containers that come all at once: of more than these the first tick reads CPU and memory alone."""
ASKED_INSTEAD = "the engine's stats API is asked instead, which costs the engine more and tells no pressure"


class Reader:
    """Reads one tick after another. Belongs to one thread.

    Args:
        clock: Stamps the batches.
        interval: Seconds between ticks.
        cgroup_root: Where the host's cgroup tree is mounted.
        proc_root: Where the host's proc file system is mounted.
        source: Where the containers' numbers come from.
        ask: Asks the engine's stats API about a container; None where it can't be asked.
        monotonic: The clock that `clock` stamps with, for rates and durations.
        collectors: Instead of the registry's own.
        disk: Asks for the disk; one that was made before keeps to the one question that it has open.
        may_keep: Files that may be kept open; None for as many as the system lets us.

    Attributes:
        interval: Seconds between ticks.
        seconds: Collector -> seconds it took at the last tick.
        source: Where the containers' numbers came from at the last tick: cgroup files or the stats API.
        turns: Who reads at this moment. May be asked by any thread.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        interval: float = 1.0,
        cgroup_root: str = "/sys/fs/cgroup",
        proc_root: str = "/proc",
        source: Source = Source.CGROUP,
        ask: Ask | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        collectors: tuple[Collector, ...] | None = None,
        disk: DiskCollector | None = None,
        may_keep: int | None = None,
    ) -> None:
        self._clock = clock
        self.interval = interval
        self._monotonic = monotonic
        self._cgroup_root, self._proc_root = cgroup_root, proc_root
        self._ask, self._collectors = ask, collectors
        self._disk = disk or DiskCollector()
        self._descriptors = (
            Descriptors.under(raise_descriptor_limit()) if may_keep is None else Descriptors(max(0, may_keep))
        )
        self._facts = HostFacts(proc_root)
        self._roster = Roster(cgroup_root=cgroup_root, proc_root=proc_root, descriptors=self._descriptors)
        self._chosen = source
        self._of_host = registry.of_host(
            proc_root=proc_root, disk=self._disk, facts=self._facts, descriptors=self._descriptors
        )
        self._of_cgroups = registry.of_cgroups(
            proc_root=proc_root, facts=self._facts, roster=self._roster, descriptors=self._descriptors
        )
        self._of_stats = (StatsCollector(ask, monotonic),) if ask else ()
        if collectors is not None:
            self._of_host, self._of_cgroups, self._of_stats = (), collectors, ()
        self._anew: frozenset[str] = frozenset()
        self._left: Tick | None = None
        self._without: Mapping[str, str] = {}
        self._began_with: int | None = None
        self.turns = Turns(time.monotonic)  # the sampler's own, however the ticks are timed
        self.seconds: Mapping[str, float] = {}
        self.source = Source.STATS_API if source is Source.STATS_API else Source.CGROUP

    @property
    def kept(self) -> int:
        """Files that it keeps open."""
        return self._descriptors.kept

    def successor(self, may_keep: int | None = None) -> Reader:
        """One that goes on in another thread while this one is held up in its own.

        They share no descriptor, no container and no number, so that nothing goes wrong however late this one goes
        on. All is read anew: rates are unknown for one tick. Only who asks for the disk is handed over, since it waits
        for no answer: asking again would leave one more thread with a disk that hangs.

        Args:
            may_keep: Files that it may keep open; None for those that this one does not.
        """
        made = Reader(
            clock=self._clock,
            interval=self.interval,
            cgroup_root=self._cgroup_root,
            proc_root=self._proc_root,
            source=self._chosen,
            ask=self._ask,
            monotonic=self._monotonic,
            collectors=self._collectors,
            disk=self._disk,
            may_keep=self._descriptors.limit - self._descriptors.kept if may_keep is None else may_keep,
        )
        made._anew = self._anew
        return made

    def alone(self, request: Request, name: str, without: Mapping[str, str]) -> float:
        """Let one collector read and no other, for nothing but to see how long it takes.

        Args:
            request: What is asked for.
            name: Of the collector, `turn.SEARCH` or `turn.FACTS`.
            without: Who else must not be let, as for `sample`.

        Returns:
            Seconds it took.
        """
        self._began_with = 0  # nothing is left for after it
        collectors = (*self._of_cgroups, *self._of_stats, *self._of_host)
        others = {**without, **{collector.name: "" for collector in collectors}}
        others.pop(name, None)
        if any(collector.name == name for collector in self._of_host):
            request = replace(request, targets=())
        self.sample(request, others)
        return self.turns.took().get(name, 0.0)

    def may_keep_more(self, files: int) -> None:
        """Another reader has let go of so many files."""
        self._descriptors.limit += files

    def sample(self, request: Request, without: Mapping[str, str] | None = None) -> SampleBatch:
        """Read what is asked for, now. What can't be read is unknown and told in `failures`.

        Args:
            request: What is asked for.
            without: Collector (or `turn.SEARCH`, `turn.FACTS`) -> why it does not take part, told in `failures`.

        Raises:
            LeftBehindError: Another thread went on instead, since this took too long.
        """
        self._without = without or {}
        at = self._clock.now()
        began = self._monotonic()
        self._descriptors.refused = 0
        failures = {**self._learn_facts(at.monotonic), **self._prepare(request, at.monotonic), **self._without}
        # What the stats API was asked for and has not answered yet is read from files once there are some.
        waiting = self._anew | request.anew
        request = replace(request, anew=waiting if self.source is Source.CGROUP else request.anew)
        lives = () if SEARCH in self._without else self._roster.lives
        tick = Tick(
            at=at,
            interval=self.interval,
            request=request,
            lives=lives,
            changes=lambda: self._roster.changes,
            monotonic=self._monotonic,
            failures=failures,
            anew=frozenset() if self.source is Source.STATS_API else request.anew,
        )
        of_containers = self._of_stats if self.source is Source.STATS_API else self._of_cgroups
        chosen = (*of_containers, *self._of_host)
        self._left = None
        if self._is_first_of_many(tick):
            chosen = (*of_containers[: registry.LEVELS], *self._of_host)
            self._left = replace(tick, columns={}, host={}, failures={}, totals={})
        self.seconds = self._run(chosen, tick)
        # Of who is not read there is nothing that could be out of date.
        anew = tick.anew
        if waiting - anew:
            anew |= waiting.difference(target.container_id for target in request.targets)
        self._anew = waiting - anew
        if self._descriptors.refused:
            tick.failures["descriptors"] = _too_few_descriptors(self._descriptors)
        return SampleBatch(
            at=at,
            interval=self.interval,
            duration=self._monotonic() - began,
            targets=request.targets if of_containers is self._of_stats or len(lives) == len(request.targets) else (),
            columns=tick.columns,
            host=tick.host,
            failures=tick.failures,
            anew=anew,
            totals=tick.totals,
        )

    def _run(self, chosen: tuple[Collector, ...], tick: Tick) -> dict[str, float]:
        present = tuple(collector for collector in chosen if collector.name not in self._without)
        seconds = registry.run(present, tick, self.turns.begin)
        self.turns.end()
        return seconds

    @property
    def has_more(self) -> bool:
        """Whether the last tick left anything for after it."""
        return self._left is not None

    def catch_up(self) -> None:
        """Read what the first tick of many containers left for after it: the next one tells it.

        Raises:
            LeftBehindError: Another thread went on instead, since this took too long.
        """
        tick, self._left = self._left, None
        if tick is not None:
            self._run(self._of_cgroups[registry.LEVELS :], tick)

    def _is_first_of_many(self, tick: Tick) -> bool:
        """Opening a dozen files of each takes a third of a second for 400; CPU and memory are what is waited for."""
        if self._began_with is None and tick.lives:
            self._began_with = len(tick.lives)
            return self._began_with > MANY and self.source is Source.CGROUP
        return False

    def close(self) -> None:
        """Let go of all descriptors."""
        self._roster.close()
        for collector in (*self._of_cgroups, *self._of_stats, *self._of_host):
            collector.close()

    def _learn_facts(self, now: float) -> dict[str, str]:
        if FACTS in self._without:
            return {}
        self.turns.begin(FACTS)
        try:
            self._facts.refresh(now)
        except Exception as error:  # noqa: BLE001 - what needs them is unknown, the rest goes on
            return {FACTS: f"The host's memory and processors can't be counted: {type(error).__name__}: {error}."}
        return {}

    def _prepare(self, request: Request, now: float) -> dict[str, str]:
        if SEARCH in self._without or self._chosen is Source.STATS_API:
            return {}
        self.turns.begin(SEARCH)
        try:
            self._roster.follow(request.targets, now)
        except Exception as error:  # noqa: BLE001 - the host's metrics go on whatever the search for cgroups meets
            return {SEARCH: f"The containers' cgroups can't be followed: {type(error).__name__}: {error}."}
        if self._chosen is Source.AUTO and self._of_stats:
            self.source = Source.STATS_API if self._roster.blind else Source.CGROUP
        problem = self._roster.problem
        if self.source is Source.STATS_API and self._chosen is Source.AUTO:
            problem = problem.replace(NOTHING_KNOWN, ASKED_INSTEAD)
        return {SEARCH: problem} if problem else {}


def _too_few_descriptors(descriptors: Descriptors) -> str:
    return (
        f"The limit on open files is too low to keep those of all containers open ({descriptors.kept} are, "
        f"{descriptors.refused} more were read at this tick): reading costs about ten times as much. "
        f"{RAISE_IT}"
    )
