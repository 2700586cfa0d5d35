"""What the agent publishes beside what the engine itself says of the same time, and `docker stats` shows.

On this machine's cgroups; in the virtual machine the same is asked of cgroup v2 (`tests/machine`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

import pytest

from tests.support.agent import Host
from tests.support.beside_docker_stats import BURN, compare_cpu, compare_memory
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.patience import patient
from tests.support.published import Published

STRETCH = patient(20.0)
"""Seconds that are compared. A tenth of a core is used in bursts of 10 ms, of which one may be cut at each end.

On a slow machine more time passes between reading a counter and reading the clock.
"""
EVERY_SECOND = {"sampling": {"interval": "1s"}, "mqtt": {"metrics": {"interval": "1s"}}}
POLICIES = """
version: 1
policies:
  - {name: full, select: {name: "*"}, when: memory.percent > 99%, then: {notify: {message: Full}}}
"""


@pytest.mark.parametrize(
    "shares",
    [
        pytest.param({"b10": 0.1, "b50": 0.5, "b100": 1.0}, id="10+50+100"),
        pytest.param({"b150": 1.5}, id="150", marks=pytest.mark.only_full),  # it leaves little to what runs beside it
    ],
)
async def test_cpu_is_what_docker_stats_shows(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], shares: Mapping[str, float]
) -> None:
    host = make_host(engine, module_broker, POLICIES, settings=EVERY_SECOND)
    # an engine refuses to grant more than its machine has
    granted = {name: min(cores, os.cpu_count() or 1) for name, cores in shares.items()}
    burners = {}
    for name, cores in granted.items():
        loops = f"{BURN} & {BURN}" if cores > 1 else BURN
        burners[name] = await asyncio.to_thread(engine.run, name, "sh", "-c", loops, options=[f"--cpus={cores:g}"])
    await compare_cpu(host.engine, host.watch, burners, stretch=STRETCH)
    for name, cores in granted.items():
        now = Published(host.watch, burners[name]).samples()[-1][1]
        assert now["cpu.percent_of_limit"] == pytest.approx(now["cpu.percent"] / cores, rel=1e-3)


async def test_memory_is_what_docker_stats_shows(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES, settings=EVERY_SECOND)
    await compare_memory(host.engine, host.watch)
