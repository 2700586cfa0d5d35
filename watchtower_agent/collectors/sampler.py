"""The sampler's thread: one tick on schedule, one batch to the loop."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Final

from watchtower_agent.collectors.reader import Reader
from watchtower_agent.collectors.request import Demand, Request, Source
from watchtower_agent.collectors.slowness import FIRST_TRIAL, LAST_TRIAL, Slowness, longest_reading, too_slow
from watchtower_agent.collectors.turn import FACTS, SEARCH, LeftBehindError, Turn
from watchtower_agent.collectors.waiting import file_waited_for
from watchtower_agent.model.sample import LocalEngine, SampleBatch, SampleTarget
from watchtower_agent.model.values import dataclass

LATE_AFTER: Final = 5.0
"""Seconds, and at most ticks, after which a collector is asked what it waits for."""
LATE_AT_LEAST: Final = 2.0
"""Seconds that are no reason to ask, however short the ticks are."""
SCRAPED_EVERY: Final = 10.0
"""Seconds between readings of what no policy needs, while somebody scrapes /metrics."""
SCRAPED_FOR: Final = 300.0
"""Seconds for which one scrape counts."""
SURE_AFTER: Final = 1.0
"""Seconds later it is left behind: after a signal or a suspended host it goes on before that."""

_UNKNOWN: Final = {
    SEARCH: ("the search for cgroups", "what containers use"),
    FACTS: ("the count of memory and processors", "what is measured by them"),
}
"""Who is held up, and what is unknown then, where it is no collector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerCounters:
    """How sampling is doing.

    Attributes:
        ticks: Batches handed over since the start.
        left_out: Ticks whose time passed during the one before, or while the agent was stopped: not made up for.
        last_duration: Seconds the last tick took.
        longest_duration: Seconds the longest tick took.
        collector_seconds: Collector -> seconds it took at the last tick.
        failures: Collector -> what went wrong at the last tick.
        source: Where the containers' numbers came from at the last tick.
    """

    ticks: int = 0
    left_out: int = 0
    last_duration: float = 0.0
    longest_duration: float = 0.0
    collector_seconds: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    source: Source = Source.CGROUP


class _Course:
    """One thread with a reader of its own.

    Attributes:
        reader: Of this thread alone.
        due: When its present tick was due, monotonic seconds.
        asked: Containers to be read anew in it.
        thread: None before its start.
        left_in: The turn in which it was left behind.
        kept: Files that it kept open then.
    """

    def __init__(self, reader: Reader, due: float) -> None:
        self.reader = reader
        self.due = due
        self.asked: frozenset[str] = frozenset()
        self.thread: threading.Thread | None = None
        self.left_in: Turn | None = None
        self.kept = 0

    def waits_for(self, turn: Turn) -> str:
        """What it waits for in this turn, in words."""
        file = file_waited_for((self.thread and self.thread.native_id) or 0)
        who, _ = _said_of(turn.name)
        return f"{who} waits for {file or 'an answer of the kernel'}"


def _said_of(name: str) -> tuple[str, str]:
    """Who it is whose turn has that name, and what is unknown without it."""
    return _UNKNOWN.get(name, (f"the collector {name}", "what it reads"))


class Sampler:
    """Samples on a thread of its own, because a thousand readings in a row would delay the loop.

    A collector that does not come back is left behind with its thread, and a new one goes on without it until it does.
    One that comes back too late for the others, twice, takes no part either: it is tried again on a thread of its own,
    more and more seldom, until it is quick.
    All methods may be called from any thread; they take effect at the next tick.

    Args:
        reader: Reads one tick. Belongs to the sampler from its start to its stop.
        deliver: Called on the sampler's thread with each batch. Must return at once and not raise.
        late_after: Seconds after which a collector is asked what it waits for; fewer where ticks are short.
        first_trial: Seconds after which one that was slow is tried again.
        sure_after: Seconds after that until it is left behind.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        deliver: Callable[[SampleBatch], None],
        late_after: float = LATE_AFTER,
        sure_after: float = SURE_AFTER,
        first_trial: float = FIRST_TRIAL,
    ) -> None:
        self._late_after = min(late_after, max(LATE_AT_LEAST, LATE_AFTER * reader.interval))
        self._first_trial = first_trial
        self._sure_after = sure_after
        self._deliver = deliver
        self._interval = reader.interval
        self._targets: tuple[SampleTarget, ...] = ()
        self._demand = Demand()
        self._engine = LocalEngine()
        self._scraped_at = -math.inf
        self._lock = threading.Lock()
        """Of what several threads change: the next two, and which course is the present one."""
        self._anew: set[str] = set()
        self._left_behind: dict[str, str] = {}
        """Collector -> why it does not take part: a thread has not come back from it, or tries it beside the ticks."""
        self._slowness = Slowness(longest_reading(self._interval, self._late_after))
        self._slow_search = ""
        self._suspect: tuple[Turn, float] | None = None
        self._had_targets = False
        self._stopping = False
        self._ended = threading.Event()
        self._wake = threading.Event()
        self._course = _Course(reader, 0.0)
        self._counters = SamplerCounters()

    @property
    def counters(self) -> SamplerCounters:
        """How sampling is doing, as of the last tick."""
        return self._counters

    def start(self) -> None:
        """Begin with a tick at once."""
        assert self._course.thread is None, "a sampler is started once"
        self._course.due = time.monotonic()
        self._begin(self._course)

    def stop(self, *, timeout: float = 5.0) -> None:
        """End after the present tick and close all files.

        Args:
            timeout: Seconds to wait for the tick. A file system that hangs is left behind with its thread.
        """
        self._stopping = True
        self._ended.set()
        self._wake.set()
        thread = self._course.thread
        if thread is not None:
            thread.join(timeout)
            if thread.is_alive():
                return
        self._course.reader.close()

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

    def scraped(self) -> None:
        """Somebody looks at all numbers now and then: for a while none is read less often than they are looked at."""
        self._scraped_at = time.monotonic()

    def engine(self, engine: LocalEngine) -> None:
        """From the next tick on, watch the file system of its data, and its process."""
        self._engine = engine

    def read_anew(self, container_id: str) -> None:
        """At the next tick, read all of this container that is read seldom: limits, the count of OOM kills."""
        with self._lock:
            self._anew.add(container_id)

    def look_after(self) -> str:
        """Go on without a collector that has not come back for seconds. Asked by the loop, so it costs no thread.

        Returns:
            What the present tick waits for, in words; empty when nothing is late, or was just left behind.
        """
        course = self._course
        turn, now = course.reader.turns.present, time.monotonic()
        if turn is None or now - turn.began < self._late_after:
            return ""
        if self._suspect is None or self._suspect[0] is not turn:
            # It may be the agent itself that was stopped: then the collector comes back at once.
            self._suspect = turn, now
        waits_for = course.waits_for(turn)
        if now - self._suspect[1] < self._sure_after or self._stopping or not self._go_on(course, turn, waits_for):
            return waits_for
        return ""

    def _go_on(self, course: _Course, turn: Turn, waits_for: str) -> bool:
        """Leave this course behind in this turn, unless that has ended meanwhile, and begin another one."""
        _, unknown = _said_of(turn.name)
        why = f"{waits_for[0].upper()}{waits_for[1:]}: {unknown} is unknown until that comes back. The rest goes on."
        with self._lock:
            if not course.reader.turns.leave_behind(turn):
                return False
            self._left_behind[turn.name] = why
            self._anew |= course.asked
            course.left_in, course.kept = turn, course.reader.kept
            self._course = _Course(course.reader.successor(), course.due)
        self._begin(self._course)
        return True

    def _begin(self, course: _Course) -> None:
        course.thread = threading.Thread(target=self._run, args=(course,), name="sampler", daemon=True)
        course.thread.start()

    def _run(self, course: _Course) -> None:
        try:
            while not self._stopping:
                self._tick(course)
                course.due, left_out = next_due(course.due, self._interval, time.monotonic())
                if left_out:
                    self._counters = replace(self._counters, left_out=self._counters.left_out + left_out)
                # The loop has the interpreter to itself first, for what was just delivered.
                if course.reader.has_more and not self._wake.wait(self._interval / 3):
                    course.reader.catch_up()
                if self._wake.wait(max(0.0, course.due - time.monotonic())):
                    self._wake.clear()
                    course.due = time.monotonic()
        except LeftBehindError:
            self._comes_back(course)

    def _comes_back(self, course: _Course) -> None:
        """What was left behind has come back: its thread tries it alone, and ends when it is quick again."""
        course.reader.close()
        turn = course.left_in
        assert turn is not None, "a course is left behind in a turn"
        with self._lock:
            self._course.reader.may_keep_more(course.kept)
        self._was_slow(turn.name, time.monotonic() - turn.began)
        self._try_again(turn.name, course.reader, self._interval)

    def _was_slow(self, name: str, seconds: float) -> None:
        who, unknown = _said_of(name)
        why = too_slow(f"{who[0].upper()}{who[1:]}", seconds, self._slowness.longest, unknown)
        with self._lock:
            self._left_behind[name] = why

    def _try_again(self, name: str, reader: Reader, wait: float) -> None:
        """Read it alone, beside the ticks, until that is quick; then it takes part in them again."""
        wait_next = self._first_trial
        while not self._ended.wait(wait):
            with self._lock:
                without = dict(self._left_behind)
            request = Request(targets=self._targets, demand=self._demand, engine=self._engine)
            trial = reader.successor(may_keep=0)
            seconds = trial.alone(request, name, without)
            trial.close()
            if seconds <= self._slowness.longest:
                with self._lock:
                    del self._left_behind[name]
                return
            self._was_slow(name, seconds)
            wait, wait_next = wait_next, min(2 * wait_next, LAST_TRIAL)

    def _set_aside(self, course: _Course) -> None:
        """Go on without who took too long again."""
        slow = self._slowness.again(course.reader.turns.took(), time.monotonic())
        self._slow_search = ""
        for name, seconds in slow.items():
            if name == SEARCH:  # without it no container would be known: late is better
                self._slow_search = (
                    f"The search for cgroups took {seconds:.1f} s, and all that is sampled is late by that."
                )
                continue
            self._was_slow(name, seconds)
            trial = (name, course.reader, self._first_trial)
            threading.Thread(target=self._try_again, args=trial, name="sampler-trial", daemon=True).start()

    def _demanded(self) -> Demand:
        demand = self._demand
        if demand.metrics_interval > SCRAPED_EVERY and time.monotonic() - self._scraped_at < SCRAPED_FOR:
            return replace(demand, metrics_interval=SCRAPED_EVERY)
        return demand

    def _tick(self, course: _Course) -> None:
        with self._lock:
            course.asked, self._anew = frozenset(self._anew), set()
            without = dict(self._left_behind)
        request = Request(targets=self._targets, demand=self._demanded(), engine=self._engine, anew=course.asked)
        batch = course.reader.sample(request, without)
        course.asked = frozenset()
        self._set_aside(course)
        if self._slow_search:
            batch = replace(batch, failures={SEARCH: self._slow_search, **batch.failures})
        before = self._counters
        self._counters = SamplerCounters(
            ticks=before.ticks + 1,
            left_out=before.left_out,
            last_duration=batch.duration,
            longest_duration=max(before.longest_duration, batch.duration),
            collector_seconds=course.reader.seconds,
            failures=batch.failures,
            source=course.reader.source,
        )
        self._deliver(batch)


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
