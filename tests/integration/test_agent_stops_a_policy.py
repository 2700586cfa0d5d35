"""On a real engine: a policy that is of no use on one container after the other stops; another one goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine

POLICIES = """
version: 1
policies:
  - name: vain
    select: {labels: {by: vain}}
    on: {container: die}
    then: {restart: {stop_timeout: 1s}}
    cooldown: 0s
    backoff: {initial: 5s, reset_after: 4s}
    budget: {in_vain: 3, per: 10m, probe_after: 20s}
  - name: useful
    select: {labels: {by: useful}}
    on: {container: die}
    then: {restart: {stop_timeout: 1s}}
"""
CRASHES = ("sh", "-c", "exit 3")
ONCE = ("sh", "-c", "test -e /tmp/again && exec sleep 3600; touch /tmp/again; sleep 0.5; exit 3")


@pytest.mark.only_full  # half a minute; tests/unit/test_breaking_of_a_policy.py in every run
async def test_of_no_use_on_three_it_stops_and_a_probe_that_lasts_lets_it_go_on(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES, settings={"guards": {"host_budget": {"max": 50, "per": "10m"}}})
    ids = [engine.run(f"bad-{number}", *CRASHES, labels={"by": "vain"}) for number in range(3)]

    (opened,) = await host.watch.until_told("policy", "breaker_open", "vain", timeout=30)
    assert opened.document["severity"] == "critical"
    assert opened.data["target"] == {"kind": "policy", "name": "vain"}
    assert opened.data["budget"] == {"in_vain": 3, "per": 600.0}
    assert "what it did to 3 containers within 10m was of no use" in opened.reason
    assert all(host.calls(each) for each in ids)

    # It is held by name, the other policy acts; and all the same after kill -9.
    once = engine.run("once", *ONCE, labels={"by": "vain"})
    (held,) = await host.watch.until_told("policy", "held", "once", where=lambda told: told.guard == "breaker")
    assert "the breaker of policy vain is open: " in held.reason
    engine.run("other", *ONCE, labels={"by": "useful"})
    await host.watch.until_told("action", "succeeded", "other", timeout=20)
    host.agent.kill()
    host.agent.start()
    (breaker,) = host.agent.status()["breakers"]
    assert (breaker["scope"], breaker["name"], breaker["phase"]) == ("policy", "vain", "open")
    assert host.calls(once) == []
    explained = host.agent.command("explain", "vain", "once")
    assert "the breaker of policy vain is open" in " ".join(explained.split())
    assert "policy vain is open since" in host.agent.command("status")

    for number in range(3):
        engine.docker("rm", "-f", f"bad-{number}")

    # Who was tried least is the probe; once that has lasted all goes on.
    await host.watch.until_told("policy", "breaker_half_open", "vain", timeout=30)
    (closed,) = await host.watch.until_told("policy", "breaker_closed", "vain", timeout=40)
    assert closed.reason.endswith("what it did to once has lasted")
    assert len(host.calls(once)) == 1
    assert len(host.watch.told("policy", "breaker_open", "vain")) == 1
    assert host.agent.status()["breakers"] == []
    assert host.agent.ledger("bad-0")[0]["result"] == "ineffective"
