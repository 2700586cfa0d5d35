"""The past of real containers, as a person at the terminal sees it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.command_line import piped
from tests.support.engine import PrivateEngine
from watchtower_agent.errors import PermanentError


async def test_what_a_container_did_before_it_crashed_is_drawn_after(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    settings = {"sampling": {"history": "30m"}}
    host = make_host(engine, module_broker, "version: 1\npolicies: []\n", settings=settings)

    def metrics(*arguments: str) -> subprocess.CompletedProcess[str]:
        return piped(host.agent.socket, "metrics", *arguments)

    def past(name: str, container: str | None) -> dict[str, Any]:
        found: dict[str, Any] = host.agent.ask("past", name=name, container=container)
        return found

    def known(name: str, container: str | None) -> list[float]:
        return [value for _, value in past(name, container)["points"] if value is not None]

    await asyncio.to_thread(lambda: engine.run("busy", "sh", "-c", "while :; do :; done", options=["--cpus=0.5"]))
    await host.watch.until_told("container", "start", "busy")
    await host.watch.until(lambda _: max(known("cpu.percent", "busy"), default=0.0) > 30, timeout=40)
    await host.watch.until(lambda _: bool(known("memory.working_set", "busy")))
    await asyncio.to_thread(lambda: engine.docker("kill", "busy"))
    await host.watch.until_told("container", "die", "busy")
    await host.watch.until(lambda _: past("cpu.percent", "busy")["now"] is None)

    drawn = metrics("cpu.percent", "--of", "busy", "--last", "1h")
    assert (drawn.returncode, drawn.stderr) == (0, "")
    title, *chart, _, facts = drawn.stdout.splitlines()
    assert title.startswith("cpu.percent of busy, last ")
    assert any("█" in line for line in chart)
    assert "now -" in facts, "it does not run now"
    most = re.search(r"max ([\d.]+) %", facts)
    assert most is not None
    assert 20 < float(most[1]) < 80  # of the means that are drawn, a part may be idle

    told = json.loads(metrics("memory.working_set", "--of", "busy", "--json").stdout)
    values = [value for _, value in told["points"] if value is not None]
    assert all(10_000 < value < 100 * 2**20 for value in values)
    assert all(told["at"] - 3700 < moment <= told["at"] for moment, _ in told["points"])
    assert told["kept"] == 1800
    assert 0 < known("host.memory.percent", None)[-1] < 100

    await asyncio.to_thread(lambda: engine.docker("rm", "busy"))
    await host.watch.until_told("container", "destroy", "busy")
    with pytest.raises(PermanentError, match="there is no container 'busy'"):
        past("cpu.percent", "busy")
