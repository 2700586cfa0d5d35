"""`restart_engine` by a whole agent: a real engine hangs; `systemctl` is a stand-in that the test answers for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.patience import patient
from tests.support.systemctl import Systemctl

HANGS = """
version: 1
policies:
  - name: hangs
    when: engine.responding == false
    for: 1s
    then: {restart_engine: {}}
"""


async def test_a_frozen_engine_is_restarted_once(
    own_engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    systemctl = Systemctl(tmp_path)
    os.mkfifo(tmp_path / "restarts")
    systemctl.on_restart(f"echo now > {tmp_path}/restarts")
    host = make_host(
        own_engine,
        module_broker,
        HANGS,
        proxied=False,
        settings={"allow": {"restart_engine": True}, "engine": {"unit": "docker-of-test.service"}},
        environment={"PATH": systemctl.path},
    )
    asked = os.open(tmp_path / "restarts", os.O_RDWR)  # for both, so that nobody waits for the other to open it
    restarted = asyncio.Event()
    asyncio.get_running_loop().add_reader(asked, restarted.set)

    own_engine.freeze()
    (wanted,) = await host.watch.until_told("policy", "decision", timeout=30)
    assert (wanted.data["verb"], wanted.data["target"]) == (
        "restart_engine",
        {"kind": "host", "id": "engine", "name": host.agent.host},
    )
    await asyncio.wait_for(restarted.wait(), patient(20))
    systemctl.says(active="deactivating", sub="stop-sigterm", invocation="a", job=7)
    await asyncio.to_thread(own_engine.kill)
    systemctl.says(active="activating", sub="start", invocation="b", job=7)
    await asyncio.to_thread(own_engine.start)
    systemctl.says(invocation="b", since=2.0)

    (done,) = await host.watch.until_told("action", "succeeded", timeout=30)
    assert done.data["numbers"]["unit"] == "docker-of-test.service"
    await host.watch.until_told("engine", "up", count=2)
    assert [each["result"] for each in host.agent.ledger(host.agent.host)] == ["succeeded"]
    said = host.agent.explained("hangs")
    assert {each["guard"]: each["answer"] for each in said["guards"]}["cooldown"] == "holds"
    assert systemctl.restarts == ["--no-ask-password --no-pager --no-block restart -- docker-of-test.service"]
    asyncio.get_running_loop().remove_reader(asked)
    os.close(asked)
