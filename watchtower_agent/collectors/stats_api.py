"""Containers as the engine's stats API shows them: for engines elsewhere, and hosts without a readable cgroup tree."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping

from watchtower_agent.collectors.gauges import NEVER, Counter
from watchtower_agent.collectors.request import CARRIED_INTERVALS, Pace
from watchtower_agent.collectors.stats_answer import StatsAnswer
from watchtower_agent.collectors.stats_questions import AT_ONCE, Ask, Question, Questions
from watchtower_agent.collectors.tick import Tick
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

REST = 9.0
"""Questions are followed by a rest of so many times as long as the engine worked on them: each one costs it 1.5 ms, and
a watcher should not be what keeps it busy."""

_NANOSECONDS = 1e9

DOUBLINGS = 3
"""How often the time without a question about a container that hangs, while others are answered, is doubled."""


class StatsCollector:
    """Asks about every container beside the ticks: neither a slow engine nor a container that hangs delays one.

    Each answer is used at the tick after it came. A container whose statistics hang is left out alone, and asked about
    more and more seldom. The names, the formulas and the units are those of the collectors that read cgroup files.

    Args:
        ask: Called on threads of its own.
        monotonic: For how long an answer takes.
    """

    name = "stats_api"

    def __init__(self, ask: Ask, monotonic: Callable[[], float]) -> None:
        self._questions = Questions(ask, monotonic)
        self._asking: dict[str, Asking] = {}
        self._share = 0.0
        """Seconds between two questions about the same container, so that all of them cost the engine a tenth."""
        self._anew: set[str] = set()
        """To be asked about once more, since what they answered before is out of date."""

    def collect(self, tick: Tick) -> None:
        """Take in what was answered, ask what is due, and write what is known."""
        now, request = tick.at.monotonic, tick.request
        targets = {target.container_id: target for target in request.targets}
        for gone in self._asking.keys() - targets.keys():
            del self._asking[gone]
        self._take_in(tick, targets)
        self._anew |= request.anew
        self._anew &= targets.keys()
        interval = max(request.demand.interval(frozenset(NAMES), tick.interval), self._share)
        nothing = (math.nan,) * len(NAMES)
        rows = []
        failing = []
        for container_id, target in targets.items():
            asking = self._asking.get(container_id)
            if asking is None:
                asking = self._asking[container_id] = Asking(StatsGauge(target))
            own = max(interval, asking.rest)
            if asking.due(Pace(own, tick.interval), now):
                self._ask(container_id, asking, now)
            believed = CARRIED_INTERVALS * own + tick.interval
            rows.append(asking.gauge.numbers if now - asking.gauge.at <= believed else nothing)
            if why := asking.why(target, now, believed):
                failing.append(why)
        self._questions.go_on()
        for place, name in enumerate(NAMES):
            tick.columns[name] = array("d", [row[place] for row in rows])
        totals = [self._asking[container_id].gauge.totals for container_id in targets]
        for place, total in enumerate(TOTALS):
            tick.totals[total] = array("d", [row[place] for row in totals])
        if failing:
            more = f", and {len(failing) - 1} more like it" if len(failing) > 1 else ""
            tick.failures[self.name] = f"{failing[0]}{more}"

    def close(self) -> None:
        """Ask nothing more. A question under way ends by itself."""
        self._questions.give_up()

    def _ask(self, container_id: str, asking: Asking, now: float) -> None:
        asking.asked_at = now
        asking.question = Question(container_id, anew=container_id in self._anew, aside=asking.hung)
        self._anew.discard(container_id)
        self._questions.put(asking.question)

    def _take_in(self, tick: Tick, targets: Mapping[str, SampleTarget]) -> None:
        now = tick.at.monotonic
        settled = self._questions.settled()
        for question in settled:
            asking = self._asking.get(question.container_id)
            if asking is None or asking.question is not question:
                continue  # of a container that went
            asking.settle(targets[question.container_id], now)
            if question.anew and question.answer is not None:
                tick.anew |= {question.container_id}
            elif question.anew:
                self._anew.add(question.container_id)
        took = sorted(asking.took for asking in self._asking.values() if asking.took is not None) if settled else ()
        if took:
            # The middle one: a few that take long are no reason to ask about all others more seldom.
            self._share = (REST + 1) * took[len(took) // 2] * len(targets) / AT_ONCE


class Asking:
    """How asking about one container goes.

    Attributes:
        gauge: Of its present life.
        question: The one that is not settled yet.
        asked_at: When that, or the last one, was put, monotonic seconds.
        took: Seconds until its last answer came; None before that.
        hung: Whether its last question took long and came to nothing.
    """

    __slots__ = ("_alone", "_failure", "_not_before", "asked_at", "gauge", "hung", "question", "took")

    def __init__(self, gauge: StatsGauge) -> None:
        self.gauge = gauge
        self.question: Question | None = None
        self.asked_at = NEVER
        self.took: float | None = None
        self.hung = False
        self._failure = ""
        self._alone = 0
        self._not_before = NEVER

    @property
    def rest(self) -> float:
        """Seconds between two questions that its own answers ask for. One that hung was no work for the engine."""
        return (REST + 1) * self.took if self.took is not None else 0.0

    def due(self, pace: Pace, now: float) -> bool:
        """Whether it is time for the next question."""
        return self.question is None and now >= self._not_before and pace.due(self.asked_at, now)

    def settle(self, target: SampleTarget, now: float) -> None:
        """Its question was answered, or came to nothing."""
        question, self.question = self.question, None
        assert question is not None, "only what was asked is settled"
        self.hung, self._failure = question.hung, question.failure
        self._alone = self._alone + 1 if question.hung and question.alone else 0
        wait = question.took * 2 ** min(self._alone, DOUBLINGS) if question.hung else 0.0
        self._not_before = now + wait
        if question.hung:
            self._failure = f"{question.failure}; what it uses is unknown, the next try is in {wait:.0f} s"
        if question.answer is None:
            return
        self.took = question.took
        if not self.gauge.same_life(target):
            self.gauge = StatsGauge(target)
        self.gauge.take_in(target, question.answer, now)

    def why(self, target: SampleTarget, now: float, believed: float) -> str:
        """Why nothing is known of the container, for people; empty when nothing is wrong.

        Args:
            target: The container.
            now: Monotonic seconds.
            believed: Seconds for which an answer is believed: for so long none has to come.
        """
        question = self.question
        if not self._failure and question is not None and question.began is not None:
            silent_for = now - question.began
            if silent_for > believed:
                return f"{target.called}: the engine has not answered for {silent_for:.0f} s; what it uses is unknown"
        return f"{target.called}: {self._failure}" if self.hung else self._failure


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
