"""Containers as the engine's stats API shows them: for engines elsewhere, and hosts without a readable cgroup tree."""

from __future__ import annotations

import math
import queue
import threading
from array import array
from collections.abc import Callable, Mapping

from watchtower_agent.collectors.gauges import NEVER, Counter
from watchtower_agent.collectors.request import CARRIED_INTERVALS, Pace
from watchtower_agent.collectors.stats_answer import StatsAnswer, parse_stats
from watchtower_agent.collectors.tick import Tick
from watchtower_agent.errors import AbsentError, WatchtowerError
from watchtower_agent.model.sample import SampleTarget, Total
from watchtower_agent.model.values import dataclass

NAMES = (
    "cpu.cores",
    "cpu.percent",
    "cpu.percent_of_limit",
    "cpu.throttled",
    "memory.usage",
    "memory.working_set",
    "memory.limit",
    "memory.percent",
    "pids",
    "pids.limit",
    "io.read",
    "io.write",
    "network.receive",
    "network.transmit",
    "network.errors",
)
"""What it writes. Pressure and OOM kills are not in the engine's answers."""

TOTALS = (
    Total.CPU,
    Total.PERIODS,
    Total.THROTTLED,
    Total.READ,
    Total.WRITTEN,
    Total.RECEIVED,
    Total.SENT,
    Total.NETWORK_ERRORS,
)
"""The counters that it tells."""

AT_ONCE = 4
"""Questions under way at the same time."""

REST = 9.0
"""A round of questions is followed by a rest of so many times its own length: each one costs the engine 1.5 ms of
work, and a watcher should not be what keeps it busy."""

_NANOSECONDS = 1e9

Ask = Callable[[str], object]
"""Asks the engine about a container once, without waiting for a second look. Raises WatchtowerError."""


class StatsCollector:
    """Asks about every container in rounds, beside the ticks: a slow or hanging engine delays no tick.

    The names, the formulas and the units are those of the collectors that read cgroup files.

    Args:
        ask: Called on threads of its own.
        monotonic: For the length of a round.
    """

    name = "stats_api"

    def __init__(self, ask: Ask, monotonic: Callable[[], float]) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._round: Round | None = None
        self._began = NEVER
        self._rest = 0.0
        self._gauges: dict[str, StatsGauge] = {}
        self._failure = ""
        self._anew: set[str] = set()
        """To be asked about in the next round, since what they answered before is out of date."""

    def collect(self, tick: Tick) -> None:
        """Take in what a round has brought, begin the next one when it is due, and write what is known."""
        now, request = tick.at.monotonic, tick.request
        targets = {target.container_id: target for target in request.targets}
        if self._round is not None and self._round.done:
            tick.anew = self._round.anew & self._round.answers.keys()
            self._anew |= self._round.anew - tick.anew
            self._take_in(self._round, targets, now)
        self._anew |= request.anew
        self._anew &= targets.keys()
        interval = max(request.demand.interval(frozenset(NAMES), tick.interval), self._rest)
        if self._round is None and targets and Pace(interval, tick.interval).due(self._began, now):
            self._began = now
            self._round = Round(self._ask, tuple(targets), self._monotonic, anew=frozenset(self._anew))
            self._anew.clear()
        for gone in self._gauges.keys() - targets.keys():
            del self._gauges[gone]
        oldest = now - CARRIED_INTERVALS * interval - tick.interval
        nothing = (math.nan,) * len(NAMES)
        rows = [
            gauge.numbers if (gauge := self._gauges.get(target.container_id)) and gauge.at >= oldest else nothing
            for target in request.targets
        ]
        for place, name in enumerate(NAMES):
            tick.columns[name] = array("d", [row[place] for row in rows])
        unknown = (math.nan,) * len(TOTALS)
        totals = [
            gauge.totals if (gauge := self._gauges.get(target.container_id)) else unknown for target in request.targets
        ]
        for place, total in enumerate(TOTALS):
            tick.totals[total] = array("d", [row[place] for row in totals])
        if self._failure:
            tick.failures[self.name] = self._failure

    def close(self) -> None:
        """Ask nothing more. A question under way ends by itself."""
        if self._round is not None:
            self._round.give_up()

    def _take_in(self, finished: Round, targets: Mapping[str, SampleTarget], now: float) -> None:
        self._round = None
        self._rest = (REST + 1) * finished.seconds
        self._failure = finished.failure
        for container_id, answer in finished.answers.items():
            target = targets.get(container_id)
            if target is None:
                continue
            gauge = self._gauges.get(container_id)
            if gauge is None or not gauge.same_life(target):
                gauge = self._gauges[container_id] = StatsGauge(target)
            gauge.take_in(target, answer, now)


class Round:
    """One question about each container, a few at a time, on threads that end with it."""

    def __init__(
        self, ask: Ask, container_ids: tuple[str, ...], monotonic: Callable[[], float], *, anew: frozenset[str]
    ) -> None:
        self.anew = anew
        self._ask = ask
        self._monotonic = monotonic
        self._began = monotonic()
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for container_id in container_ids:
            self._waiting.put(container_id)
        self._failed = 0
        self._lock = threading.Lock()
        self.answers: dict[str, StatsAnswer] = {}
        self.failure = ""
        self.seconds = 0.0
        self._open = min(AT_ONCE, len(container_ids))
        for number in range(self._open):
            threading.Thread(target=self._run, name=f"engine-stats-{number}", daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether every answer is in."""
        return self._open == 0

    def give_up(self) -> None:
        """Ask nothing more."""
        while True:
            try:
                self._waiting.get_nowait()
            except queue.Empty:
                return

    def _run(self) -> None:
        while True:
            try:
                container_id = self._waiting.get_nowait()
            except queue.Empty:
                break
            self._one(container_id)
        with self._lock:
            self.seconds = self._monotonic() - self._began
            self._open -= 1

    def _one(self, container_id: str) -> None:
        try:
            answer = parse_stats(self._ask(container_id))
        except AbsentError:
            return  # the expected end of every container
        except WatchtowerError as error:
            self._fail(str(error))
            return
        except Exception as error:  # noqa: BLE001 - whatever one question meets, the round must end, or none is asked again
            self._fail(f"asking the stats API failed: {type(error).__name__}: {error}")
            return
        if answer is not None:
            with self._lock:
                self.answers[container_id] = answer

    def _fail(self, why: str) -> None:
        with self._lock:
            self._failed += 1
            more = f", and {self._failed - 1} more like it" if self._failed > 1 else ""
            self.failure = f"{self.failure.partition(', and ')[0] or why}{more}"


@dataclass(slots=True)
class _Periods:
    passed: float = math.nan
    throttled: float = math.nan


class StatsGauge:
    """One life of a container.

    Attributes:
        at: When its last answer was taken in, monotonic seconds.
        numbers: One for each of `NAMES`.
        totals: One for each of `TOTALS`.
    """

    def __init__(self, target: SampleTarget) -> None:
        self._started_at = target.started_at
        self._cpu, self._read, self._written = Counter(), Counter(), Counter()
        self._received, self._sent, self._errors = Counter(), Counter(), Counter()
        self._periods = _Periods()
        self.at = NEVER
        self.numbers: tuple[float, ...] = (math.nan,) * len(NAMES)
        self.totals: tuple[float, ...] = (math.nan,) * len(TOTALS)

    def same_life(self, target: SampleTarget) -> bool:
        """Whether it is the life that this gauge is about. A start that is not known (yet) is no other start."""
        return target.started_at is None or self._started_at is None or target.started_at == self._started_at

    def take_in(self, target: SampleTarget, answer: StatsAnswer, now: float) -> None:
        """Compute the numbers from an answer and the one before."""
        self._started_at = target.started_at if target.started_at is not None else self._started_at
        at = answer.read_at
        cores = self._cpu.rate(answer.cpu_seconds, at)
        granted = min(target.cpu_limit, answer.online_cpus) if answer.online_cpus > 0 else target.cpu_limit
        working_set = max(answer.memory_usage - answer.inactive_file, 0.0)
        own = target.own_network
        self.at = now
        limited = target.cpu_limit < math.inf
        self.totals = (
            answer.cpu_seconds * _NANOSECONDS,
            answer.periods if limited else math.nan,
            answer.throttled if limited else math.nan,
            answer.read,
            answer.written,
            answer.received if own else math.nan,
            answer.sent if own else math.nan,
            answer.errors if own else math.nan,
        )
        self.numbers = (
            cores,
            100 * cores,
            100 * cores / granted if granted < math.inf else math.nan,
            self._throttled(answer, limited=limited),
            answer.memory_usage,
            working_set,
            answer.memory_limit,
            100 * working_set / answer.memory_limit,
            answer.pids,
            # the engine writes the largest number that there is for none
            answer.pids_limit,
            self._read.rate(answer.read, at),
            self._written.rate(answer.written, at),
            self._received.rate(answer.received, at) if own else math.nan,
            self._sent.rate(answer.sent, at) if own else math.nan,
            self._errors.rate(answer.errors, at) if own else math.nan,
        )

    def _throttled(self, answer: StatsAnswer, *, limited: bool) -> float:
        before, self._periods = self._periods, _Periods(answer.periods, answer.throttled)
        passed, throttled = answer.periods - before.passed, answer.throttled - before.throttled
        if not limited or not (passed >= 0 and throttled >= 0):
            return math.nan
        return min(100 * throttled / passed, 100.0) if passed else 0.0
