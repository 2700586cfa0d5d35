"""A container that is looked at again and again, on a clock of the test's own."""

from __future__ import annotations

import json
import math

from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.resizing.meter import Meter
from watchtower_agent.policies.resizing.past import Past
from watchtower_agent.policies.resizing.recommendation import Advice, Limit, Verdict
from watchtower_agent.policies.resizing.rules import Bounds, Rules
from watchtower_agent.policies.resizing.situation import Situation
from watchtower_agent.policies.resizing.sizing import Look, look

MIB = 2.0**20
MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0
RULES = Rules(memory=Bounds(least=64 * MIB, most=2048 * MIB), cpu=Bounds(least=0.1, most=4.0))


class Watched:
    """A container, looked at once a minute.

    Attributes:
        rules: How its limits are chosen.
        memory: Its memory limit, MiB; infinite for none.
        cpu: Its CPU limit, cores.
        container_id: As long as it is not recreated.
        past: As of the last look.
        now: Seconds on the monotonic clock.
        wall: Seconds since the epoch.
        last: What came of the last look.
        obeys: Each recommendation is carried out before the next look.
        reservation: Memory that it reserves, MiB.
        host_cpus: CPUs of its host.
    """

    def __init__(
        self,
        memory: float = 1024.0,
        cpu: float = 2.0,
        *,
        rules: Rules = RULES,
        obeys: bool = False,
        reservation: float = 0.0,
        host_cpus: float = math.inf,
    ) -> None:
        self.rules = rules
        self.memory = memory
        self.cpu = cpu
        self.container_id = "a" * 64
        self.past = Past()
        self.now = 1000.0
        self.wall = 1.7e9
        self.obeys = obeys
        self.reservation = reservation
        self.host_cpus = host_cpus
        self.last: Look
        self._meter = Meter()

    @property
    def instant(self) -> Instant:
        """The present."""
        return Instant(wall=self.wall, monotonic=self.now, boot="b")

    def passes(self, seconds: float) -> None:
        """Nobody looks."""
        self.now += seconds
        self.wall += seconds

    def sees(
        self,
        memory: float = 200.0,
        cpu: float = 0.3,
        seconds: float = MINUTE,
        *,
        killed: bool = False,
        known: bool = True,
    ) -> Look:
        """So much was used for so many seconds, then it is looked at. MiB, cores."""
        if known:
            self._meter.see(cpu, memory * MIB, seconds)
        return self.looks(memory, cpu, seconds, killed=killed, known=known)

    def looks(
        self, memory: float, cpu: float, seconds: float = MINUTE, *, killed: bool = False, known: bool = True
    ) -> Look:
        """It is looked at, with what the meter has."""
        self.passes(seconds)
        situation = Situation(
            container_id=self.container_id,
            memory=self.memory * MIB,
            cpu=self.cpu,
            working_set=memory * MIB if known else None,
            cores=cpu if known else None,
            measured=self._meter.take(),
            killed=killed,
            reservation=self.reservation * MIB,
            host_cpus=self.host_cpus,
        )
        self.last = look(self.rules, situation, self.past, self.instant)
        self.past = self.last.past
        if self.obeys:
            self.obey()
        return self.last

    def begin(self) -> None:
        """The agent begins what was recommended last."""
        moves = {each.resource.value: each.to for each in self.last.recommendation.advices if each.moves}
        self.past = self.past.begun(memory=moves.get("memory"), cpu=moves.get("cpu"))

    def obey(self) -> None:
        """What was recommended last is carried out."""
        self.begin()
        if self.last.recommendation.memory is not None:
            self.memory = self.last.recommendation.memory.to / MIB
        if self.last.recommendation.cpu is not None:
            self.cpu = self.last.recommendation.cpu.to

    def uses(self, memory: float = 200.0, cpu: float = 0.3, *, hours: float, known: bool = True) -> Look:
        """So much, looked at once a minute."""
        for _ in range(round(hours * 60)):
            self.sees(memory, cpu, known=known)
        return self.last

    def restarts_agent(self) -> None:
        """The agent goes and comes back at once, by way of JSON."""
        stored = json.loads(json.dumps(self.past.stored(self.instant), allow_nan=False))
        past = Past.restored(stored, self.instant)
        assert past is not None
        self.past = past

    @property
    def of_memory(self) -> Advice:
        """What was said of memory last."""
        assert self.last.recommendation.memory is not None
        return self.last.recommendation.memory

    @property
    def of_cpu(self) -> Advice:
        """What was said of CPU last."""
        assert self.last.recommendation.cpu is not None
        return self.last.recommendation.cpu


def mib(limit: float) -> float:
    """Bytes in MiB."""
    return limit if math.isinf(limit) else limit / MIB


def limits(advice: Advice) -> list[Limit]:
    """What was at work, in the order of its turn."""
    return [each.limit for each in advice.limits]


def verdict(advice: Advice) -> Verdict:
    """What should become of a limit."""
    return advice.verdict
