"""Crash loops on a real engine: growing waits, a breaker that opens, and one probe that closes it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine

LABELS = {"heal": "true"}
INITIAL = 0.5
REVIVE = """
version: 1
policies:
  - name: revive
    select: {labels: {heal: "true"}}
    on: {container: die}
    then: {restart: {stop_timeout: 1s}}
    cooldown: 0s
    backoff: {initial: 500ms}
    budget: {max: 4, per: 15s, probe_after: 12s}
"""
AT_ONCE = """
version: 1
policies:
  - name: revive
    select: {labels: {heal: "true"}}
    on: {container: die}
    then: {start: {}}
"""
CRASHES = ("sh", "-c", "test -e /mended/yes && exec sleep 3600; exit 3")


async def test_a_crash_loop_opens_the_breaker_and_one_probe_closes_it_once_it_is_mended(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = make_host(engine, module_broker, REVIVE)
    crash = engine.run("crash", *CRASHES, labels=LABELS, options=(f"--volume={tmp_path}:/mended",))

    (opened,) = await host.watch.until_told("policy", "breaker_open", "crash", timeout=30)
    assert opened.document["severity"] == "critical"
    assert opened.key == "revive"
    assert opened.data["budget"] == {"max": 4, "per": 15.0}
    (held, *_) = await host.watch.until_told("policy", "held", "crash", where=lambda told: told.guard == "breaker")
    assert held.correlation == opened.correlation
    calls = host.calls(crash)
    assert len(calls) == 4
    gaps = [later.monotonic - earlier.monotonic for earlier, later in pairwise(calls)]
    for number, gap in enumerate(gaps):
        assert gap >= 0.8 * INITIAL * 2**number, gaps
    assert gaps[2] > gaps[0]

    # Killed and started again it knows of its breaker, and of what waits for it.
    host.agent.kill()
    host.agent.start()
    (tmp_path / "yes").touch()
    (probing,) = await host.watch.until_told("policy", "breaker_half_open", "crash", timeout=30)
    (closed,) = await host.watch.until_told("policy", "breaker_closed", "crash", timeout=30)

    assert probing.arrived - opened.arrived >= 11
    assert closed.arrived - probing.arrived >= 9
    assert closed.correlation == probing.correlation
    assert len(host.calls(crash)) == 5
    assert len(host.watch.told("policy", "breaker_open", "crash")) == 1
    assert engine.api("GET", f"/containers/{crash}/json")["State"]["Running"]
    assert [row["result"] for row in host.agent.ledger("crash")] == ["succeeded"] * 5


async def test_of_many_that_crash_at_once_only_so_many_are_started_as_the_host_may(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    budget = {"guards": {"host_budget": {"max": 3, "per": "10m"}}}
    host = make_host(engine, module_broker, AT_ONCE, settings=budget)
    names = [f"crash-{number}" for number in range(6)]
    ids = [engine.run(name, "sh", "-c", "sleep 1; exit 3", labels=LABELS) for name in names]
    for name in names:
        await host.watch.until_told("container", "die", name)

    (opened,) = await host.watch.until_told("policy", "breaker_open")
    assert opened.data["target"] == {"kind": "host", "name": host.agent.host}
    assert opened.document["severity"] == "critical"
    held = await host.watch.until_told("policy", "held", count=3, where=lambda told: told.guard == "breaker")
    assert {told.name for told in held} <= set(names)
    await host.watch.until_told("action", "succeeded", count=3)
    assert sum(len(host.calls(container_id)) for container_id in ids) == 3
