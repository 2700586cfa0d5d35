"""`revert` on a real engine and broker, by the command line: limits go back, though the policy is gone by then."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.integration.test_agent_explains import command
from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine

MIB = 2**20
POLICIES = """
version: 1
policies:
  - name: right-size
    select: {labels: {size: "true"}}
    resize: {memory: {min: 16MiB, max: 512MiB}, cpu: {min: 0.1, max: 1}}
  - name: heal
    select: {labels: {size: "true"}}
    on: {container: die}
    then: {restart: {}}
"""
ONLY_HEAL = POLICIES[: POLICIES.index("  - name: right-size")] + POLICIES[POLICIES.index("  - name: heal") :]


async def test_limits_go_back_through_the_guards_and_without_the_policy(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    web = engine.run("web", labels={"size": "true"}, options=("--memory=32m", "--cpus=0.25"))
    engine.run("other", labels={"size": "false"}, options=("--memory=32m",))

    def limits() -> tuple[int, int]:
        config = json.loads(engine.docker("inspect", web))[0]["HostConfig"]
        return config["Memory"] // MIB, config["NanoCpus"]

    # A process of it is OOM-killed, not its first one: it gets 100 MiB more while it runs.
    await host.watch.until(lambda _: bool(host.agent.status()["resized"]))
    engine.docker("exec", "web", "sh", "-c", "tail /dev/zero; true")
    await host.watch.until_told("action", "succeeded", "web", timeout=30)
    assert limits() == (132, 250_000_000)
    assert "no limit of other is as the agent made it" in command(host, "revert", "other", code=1)
    # Metrics come all the time: it is asked again with each message.
    await host.watch.until(lambda _: host.agent.status()["resized"][0]["resized"] == 1, timeout=30)
    assert "Limits by right-size: 1 of 1 container changed" in command(host, "status", "--alive")
    assert "what it had before the agent changed it" in command(host, "explain", "right-size", "web")

    # Held by a pause, then done; the memory that it uses fits into what it had.
    command(host, "pause", "right-size", "--for", "1h")
    assert "resize web held by paused" in command(host, "revert", "web", "--policy", "right-size")
    assert limits() == (132, 250_000_000)

    # The policy goes: what it did is known still, and the pause under its name holds no more than that.
    host.agent.write_policies(ONLY_HEAL)
    await host.watch.until_told("policy", "loaded", count=2)
    command(host, "resume", "right-size")
    done = (await host.watch.until_told("action", "succeeded", "web", count=2))[-1]
    assert limits() == (32, 250_000_000)
    assert done.data["numbers"]["memory_before"] == 132 * MIB
    assert "resize" in command(host, "history", "--policy", "right-size")
    assert "no limit of web is as the agent made it" in command(host, "revert", "web", code=1)
