"""Policies change while the agent runs: whole or not at all, and said each time."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.support.agent import CRASHES_ONCE, Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.troubles import reviving

GOOD = reviving()
BROKEN = """
version: 1
policies:
  - name: another
    whn: healht == "unhealthy"
    then: {restart: {stop_timeout: 1s}}
"""
OTHER = """
version: 1
policies:
  - name: tell
    select: {labels: {heal: "true"}}
    on: {container: die}
    then: {notify: {severity: warning}}
"""


async def test_a_broken_folder_leaves_the_last_good_set_running_until_it_is_mended(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, GOOD)

    host.agent.write_policies(BROKEN, "more.yaml")

    (rejected,) = await host.watch.until_told("policy", "rejected")
    assert rejected.document["severity"] == "warning"
    assert len(rejected.data["problems"]) == rejected.data["count"] >= 1
    assert all(problem.startswith("more.yaml:") for problem in rejected.data["problems"])
    assert any("whn" in problem and "when" in problem for problem in rejected.data["problems"])
    status = host.agent.status()["policies"]
    assert status["problems"] == rejected.data["problems"]
    assert [item["name"] for item in status["items"]] == ["revive"]
    engine.run("crash", *CRASHES_ONCE, labels={"heal": "true"})
    await host.watch.until_told("action", "succeeded", "crash")

    host.agent.write_policies(OTHER, "more.yaml")

    loaded = (await host.watch.until_told("policy", "loaded", count=2))[-1]
    assert loaded.data["policies"] == {"revive": "enforce", "tell": "enforce"}
    assert host.agent.status()["policies"]["problems"] == []
    engine.run("second", *CRASHES_ONCE, labels={"heal": "true"})
    await host.watch.until_told("action", "succeeded", "second")
    await host.watch.until_told("action", "notify", "second")


async def test_a_hangup_reads_the_folder_at_once_and_says_nothing_of_what_is_not_new(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, GOOD)
    host.agent.send(signal.SIGHUP)
    host.agent.write_policies(OTHER)
    host.agent.send(signal.SIGHUP)

    loaded = await host.watch.until_told("policy", "loaded", count=2)

    assert list(loaded[-1].data["policies"]) == ["tell"]
    assert loaded[-1].data["digest"] != loaded[0].data["digest"]
    host.agent.send(signal.SIGHUP)
    engine.run("crash", *CRASHES_ONCE, labels={"heal": "true"})
    await host.watch.until_told("action", "notify", "crash")
    assert len(host.watch.told("policy", "loaded")) == 2
    assert host.calls() == []


async def test_a_policy_taken_away_gives_up_what_waits_for_it(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, GOOD)
    engine.run("stopped", labels={"heal": "true"})
    await host.watch.until_told("container", "start", "stopped")
    engine.docker("stop", "stopped")
    await host.watch.until_held("stopped", "revive")

    host.agent.write_policies("version: 1\npolicies: []\n")

    (dropped,) = await host.watch.until_told("policy", "dropped", "stopped")
    assert "not in force" in dropped.reason
    assert host.agent.status()["pending"] == []


async def test_an_agent_started_on_a_broken_folder_watches_and_waits_for_it_to_be_mended(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, BROKEN, start=False)
    host.agent.start(ready=False)
    await host.watch.until_told("policy", "rejected")
    engine.run("seen", labels={"heal": "true"})
    await host.watch.until_told("container", "start", "seen")

    host.agent.write_policies(GOOD)

    await host.watch.until_told("policy", "loaded")
    engine.run("crash", *CRASHES_ONCE, labels={"heal": "true"})
    await host.watch.until_told("action", "succeeded", "crash")


async def test_ten_thousand_mistakes_are_told_in_short_and_hold_up_nothing(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, GOOD)
    item = "  - {{name: p{0}, kay{0}: 1, when: nam{0} > 3, for: {0}, mode: m{0}, then: {{no: {{}}}}}}\n"
    host.agent.write_policies("version: 1\npolicies:\n" + "".join(item.format(i) for i in range(2000)))

    (told,) = await host.watch.until_told("policy", "rejected", timeout=60)

    assert (told.data["count"], len(told.data["problems"])) == (12_000, 50)
    policies = host.agent.status()["policies"]
    assert (policies["problem_count"], len(policies["problems"])) == (12_000, 1000)
    engine.run("crash", *CRASHES_ONCE, labels={"heal": "true"})
    await host.watch.until_told("action", "succeeded", "crash")
    host.agent.write_policies(OTHER)
    await host.watch.until_told("policy", "loaded", count=2)
    assert host.agent.status()["policies"]["problem_count"] == 0
