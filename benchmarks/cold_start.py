"""A fresh agent on a full host: how soon it knows what its containers take.

Levels (memory) need one look at each container, rates (CPU) need two. Both are seen from outside: in the batch of
metrics that names every container, as a subscriber at the broker receives it. The agent is byte-compiled; its state is
empty at the first start and there at the later ones. The peer is `docker stats --no-stream`, which needs two looks as
well; the floor is a Python that imports nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from report import Figure, machine, options, progress, show
from stage import METRICS, Agent, Json, Stage

LEVELS_S, RATES_S = 1.0, 2.0

POLICIES = """
version: 1
policies:
  - name: heal-unhealthy
    select: {labels: {autoheal: "true"}}
    when: health == "unhealthy"
    for: 10s
    then: {restart: {}}
  - name: told-of-leaks
    select: {name: "*"}
    when: memory.percent > 90%
    for: 1m
    then: {notify: {severity: warning}}
  - name: told-when-it-dies
    on: {container: die}
    then: {notify: {severity: warning}}
"""

SETTINGS = {"mqtt": {"metrics": {"interval": "1s"}}}


def start_once(stage: Stage, agent: Agent, containers: int) -> tuple[float, float]:
    """Start it, and end it once all is known.

    Returns:
        Seconds from the start of its process until a batch had the memory of each container, and the CPU.
    """
    subscriber = stage.subscriber(METRICS)
    agent.start(stage.code())
    begun = agent.started_ns
    try:
        deadline = time.monotonic() + 15
        levels = rates = 0
        while not (levels and rates):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not all of {containers} containers within 15 s:\n{agent.log_tail()}")
            subscriber.wait_count(subscriber.count() + 1, within=2)
            levels, rates = seen(subscriber.messages(), containers)
    finally:
        agent.stop()
        subscriber.close()
    return (levels - begun) / 1e9, (rates - begun) / 1e9


def seen(messages: list[Json], containers: int) -> tuple[int, int]:
    """When the first batch came that has the memory of all, and the CPU of all; 0 while none has."""
    found = {"memory.usage": 0, "cpu.percent": 0}
    for message in messages:
        lines = json.loads(message["payload"])["containers"]
        for name, at in found.items():
            if not at and sum(1 for line in lines if name in line) >= containers:
                found[name] = message["monotonic"]
    return found["memory.usage"], found["cpu.percent"]


def timed(stage: Stage, *command: str) -> float:
    """Seconds that a command takes."""
    begun = time.monotonic()
    subprocess.run(command, env=stage.engine.environment() | os.environ, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=7, help="starts (default: 7)")
    parser.add_argument("--containers", type=int, default=400, help="running containers (default: 400)")
    chosen = options(parser)
    host = machine()
    with Stage() as stage:
        progress(f"making {chosen.containers} containers")
        stage.idle_containers("c", chosen.containers)
        stage.code()
        agent = stage.agent(POLICIES, settings=SETTINGS)
        levels, rates = [], []
        for number in range(chosen.n):
            level, rate = start_once(stage, agent, chosen.containers)
            progress(f"  start {number + 1}: levels after {level:.2f} s, rates after {rate:.2f} s")
            levels.append(level)
            rates.append(rate)
        python = statistics.median(timed(stage, sys.executable, "-c", "pass") for _ in range(5))
        stats = timed(stage, "docker", "stats", "--no-stream")
    figures = [
        Figure(
            name="start to first levels, median",
            value=statistics.median(levels),
            unit="s",
            limit=LEVELS_S,
            note=f"n={chosen.n}, {chosen.containers} containers",
        ),
        Figure(name="start to first levels, first ever", value=levels[0], unit="s", note="empty state"),
        Figure(name="start to first levels, max", value=max(levels), unit="s"),
        Figure(name="start to first rates, median", value=statistics.median(rates), unit="s", limit=RATES_S),
        Figure(name="start to first rates, first ever", value=rates[0], unit="s"),
        Figure(name="start to first rates, max", value=max(rates), unit="s"),
        Figure(name="peer: docker stats --no-stream", value=stats, unit="s"),
        Figure(name="floor: python -c pass", value=python, unit="s"),
    ]
    return show("Cold start", figures, host, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
