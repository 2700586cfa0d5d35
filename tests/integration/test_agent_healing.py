"""The loop as an independent subscriber sees it: a cause, a decision, an action and its outcome."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import IMAGE, PrivateEngine
from tests.support.troubles import UNLIMITED, reviving

SICK = ("--health-cmd=test ! -e /tmp/bad", "--health-interval=200ms", "--health-retries=1", "--health-timeout=1s")
HEAL = """
version: 1
policies:
  - name: heal
    select: {labels: {heal: "true"}}
    when: health == "unhealthy"
    for: 1s
    then: {restart: {stop_timeout: 1s}}
"""
REVIVE = reviving(cooldown="1500ms", **UNLIMITED)
ALL_SICK = HEAL.replace('labels: {heal: "true"}', 'name: "*"')
BY_WILDCARD = """
version: 1
policies:
  - name: wild
    select: {name: "x-*"}
    on: {container: die}
    then: {restart: {}}
  - name: named
    select: {name: named-db}
    on: {container: die}
    then: {restart: {}}
  - name: rehearsal
    mode: shadow
    select: {name: shadowed}
    on: {container: die}
    then: {restart: {}}
"""
OOM = """
version: 1
policies:
  - name: oom
    on: {container: oom}
    then: {notify: {severity: critical}}
"""
TIMEOUTS = """
version: 1
policies:
  - name: by-label
    select: {labels: {heal: label}}
    on: {container: die}
    then: {restart: {}}
  - name: by-policy
    select: {labels: {heal: policy}}
    on: {container: die}
    then: {restart: {stop_timeout: 3s}}
"""


async def test_an_unhealthy_container_is_restarted_and_cause_to_outcome_share_one_correlation(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, HEAL)
    sick = engine.run("sick", labels={"heal": "true"}, options=SICK)
    await host.watch.until_told("container", "start", "sick")
    before = host.starts(sick)
    engine.docker("exec", "sick", "touch", "/tmp/bad")

    (outcome,) = await host.watch.until_told("action", "succeeded", "sick")
    await host.watch.until_told("container", "start", "sick", count=2)  # the engine may tell it after it has answered

    chain = [e for e in host.watch.events if e.correlation == outcome.correlation]
    story = [f"{e.kind}/{e.action}" for e in chain]
    assert story[:3] == ["policy/firing", "policy/decision", "action/started"]
    assert {"container/die", "container/start", "action/succeeded"} <= set(story)
    assert story.index("action/started") < story.index("container/die") < story.index("container/start")
    (decision,) = host.watch.told("policy", "decision", "sick")
    assert decision.data["numbers"]["health"] == "unhealthy"
    assert decision.data["numbers"]["true_for"] >= 0.9
    assert host.starts(sick) > before
    assert [call.path for call in host.calls()] == [f"/containers/{sick}/restart"]


async def test_a_crash_is_answered_at_once_and_a_crash_loop_only_after_each_cooldown(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, REVIVE)
    crash = engine.run("crash", "sh", "-c", "sleep 0.3; exit 3", labels={"heal": "true"})

    outcomes = await host.watch.until_told("action", "succeeded", "crash", count=3)

    started = host.watch.told("action", "started", "crash")
    first_die = host.watch.told("container", "die", "crash")[0]
    assert first_die.data["exit_code"] == 3
    assert started[0].correlation == first_die.correlation == outcomes[0].correlation
    assert started[0].arrived - first_die.arrived < 0.5
    held = [told for told in host.watch.told("policy", "held", "crash") if told.guard == "cooldown"]
    assert len(held) >= 2
    assert held[0].data["numbers"]["cooldown"] == 1.5
    calls = host.calls(crash)
    for call, following in pairwise(calls):
        assert following.monotonic - call.monotonic >= 1.5
    rows = host.agent.ledger("crash")
    assert [row["result"] for row in rows][:2] == ["ineffective"] * 2, "each had ended again before the next"
    assert len(rows) == len(calls)


async def test_what_the_engine_restarts_by_itself_is_left_to_it_until_it_gives_up(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, REVIVE)
    crash = ("sh", "-c", "sleep 0.5; test -e /tmp/twice && exec sleep 3600; touch /tmp/twice; exit 1")
    always = engine.run("always", *crash, labels={"heal": "true"}, options=("--restart=always",))
    limited = ("sh", "-c", "sleep 0.3; exit 1")
    gives_up = engine.run("limited", *limited, labels={"heal": "true"}, options=("--restart=on-failure:1",))

    (held,) = await host.watch.until_told("policy", "held", "always", where=lambda told: told.guard == "restart_policy")
    assert held.data["numbers"]["restart_policy"] == "always"
    (dropped,) = await host.watch.until_told("policy", "dropped", "always")
    assert "started meanwhile" in dropped.reason
    assert host.calls(always) == []
    # The engine restarts this one once and then leaves it: now it is the agent's.
    await host.watch.until_told("action", "succeeded", "limited")
    deaths = host.watch.told("container", "die", "limited")
    assert len(deaths) >= 2
    assert host.calls(gives_up)[0].wall > deaths[1].time_ns / 1e9


async def test_what_no_policy_may_touch_is_told_and_not_touched(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    engine.docker("tag", IMAGE, "postgres:16")
    try:
        host = make_host(engine, module_broker, BY_WILDCARD)
        dies = ("sh", "-c", "sleep 0.2; exit 1")
        engine.run("x-guarded", *dies, labels={"watchtower-agent.protect": "true"})
        engine.run("x-pod", *dies, labels={"io.kubernetes.pod.name": "web-1"})
        engine.run("x-db", *dies, image="postgres:16")
        engine.run("shadowed", *dies)
        named = engine.run("named-db", *dies, image="postgres:16")
        plain = engine.run("x-plain", *dies)

        for name, words in (("x-guarded", "label"), ("x-pod", "orchestrator"), ("x-db", "stateful")):
            (held, *_) = await host.watch.until_told("policy", "held", name)
            assert (held.guard, held.data["final"]) == ("protected", True)
            assert words in held.reason
        (held, *_) = await host.watch.until_told("policy", "held", "shadowed")
        assert held.guard == "mode"
        assert "shadow" in held.reason
        for name in ("named-db", "x-plain"):
            await host.watch.until_told("action", "succeeded", name)
        assert {call.path.split("/")[2] for call in host.calls()} == {named, plain}
    finally:
        engine.sweep()
        engine.docker("rmi", "--force", "postgres:16")


async def test_a_stateful_image_whose_name_was_given_to_another_stays_protected_when_the_containers_are_listed_anew(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    engine.docker("tag", IMAGE, "postgres:16")
    try:
        host = make_host(engine, module_broker, ALL_SICK)
        assert host.proxy is not None
        db = engine.run("db", image="postgres:16", options=SICK)
        web = engine.run("web", options=SICK)
        for name in ("db", "web"):
            await host.watch.until_told("container", "health_status", name)
        engine.docker("exec", "db", "touch", "/tmp/bad")
        await host.watch.until_told("policy", "held", "db", where=lambda told: told.guard == "protected")
        engine.docker("commit", "web", "postgres:16")
        (listed,) = engine.api("GET", "/containers/json", filters=json.dumps({"id": [db]}))
        assert listed["Image"] not in {"postgres:16", IMAGE}

        inspection = host.proxy.hold("GET", f"/containers/{db}/json")
        before = len(host.watch.told("engine", "up"))
        host.agent.kill()
        host.agent.start()
        await host.watch.until_told("engine", "up", count=before + 1, timeout=30)
        engine.docker("exec", "web", "touch", "/tmp/bad")
        await host.watch.until_told("action", "succeeded", "web", timeout=30)
        inspection.release()

        assert {call.path.split("/")[2] for call in host.calls()} == {web}
        assert (host.watch.state("db") or {})["image"] == "postgres:16"
    finally:
        engine.sweep()
        engine.docker("rmi", "--force", "postgres:16")


async def test_an_observing_agent_decides_and_acts_on_nothing(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, REVIVE, settings={"mode": "observe"})
    engine.run("crash", "sh", "-c", "exit 3", labels={"heal": "true"})

    (held, *_) = await host.watch.until_told("policy", "held", "crash")

    assert held.guard == "mode"
    assert "observe" in held.reason
    engine.run("again", "sh", "-c", "exit 3", labels={"heal": "true"})
    await host.watch.until_told("policy", "held", "again")
    assert host.calls() == []
    assert host.agent.ledger("crash") == []


async def test_a_container_killed_for_memory_is_told_with_the_policys_severity(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, OOM)
    waits = "until test -e /tmp/go; do sleep 0.05; done; tail /dev/zero; exit 9"
    engine.run("hog", "sh", "-c", waits, options=("--memory=16m", "--memory-swap=16m"))
    await host.watch.until(lambda messages: any(b'"memory.oom_kills":0' in message.payload for message in messages))
    engine.docker("exec", "hog", "touch", "/tmp/go")

    (told, *_) = await host.watch.until_told("action", "notify", "hog")

    assert told.document["severity"] == "critical"
    (oom, *_) = host.watch.told("container", "oom", "hog")
    assert told.correlation == oom.correlation
    (died,) = await host.watch.until_told("container", "die", "hog")
    for event in (oom, died):  # the sample that both can have is of before
        assert event.data["oom_kills"] >= 1
        assert event.data.get("last_sample", {}).get("memory.oom_kills") != 0
    assert host.calls() == []


async def test_the_stop_timeout_of_the_policy_or_else_of_the_label_reaches_the_engine(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, TIMEOUTS)
    dies = ("sh", "-c", "exit 1")
    ids = {
        engine.run("by-label", *dies, labels={"heal": "label", "autoheal.stop.timeout": "7"}): "t=7",
        engine.run("by-policy", *dies, labels={"heal": "policy", "autoheal.stop.timeout": "7"}): "t=3",
        engine.run("by-default", *dies, labels={"heal": "label"}): "",
        engine.run("nonsense", *dies, labels={"heal": "label", "autoheal.stop.timeout": "-1e9"}): "",
    }
    for name in ("by-label", "by-policy", "by-default", "nonsense"):
        await host.watch.until_told("action", "succeeded", name)

    for container_id, wanted in ids.items():
        (call, *_) = host.calls(container_id)
        assert call.target.partition("?")[2] == wanted
