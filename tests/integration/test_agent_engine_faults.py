"""The engine is killed, stopped, restarted, frozen: the agent says so, keeps running, and undoes nobody's doing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.support.agent import CRASHES_ON_USR1, CRASHES_ONCE, Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.troubles import KEEP_UP, reviving

LABELS = {"heal": "true"}
REVIVE = (
    reviving()
    + KEEP_UP
    + """\
  - name: engine
    on: {engine: [down, up]}
    then: {notify: {severity: critical}}
"""
)


@pytest.fixture(scope="module")
def kept_engine() -> Iterator[PrivateEngine]:
    """An engine whose containers outlive it."""
    with PrivateEngine(options=("--live-restore",)) as engine:
        yield engine


@pytest.fixture
def lasting_engine(kept_engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """An engine whose containers outlive it, for tests that stop and freeze it and leave it running."""
    yield kept_engine
    kept_engine.sweep()


async def still_acts(host: Host) -> None:
    """The agent goes on as before: a crash is answered."""
    host.engine.run("canary", *CRASHES_ONCE, labels=LABELS)
    await host.watch.until_told("action", "succeeded", "canary")


async def test_an_engine_killed_and_started_again_is_a_loss_that_is_declared(
    own_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(own_engine, module_broker, REVIVE, proxied=False)
    pid = host.agent.pid
    plain = own_engine.run("plain", *CRASHES_ON_USR1, labels=LABELS)
    own_engine.run("always", *CRASHES_ON_USR1, labels=LABELS, options=("--restart=always",))
    for name in ("plain", "always"):
        await host.watch.until_told("container", "start", name)
    before = host.starts(plain)

    own_engine.kill()
    await host.watch.until_told("engine", "down")
    own_engine.start()

    up = (await host.watch.until_told("engine", "up", count=2))[-1]
    assert up.data["restarted"] is True
    assert up.data["down_seconds"] > 0
    (gap,) = await host.watch.until_told("agent", "event_gap")
    assert gap.data["cause"] == "engine_restarted"
    assert len(await host.watch.until_told("action", "notify", count=3)) == 3
    (held, *_) = await host.watch.until_told("policy", "held", "plain")
    assert held.guard == "operator_intent"
    await host.watch.until_told("container", "start", "always", count=2)  # the engine's own doing
    await still_acts(host)
    assert host.starts(plain) == before
    assert host.agent.ledger("plain") == host.agent.ledger("always") == []
    status = host.agent.status()
    assert (host.agent.pid, status["engine"]["restarts"], status["engine"]["gaps"]) == (pid, 1, 1)


async def test_what_ended_while_the_engine_was_stopped_is_told_and_left_alone(
    lasting_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    engine = lasting_engine
    host = make_host(engine, module_broker, REVIVE, proxied=False)
    ended = engine.run("ended", *CRASHES_ON_USR1, labels=LABELS)
    engine.run("lasting", *CRASHES_ON_USR1, labels=LABELS)
    for name in ("ended", "lasting"):
        await host.watch.until_told("container", "start", name)
    process = engine.api("GET", f"/containers/{ended}/json")["State"]["Pid"]

    engine.stop()
    await host.watch.until_told("engine", "down")
    os.kill(process, signal.SIGKILL)
    engine.start()

    up = (await host.watch.until_told("engine", "up", count=2))[-1]
    assert "ended" in up.data["changes"]["ended"]["names"]
    (died,) = await host.watch.until_told("container", "die", "ended")
    (held, *_) = await host.watch.until_told("policy", "held", "ended")
    assert held.guard == "operator_intent"
    assert "could not see" in held.reason
    assert died.correlation == held.correlation or died.origin == "synthetic"
    await still_acts(host)
    assert host.agent.ledger("ended") == []
    assert host.watch.told("container", "die", "lasting") == []


async def test_what_happened_in_a_frozen_engine_is_told_when_it_thaws(
    lasting_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    engine = lasting_engine
    host = make_host(engine, module_broker, REVIVE, proxied=False)
    for name in ("stopped", "crashed"):
        engine.run(name, *CRASHES_ON_USR1, labels=LABELS)
        await host.watch.until_told("container", "start", name)
    pid = engine.api("GET", "/containers/crashed/json")["State"]["Pid"]

    engine.freeze()
    by_hand = asyncio.create_task(asyncio.to_thread(engine.docker, "stop", "--time=1", "stopped"))
    try:
        os.kill(pid, signal.SIGUSR1)
        (down,) = await host.watch.until_told("engine", "down", timeout=20)
        status = host.agent.status()
        assert (status["engine"]["connected"], status["well"]) == (False, False)
        assert [reason.split(":")[0] for reason in status["unwell"]] == ["the engine is not connected"]
    finally:
        engine.thaw()
    await by_hand

    await host.watch.until_told("engine", "up", count=2)
    assert "answer" in down.reason
    await host.watch.until_told("action", "succeeded", "crashed")
    (held, *_) = await host.watch.until_told("policy", "held", "stopped")
    assert held.guard == "operator_intent"
    assert "on purpose" in held.reason
    assert host.agent.ledger("stopped") == []
    assert len(host.agent.ledger("crashed")) == 1
    assert host.agent.status()["well"] is True
    assert host.watch.told("agent", "event_gap") == []


async def test_containers_whose_inspection_hangs_hold_up_no_other_and_are_named(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, REVIVE, settings={"engine": {"timeout": "3s"}}, start=False)
    assert host.proxy is not None
    stuck = [engine.run(f"stuck{number}") for number in range(3)]
    silent = [host.proxy.blackhole("GET", f"/containers/{each}/json") for each in stuck]
    host.agent.start()
    for rule in silent:
        await asyncio.to_thread(rule.wait, 2.5)  # before the first of them is given up

    await still_acts(host)

    told = await host.watch.until_told("agent", "container_hangs", count=len(stuck), timeout=20)
    assert sorted(str(each.data["container"]) for each in told) == ["stuck0", "stuck1", "stuck2"]
    of_engine = host.agent.status()["engine"]
    assert sorted(each["name"] for each in of_engine["hanging"]) == ["stuck0", "stuck1", "stuck2"]
    assert of_engine["responding"] is True
