"""What the rules of `resize` are worth: two weeks of simulated containers, by the rules as they are and by others.

    PYTHONPATH=. .venv/bin/python benchmarks/rightsizing.py [--seed SEED]

A container is looked at once a minute, as the agent does it, and what is recommended is carried out before the next
minute. CPU that a limit does not grant is work that waits. A working set beyond its limit is a kill.
"""

from __future__ import annotations

import argparse
import math
import random
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass, replace

from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.resizing.meter import Meter
from watchtower_agent.policies.resizing.past import Past
from watchtower_agent.policies.resizing.rules import Bounds, Rules
from watchtower_agent.policies.resizing.situation import Situation
from watchtower_agent.policies.resizing.sizing import look

MIB = 2.0**20
DAY = 1440
"""Minutes."""
DAYS = 15
RUNS = 3

MEMORY = Rules(memory=Bounds(least=16 * MIB, most=4096 * MIB))
CPU = Rules(cpu=Bounds(least=0.05, most=4.0))
START = {"memory": 1024 * MIB, "cpu": 1.0}
VARIANTS: dict[str, dict[str, Callable[[Rules], Rules]]] = {
    "memory": {
        "as designed": lambda rules: replace(rules, peaks_for=0),
        "peaks of a day": lambda rules: replace(rules, peaks_for=1),
        "as decided": lambda rules: rules,
    },
    "cpu": {
        "as designed": lambda rules: replace(rules, cpu_recent_margin=0.0, cpu_peaks_for=0),
        "the present counts": lambda rules: replace(rules, cpu_peaks_for=0),
        "and peaks of a week": lambda rules: replace(rules, cpu_peaks_for=8),
        "as decided": lambda rules: rules,
    },
}
Load = Callable[[int], float]
"""Minute -> MiB or cores."""


def memory_loads(draw: random.Random) -> dict[str, Load]:
    """What containers use of memory."""
    usual, more = draw.uniform(150, 250), draw.uniform(400, 800)
    begins = draw.randrange(DAY)
    spikes = [day * DAY + draw.randrange(DAY - 10) for day in range(DAYS)]

    def noisy(level: float) -> float:
        return level * draw.uniform(0.97, 1.03)

    return {
        "always the same": lambda _: noisy(usual),
        "a job of an hour each night": lambda t: noisy(usual + more * ((t - begins) % DAY < 60)),
        "office hours": lambda t: noisy(usual + more * ((t - begins) % DAY < 540)),
        "a job of two hours each week": lambda t: noisy(usual + more * ((t - begins) % (7 * DAY) < 120)),
        "a leak, restarted each day": lambda t: usual + more * ((t - begins) % DAY) / DAY,
        "ten minutes, once a day": lambda t: noisy(usual + more * any(at <= t < at + 10 for at in spikes)),
    }


def cpu_loads(draw: random.Random) -> dict[str, Load]:
    """What containers could use of CPU."""
    usual, more = draw.uniform(0.05, 0.3), draw.uniform(1.0, 2.0)
    begins = draw.randrange(DAY)

    def noisy(level: float) -> float:
        return level * draw.uniform(0.85, 1.15)

    return {
        "always the same": lambda _: noisy(usual),
        "a job of an hour each night": lambda t: noisy(usual + more * ((t - begins) % DAY < 60)),
        "office hours": lambda t: noisy(usual + more * ((t - begins) % DAY < 540)),
        "far more from the fifth day on": lambda t: noisy(usual + more * (t > 5 * DAY)),
        "a sine of a day": lambda t: noisy(usual + more * (0.5 + 0.5 * math.sin(2 * math.pi * t / DAY))),
        "a minute each hour": lambda t: noisy(usual + more * (t % 60 == begins % 60)),
    }


@dataclass
class Tally:
    """What came of one container.

    Attributes:
        kills: How often it was killed.
        waited: Minutes in which it had less CPU than it could use.
        late: The most work that waited, core-minutes.
        granted: Mean of the limit.
        changes: Of the limit.
    """

    kills: float = 0.0
    waited: float = 0.0
    late: float = 0.0
    granted: float = 0.0
    changes: float = 0.0


def simulated(resource: str, rules: Rules, load: Load) -> Tally:
    """Two weeks of a container."""
    tally, meter, past, backlog = Tally(), Meter(), Past(), 0.0
    limits = {"memory": math.inf, "cpu": math.inf} | {resource: START[resource]}
    for minute in range(DAYS * DAY):
        used, work, killed = 100.0 * MIB, 0.05, False
        if resource == "memory":
            used = load(minute) * MIB
            killed = used > limits["memory"]
            used = min(used, limits["memory"])
            tally.kills += killed
        else:
            work = load(minute) + backlog
            backlog = max(0.0, work - limits["cpu"])
            work = min(work, limits["cpu"])
            tally.waited += backlog > 0.0
            tally.late = max(tally.late, backlog)
        meter.see(work, used, 60.0)
        situation = Situation(
            container_id="c", **limits, working_set=used, cores=work, measured=meter.take(), killed=killed
        )
        seen = look(rules, situation, past, Instant(wall=0.0, monotonic=60.0 * (minute + 1)))
        moves = {each.resource.value: each.to for each in seen.recommendation.advices if each.moves}
        past = seen.past.begun(memory=moves.get("memory"), cpu=moves.get("cpu"))
        for advice in seen.recommendation.advices:
            tally.changes += advice.moves
            limits[resource] = advice.to
        tally.granted += limits[resource] / (DAYS * DAY)
    return tally


def compare(resource: str, rules: Rules, seed: str) -> None:
    """Print every load by every variant, the mean of some runs."""
    loads = memory_loads if resource == "memory" else cpu_loads
    for name in loads(random.Random(seed)):
        for variant, changed in VARIANTS[resource].items():
            by = changed(rules)
            runs = [simulated(resource, by, loads(random.Random(f"{seed} {run}"))[name]) for run in range(RUNS)]
            mean = {key: sum(vars(run)[key] for run in runs) / RUNS for key in vars(runs[0])}
            told = (
                f"kills {mean['kills']:6.1f}   granted {mean['granted'] / MIB:7.0f} MiB"
                if resource == "memory"
                else f"waited {mean['waited'] / 60:6.1f} h   late {mean['late']:7.1f}   granted {mean['granted']:5.2f}"
            )
            print(f"{resource:7} {name:32} {variant:20} {told}   changes {mean['changes']:6.1f}")


def costs() -> None:
    """Print what a sample and a look cost."""
    draw, meters = random.Random(1), [Meter() for _ in range(400)]
    rows = [(meter, draw.lognormvariate(-3, 1.5), draw.uniform(1e7, 1e9)) for meter in meters]

    def tick() -> None:
        for meter, cores, working_set in rows:
            meter.see(cores, working_set, 1.0)

    seconds = min(timeit.repeat(tick, timer=time.process_time, number=200, repeat=5)) / 200 / len(rows)
    print(f"a sample of one container: {seconds * 1e6:.2f} µs")
    rules, past, looks = replace(MEMORY, cpu=CPU.cpu), Past(), 2 * DAY
    measured = []
    for _ in range(looks):
        for _ in range(60):
            meters[0].see(draw.lognormvariate(-3, 1.5), 1e8 * draw.uniform(0.9, 1.1), 1.0)
        measured.append(meters[0].take())
    begun = time.process_time()
    for minute, each in enumerate(measured):
        situation = Situation(container_id="c", memory=1e9, cpu=1.0, working_set=1e8, cores=0.1, measured=each)
        past = look(rules, situation, past, Instant(wall=0.0, monotonic=60.0 * minute)).past
    print(f"a look at one container, of which a minute is known: {(time.process_time() - begun) / looks * 1e6:.0f} µs")


def main() -> None:
    """Compare, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default="fresh", help="another one for other containers")
    seed = parser.parse_args().seed
    compare("memory", MEMORY, seed)
    compare("cpu", CPU, seed)
    costs()


if __name__ == "__main__":
    main()
