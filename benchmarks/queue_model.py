"""A service as a queue without an end, replicas that take time and CPU to start, and what can be read of them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

LEAST, MOST = 2, 30
NODES = 3
"""The first is the leader's, which knows its own replicas each second; the others' come in batches."""
BATCH = 5
WINDOW = 20
"""Seconds of which our readings are the mean."""
_UNEVEN = 0.05
"""How unevenly work falls on replicas, as a share: for good, and (twice that) from second to second."""
_POOL = 100_003
_PERIOD = _POOL - 100


def _pool() -> list[float]:
    rng = random.Random(7)
    return [0.0, *accumulate(rng.gauss(0, 2 * _UNEVEN) for _ in range(_POOL))]


_NOISE = _pool()
"""Running sum of a long row of noise; each replica's begins elsewhere in it."""


@dataclass(slots=True, eq=False)
class Running:
    """A replica.

    Attributes:
        number: Counts all that ever were.
        created: Second in which it was.
        ready: Second from which on it takes work.
        skew: By how much more work than the mean falls on it, as a share.
        offset: Where its noise begins.
        told: What the batches of its node told within the window, newest last.
        told_mean: Of these; None before the first.
    """

    number: int
    created: int
    ready: int
    skew: float
    offset: int
    told: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW // BATCH))
    told_mean: float | None = None

    def tell(self, value: float) -> None:
        """A batch has come."""
        self.told.append(value)
        self.told_mean = sum(self.told) / len(self.told)

    def noise(self, begin: int, end: int) -> float:
        """The mean of its noise in seconds begin to end - 1."""
        first = (self.offset + begin) % _PERIOD
        return (_NOISE[first + end - begin] - _NOISE[first]) / (end - begin)


@dataclass(slots=True)
class Tally:
    """What became of one run."""

    above: int = 0
    far_above: int = 0
    queued: int = 0
    replica_seconds: int = 0
    changes: int = 0
    reversals: int = 0


@dataclass(slots=True)
class Service:
    """One service under one load.

    Attributes:
        load: Replicas that it takes to be on target, second by second.
        target: Utilisation that is aimed at, 0 to 1.
        start_up: Seconds that replicas take to start, about.
        start_up_cpu: Utilisation of a replica that starts.
    """

    load: Sequence[float]
    target: float
    start_up: float
    start_up_cpu: float
    seed: str
    now: int = 0
    backlog: float = 0.0
    wanted: int = 0
    replicas: list[Running] = field(default_factory=list)
    used: list[float] = field(default_factory=lambda: [0.0])
    tally: Tally = field(default_factory=Tally)
    wanted_over_time: list[int] = field(default_factory=list)
    _arrivals: random.Random = field(default_factory=random.Random)
    _born: int = 0
    _phases: list[int] = field(default_factory=list)
    _turned: tuple[int, int] | None = None

    @classmethod
    def drawn(cls, load: Sequence[float], seed: str) -> Service:
        """One with its own target and replicas, which are as many as the load's first second takes."""
        rng = random.Random(f"service {seed}")
        service = cls(
            load=load,
            target=rng.uniform(0.5, 0.7),
            start_up=rng.uniform(5, 45),
            start_up_cpu=rng.uniform(0.5, 1.0),
            seed=seed,
        )
        service._arrivals.seed(f"arrivals {seed}")
        service._phases = [rng.randrange(BATCH) for _ in range(NODES)]
        service.wanted = min(MOST, max(LEAST, -int(-load[0] // 1)))
        for _ in range(service.wanted):
            service.replicas.append(service._made(ready=-1000))
        return service

    def scale(self, to: int) -> None:
        """Want another number: the youngest go first, at once."""
        if to == self.wanted:
            return
        way = 1 if to > self.wanted else -1
        self.tally.changes += 1
        if self._turned is not None and self._turned[0] != way and self.now - self._turned[1] <= 600:
            self.tally.reversals += 1
        self._turned = way, self.now
        while len(self.replicas) > to:
            self.replicas.pop()
        while len(self.replicas) < to:
            self.replicas.append(self._made(ready=None))
        self.wanted = to

    def tick(self) -> None:
        """One second of work."""
        t = self.now
        ready = sum(1 for each in self.replicas if each.ready <= t)
        arriving = self.load[t] * self.target * max(0.0, 1.0 + self._arrivals.gauss(0, _UNEVEN))
        self.backlog += arriving
        done = min(self.backlog, float(ready))
        self.backlog -= done
        utilisation = done / ready if ready else 1.0
        self.used.append(self.used[-1] + utilisation)
        tally = self.tally
        tally.above += utilisation > self.target
        begin = max(0, t + 1 - 30)
        tally.far_above += (self.used[-1] - self.used[begin]) / (t + 1 - begin) > 1.1 * self.target
        tally.queued += self.backlog > ready
        tally.replica_seconds += len(self.replicas)
        self.wanted_over_time.append(self.wanted)
        self.now = t + 1
        for replica in self.replicas:
            node = replica.number % NODES
            if node and (t + self._phases[node]) % BATCH == 0:
                replica.tell(self.reading(replica, t, t + 1))

    def reading(self, replica: Running, begin: int, end: int) -> float:
        """Utilisation of one replica in seconds begin to end - 1, whatever it did then; 0 of seconds before it was."""
        if replica.ready <= begin and begin >= 0:  # as most are
            at = (replica.offset + begin) % _PERIOD
            noise = (_NOISE[at + end - begin] - _NOISE[at]) / (end - begin)
            mean = (self.used[end] - self.used[begin]) / (end - begin) * (1.0 + replica.skew + noise)
            return 0.0 if mean < 0.0 else min(mean, 1.0)
        total = 0.0
        first = max(begin, replica.ready)
        if first < end:
            mean = (
                (self.used[end] - self.used[max(0, first)]) / (end - first) if first >= 0 else self._early(begin, end)
            )
            mean *= 1.0 + replica.skew + replica.noise(max(0, first), end)
            total = min(1.0, max(0.0, mean)) * (end - first)
        starting = min(end, replica.ready) - max(begin, replica.created)
        if starting > 0:
            total += starting * self.start_up_cpu
        return total / (end - begin)

    def ours(self, replica: Running) -> float | None:
        """What our agent knows of one that was ready for long enough: the mean of its last 20 s, or of four batches."""
        if replica.number % NODES:
            return replica.told_mean
        return self.reading(replica, self.now - WINDOW, self.now)

    def newest(self, replica: Running) -> float:
        """The same of the last 5 s, or of the last batch."""
        if replica.number % NODES:
            return replica.told[-1]
        return self.reading(replica, self.now - BATCH, self.now)

    def _early(self, begin: int, end: int) -> float:
        """Before the run began the service was as in its first second."""
        first = self.used[1] if len(self.used) > 1 else self.target
        return (self.used[end] - self.used[max(0, begin)] + max(0, -begin) * first) / (end - begin)

    def _made(self, ready: int | None) -> Running:
        rng = random.Random(f"replica {self.seed} {self._born}")
        number, self._born = self._born, self._born + 1
        replica = Running(
            number=number,
            created=self.now if ready is None else ready - 30,
            ready=self.now + max(1, round(self.start_up * rng.uniform(0.8, 1.2))) if ready is None else ready,
            skew=rng.gauss(0, _UNEVEN),
            offset=rng.randrange(_POOL // 2),
        )
        if ready is not None:
            value = self.load[0] * self.target / self.wanted
            for _ in range(WINDOW // BATCH):
                replica.tell(value)
        return replica
