"""The lives of a container, as conditions see them: on a real engine, whose events and inspections stamp them apart."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.support.agent import Host, nanoseconds
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine

POLICIES = """
version: 1
policies:
  - name: uses
    select: {name: web}
    when: memory.usage > 1B and pids >= 1
    for: 2s
    then: {notify: {}}
"""
SECOND = 1_000_000_000


async def test_what_is_measured_counts_within_one_life_of_a_container_and_an_inspection_begins_none(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES, proxied=False)
    engine.run("web")
    await host.watch.until_told("policy", "firing", timeout=20)

    # However long the engine takes for it, no tick falls between end and start.
    host.agent.send(signal.SIGSTOP)
    engine.docker("restart", "-t", "0", "web")
    host.agent.send(signal.SIGCONT)

    (over,) = await host.watch.until_told("policy", "resolved", timeout=20)
    assert over.reason == "no longer memory.usage > 1B and pids >= 1: the container was started anew"
    await host.watch.until_told("policy", "firing", count=2, timeout=20)
    each_life_fired_after_two_seconds(host)
    # in each life it fired once: no inspection, update or pause after the start was taken for another
    for command in (("update", "--memory-reservation", "8m", "web"), ("pause", "web"), ("unpause", "web")):
        engine.docker(*command)
    ticks = host.agent.status()["sampling"]["ticks"]
    await host.watch.until(lambda _: host.agent.status()["sampling"]["ticks"] > ticks + 10)
    assert len(host.watch.told("policy", "resolved")) == 1
    assert len(host.watch.told("policy", "firing")) == 2


async def test_what_is_measured_of_a_container_that_stays_away_ends_because_it_does_not_run(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES, proxied=False)
    engine.run("web")
    await host.watch.until_told("policy", "firing", timeout=20)

    engine.docker("stop", "-t", "0", "web")

    (over,) = await host.watch.until_told("policy", "resolved", timeout=20)
    assert over.reason == "no longer memory.usage > 1B and pids >= 1: the container does not run"
    engine.docker("start", "web")
    await host.watch.until_told("policy", "firing", count=2, timeout=20)
    each_life_fired_after_two_seconds(host)
    assert len(host.watch.told("policy", "resolved")) == 1


def each_life_fired_after_two_seconds(host: Host) -> None:
    """By the stamps: what arrives may have waited."""
    starts = host.watch.told("container", "start", "web")
    fired = host.watch.told("policy", "firing")
    for start, firing in zip(starts, fired, strict=True):
        since = nanoseconds(firing.data["since"])
        assert start.time_ns <= since
        assert firing.time_ns - since >= 1.9 * SECOND
