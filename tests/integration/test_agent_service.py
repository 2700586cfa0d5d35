"""The agent as a service of systemd: what it tells over the notify socket, on a real engine and broker."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.notify_socket import Ear

POLICIES = """
version: 1
policies:
  - name: told
    on: {container: die}
    then: {notify: {severity: warning}}
"""


async def test_ready_alive_reloading_and_stopping_are_told(
    tmp_path: Path, engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    with Ear(str(tmp_path / "notify")) as ear:
        variables = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": "4000000"}
        host = make_host(engine, module_broker, POLICIES, environment=variables)

        said = await ear.until(lambda lines: "READY=1" in lines)
        assert any(line.startswith("STATUS=") for line in said)
        await ear.until(lambda lines: "WATCHDOG=1" in lines)
        await ear.until(lambda lines: any("engine connected, broker connected" in line for line in lines))

        host.agent.send(signal.SIGHUP)
        await ear.until(lambda lines: "RELOADING=1" in lines)
        await ear.until(lambda lines: "READY=1" in lines)

        host.agent.send(signal.SIGTERM)
        await ear.until(lambda lines: "STOPPING=1" in lines)
        assert host.agent.wait_end(within=20) == 0


async def test_an_engine_or_a_broker_that_is_frozen_is_no_reason_to_start_the_agent_anew(
    tmp_path: Path, own_engine: PrivateEngine, make_broker: Callable[..., PrivateBroker], make_host: Callable[..., Host]
) -> None:
    broker = make_broker()
    with Ear(str(tmp_path / "notify")) as ear:
        variables = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": "4000000"}
        make_host(own_engine, broker, POLICIES, environment=variables)
        await ear.until(lambda lines: any("engine connected, broker connected" in line for line in lines))
        own_engine.freeze()
        broker.freeze()
        try:
            await ear.until(lambda lines: any("ENGINE DOWN" in line for line in lines))
            assert "WATCHDOG=1" in await ear.until(lambda lines: "WATCHDOG=1" in lines)
        finally:
            broker.thaw()
            own_engine.thaw()
        await ear.until(lambda lines: any("engine connected" in line for line in lines))


async def test_an_agent_that_stands_still_does_not_feed_its_watchdog(
    tmp_path: Path, engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    with Ear(str(tmp_path / "notify")) as ear:
        variables = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": "4000000"}
        host = make_host(engine, module_broker, POLICIES, environment=variables)
        await ear.until(lambda lines: "WATCHDOG=1" in lines)
        host.agent.send(signal.SIGSTOP)
        while not ear.silent():
            pass
        try:
            assert await ear.nothing_for(5.0), "systemd would have started it anew by now"
        finally:
            host.agent.send(signal.SIGCONT)
        await ear.until(lambda lines: "WATCHDOG=1" in lines)
