"""What the agent itself depends on is left alone, however sick it is. The engine, the broker and the agent are real."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine

LABELS = {"autoheal": "true"}
SICK = ("--health-cmd=false", "--health-interval=200ms", "--health-retries=1")
POLICIES = """
version: 1
policies:
  - name: heal
    select: {labels: {autoheal: "true"}}
    when: health == "unhealthy"
    then: {restart: {stop_timeout: 1s}}
"""


async def test_whatever_may_be_the_agents_broker_is_never_restarted(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    port = module_broker.port
    host = make_host(engine, module_broker, POLICIES)
    engine.run("published", labels=LABELS, options=(*SICK, f"--publish={port}:1883"))
    engine.run("exposed", labels=LABELS, options=(*SICK, f"--expose={port}"), network="host")
    other = engine.run("other", labels=LABELS, options=(*SICK, f"--publish={port + 1}:1883"))

    for name in ("published", "exposed"):
        held = await host.watch.until_told("policy", "held", name, where=lambda told: told.guard == "protected")
        assert held[0].data["final"] is True
        assert "broker" in held[0].reason
    await host.watch.until_told("action", "succeeded", "other")
    assert {call.path for call in host.calls()} == {f"/containers/{other}/restart"}


async def test_what_is_called_as_the_broker_is_never_restarted_though_nobody_resolves_the_name(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    # Nobody resolves the name, as with a DNS that is down: the start goes on, and the name counts.
    host = make_host(engine, module_broker, POLICIES, settings={"mqtt": {"url": "mqtt://broker.invalid"}}, start=False)
    host.agent.start(ready=False)
    host.agent.wait_log("policy_loaded")
    said = host.agent.wait_log("host_not_resolved")
    host.agent.wait_log("engine_up")
    engine.run("broker.invalid", labels=LABELS, options=SICK)

    held = host.agent.wait_log("held", guard="protected")

    assert said[0]["host"] == "broker.invalid"
    assert "broker.invalid" in held[0]["reason"]
    assert host.calls() == []
