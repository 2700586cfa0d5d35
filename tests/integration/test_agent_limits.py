"""Limits that are changed while a container runs: no policy acts on a share of the one before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.schema import strict_json


async def test_a_limit_that_was_raised_sets_nothing_off_that_compares_with_it(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    policies = """
version: 1
policies:
  - {name: hot, select: {name: busy}, when: cpu.percent_of_limit > 300%, then: {restart: {}}}
"""
    host = make_host(engine, module_broker, policies, settings={"mqtt": {"metrics": {"interval": "1s"}}})

    def newest(name: str) -> float:
        batches = [m.payload for m in host.watch.messages if m.topic.endswith("/metrics")]
        said = strict_json(batches[-1])["containers"] if batches else []
        return max((float(each.get(name, 0)) for each in said), default=0.0)

    await asyncio.to_thread(lambda: engine.run("busy", "sh", "-c", "while :; do :; done", options=["--cpus=0.1"]))
    await host.watch.until(lambda _: 0.05 < newest("cpu.cores") < 0.2)
    await asyncio.to_thread(lambda: engine.docker("update", "--cpus=0.5", "busy"))
    await host.watch.until(lambda _: newest("cpu.cores") > 0.4)
    ticks = host.agent.status()["sampling"]["ticks"]
    await host.watch.until(lambda _: host.agent.status()["sampling"]["ticks"] > ticks + 3)
    await host.watch.until(lambda _: 50 < newest("cpu.percent_of_limit") < 200)
    assert host.watch.told("policy", "firing") == []
    assert host.watch.told("action", "started") == []
