"""What a person does to a container by hand is left alone, and the agent says why. The proxy knows every call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.agent import CRASHES_ONCE, Host, Told
from tests.support.broker import PrivateBroker
from tests.support.engine import IDLE, IMAGE, PrivateEngine
from tests.support.troubles import KEEP_UP, reviving

LABELS = {"heal": "true"}
POLICIES = (
    reviving()
    + KEEP_UP
    + """\
  - name: unhealthy
    select: {labels: {heal: "true"}}
    when: health == "unhealthy"
    then: {restart: {stop_timeout: 1s}}
"""
)
COMPOSE = f"""
services:
  web:
    image: {IMAGE}
    pull_policy: never
    container_name: composed
    network_mode: none
    labels: {{heal: "true"}}
    command: {list(IDLE)}
"""
SICK = ("--health-cmd=test ! -e /tmp/bad", "--health-interval=200ms", "--health-retries=1")


async def said_why(host: Host, name: str, policy: str) -> Told:
    """A decision of that policy was stopped for what someone did, or overtaken by it."""

    def about(told: Told) -> bool:
        return told.data["policy"] == policy and told.action in {"held", "dropped"}

    return (await host.watch.until_told("policy", "", name, where=about))[0]


async def still_acts(host: Host) -> str:
    """A crash is answered: whatever else was to be done would have been done by now."""
    canary = host.engine.run("canary", *CRASHES_ONCE, labels=LABELS)
    await host.watch.until_told("action", "succeeded", "canary")
    return canary


async def test_what_was_ended_by_hand_is_left_alone(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    for name in ("stopped", "killed"):
        engine.run(name, labels=LABELS)
    compose = tmp_path / "compose.yaml"
    compose.write_text(COMPOSE)
    engine.docker("compose", "--file", str(compose), "up", "--detach")
    for name in ("stopped", "killed", "composed"):
        await host.watch.until_told("container", "start", name)

    engine.docker("stop", "stopped")
    engine.docker("kill", "killed")
    engine.docker("compose", "--file", str(compose), "stop")

    for name in ("stopped", "killed", "composed"):
        for policy in ("revive", "keep-up"):
            held = await said_why(host, name, policy)
            assert held.guard == "operator_intent", f"{name}: {held.reason}"
            assert "on purpose" in held.reason
    engine.docker("compose", "--file", str(compose), "down")
    canary = await still_acts(host)
    assert {call.path for call in host.calls()} == {f"/containers/{canary}/restart"}
    assert {item["target"] for item in host.agent.status()["pending"]} >= {"stopped", "killed"}


async def test_what_is_started_again_by_hand_is_not_acted_on_for_having_been_stopped(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    names = [f"again-{number}" for number in range(5)]
    for name in names:
        engine.run(name, labels=LABELS)
        await host.watch.until_told("container", "start", name)
        engine.docker("stop", "--time=1", name)
        assert (await said_why(host, name, "keep-up")).guard == "operator_intent"

    for name in names:
        engine.docker("start", name)

    for name in names:
        await host.watch.until_told("container", "start", name, count=2)
    canary = await still_acts(host)
    assert {call.path for call in host.calls()} == {f"/containers/{canary}/restart"}
    assert {item["target"] for item in host.agent.status()["pending"]}.isdisjoint(names)


async def test_what_was_removed_by_hand_stays_away(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    engine.run("removed", labels=LABELS)
    compose = tmp_path / "compose.yaml"
    compose.write_text(COMPOSE)
    engine.docker("compose", "--file", str(compose), "up", "--detach")
    for name in ("removed", "composed"):
        await host.watch.until_told("container", "start", name)

    engine.docker("rm", "--force", "removed")
    engine.docker("compose", "--file", str(compose), "down")

    for name in ("removed", "composed"):
        await host.watch.until_told("container", "destroy", name)
        said = await said_why(host, name, "revive")
        assert said.guard == "operator_intent" or "was removed" in said.reason
    canary = await still_acts(host)
    assert {call.path for call in host.calls()} == {f"/containers/{canary}/restart"}
    assert host.watch.state("removed") is None
    assert host.agent.status()["pending"] == []


async def test_what_was_restarted_by_hand_is_left_alone_though_it_is_unhealthy_after_that(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    restarted = engine.run("restarted", labels=LABELS, options=SICK)
    await host.watch.until_told("container", "start", "restarted")

    engine.docker("restart", "restarted")
    said = await said_why(host, "restarted", "revive")
    assert said.guard == "operator_intent" or "started meanwhile" in said.reason
    engine.docker("exec", "restarted", "touch", "/tmp/bad")

    held = await said_why(host, "restarted", "unhealthy")
    assert held.guard == "operator_intent"
    assert held.data["numbers"]["operator_action"] == "restart"
    assert held.data["release_at"]
    canary = await still_acts(host)
    assert {call.path for call in host.calls()} == {f"/containers/{canary}/restart"}
    assert host.calls(restarted) == []


async def test_what_is_started_by_hand_again_is_healed_again(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    again = engine.run("again", "sh", "-c", "test -e /tmp/once && exit 1; exec sleep 3600", labels=LABELS)
    await host.watch.until_told("container", "start", "again")
    engine.docker("exec", "again", "touch", "/tmp/once")
    engine.docker("kill", "again")
    await said_why(host, "again", "revive")

    engine.docker("start", "again")

    # Whichever policy is first: where both events come in one step, the one that waited since the first end is.
    await host.watch.until_told("action", "started", "again")
    assert [call.path for call in host.calls()][:1] == [f"/containers/{again}/restart"]


SHUTS_DOWN_FOR_12_S = ("sh", "-c", "trap 'sleep 12; exit 0' QUIT; while :; do sleep 0.1; done")
"""As a web server that lets its requests end."""


async def test_a_slow_stop_by_the_image_s_own_stop_signal_is_left_alone(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    slow = engine.run("slow", *SHUTS_DOWN_FOR_12_S, labels=LABELS, options=("--stop-signal=QUIT",))
    await host.watch.until_told("container", "start", "slow")

    engine.docker("stop", "--time", "60", "slow")

    (died,) = await host.watch.until_told("container", "die", "slow")
    assert died.data["exit_code"] == 0
    for policy in ("revive", "keep-up"):
        assert (await said_why(host, "slow", policy)).guard == "operator_intent"
    await still_acts(host)
    assert host.calls(slow) == []


async def test_a_signal_on_which_a_container_reloads_is_no_stop(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    reloads = engine.run(
        "reloads", "sh", "-c", "trap 'echo reloaded' HUP; while :; do sleep 0.1; done", labels=LABELS, options=SICK
    )
    await host.watch.until_told("container", "start", "reloads")

    engine.docker("kill", "--signal", "HUP", "reloads")
    await host.watch.until_told("container", "kill", "reloads")
    engine.docker("exec", "reloads", "touch", "/tmp/bad")

    (started,) = await host.watch.until_told("action", "started", "reloads")
    assert started.data["policy"] == "unhealthy"
    await host.watch.until_told("action", "succeeded", "reloads")
    assert [call.path for call in host.calls(reloads)] == [f"/containers/{reloads}/restart"]


WAITS_LONG = """
version: 1
policies:
  - name: unhealthy
    select: {labels: {heal: "true"}}
    when: health == "unhealthy"
    then: {restart: {}}
    cooldown: 500ms
    backoff: {initial: 0s}
    budget: {max: 1000, per: 1s}
"""
DEAF = ("sleep", "3600")
"""As pid 1 it ignores TERM: whoever stops it waits for the stop timeout."""
ENDS_ON_TERM = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")


async def under_our_restart(host: Host, name: str) -> str:
    """An unhealthy container that does not end on TERM, which the engine has just sent it for the agent."""
    labels = {**LABELS, "autoheal.stop.timeout": "8"}
    deaf = host.engine.run(name, *DEAF, labels=labels, options=SICK)
    await host.watch.until_told("container", "start", name)
    host.engine.docker("exec", name, "touch", "/tmp/bad")
    (sent,) = await host.watch.until_told("container", "kill", name)
    (started,) = await host.watch.until_told("action", "started", name)
    assert sent.correlation == started.correlation
    return deaf


def by_person(told: Told) -> bool:
    """Held for what a person did."""
    return told.guard == "operator_intent"


@pytest.mark.parametrize("act", [("stop", "--time", "1"), ("kill",)], ids=["stop", "kill"])
async def test_a_stop_or_kill_by_hand_during_our_restart_is_heeded(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], act: tuple[str, ...]
) -> None:
    host = make_host(engine, module_broker, WAITS_LONG)
    name = f"deaf-{act[0]}"
    deaf = await under_our_restart(host, name)

    engine.docker(*act, name)

    # The engine's own restart brings it up again, and it is unhealthy as before.
    await host.watch.until_told("action", "succeeded", name)
    held = (await host.watch.until_told("policy", "held", name, where=by_person))[0]
    assert held.data["numbers"]["operator_action"] == act[0]
    assert held.data["release_at"]
    (died,) = await host.watch.until_told("container", "die", name)
    (started,) = host.watch.told("action", "started", name)
    assert died.correlation != started.correlation
    await still_acts_on_the_unhealthy(host, f"canary-{act[0]}")
    assert [call.path for call in host.calls(deaf)] == [f"/containers/{deaf}/restart"]


async def still_acts_on_the_unhealthy(host: Host, name: str) -> None:
    host.engine.run(name, labels=LABELS, options=SICK)
    await host.watch.until_told("container", "start", name)
    host.engine.docker("exec", name, "touch", "/tmp/bad")
    await host.watch.until_told("action", "succeeded", name)


async def test_a_removal_by_hand_during_our_restart_is_told_as_that(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, WAITS_LONG)
    deaf = await under_our_restart(host, "deaf-removed")

    engine.docker("rm", "--force", "deaf-removed")

    (ended,) = await host.watch.until_told("action", "abandoned", "deaf-removed")
    assert ended.reason == "someone removed deaf-removed during the restart"
    await host.watch.until_told("container", "destroy", "deaf-removed")
    assert [call.path for call in host.calls(deaf)] == [f"/containers/{deaf}/restart"]


async def test_a_stop_by_hand_after_a_crash_that_left_the_engine_unasked_is_left_alone(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, WAITS_LONG)
    assert host.proxy is not None
    unasked = engine.run("unasked", *ENDS_ON_TERM, labels=LABELS, options=SICK)
    await host.watch.until_told("container", "start", "unasked")
    call = host.proxy.blackhole("POST", f"/containers/{unasked}/restart")
    engine.docker("exec", "unasked", "touch", "/tmp/bad")
    call.wait()
    host.agent.kill()
    await asyncio.sleep(0.5)  # the time itself is what tells them apart: the engine is asked within some milliseconds

    engine.docker("stop", "unasked")

    host.agent.start()
    (interrupted,) = await host.watch.until_told("action", "interrupted", "unasked", timeout=30)
    assert "the engine did not restart unasked" in interrupted.reason
    await still_acts_on_the_unhealthy(host, "canary-unasked")
    assert len(host.calls(unasked)) == 1
    assert not engine.api("GET", f"/containers/{unasked}/json")["State"]["Running"]
    assert (host.watch.state("unasked") or {})["status"] == "exited"


CRASH_LOOPS = ("sh", "-c", "sleep 0.5; exit 1")


async def killed_in_its_wait(engine: PrivateEngine, name: str) -> None:
    """Of what has crashed some times: by then the engine waits for seconds. It sends no event of this."""
    for _ in range(600):
        if engine.api("GET", f"/containers/{name}/json")["State"]["Status"] == "restarting":
            break
        await asyncio.sleep(0.02)
    engine.docker("kill", name)
    assert engine.api("GET", f"/containers/{name}/json")["State"]["Status"] == "exited"


async def held_as_killed(host: Host, name: str) -> Told:
    """The decision is told to be held anew once it is known why."""
    return (await host.watch.until_told("policy", "held", name, where=by_person))[0]


async def test_a_kill_while_the_engine_waits_to_restart_is_left_alone_also_where_the_agent_was_away(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    names = ("loops-here", "loops-away")
    for name in names:
        engine.run(name, *CRASH_LOOPS, labels=LABELS, options=("--restart=always",))
    for name in names:
        await host.watch.until_told("container", "die", name, count=5, timeout=30)

    await killed_in_its_wait(engine, "loops-here")
    (stopped,) = await host.watch.until_told("container", "stop", "loops-here")
    assert stopped.origin == "synthetic"
    host.agent.kill()
    await killed_in_its_wait(engine, "loops-away")
    host.agent.start()
    (stopped,) = await host.watch.until_told("container", "stop", "loops-away")
    assert stopped.origin == "synthetic"

    await still_acts(host)
    for name in names:
        assert (await held_as_killed(host, name)).data["numbers"]["operator_action"] == "kill"
        assert "(while the engine waited to start it again)" in host.agent.command("explain", "revive", name)
        assert host.agent.ledger(name) == []
        assert engine.api("GET", f"/containers/{name}/json")["State"]["Status"] == "exited"
