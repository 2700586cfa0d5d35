"""Limits of containers that follow what they need, by the whole agent: raised without a restart, told, brought back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.agent import Host, Told
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.engine_watch import in_thread
from tests.support.troubles import KILLED_CHILD

MIB = 2**20
POLICIES = """
version: 1
policies:
  - name: right-size
    select: {labels: {size: "true"}}
    resize: {memory: {min: 16MiB, max: 200MiB}}
"""
LABELS = {"size": "true"}


def limits(engine: PrivateEngine, name: str) -> tuple[float, float]:
    """MiB of memory, and of memory with swap."""
    host_config: dict[str, Any] = engine.api("GET", f"/containers/{name}/json")["HostConfig"]
    return host_config["Memory"] / MIB, host_config["MemorySwap"] / MIB


def greedy(engine: PrivateEngine, name: str, *options: str) -> str:
    """One that has 32 MiB."""
    return engine.run(name, *KILLED_CHILD, labels=LABELS, options=("--memory=32m", *options))


async def test_who_is_killed_for_want_of_memory_gets_more_without_a_restart_and_up_to_max(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    # Sampled so seldom that hardly a sample sees the memory as it fills, which takes long on a busy host: a limit that
    # was raised for what is used is no longer 32 MiB when the kernel kills.
    host = make_host(engine, module_broker, POLICIES, settings={"sampling": {"interval": "2s"}})
    hog, swaps = greedy(engine, "hog", "--memory-swap=32m"), greedy(engine, "swaps", "--memory-swap=48m")
    by_hand = greedy(engine, "by-hand", "--memory-swap=32m")
    begun = host.starts(by_hand)
    lives = {each: host.starts(each) for each in (hog, swaps)}

    async def killed(name: str, times: int) -> Told:
        await in_thread(lambda: engine.docker("exec", name, "touch", "/tmp/go"))
        return (await host.watch.until_told("action", "succeeded", name, count=times, timeout=20))[-1]

    # Once: 100 MiB more, and swap as it was beside it.
    raised = await killed("hog", 1)
    await killed("swaps", 1)
    assert limits(engine, "hog") == (132, 132)
    assert limits(engine, "swaps") == (132, 148)
    (decided,) = host.watch.told("policy", "decision", "hog")
    assert decided.reason == "memory limit 32.0 MiB to 132.0 MiB: OOM-killed"
    assert decided.data["parameters"] == {"memory": 132 * MIB}
    assert decided.correlation == raised.correlation
    assert (raised.data["numbers"]["memory_before"], raised.data["numbers"]["memory_swap_before"]) == (32 * MIB,) * 2

    # Within a minute, while other things happen, its next creation is looked at.
    assert host.starts(swaps) == lives[swaps]
    await in_thread(lambda: engine.docker("rm", "--force", "swaps"))
    await in_thread(lambda: greedy(engine, "swaps", "--memory-swap=48m"))
    assert limits(engine, "swaps") == (32, 48)

    # The engine's word of that is no operator's act: what it needs next it gets, up to max.
    (update,) = await host.watch.until_told("container", "update", "hog")
    assert update.correlation == raised.correlation
    await killed("hog", 2)
    assert limits(engine, "hog") == (200, 200)
    await in_thread(lambda: engine.docker("exec", "hog", "touch", "/tmp/go"))
    (at_max,) = await host.watch.until_told("policy", "at_max")
    assert at_max.document["severity"] == "critical"
    assert at_max.data["container"] == "hog"
    assert "hog was OOM-killed at its memory limit of 200 MiB, the largest that the policy allows" in at_max.reason
    assert limits(engine, "hog") == (200, 200)
    assert host.starts(hog) == lives[hog]
    (memory,) = (await in_thread(lambda: host.agent.explained("right-size", "hog")))["limits"]["resources"]
    page = await in_thread(lambda: host.agent.command("explain", "right-size", "hog"))
    assert (memory["verdict"], memory["limit"], memory["max"]) == ("at_max", 200 * MIB, 200 * MIB)
    assert "memory stays at 200.0 MiB: OOM-killed there" in page

    # What somebody else has set is left alone, also where it is not enough.
    await killed("by-hand", 1)
    await in_thread(lambda: engine.docker("update", "--memory=140m", "--memory-swap=140m", "by-hand"))
    (ours, others) = await host.watch.until_told("container", "update", "by-hand", count=2)
    (raised,) = host.watch.told("action", "succeeded", "by-hand")
    assert (ours.correlation == raised.correlation, others.correlation == raised.correlation) == (True, False)
    await in_thread(lambda: engine.docker("exec", "by-hand", "touch", "/tmp/go"))
    (limited,) = await host.watch.until_told("policy", "limited")
    assert limited.reason.startswith("by-hand keeps its limits: somebody else changed them, which is left alone for ")
    assert limits(engine, "by-hand") == (140, 140)
    assert len(host.watch.told("action", "started", "by-hand")) == 1
    assert host.starts(by_hand) == begun

    # Its next creation had the limit of its command line, and gets back what it had.
    await host.watch.until_told("action", "succeeded", "swaps", count=2, timeout=90)
    assert limits(engine, "swaps") == (132, 148)
