"""Pauses on a real engine and broker: by the command line, over a kill -9 of the agent, to their end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

from tests.support.agent import CHECKOUT, CRASHES_ONCE, Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.troubles import reviving

POLICIES = (
    reviving()
    + """\
  - name: other
    select: {labels: {heal: other}}
    on: {container: die}
    then: {restart: {stop_timeout: 1s}}
"""
)


def command(host: Host, *arguments: str) -> str:
    """What the command line says."""
    done = subprocess.run(
        [sys.executable, "-m", "watchtower_agent", *arguments, "--socket", str(host.agent.socket)],
        cwd=CHECKOUT,
        env=os.environ | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_paused_policy_holds_over_a_kill_of_the_agent_until_it_is_resumed(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)

    assert "policy revive is paused until" in command(host, "pause", "revive", "--for", "1h", "--reason", "we move")

    (told,) = await host.watch.until_told("policy", "paused")
    assert (told.data["name"], told.data["because"], told.document["severity"]) == ("revive", "we move", "warning")
    crashed = engine.run("crashed", *CRASHES_ONCE, labels={"heal": "true"})
    held = await host.watch.until_held("crashed", "revive")
    assert (held.guard, held.data["numbers"]["paused_because"]) == ("paused", "we move")
    engine.run("another", *CRASHES_ONCE, labels={"heal": "other"})
    await host.watch.until_told("action", "succeeded", "another")

    host.agent.kill()
    host.agent.start()

    assert "we move" in command(host, "status", "--alive")
    assert json.loads(command(host, "pause", "other", "--json"))["paused"][0]["name"] == "revive"
    assert host.calls(crashed) == []
    assert "policy revive goes on." in command(host, "resume", "revive")
    await host.watch.until_told("policy", "resumed")
    await host.watch.until_told("action", "succeeded", "crashed")
    assert len(host.calls(crashed)) == 1


async def test_a_pause_of_the_whole_agent_ends_by_itself(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    command(host, "pause", "--all", "--for", "4s")
    crashed = engine.run("crashed", *CRASHES_ONCE, labels={"heal": "true"})
    held = await host.watch.until_held("crashed", "revive")
    assert held.guard == "paused"

    (over,) = await host.watch.until_told("agent", "resumed")

    assert over.reason == "the agent goes on: its pause is over, it was for 4s"
    await host.watch.until_told("action", "succeeded", "crashed")
    (asked,) = host.watch.told("agent", "paused")
    assert host.calls(crashed)[0].wall - asked.time_ns / 1e9 >= 3.9
