"""A real agent is commanded over a real broker: what it was allowed, once, and nothing that the broker kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.support.agent import CRASHES_ONCE, Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.inbound import speaker

POLICIES = """
version: 1
policies:
  - name: revive
    mode: approve
    select: {labels: {ask: event}}
    on: {container: die}
    then: {restart: {stop_timeout: 3s}}
    cooldown: 1s
    backoff: {initial: 0s}
"""


def subscriptions(host: Host) -> list[str]:
    """Filters of that agent's SUBSCRIBE packets with their QoS, in order."""
    return re.findall(
        rf"Received SUBSCRIBE from watchtower-{host.agent.host}\n\d+: \t(\S+ \(QoS \d\))\n", host.broker.log
    )


def replies(host: Host) -> list[dict[str, Any]]:
    return [json.loads(each.payload) for each in host.watch.on("/reply/")]


async def reply(host: Host, sender: str) -> dict[str, Any]:
    """The first to a command of that id."""
    (first, *_) = await host.watch.until_topic(f"/reply/{sender}")
    found: dict[str, Any] = json.loads(first.payload)
    return found


async def question(host: Host, name: str) -> Any:  # noqa: ANN401 - the data of an event
    (asked,) = await host.watch.until_told("policy", "approval_asked", name)
    return asked.data


async def test_what_is_approved_over_mqtt_is_done_as_it_was_published_and_nothing_else(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES, settings={"mqtt": {"commands": ["approve", "reject"]}})
    base = f"watchtower/v1/{host.agent.host}/command"
    await host.watch.until(lambda _: subscriptions(host) == [f"{base}/+ (QoS 1)"])
    with speaker(module_broker.port) as say:
        first = engine.run("first", *CRASHES_ONCE, labels={"ask": "event"})
        second = engine.run("second", *CRASHES_ONCE, labels={"ask": "event"})
        asked, other = await question(host, "first"), await question(host, "second")

        say(f"{base}/pause", json.dumps({"id": "not-allowed", "target": "first"}))
        assert (await reply(host, "not-allowed"))["error"] == (
            "pause is not allowed over MQTT (mqtt.commands: approve, reject); it was not done"
        )
        say(f"{base}/approve", json.dumps({"id": "wrong", "approval": "nonono"}))
        assert "there is no approval 'nonono' to give; waiting for an answer" in (await reply(host, "wrong"))["error"]

        words = {"id": "yes", "approval": asked["approval"], "reason": "we looked"}
        say(f"{base}/approve", json.dumps(words))
        done = await reply(host, "yes")
        assert done["ok"]
        assert done["answer"]["answered"]["decision_id"] == asked["decision_id"]
        (succeeded,) = await host.watch.until_told("action", "succeeded", "first")
        for key in ("decision_id", "approval", "verb", "parameters", "target"):
            assert succeeded.data[key] == asked[key]
        (given,) = host.watch.told("policy", "approval_given")
        assert given.data["because"] == "we looked"

        say(f"{base}/approve", json.dumps(words))  # who heard nothing asks again
        await host.watch.until_topic("/reply/yes", count=2)
        assert [each for each in replies(host) if each["id"] == "yes"] == [done, done]

        say(f"{base}/reject", json.dumps({"id": "refuse", "approval": other["approval"]}))
        assert (await reply(host, "refuse"))["answer"]["answered"]["state"] == "rejected"
    (call,) = host.calls(first)
    assert call.target.endswith(f"/containers/{first}/restart?t=3")
    assert host.calls(second) == []
    assert "/pause" not in {request.path for request in host.calls()}
    assert host.agent.status()["paused"] == []


async def test_a_command_that_the_broker_keeps_is_not_done_however_often_the_agent_connects(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES, settings={"mqtt": {"commands": ["pause", "reload"]}})
    base = f"watchtower/v1/{host.agent.host}/command"
    await host.watch.until(lambda _: len(subscriptions(host)) == 1)
    with speaker(module_broker.port) as say:
        say(f"{base}/pause", json.dumps({"id": "kept"}), retain=True)
        host.agent.wait_log("mqtt_command_retained")
        host.agent.kill()
        host.agent.start()
        host.agent.wait_log("mqtt_command_retained")
        say(f"{base}/reload", json.dumps({"id": "new"}))
        assert (await reply(host, "new"))["answer"]["policies"] == 1
    assert [each["id"] for each in replies(host)] == ["new"]
    assert host.agent.status()["paused"] == []


async def test_by_default_nothing_is_subscribed_to_and_no_command_is_done(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, POLICIES, settings={"mqtt": {"commands": ["pause"]}})
    base = f"watchtower/v1/{host.agent.host}/command"
    await host.watch.until(lambda _: len(subscriptions(host)) == 1)
    host.agent.stop()
    del host.agent.settings["mqtt"]["commands"]
    host.agent.start()
    with speaker(module_broker.port) as say:
        say(f"{base}/pause", json.dumps({"id": "a"}))  # its session at the broker is that of the earlier run
        given_up = rf"Received UNSUBSCRIBE from watchtower-{host.agent.host}\n\d+: \t{re.escape(base)}/\+\n"
        await host.watch.until(lambda _: re.search(given_up, module_broker.log) is not None)
    assert len(subscriptions(host)) == 1
    assert replies(host) == []
    assert host.agent.status()["paused"] == []
