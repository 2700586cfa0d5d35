"""A Compose project on a real engine: what others need is restarted first, and they follow once it is healthy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import IMAGE, PrivateEngine

POLICIES = """
version: 1
policies:
  - name: heal
    select: {compose: {project: shop}}
    when: health == "unhealthy"
    for: 2s
    then: {restart: {stop_timeout: 1s}}
"""
SERVICE = f"""
    image: {IMAGE}
    pull_policy: never
    command: [sh, -c, "rm -f /tmp/bad; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    healthcheck: {{test: test ! -e /tmp/bad, interval: 300ms, retries: 1}}
"""
COMPOSE = f"""
name: shop
services:
  db: {SERVICE}
    network_mode: none
  web: {SERVICE}
    network_mode: none
    depends_on: {{db: {{condition: service_healthy}}}}
  metrics: {SERVICE}
    network_mode: service:web
"""


async def test_what_is_needed_comes_first_along_depends_on_and_shared_networks(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE)
    engine.docker("compose", "--file", str(file), "up", "--detach", "--wait")
    names = ("shop-db-1", "shop-web-1", "shop-metrics-1")
    ids = {engine.api("GET", f"/containers/{name}/json")["Id"]: name for name in names}

    for name in names:
        engine.docker("exec", name, "touch", "/tmp/bad")

    for name in names:
        await host.watch.until_told("action", "succeeded", name, timeout=30)
    assert [ids[call.path.split("/")[2]] for call in host.calls()] == list(names)
    for need, name in pairwise(names):
        (held,) = host.watch.told("policy", "held", name, where=lambda told: told.guard == "dependency")
        assert "first" in held.reason
        verdicts = host.watch.told("container", "health_status", need)
        (begun,) = host.watch.told("action", "started", name)
        assert verdicts[-1].data["health"] == "healthy"
        assert verdicts[-1].time_ns <= begun.time_ns, f"{name} did not wait for {need}"
    (held,) = host.watch.told("policy", "held", "shop-web-1")
    assert "shop-web-1 depends on db (" in held.reason
    (held,) = host.watch.told("policy", "held", "shop-metrics-1")
    assert "shop-web-1" in held.reason
