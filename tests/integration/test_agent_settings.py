"""Settings that change while a real agent runs: SIGHUP takes them over, whole or not at all."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

from tests.support.agent import CRASHES_ONCE, Host
from tests.support.broker import PrivateBroker, free_port
from tests.support.engine import PrivateEngine
from tests.support.prometheus import asked
from tests.support.troubles import reviving

POLICIES = reviving('{name: "*"}')


def change(host: Host, text: str | None = None, **settings: object) -> None:
    """Write agent.yaml anew, and tell the agent."""
    file = host.agent.directory / "agent.yaml"
    if text is None:
        known = json.loads(file.read_text())
        for section, values in settings.items():
            known[section] = {**known.get(section, {}), **values} if isinstance(values, dict) else values
        text = json.dumps(known)
    file.write_text(text)
    host.agent.send(signal.SIGHUP)


async def test_the_mode_is_another_one_at_once_and_the_agent_keeps_its_hands_off(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    change(host, mode="observe", sampling={"interval": "300ms"})
    (told,) = await host.watch.until_told("agent", "settings_changed")
    assert (told.data["taken"], told.data["waiting"]) == (["mode"], ["sampling.interval"])
    host.agent.wait_log("agent_settings_changed", level="warning")

    web = engine.run("web", *CRASHES_ONCE)
    held = await host.watch.until_held("web", "revive")

    assert held.guard == "mode"
    assert [call.path for call in host.calls(web)] == []
    status = host.agent.status()
    assert (status["agent"]["mode"], status["settings"]) == (
        "observe",
        {"waiting": ["sampling.interval"], "problems": []},
    )
    assert "At the next start other settings are in force: sampling.interval" in host.agent.command("status")

    change(host, mode="enforce")
    await host.watch.until_told("agent", "settings_changed", count=2)
    engine.run("other", *CRASHES_ONCE)
    await host.watch.until_told("action", "succeeded", "other")
    assert host.watch.told("action", "started", "web") == [], "an event's decision that was held by the mode is over"


async def test_a_mistake_leaves_all_as_it_is_and_is_told_until_it_is_mended(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    before = (host.agent.directory / "agent.yaml").read_text()
    change(host, mode="observe", guards={"host_budget": {"max": "many"}})
    (told,) = await host.watch.until_told("agent", "settings_rejected")
    assert told.data["count"] == 1
    assert "guards.host_budget.max" in told.data["problems"][0]
    status = host.agent.status()
    assert (status["agent"]["mode"], status["well"]) == ("enforce", False)
    assert "the settings have 1 problem" in status["unwell"][0]
    assert status["settings"]["problems"] == told.data["problems"]

    change(host, before)
    (told,) = await host.watch.until_told("agent", "settings_changed")
    assert (told.data["taken"], told.data["waiting"]) == ([], [])
    assert host.agent.status()["well"]


async def test_the_level_of_the_log_and_the_labels_of_metrics_change_too(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    port = free_port()
    host = make_host(engine, module_broker, POLICIES, settings={"http": {"listen": f"127.0.0.1:{port}"}})
    engine.run("web", labels={"team": "shop"})
    await host.watch.until_told("container", "start", "web")
    assert "container_label_team" not in asked(port, "/metrics")[1]
    assert host.agent.logged("engine_event") == []
    change(host, http={"listen": f"127.0.0.1:{port}", "labels": ["team"]}, log={"level": "debug", "format": "json"})
    (told,) = await host.watch.until_told("agent", "settings_changed")
    assert set(told.data["taken"]) == {"http.labels", "log.level"}

    await host.watch.until(lambda _: 'container_label_team="shop"' in asked(port, "/metrics")[1])
    engine.docker("rm", "--force", "web")
    host.agent.wait_log("engine_event")


async def test_the_budget_of_the_host_is_another_one(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES)
    change(host, guards={"host_budget": {"max": 1, "per": "10m"}, "shared_cause": {"hold": "0s"}})
    await host.watch.until_told("agent", "settings_changed")
    for name in ("one", "two"):
        engine.run(name, *CRASHES_ONCE)

    (opened, *_) = await host.watch.until_told("policy", "breaker_open")

    assert len(host.watch.told("action", "succeeded")) <= 1
    assert "1 " in opened.reason
