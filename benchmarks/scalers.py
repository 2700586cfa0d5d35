"""Who scales: our core, and the three that it is compared with."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field

import report  # noqa: F401 # finds the agent
from queue_model import LEAST, MOST, WINDOW, Running, Service

from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.scaling.memory import Memory
from watchtower_agent.policies.scaling.rules import Rules
from watchtower_agent.policies.scaling.situation import Bounds, OwnMetric, Replica, Situation
from watchtower_agent.policies.scaling.tracking import look

METRIC = "cpu.percent_of_limit"


class Scaler(ABC):
    """Looks at a service once a second, and scales it."""

    @abstractmethod
    def look(self, service: Service) -> None:
        """A second has passed."""


@dataclass(slots=True)
class Ours(Scaler):
    """The agent's core, asked each second."""

    rules: Rules = field(default_factory=Rules)
    memory: Memory = field(default_factory=Memory)

    def look(self, service: Service) -> None:
        """Ask the core, and do what it says."""
        now = service.now
        replicas = []
        for each in service.replicas:
            healthy_for = now - each.ready if each.ready <= now else None
            value = service.ours(each) if healthy_for is not None and healthy_for >= WINDOW else None
            if value is None:
                replicas.append(Replica(name="", healthy_for=healthy_for))
                continue
            newest = {METRIC: 100.0 * service.newest(each)}
            replicas.append(Replica(name="", healthy_for=healthy_for, values={METRIC: 100.0 * value}, newest=newest))
        situation = Situation(
            wanted=service.wanted,
            replicas=tuple(replicas),
            metrics=(OwnMetric(name=METRIC, target=100.0 * service.target),),
            bounds=Bounds(least=LEAST, most=MOST),
        )
        found = look(self.rules, situation, self.memory, Instant(wall=0.0, monotonic=float(now)))
        self.memory = found.memory
        service.scale(found.recommendation.to)


@dataclass(slots=True)
class Threshold(Scaler):
    """One more where the last minute's mean is above target, one fewer where it is below half of it; once a minute."""

    last: int = -60

    def look(self, service: Service) -> None:
        """One more, or one fewer."""
        now = service.now
        if now < 60 or now - self.last < 60 or now % 15:
            return
        seen = [
            service.reading(each, max(now - 60, each.created), now) for each in service.replicas if each.created < now
        ]
        mean = sum(seen) / len(seen)
        to = service.wanted + (1 if mean > service.target else -1 if mean < 0.5 * service.target else 0)
        to = min(MOST, max(LEAST, to))
        if to != service.wanted:
            service.scale(to)
            self.last = now


@dataclass(frozen=True, slots=True)
class Point:
    """A metric of one pod as the HPA gets it: None where it has none; `unready` where it does not count yet."""

    value: float | None
    unready: bool


class Hpa(Scaler):
    """The Kubernetes HPA: `replica_calculator.go` and `horizontal.go` with the default behaviour.

    Tolerance 10 %; up without a wait, by 4 or to twice as many in 15 s; down to the most that it wanted in 300 s.
    """

    sync = 15

    def __init__(self, seed: str) -> None:
        rng = random.Random(f"hpa {seed}")
        self._phase = rng.randrange(self.sync)
        self._wanted: deque[tuple[int, int]] = deque()
        self._added: deque[tuple[int, int]] = deque()

    def look(self, service: Service) -> None:
        """Scrape all the time, decide every 15 s."""
        now = service.now
        self.scrape(service)
        if (now + self._phase) % self.sync:
            return
        current = service.wanted
        desired = self._desired(service, current)
        if not self._wanted:
            self._wanted.append((now, current))
        while self._wanted and self._wanted[0][0] <= now - 300:
            self._wanted.popleft()
        self._wanted.append((now, desired))
        to = desired if desired > current else min(current, max(each for _, each in self._wanted))
        if to > current:
            while self._added and self._added[0][0] <= now - 15:
                self._added.popleft()
            start = current - sum(count for _, count in self._added)
            to = max(current, min(to, max(start + 4, 2 * start)))
        to = min(MOST, max(LEAST, to))
        if to > current:
            self._added.append((now, to - current))
        service.scale(to)

    def scrape(self, service: Service) -> None:
        """Take in what comes by itself."""

    @abstractmethod
    def point(self, service: Service, replica: Running) -> Point:
        """What is known of one pod."""

    def _desired(self, service: Service, current: int) -> int:
        points = [self.point(service, replica) for replica in service.replicas]
        known = [point.value for point in points if point.value is not None and not point.unready]
        unready = sum(1 for point in points if point.unready)
        missing = len(points) - len(known) - unready
        if not known:
            return current
        target, total, counted = service.target, sum(known), len(known)
        ratio = total / counted / target
        on_up = bool(unready) and ratio > 1.0
        if not on_up and not missing:
            return current if abs(ratio - 1.0) <= 0.1 else math.ceil(ratio * counted - 1e-9)
        if ratio < 1.0:
            total += missing * max(1.0, target)
        counted += missing + (unready if on_up else 0)
        anew = total / counted / target
        turned = (ratio < 1.0 < anew) or (anew < 1.0 < ratio)
        desired = math.ceil(anew * counted - 1e-9)
        against = desired > current if anew < 1.0 else desired < current
        return current if abs(anew - 1.0) <= 0.1 or turned or against else desired


@dataclass(slots=True)
class _Scraped:
    """A pod in the metrics server: the kubelet's two newest points, as moments, of the last two scrapes."""

    before: int | None = None
    newest: int | None = None
    value: float | None = None


class HpaAsDeployed(Hpa):
    """With the metrics server's scrape every 15 s, and the kubelet's readings every 10 s."""

    scraped_every = 15
    read_every = 10

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        rng = random.Random(f"metrics server {seed}")
        self._scrape_phase = rng.randrange(self.scraped_every)
        self._pods: dict[int, _Scraped] = {}

    def scrape(self, service: Service) -> None:
        """Every 15 s the metrics server asks each kubelet, whose own readings are up to 10 s old."""
        now = service.now
        if (now + self._scrape_phase) % self.scraped_every:
            return
        pods = {}
        for replica in service.replicas:
            pod = self._pods.get(replica.number)
            if pod is None:
                begun = replica.ready <= 0 and replica.created < 0
                pod = _Scraped(newest=now - self.scraped_every if begun else None)
            pods[replica.number] = pod
            read = now - (now + replica.offset) % self.read_every
            if read <= max(0, replica.created) or (pod.newest is not None and read <= pod.newest):
                continue
            pod.before, pod.newest = pod.newest, read
            if pod.before is not None:
                pod.value = service.reading(replica, pod.before, read)
        self._pods = pods

    def point(self, service: Service, replica: Running) -> Point:
        """In its first five minutes a pod counts once a whole reading was made since it became ready."""
        now = service.now
        pod = self._pods.get(replica.number)
        if pod is None or pod.value is None or pod.before is None or pod.newest is None:
            return Point(None, unready=False)  # one that runs and has no metric is missing, ready or not
        if now - replica.created < 300:
            window = pod.newest - pod.before
            return Point(pod.value, unready=replica.ready > now or pod.newest < replica.ready + window)
        return Point(pod.value, unready=replica.ready > now and replica.ready - replica.created < 30)


class HpaOnOurSamples(Hpa):
    """The same rule, on what our agent knows: the last 20 s, and a replica counts once it was ready for as long."""

    def point(self, service: Service, replica: Running) -> Point:
        """What our core would be given."""
        if service.now - replica.ready < WINDOW:
            return Point(None, unready=True)
        return Point(service.ours(replica), unready=False)


OURS, THRESHOLD, HPA, RULE = "ours", "threshold", "HPA", "HPA's rule, our samples"


def made(name: str, seed: str, rules: Rules | None = None) -> Scaler:
    """A new one."""
    match name:
        case "ours":
            return Ours(rules=rules or Rules())
        case "threshold":
            return Threshold()
        case "HPA":
            return HpaAsDeployed(seed)
        case _:
            return HpaOnOurSamples(seed)
