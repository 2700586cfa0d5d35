"""Crash loops on a real engine: growing waits, a breaker that opens, and one probe that closes it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.troubles import reviving

LABELS = {"heal": "true"}
INITIAL = 0.5
REVIVE = reviving(cooldown="0s", backoff="{initial: 500ms}", budget="{max: 4, per: 15s, probe_after: 12s}")
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
    assert [row["result"] for row in host.agent.ledger("crash")] == ["ineffective"] * 4 + ["succeeded"]


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


async def test_a_container_that_is_renamed_takes_its_breaker_along_and_a_new_one_of_its_name_finds_it(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    policies = reviving(cooldown="0s", backoff="{initial: 0s}", budget="{max: 2, per: 10m}")
    host = make_host(engine, module_broker, policies)
    crash = engine.run("web", "sh", "-c", "exit 3", labels=LABELS)
    await host.watch.until_told("policy", "breaker_open", "web", timeout=30)

    engine.docker("rename", "web", "shop")
    await host.watch.until_told("container", "rename", "shop")
    host.agent.kill()
    host.agent.start()
    assert {each["name"]: each["phase"] for each in host.agent.status()["breakers"]} == {"web": "open", "shop": "open"}

    # Renamed while nobody looks.
    host.agent.kill()
    engine.docker("rename", "shop", "store")
    host.agent.start()
    await host.watch.until_told("container", "rename", "store")
    assert {each["name"] for each in host.agent.status()["breakers"]} == {"web", "store"}

    # Both are held: the one that was renamed, once it is started and ends again, and a new one of its first name.
    engine.docker("start", "store")
    await host.watch.until_told("policy", "held", "store", where=lambda told: told.guard == "breaker")
    engine.run("web", "sh", "-c", "exit 3", labels=LABELS)
    await host.watch.until_told("policy", "held", "web", count=2, where=lambda told: told.guard == "breaker")
    assert len(host.calls("*")) == len(host.calls(crash)) == 2
