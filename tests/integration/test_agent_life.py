"""The agent's own life: its end in good order whatever is broken around it, one agent per state folder."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.agent import CRASHES_ON_USR1, AgentProcess, AgentWatch, Host
from tests.support.broker import PrivateBroker, Received
from tests.support.engine import PrivateEngine
from tests.support.troubles import reviving

POLICIES = reviving()
DEAF = ("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
SICK = ("--health-cmd=false", "--health-interval=200ms", "--health-retries=1")
SLOW = """
version: 1
policies:
  - name: slow
    select: {labels: {heal: "true"}}
    when: health == "unhealthy"
    then: {restart: {stop_timeout: 2s}}
"""


@pytest.fixture
def freezable_engine(own_engine: PrivateEngine) -> Iterator[PrivateEngine]:
    yield own_engine
    own_engine.thaw()


async def test_told_to_end_it_says_farewell_and_ends_with_0(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    await host.watch.until_told("agent", "started")
    engine.run("one", *CRASHES_ON_USR1)
    await host.watch.until_told("container", "start", "one")

    took = host.agent.stop()

    assert took < 3
    await host.watch.until(lambda _: host.watch.statuses[-1:] == ["offline"])
    assert host.watch.statuses == ["online", "offline"]
    await host.watch.until_told("agent", "stopping")
    assert host.agent.query("SELECT count(*) FROM outbox") == [(0,)]
    assert not host.agent.socket.exists()
    assert host.agent.logged("agent_stopped")


async def test_killed_it_is_offline_by_its_last_will_and_online_again_at_the_next_start(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    host.agent.kill()
    host.agent.start()
    await host.watch.until(lambda _: host.watch.statuses[-1:] == ["online"])
    with AgentWatch(module_broker.port, host.agent.host) as late:
        await late.until(lambda _: late.statuses == ["online"])


async def test_told_to_end_during_an_action_it_waits_for_the_outcome(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, SLOW)
    engine.run("deaf", *DEAF, labels={"heal": "true"}, options=SICK)
    await host.watch.until_told("action", "started", "deaf")

    host.agent.stop()

    await host.watch.until_told("action", "succeeded", "deaf")
    assert [row["result"] for row in host.agent.ledger("deaf")] == ["succeeded"]


async def test_with_the_broker_gone_it_ends_soon_and_tells_everything_the_next_time(
    engine: PrivateEngine, make_broker: Callable[..., PrivateBroker], make_host: Callable[..., Host]
) -> None:
    broker = make_broker()
    host = make_host(engine, broker, POLICIES)
    for end in (broker.stop, broker.freeze):
        name = f"after-{end.__name__}"
        end()
        engine.run(name, *CRASHES_ON_USR1)
        assert host.agent.stop(within=20) < 15
        if end == broker.stop:
            broker.start()
        else:
            broker.thaw()
        host.agent.start()
        await host.watch.until_told("container", "start", name)


async def test_top_tells_whether_the_broker_is_there(
    engine: PrivateEngine, make_broker: Callable[..., PrivateBroker], make_host: Callable[..., Host]
) -> None:
    broker = make_broker()
    host = make_host(engine, broker, POLICIES)

    def broker_connected() -> object:
        return host.agent.ask("top")["agent"]["broker_connected"]

    assert broker_connected() is True
    broker.stop()
    host.agent.wait_log("mqtt_down")
    assert broker_connected() is False
    broker.start()
    host.agent.wait_log("mqtt_up", count=2)
    assert broker_connected() is True
    assert host.agent.ask("top")["agent"]["store_error"] == ""


async def test_with_the_engine_frozen_it_ends_soon(
    freezable_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(freezable_engine, module_broker, POLICIES, proxied=False)
    freezable_engine.freeze()

    assert host.agent.stop(within=20) < 15

    await host.watch.until(lambda _: host.watch.statuses[-1:] == ["offline"])


async def test_a_second_agent_on_the_same_state_folder_is_refused_in_one_sentence(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    first = make_host(engine, module_broker, POLICIES)
    state_dir = first.agent.settings["state_dir"]
    second = AgentProcess(
        engine_url=engine.url, mqtt_url=module_broker.url, policies=POLICIES, settings={"state_dir": state_dir}
    )
    try:
        second.start(ready=False)
        assert second.wait_end(10) == 1
        (line,) = second.logged("agent_can_not_go_on")
        assert line["error"].startswith(f"Another watchtower-agent (process {first.agent.pid}) uses the state folder")
        assert str(Path(state_dir)) in line["error"]
        second.check_log()
    finally:
        second.close()
    assert first.agent.status()["engine"]["connected"] is True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_end_before_it_has_an_engine_or_a_broker_it_ends_with_0(number: signal.Signals) -> None:
    agent = AgentProcess(engine_url="unix:///nowhere/docker.sock", mqtt_url="mqtt://127.0.0.1:1", policies=POLICIES)
    try:
        agent.start(ready=False)
        agent.wait_log("policy_loaded")
        assert agent.status()["engine"]["connected"] is False
        agent.send(number)
        assert agent.wait_end(15) == 0
        agent.check_log()
    finally:
        agent.close()


async def test_it_tells_how_late_its_own_loop_is(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    agent = make_host(engine, module_broker, POLICIES).agent
    loop = agent.status()["loop"]
    assert loop["turns"] > 10
    assert 0 < loop["busy"] <= 1
    assert 0 <= loop["lag"]["p99"] <= loop["lag"]["p99.9"] <= loop["longest"]

    asked = asyncio.create_task(asyncio.to_thread(agent.ask, "lag", seconds=2))
    while not asked.done():  # once of these times, at least, it is in the midst of its timers
        agent.send(signal.SIGSTOP)
        await asyncio.sleep(0.4)  # for so long it is held up
        agent.send(signal.SIGCONT)
        await asyncio.wait({asked}, timeout=1)
    found = await asked
    assert found["timers"]["late"]["longest"] > 0.3
    assert found["timers"]["count"] > 20
    assert 0 < found["turns"]["turns"] < 200


async def test_a_host_that_gets_another_name_leaves_nothing_under_the_old_one(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    engine.run("web")
    await host.watch.until(lambda _: host.watch.state("web") is not None)
    former = f"watchtower/v1/{host.agent.host}"
    left = {f"{former}/status", f"{former}/info", f"{former}/state/container/web"}

    host.agent.stop()
    host.agent.settings["host"] = renamed = f"{host.agent.host}-renamed"
    host.agent.start()

    def cleared(messages: Sequence[Received]) -> bool:
        newest = {message.topic: message.payload for message in messages if message.topic in left}
        return newest == dict.fromkeys(left, b"")

    await host.watch.until(cleared)
    with AgentWatch(module_broker.port, renamed) as now:
        await now.until(lambda _: now.state("web") is not None)
        assert now.statuses == ["online"]
    with AgentWatch(module_broker.port, host.agent.host) as late, AgentWatch(module_broker.port, renamed) as after:
        await after.until(lambda _: after.state("web") is not None)
        assert late.messages == []
