"""`explain` and `trigger` on a real engine and broker, by the command line: what they say is what comes to pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.support.agent import CHECKOUT, Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine

SICK = ("--health-cmd=test ! -e /tmp/bad", "--health-interval=200ms", "--health-retries=1", "--health-timeout=1s")
POLICIES = """
version: 1
policies:
  - name: heal
    select: {labels: {heal: "true"}}
    when: health == "unhealthy"
    for: 8s
    then: {restart: {stop_timeout: 1s}}
  - name: revive
    select: {name: crash}
    on: {container: die}
    then: {restart: {stop_timeout: 1s}}
    cooldown: 0s
    backoff: {initial: 100ms}
    budget: {max: 2, per: 5m, probe_after: 10m}
  - name: rehearsal
    mode: shadow
    select: {labels: {heal: "true"}}
    on: {container: oom}
    then: {restart: {}}
"""


def command(host: Host, *arguments: str, code: int = 0) -> str:
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
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def one(host: Host, *arguments: str) -> dict[str, Any]:
    """What `explain --json` or the like says of one target."""
    (found,) = json.loads(command(host, *arguments, "--json"))["targets"]
    assert isinstance(found, dict)
    return found


def holding(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["guard"]: each["numbers"] for each in said["guards"] if each["answer"] == "holds"}


async def test_what_is_explained_comes_to_pass(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    web = engine.run("web", labels={"heal": "true"}, options=SICK)
    vault = engine.run("vault", labels={"heal": "true", "watchtower-agent.protect": "true"})

    # A crash loop: its budget is used up, its breaker open, and that is told with the numbers.
    engine.run("crash", "sh", "-c", "exit 3")
    await host.watch.until_told("policy", "breaker_open", "crash", timeout=30)
    said = one(host, "explain", "revive", "crash")
    assert said["next"]["outlook"] == "held"
    assert said["next"]["words"].startswith("restart is held by ")
    assert holding(said)["breaker"]["times_opened"] == 1
    assert holding(said)["budget"] == {"scope": "container", "used": 2, "max": 2, "per": 300.0}
    text = command(host, "explain", "revive", "crash")
    assert "✗ breaker" in text
    assert "2 actions on crash within 5m" in text
    assert "crash is open since" in command(host, "status", "--alive")

    # An unhealthy container: when it will be restarted is said, and is when it is.
    engine.docker("exec", "web", "touch", "/tmp/bad")
    await host.watch.until_told("container", "health_status", "web", where=lambda told: "unhealthy" in str(told.data))
    while (said := one(host, "explain", "heal", "web"))["next"]["outlook"] == "nothing":
        assert said["selected"]
    assert (said["next"]["outlook"], holding(said)) == ("counting", {})
    assert said["next"]["words"].endswith(" unless healthy")
    assert said["condition"]["comparisons"][0]["value"] == "unhealthy"
    assert host.calls(web) == []
    rows = json.loads(command(host, "explain", "heal", "--json"))["targets"]
    assert [row["target"] for row in rows] == ["web", "vault"], "the closest first"
    (restarted,) = await host.watch.until_told("action", "started", "web", timeout=20)
    assert abs(restarted.time_ns / 1e9 - said["next"]["at"]) < 2.5

    # By hand: first only tried, then done, though nothing is wrong; a guard is not passed over.
    await host.watch.until_told("action", "succeeded", "web")
    dry = one(host, "trigger", "heal", "web", "--dry-run")
    assert holding(dry)["cooldown"]["cooldown"] == 30.0
    assert dry["next"]["words"].startswith("restart would be held by ")
    assert "protected" in holding(one(host, "trigger", "heal", "vault", "--dry-run"))
    assert "restart vault not done (protected)" in command(host, "trigger", "heal", "vault")
    assert "does not select vault: name: it is vault, not crash" in command(host, "trigger", "revive", "vault", code=1)
    assert "restart web not done (mode)" in command(host, "trigger", "rehearsal", "web")
    assert "did you mean heal?" in command(host, "explain", "heel", code=1)
    fine = engine.run("fine", labels={"heal": "true"})
    await host.watch.until_told("container", "start", "fine")
    while "stale" in holding(one(host, "trigger", "heal", "fine", "--dry-run")):
        assert host.calls(fine) == []  # it is inspected in a moment
    assert "restart fine begun" in command(host, "trigger", "heal", "fine")
    (wanted,) = await host.watch.until_told("policy", "decision", "fine")
    assert wanted.reason == "set off by hand"
    (done,) = await host.watch.until_told("action", "succeeded", "fine")
    (asked,) = [each for each in host.watch.told("policy", "triggered") if each.data["targets"] == ["fine"]]
    assert asked.correlation == wanted.correlation == done.correlation
    assert len(host.calls(fine)) == 1
    assert len(host.calls(web)) == 1
    assert host.calls(vault) == []
