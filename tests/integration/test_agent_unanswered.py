"""The engine refuses, hangs up or dies during a restart: it is found out what it did, and nothing stays down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine

LABELS = {"heal": "true"}
HEAL = """
version: 1
policies:
  - name: heal
    select: {labels: {heal: "true"}}
    when: health == "unhealthy"
    then: {restart: {stop_timeout: 1s}}
    cooldown: 1s
    backoff: {initial: 500ms, max: 1s}
    budget: {max: 100, per: 1s}
"""
STUBBORN = ("sh", "-c", "rm -f /tmp/bad; trap '' TERM; while :; do sleep 0.1; done")
CHECKED = (
    "--health-cmd=test ! -e /tmp/bad",
    "--health-interval=300ms",
    "--health-retries=1",
    "--health-start-period=0s",
)


@pytest.fixture(scope="module")
def kept_engine() -> Iterator[PrivateEngine]:
    """An engine whose containers outlive it."""
    with PrivateEngine(options=("--live-restore",)) as engine:
        yield engine


def sicken(host: Host, name: str) -> None:
    host.engine.docker("exec", name, "touch", "/tmp/bad")


def running(host: Host, container_id: str) -> bool:
    return bool(host.engine.api("GET", f"/containers/{container_id}/json")["State"]["Running"])


async def test_a_restart_that_can_only_stop_is_tried_until_it_can_start(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = make_host(engine, module_broker, HEAL)
    needed = tmp_path / "needed"
    needed.mkdir()
    mount = f"--mount=type=bind,src={needed},dst=/needed"
    web = engine.run("web", *STUBBORN, labels=LABELS, options=(*CHECKED, mount))
    await host.watch.until_told("container", "health_status", "web")
    needed.rmdir()
    sicken(host, "web")

    failed = await host.watch.until_told("action", "failed", "web", count=2, timeout=30)
    assert not running(host, web)
    assert "; the engine did not restart web" in failed[0].reason
    assert "the engine refused (500)" in failed[0].reason
    status = await asyncio.to_thread(host.agent.status)
    assert "web" in {each["target"] for each in status["pending"]} or len(host.calls(web)) > 2
    needed.mkdir()
    (succeeded,) = await host.watch.until_told("action", "succeeded", "web", timeout=30)
    assert running(host, web)
    assert succeeded.correlation == failed[0].correlation


async def test_what_the_engine_did_though_the_connection_was_lost_is_the_agents_own_doing(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, HEAL)
    assert host.proxy is not None
    web = engine.run("web", *STUBBORN, labels=LABELS, options=CHECKED)
    await host.watch.until_told("container", "health_status", "web")
    before = host.starts(web)
    sicken(host, "web")
    await host.watch.until_told("container", "kill", "web")  # TERM, which it ignores for a second
    assert host.proxy.cut("/containers/*/restart") == 1

    (succeeded,) = await host.watch.until_told("action", "succeeded", "web", timeout=30)
    assert succeeded.reason.endswith("the engine hung up before it answered; the engine did restart web")
    assert host.starts(web) > before
    (restart,) = await host.watch.until_told("container", "restart", "web")
    assert restart.correlation == succeeded.correlation
    assert len(host.calls(web)) == 1
    assert [row["result"] for row in host.agent.ledger("web")] == ["succeeded"]
    assert [each for each in host.watch.told("policy", "held", "web") if each.guard == "operator_intent"] == []


@pytest.mark.parametrize("lost", ["connection", "agent"])
async def test_a_container_with_a_long_stop_timeout_of_its_own_is_not_restarted_twice(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], lost: str
) -> None:
    host = make_host(engine, module_broker, HEAL.replace("{stop_timeout: 1s}", "{}"))
    assert host.proxy is not None
    web = engine.run("web", *STUBBORN, labels=LABELS, options=(*CHECKED, "--stop-timeout=18"))
    await host.watch.until_told("container", "health_status", "web")
    before = host.starts(web)
    sicken(host, "web")
    await host.watch.until_told("container", "kill", "web")  # TERM, which it ignores for 18 s
    if lost == "agent":
        host.agent.kill()
        host.agent.start()
    else:
        assert host.proxy.cut("/containers/*/restart") == 1

    result = "interrupted" if lost == "agent" else "succeeded"
    (ended,) = await host.watch.until_told("action", result, "web", timeout=40)
    assert ended.reason.endswith("the engine did restart web")
    assert host.starts(web) > before
    assert len(host.calls(web)) == 1
    assert [row["result"] for row in host.agent.ledger("web")] == [result]
    assert [each for each in host.watch.told("policy", "held", "web") if each.guard == "operator_intent"] == []


async def test_an_engine_that_is_killed_between_stop_and_start_leaves_nothing_down(
    kept_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(kept_engine, module_broker, HEAL, proxied=False)
    web = kept_engine.run("web", *STUBBORN, labels=LABELS, options=CHECKED)
    await host.watch.until_told("container", "health_status", "web")
    sicken(host, "web")
    await host.watch.until_told("container", "die", "web", timeout=30)
    kept_engine.kill()
    kept_engine.start()

    # Whether it came to the start is a matter of milliseconds; in the end the container is up, and by the agent's wish.
    await host.watch.until(lambda _: running(host, web), timeout=60)
    await host.watch.until(lambda _: host.agent.query("SELECT 1 FROM ledger WHERE result IS NULL") == [], timeout=30)
    assert [each for each in host.watch.told("policy", "held", "web") if each.guard == "operator_intent"] == []
