"""Approve mode on a real engine and broker: by the command line, over kill -9 of the agent, at every step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

from tests.support.agent import CHECKOUT, CRASHES_ONCE, Host, Told
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.tape import EngineTape

POLICIES = """
version: 1
policies:
  - name: revive
    mode: approve
    select: {labels: {ask: event}}
    on: {container: die}
    then: {restart: {stop_timeout: 1s}}
    cooldown: 1s
    backoff: {initial: 0s}
  - name: heal
    mode: approve
    select: {labels: {ask: condition}}
    when: health == "unhealthy"
    then: {restart: {stop_timeout: 1s}}
  - name: brief
    mode: approve
    approve_within: 2s
    select: {labels: {ask: briefly}}
    when: status == "running"
    then: {stop: {stop_timeout: 1s}}
"""
SICK = ("--health-cmd=false", "--health-interval=200ms", "--health-retries=1")


def command(host: Host, *arguments: str, code: int = 0) -> str:
    """What the command line says: on standard output if all is well, else as an error."""
    done = subprocess.run(
        [sys.executable, "-m", "watchtower_agent", *arguments, "--socket", str(host.agent.socket)],
        cwd=CHECKOUT,
        env=os.environ | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


async def asked(host: Host, name: str, count: int = 1) -> Told:
    """The newest of so many questions about a container."""
    return (await host.watch.until_told("policy", "approval_asked", name, count=count))[-1]


async def test_what_is_approved_is_done_once_though_the_agent_is_killed_in_between(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    proxy, agent = host.proxy, host.agent
    assert proxy is not None
    crashed = engine.run("crashed", *CRASHES_ONCE, labels={"ask": "event"})
    question = await asked(host, "crashed")
    approval = question.data["approval"]
    assert f"{approval}  restart crashed by revive, until" in command(host, "approve")

    # Approved, and held by another guard: the approval outlasts the agent.
    command(host, "pause", "revive")
    assert "held by paused until" in command(host, "approve", approval, "--reason", "we looked")
    agent.kill()
    agent.start()
    assert f"{approval} (restart crashed by revive) was approved already" in command(host, "approve", approval, code=1)
    assert host.calls(crashed) == []
    command(host, "resume", "revive")
    (done,) = await host.watch.until_told("action", "succeeded", "crashed")
    assert (done.data["approval"], done.data["decision_id"]) == (approval, question.data["decision_id"])
    (given,) = host.watch.told("policy", "approval_given")
    assert given.data["because"] == "we looked"
    assert given.correlation == question.correlation == done.correlation
    assert len(host.calls(crashed)) == 1

    # Approved and begun: the agent is killed before the engine hears of it.
    with EngineTape(engine) as tape:
        again = engine.run("again", *CRASHES_ONCE, labels={"ask": "event"})
        approval = (await asked(host, "again")).data["approval"]
        held = proxy.hold("POST", f"/containers/{again}/restart")
        assert "restart again by revive has begun" in command(host, "approve", approval)
        held.wait()
        agent.kill()
        proxy.cut(f"/containers/{again}/restart")
        held.release()
        agent.start()
        await host.watch.until_told("action", "interrupted", "again", timeout=20)
        await host.watch.until_told("action", "succeeded", "again", timeout=20)
        assert len(tape.of("again", "restart")) == 1
    rows = agent.history(target="again")
    assert [(row["result"], row["approval"]) for row in rows] == [("succeeded", approval), ("interrupted", approval)]
    assert "approved" in command(host, "history", "--target", "again")
    assert len(host.watch.told("policy", "approval_asked", "again")) == 1
    assert agent.status()["approvals"] == []


async def test_a_question_outlasts_the_agent_and_ends_by_rejection_recovery_or_in_its_time(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    sick = engine.run("sick", "sleep", "3600", labels={"ask": "condition"}, options=SICK)
    gone = engine.run("gone", "sleep", "3600", labels={"ask": "condition"}, options=SICK)
    ids = {name: (await asked(host, name)).data["approval"] for name in ("sick", "gone")}

    host.agent.kill()
    host.agent.start()

    shown = command(host, "status", "--alive")
    for name, approval in ids.items():
        assert f"{approval}  restart {name} by heal, until" in shown
    engine.docker("rm", "-f", "gone")
    (withdrawn,) = await host.watch.until_told("policy", "approval_withdrawn", "gone")
    assert withdrawn.reason in {
        "gone was removed",
        "its condition does not hold any more",
    }  # it ends, then it is removed
    assert "was withdrawn" in command(host, "approve", ids["gone"], code=1)
    rejected = json.loads(command(host, "reject", ids["sick"], "--reason", "it is being looked at", "--json"))
    assert rejected["answered"]["state"] == "rejected"
    host.agent.kill()
    host.agent.start()
    refused = command(host, "approve", ids["sick"], code=1)
    assert "was rejected" in refused
    assert "it is being looked at; none waits for an answer" in " ".join(refused.split())

    engine.run("brief", "sleep", "3600", labels={"ask": "briefly"})
    first = await asked(host, "brief")
    (expired,) = await host.watch.until_told("policy", "approval_expired", "brief")
    assert (expired.reason, expired.data["approval"]) == ("nobody answered within 2s", first.data["approval"])
    second = await asked(host, "brief", count=2)
    assert second.data["approval"] != first.data["approval"]
    command(host, "approve", second.data["decision_id"])
    await host.watch.until_told("action", "succeeded", "brief")

    assert host.calls(sick) + host.calls(gone) == []
    assert len(host.watch.told("policy", "approval_asked", "sick")) == 1
