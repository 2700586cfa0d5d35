"""The engine as a service, seen by conditions: stopped, frozen, slow, restarted; and by `top` and `metrics`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import IDLE, PrivateEngine

POLICIES = """
version: 1
policies:
  - name: silent
    when: engine.responding == false
    for: 2s
    then: {notify: {severity: critical}}
  - name: deaf
    when: not engine.connected
    then: {notify: {}}
  - name: slow
    when: engine.latency > 300ms
    then: {notify: {}}
  - name: new
    when: delta(engine.restarts, 2s) >= 1
    then: {notify: {}}
  - name: process
    when: engine.memory > 1MiB and engine.threads > 1 and engine.open_files > 1 and engine.cpu.percent >= 0%
    then: {notify: {}}
  - name: full
    when: engine.containers.running >= 2 and engine.containers.paused == 0 and engine.containers.stopped == 0
    then: {notify: {}}
  - name: stocked
    when: engine.images >= 1
    then: {notify: {}}
  - name: late
    when: engine.event_lag > 500ms
    then: {notify: {}}
"""


@pytest.fixture(scope="module")
def kept_engine() -> Iterator[PrivateEngine]:
    """An engine whose containers outlive it."""
    with PrivateEngine(options=("--live-restore",)) as engine:
        yield engine


@pytest.fixture
def lasting_engine(kept_engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """The same, without containers before and after."""
    yield kept_engine
    kept_engine.sweep()


async def fired(host: Host, policy: str, *, count: int = 1) -> None:
    await host.watch.until_told(
        "policy", "firing", count=count, timeout=25, where=lambda told: told.data["policy"] == policy
    )


async def resolved(host: Host, policy: str, *, count: int = 1) -> None:
    await host.watch.until_told(
        "policy", "resolved", count=count, timeout=25, where=lambda told: told.data["policy"] == policy
    )


def never_fired(host: Host, policy: str) -> bool:
    return not host.watch.told("policy", "firing", where=lambda told: told.data["policy"] == policy)


async def test_an_engine_that_is_stopped_and_started_again(
    own_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(own_engine, module_broker, POLICIES, proxied=False)
    await fired(host, "process")
    await fired(host, "stocked")

    stopped = time.monotonic()
    own_engine.stop()
    await fired(host, "deaf")
    await fired(host, "silent")
    assert time.monotonic() - stopped >= 2
    engine = host.agent.ask("top")["engine"]
    assert (engine["engine.connected"], engine["engine.responding"], engine["engine.latency"]) == (False, False, None)
    (silent,) = [each for each in host.agent.ask("top")["watchers"] if each["policy"] == "silent"]
    assert (silent["firing"], silent["true"], silent["closeness"]) == (True, True, 1.0)
    assert silent["held_for"] >= 1.9
    assert engine["last_error"]
    own_engine.start()

    await resolved(host, "silent")
    await resolved(host, "deaf")
    await fired(host, "stocked", count=2)  # while the engine was away nothing was known of them
    await fired(host, "new")
    await resolved(host, "new")
    assert host.agent.ask("metrics", container=None)["values"]["engine.restarts"] == 1
    assert len(host.watch.told("action", "notify", where=lambda told: told.data["policy"] == "silent")) == 1


async def test_an_engine_that_hangs_is_silent_and_not_restarted(
    lasting_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(lasting_engine, module_broker, POLICIES, proxied=False)

    lasting_engine.freeze()
    try:
        await fired(host, "silent")
    finally:
        lasting_engine.thaw()

    await resolved(host, "silent")
    await host.watch.until_told("engine", "up", count=2)
    assert never_fired(host, "new")


async def test_an_engine_that_is_slow_responds_still(
    lasting_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(lasting_engine, module_broker, POLICIES)
    assert host.proxy is not None

    slow = host.proxy.delay("GET", "/_ping", 0.6)
    await fired(host, "slow")
    values = host.agent.ask("metrics", container=None)["values"]
    assert 0.6 <= values["engine.latency"] < 2
    assert values["engine.responding"] is values["engine.connected"] is True
    slow.release()

    await resolved(host, "slow")
    assert never_fired(host, "silent")
    assert never_fired(host, "deaf")


async def test_events_that_come_late_are_seen_as_lag(
    lasting_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(lasting_engine, module_broker, POLICIES)
    assert host.proxy is not None
    host.proxy.delay_events(0.8)
    lasting_engine.run("one", *IDLE)
    await fired(host, "late")
    host.proxy.delay_events(0.0)
    lasting_engine.run("two", *IDLE)
    await fired(host, "full")
    lasting_engine.api("POST", "/volumes/create", {"Name": "later"})  # the lag is that of the newest event
    await resolved(host, "late")


async def test_what_top_and_metrics_tell_is_what_the_engine_says(
    lasting_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    policies = """
version: 1
policies:
  - name: leak
    select: {name: "w*"}
    when: memory.percent > 90%
    for: 5m
    then: {restart: {}}
"""
    host = make_host(lasting_engine, module_broker, policies, proxied=False)
    lasting_engine.run("web", *IDLE, options=("--memory=64m",))
    lasting_engine.run("db", *IDLE)
    for name in ("web", "db"):
        await host.watch.until_told("container", "start", name)
    await host.watch.until(lambda _: _sampled(host), timeout=15)

    page = host.agent.ask("top", sort="name")
    db, web = page["containers"]
    assert (db["name"], web["name"], page["total"]) == ("db", "web", 2)
    assert (web["status"], web["values"]["memory.limit"]) == ("running", 64 * 2**20)
    (leak,) = web["watchers"]
    assert leak["closeness"] == pytest.approx(leak["comparisons"][0]["value"] / 90)
    assert db["watchers"] == []
    one = host.agent.ask("metrics", container="web")
    assert (one["container"], one["values"]["name"]) == ("web", "web")
    assert host.agent.ask("metrics", container=web["id"][:12])["container"] == "web"
    over = host.agent.ask("metrics", container=None)["ranges"]
    assert over["status"]["words"] == {"running": 2}
    assert over["memory.limit"]["least"] == 64 * 2**20


def _sampled(host: Host) -> bool:
    containers = host.agent.ask("top")["containers"]
    return len(containers) == 2 and all(each["values"]["cpu.percent"] is not None for each in containers)
