"""One tick from begin to end, without a thread: what the sampler does each second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from watchtower_agent.collectors import registry
from watchtower_agent.collectors.cgroup_tree import NOTHING_KNOWN
from watchtower_agent.collectors.files import Descriptors, raise_descriptor_limit
from watchtower_agent.collectors.host_facts import HostFacts
from watchtower_agent.collectors.request import Request, Source
from watchtower_agent.collectors.roster import Roster
from watchtower_agent.collectors.stats_api import Ask, StatsCollector
from watchtower_agent.collectors.tick import Collector, Tick
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.ports import Clock

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

    Attributes:
        interval: Seconds between ticks.
        seconds: Collector -> seconds it took at the last tick.
        source: Where the containers' numbers came from at the last tick: cgroup files or the stats API.
        at_work: What reads at this moment: a collector's name, `cgroup` for who looks for cgroups; empty between ticks.
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
    ) -> None:
        self._clock = clock
        self.interval = interval
        self._monotonic = monotonic
        self._descriptors = Descriptors.under(raise_descriptor_limit())
        self._facts = HostFacts(proc_root)
        self._roster = Roster(cgroup_root=cgroup_root, proc_root=proc_root, descriptors=self._descriptors)
        self._chosen = source
        self._of_host = registry.of_host(proc_root=proc_root, facts=self._facts, descriptors=self._descriptors)
        self._of_cgroups = registry.of_cgroups(
            proc_root=proc_root, facts=self._facts, roster=self._roster, descriptors=self._descriptors
        )
        self._of_stats = (StatsCollector(ask, monotonic),) if ask else ()
        if collectors is not None:
            self._of_host, self._of_cgroups, self._of_stats = (), collectors, ()
        self._anew: frozenset[str] = frozenset()
        self._left: Tick | None = None
        self._began_with: int | None = None
        self.at_work = ""
        self.seconds: Mapping[str, float] = {}
        self.source = Source.STATS_API if source is Source.STATS_API else Source.CGROUP

    def sample(self, request: Request) -> SampleBatch:
        """Read what is asked for, now. Raises nothing: what can't be read is unknown and told in `failures`."""
        at = self._clock.now()
        began = self._monotonic()
        self._descriptors.refused = 0
        self._begins("cgroup")
        failures = self._prepare(request, at.monotonic)
        # What the stats API was asked for and has not answered yet is read from files once there are some.
        waiting = self._anew | request.anew
        request = replace(request, anew=waiting if self.source is Source.CGROUP else request.anew)
        lives = self._roster.lives
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
        if self._is_first_of_many(tick):
            chosen = (*of_containers[: registry.LEVELS], *self._of_host)
            self._left = replace(tick, columns={}, host={}, failures={})
        self.seconds = registry.run(chosen, tick, self._begins)
        self.at_work = ""
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
        )

    def _begins(self, name: str) -> None:
        self.at_work = name

    def catch_up(self) -> None:
        """Read what the first tick of many containers left for after it: the next one tells it."""
        tick, self._left = self._left, None
        if tick is not None:
            registry.run(self._of_cgroups[registry.LEVELS :], tick, self._begins)
            self.at_work = ""

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

    def _prepare(self, request: Request, now: float) -> dict[str, str]:
        try:
            self._facts.refresh(now)
            if self._chosen is not Source.STATS_API:
                self._roster.follow(request.targets, now)
        except Exception as error:  # noqa: BLE001 - the host's metrics go on whatever the search for cgroups meets
            return {"cgroup": f"The containers' cgroups can't be followed: {type(error).__name__}: {error}."}
        if self._chosen is Source.AUTO and self._of_stats:
            self.source = Source.STATS_API if self._roster.blind else Source.CGROUP
        problem = self._roster.problem
        if self.source is Source.STATS_API and self._chosen is Source.AUTO:
            problem = problem.replace(NOTHING_KNOWN, ASKED_INSTEAD)
        return {"cgroup": problem} if problem else {}


def _too_few_descriptors(descriptors: Descriptors) -> str:
    return (
        f"The limit on open files is too low to keep those of all containers open ({descriptors.kept} are, "
        f"{descriptors.refused} more were read at this tick): reading costs about ten times as much. Raise it "
        "(systemd: LimitNOFILE=65536, docker run: --ulimit nofile=65536)."
    )
