"""A restart on a real engine, and what comes of it: who lost a network by it follows, and one of no use is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import IMAGE, PrivateEngine

POLICIES = """
version: 1
policies:
  - name: heal
    select: {compose: {project: shop, service: db}}
    when: health == "unhealthy"
    then: {restart: {stop_timeout: 1s}}
  - name: revive
    select: {name: job}
    on: {container: die}
    then: {start: {}}
    cooldown: 1h
"""
IDLE = "command: [sh, -c, \"rm -f /tmp/bad; trap 'exit 0' TERM; while :; do sleep 0.1; done\"]"
SERVICE = f"""
    image: {IMAGE}
    pull_policy: never
    {IDLE}
    network_mode: none
"""
COMPOSE = f"""
name: shop
services:
  db: {SERVICE}
    healthcheck: {{test: test ! -e /tmp/bad, interval: 1s, retries: 1}}
  api: {SERVICE}
    depends_on: {{db: {{condition: service_healthy, restart: true}}}}
  web: {SERVICE}
    depends_on: {{db: {{condition: service_healthy}}}}
  metrics:
    image: {IMAGE}
    pull_policy: never
    {IDLE}
    network_mode: service:db
"""
CRASHES = ("sh", "-c", "sleep 1; exit 3")


def network_of(engine: PrivateEngine, name: str) -> str:
    pid = engine.api("GET", f"/containers/{name}/json")["State"]["Pid"]
    return str(Path(f"/proc/{pid}/ns/net").readlink())


async def test_who_lost_its_network_or_says_so_follows_a_restart_once_that_has_helped(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE)
    engine.docker("compose", "--file", str(file), "up", "--detach", "--wait")
    names = [f"shop-{service}-1" for service in ("db", "api", "web", "metrics")]
    ids = {engine.api("GET", f"/containers/{name}/json")["Id"]: name for name in names}
    assert network_of(engine, "shop-metrics-1") == network_of(engine, "shop-db-1")

    engine.docker("exec", "shop-db-1", "touch", "/tmp/bad")
    (begun,) = await host.watch.until_told("action", "started", "shop-db-1", timeout=30)
    await host.watch.until_told("action", "succeeded", "shop-db-1", timeout=30)
    # What it looks at it looks at on.
    host.agent.kill()
    host.agent.start()
    job = engine.run("job", *CRASHES)

    followers = ("shop-api-1", "shop-metrics-1")
    for name in followers:
        (told,) = await host.watch.until_told("action", "succeeded", name, timeout=60)
        assert told.correlation == begun.correlation
    assert network_of(engine, "shop-metrics-1") == network_of(engine, "shop-db-1")
    (wanted,) = host.watch.told("policy", "decision", "shop-metrics-1")
    assert wanted.reason == "shop-db-1, whose network it uses, was restarted by policy heal"
    (wanted,) = host.watch.told("policy", "decision", "shop-api-1")
    assert wanted.reason == "shop-db-1, which it depends on (restart: true), was restarted by policy heal"
    made = [call for call in host.calls() if call.path.split("/")[2] in ids]
    assert sorted(ids[call.path.split("/")[2]] for call in made) == ["shop-api-1", "shop-db-1", "shop-metrics-1"]
    assert ids[made[0].path.split("/")[2]] == "shop-db-1"
    healthy = [t for t in host.watch.told("container", "health_status", "shop-db-1") if t.data["health"] == "healthy"]
    assert healthy[-1].time_ns <= min(host.watch.told("action", "started", name)[0].time_ns for name in followers)
    spans = sorted(
        tuple(host.watch.told("action", kind, name)[0].time_ns for kind in ("started", "succeeded"))
        for name in followers
    )
    assert spans[0][1] <= spans[1][0], "one after the other"

    (useless,) = await host.watch.until_told("action", "ineffective", "job", timeout=30)
    assert re.match(r"exited with code 3 after \d", useless.reason)
    assert useless.document["severity"] == "warning"
    assert useless.correlation == host.watch.told("action", "succeeded", "job")[0].correlation
    assert [row["result"] for row in host.agent.ledger("job")] == ["ineffective"]
    (helped,) = host.agent.ledger("shop-db-1")
    assert helped["result"] == "succeeded"
    assert helped["numbers"]["well_after"] > 0
    assert len(host.calls(job)) == 1
