"""The sampler's thread: one tick on schedule, one batch to the loop."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from watchtower_agent.collectors.reader import Reader
from watchtower_agent.collectors.request import Demand, Request, Source
from watchtower_agent.collectors.waiting import file_waited_for
from watchtower_agent.model.sample import LocalEngine, SampleBatch, SampleTarget

LATE_AFTER: Final = 5.0
"""Seconds after which a tick is asked what it waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerCounters:
    """How sampling is doing.

    Attributes:
        ticks: Batches handed over since the start.
        overruns: Ticks that took longer than the interval: the ones they covered were left out, not made up for.
        last_duration: Seconds the last tick took.
        longest_duration: Seconds the longest tick took.
        collector_seconds: Collector -> seconds it took at the last tick.
        failures: Collector -> what went wrong at the last tick.
        source: Where the containers' numbers came from at the last tick.
    """

    ticks: int = 0
    overruns: int = 0
    last_duration: float = 0.0
    longest_duration: float = 0.0
    collector_seconds: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    source: Source = Source.CGROUP


class Sampler:
    """Samples on a thread of its own, because a thousand readings in a row would delay the loop.

    All methods may be called from any thread; they take effect at the next tick.

    Args:
        reader: Reads one tick. Belongs to the sampler from its start to its stop.
        deliver: Called on the sampler's thread with each batch. Must return at once and not raise.
    """

    def __init__(self, *, reader: Reader, deliver: Callable[[SampleBatch], None]) -> None:
        self._reader = reader
        self._deliver = deliver
        self._interval = reader.interval
        self._targets: tuple[SampleTarget, ...] = ()
        self._demand = Demand()
        self._engine = LocalEngine()
        self._anew_lock = threading.Lock()
        self._anew: set[str] = set()
        self._had_targets = False
        self._stopping = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._began = 0.0
        self._counters = SamplerCounters()

    @property
    def counters(self) -> SamplerCounters:
        """How sampling is doing, as of the last tick."""
        return self._counters

    def start(self) -> None:
        """Begin with a tick at once."""
        assert self._thread is None, "a sampler is started once"
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def stop(self, *, timeout: float = 5.0) -> None:
        """End after the present tick and close all files.

        Args:
            timeout: Seconds to wait for the tick. A file system that hangs is left behind with its thread.
        """
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return
        self._reader.close()

    def watch(self, targets: tuple[SampleTarget, ...]) -> None:
        """From the next tick on, sample these and no others.

        The first targets ever are sampled at once and begin a new schedule, so that the agent knows levels as soon
        as it knows the containers.
        """
        self._targets = targets
        if targets and not self._had_targets:
            self._had_targets = True
            self._wake.set()

    def demand(self, every_tick: frozenset[str], metrics_interval: float) -> None:
        """From the next tick on, read what these catalogue names need at each tick, the rest less often.

        Args:
            every_tick: Names that a policy's condition uses.
            metrics_interval: Seconds between readings of the rest.
        """
        self._demand = Demand(every_tick=every_tick, metrics_interval=metrics_interval)

    def engine(self, engine: LocalEngine) -> None:
        """From the next tick on, watch the file system of its data, and its process."""
        self._engine = engine

    def read_anew(self, container_id: str) -> None:
        """At the next tick, read all of this container that is read seldom: limits, the count of OOM kills."""
        with self._anew_lock:
            self._anew.add(container_id)

    def waits_for(self) -> str:
        """What a tick waits for that has not come back for seconds, in words; empty when none is so late."""
        name = self._reader.at_work
        if not name or time.monotonic() - self._began < LATE_AFTER or self._thread is None:
            return ""
        file = file_waited_for(self._thread.native_id or 0)
        return f"the collector {name} waits for {file or 'an answer of the kernel'}"

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopping:
            self._tick()
            due, skipped = next_due(due, self._interval, time.monotonic())
            if skipped:
                self._count_overrun()
            if self._wake.wait(max(0.0, due - time.monotonic())):
                self._wake.clear()
                due = time.monotonic()

    def _tick(self) -> None:
        with self._anew_lock:
            anew, self._anew = frozenset(self._anew), set()
        self._began = time.monotonic()
        batch = self._reader.sample(Request(targets=self._targets, demand=self._demand, engine=self._engine, anew=anew))
        before = self._counters
        self._counters = SamplerCounters(
            ticks=before.ticks + 1,
            overruns=before.overruns,
            last_duration=batch.duration,
            longest_duration=max(before.longest_duration, batch.duration),
            collector_seconds=self._reader.seconds,
            failures=batch.failures,
            source=self._reader.source,
        )
        self._deliver(batch)
        self._reader.catch_up()

    def _count_overrun(self) -> None:
        self._counters = replace(self._counters, overruns=self._counters.overruns + 1)


def next_due(due: float, interval: float, now: float) -> tuple[float, int]:
    """When the tick after the one that was due then is due: on the schedule, and not in the past.

    Returns:
        Its time, and how many ticks were left out because the last one took too long.
    """
    due += interval
    if now <= due:
        return due, 0
    skipped = math.ceil((now - due) / interval)
    return due + skipped * interval, skipped
