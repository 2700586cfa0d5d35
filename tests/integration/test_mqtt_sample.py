"""The broker's shipped configuration: what it acknowledged it keeps; its access list lets nobody do too much."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.broker import PersistentSubscriber, PrivateBroker
from tests.support.control import FakeControl
from tests.support.inbound import speaker
from tests.support.publishing import in_order_per_topic, station
from tests.support.store_values import BASE, BASE_TOPIC, state
from watchtower_agent.clock import SystemClock
from watchtower_agent.publishing.broker_options import MqttOptions
from watchtower_agent.publishing.home_assistant import HomeAssistant, HomeAssistantOptions
from watchtower_agent.publishing.topics import Topics
from watchtower_agent.serving.command import ARGUMENTS
from watchtower_agent.serving.commands import Commands

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "mosquitto"
TOPICS = Topics(base="watchtower", host="h1")
USERS = {name: name for name in ("h1", "h2", "operator", "nosy", "homeassistant")}
GIVEN: dict[str, dict[str, object]] = {
    "pause": {"target": "web", "for": 60},
    "resume": {"target": "web"},
    "approve": {"approval": "vgyn5h"},
    "reject": {"approval": "vgyn5h"},
    "trigger": {"policy": "leak"},
    "reload": {},
}


@dataclass(slots=True, kw_only=True)
class ShippedBroker(PrivateBroker):
    """Mosquitto as `config/mosquitto/mosquitto.conf` says, on a port and in a folder of the test's own."""

    def _configuration(self) -> str:
        text = (SHIPPED / "mosquitto.conf").read_text()
        text = text.replace("listener 1883 ", f"listener {self.port} ").replace(
            "/var/lib/mosquitto/", f"{self.directory}/"
        )
        return f"{text}\nuser root\n"

    async def saved_since(self, moment: int) -> None:
        """Wait until it has saved after that moment, nanoseconds since the epoch."""
        file = self.directory / "mosquitto.db"
        async with asyncio.timeout(5):
            while not file.exists() or file.stat().st_mtime_ns <= moment:  # noqa: ASYNC110 - a broker's file tells nobody
                await asyncio.sleep(0.01)


async def test_the_shipped_broker_keeps_what_it_acknowledged_when_it_is_killed(tmp_path: Path) -> None:
    options = {"host": "h1", "client_id": "watchtower-h1", "base_topic": BASE_TOPIC}
    with ShippedBroker(directory=tmp_path / "broker") as broker:
        with PersistentSubscriber(broker.port, session="away"):
            pass
        async with station(tmp_path / "state", MqttOptions(url=broker.url, **options)) as agent:  # type: ignore[arg-type] # its own fields
            await agent.commit_many(1, 500)
            await agent.commit(states=[state("web", b"1")])
            await agent.settled()
            acknowledged = time.time_ns()
            await agent.commit(states=[state("db", b"1")])  # at the latest with this the broker saves what was before
            await broker.saved_since(acknowledged)
        broker.kill()
        broker.start()
        with PersistentSubscriber(broker.port, session="away") as back:
            await back.until(lambda messages: len([m for m in messages if "/event/" in m.topic]) >= 500)
        with PersistentSubscriber(broker.port) as late:
            await late.until_topic(f"{BASE}/state/container/web")
    assert in_order_per_topic([(m.topic, int(m.payload)) for m in back.on("/event/")])


async def test_the_shipped_access_list_lets_the_operator_command_and_nobody_else(
    tmp_path: Path, make_broker: Callable[..., PrivateBroker]
) -> None:
    broker = make_broker(passwords=USERS, acl=(SHIPPED / "acl").read_text().splitlines())
    control = FakeControl()
    mine = MqttOptions(url=broker.url, host="h1", client_id="watchtower-h1", username="h1", password="h1")
    with PersistentSubscriber(broker.port, topics=("watchtower/#",), user=("operator", "operator")) as subscriber:
        async with station(tmp_path, mine) as agent:
            topics = (TOPICS.commands, TOPICS.replies)
            commands = Commands(control, agent.publisher, allowed=list(ARGUMENTS), topics=topics, clock=SystemClock())
            running = asyncio.create_task(commands.run())
            commands.listen()
            await agent.until(lambda: "Sending SUBACK to watchtower-h1" in broker.log)
            for user in ("nosy", "h2", "h1"):
                with speaker(broker.port, user=(user, user)) as say:
                    for name, given in GIVEN.items():
                        say(TOPICS.commands + name, json.dumps({"id": f"{user}-{name}", **given}))
                    if user != "h1":
                        say("watchtower/v1/h1/event/container/die/forged", "{}")
            with speaker(broker.port, user=("operator", "operator")) as say:
                for name, given in GIVEN.items():
                    say(TOPICS.commands + name, json.dumps({"id": f"r-{name}", **given}))
                    (reply,) = await subscriber.until_topic(f"/reply/r-{name}")
                    assert json.loads(reply.payload)["id"] == f"r-{name}"
                    assert json.loads(reply.payload)["ok"], reply.payload
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert {each.topic.removeprefix(TOPICS.replies) for each in subscriber.on("/reply/")} == {
        f"r-{name}" for name in GIVEN
    }
    assert subscriber.on("/forged") == []
    assert [each.payload for each in subscriber.on("/status")] == [b"online", b"offline"]
    assert len(control.asked) == len(GIVEN) - 1  # a reload has nothing to be remembered


async def test_the_shipped_access_list_lets_named_agents_tell_home_assistant(
    make_broker: Callable[..., PrivateBroker],
) -> None:
    lines = (SHIPPED / "acl").read_text().splitlines()
    meant = [line.removeprefix("#") if line.startswith(("#user ", "#topic ")) else line for line in lines]
    assert meant != lines
    options = HomeAssistantOptions()
    told = HomeAssistant(options, base="watchtower", host="h1", topics=TOPICS)
    topics, user = (told.host_topic, told.container_topic("shop.web")), ("homeassistant", "homeassistant")
    by = {
        name: HomeAssistant(options, base="watchtower", host=name, topics=TOPICS).host(None).payload for name in USERS
    }
    for acl, heard in ((lines, set[bytes]()), (meant, {by["h1"]})):
        broker = make_broker(passwords=USERS, acl=[*acl, "user homeassistant", "topic readwrite homeassistant/#"])
        with PersistentSubscriber(broker.port, topics=("homeassistant/#",), user=user) as home:
            for name in ("nosy", "h2", "h1"):
                with speaker(broker.port, user=(name, name)) as say:
                    for topic in topics:
                        say(topic, by[name])
            with speaker(broker.port, user=user) as say:
                say("homeassistant/status", "online")
            await home.until_topic("/status")
        assert {(each.topic, each.payload) for each in home.on("/device/")} == {
            (topic, payload) for topic in topics for payload in heard
        }
        with PersistentSubscriber(broker.port, topics=("homeassistant/#",), user=("h2", "h2")) as agent:
            with speaker(broker.port, user=user) as say:
                say(next(iter(options.status_topics)), "online")
            await agent.until_topic("homeassistant/status")


async def test_what_a_former_name_left_is_cleared_by_the_documented_commands_under_the_shipped_access_list(
    make_broker: Callable[..., PrivateBroker],
) -> None:
    page = (SHIPPED.parents[1] / "docs" / "mosquitto-sub.md").read_text()
    commands = re.findall(r"^    (mosquitto_sub .*)$", page.partition("## What a host left")[2], re.MULTILINE)
    assert len(commands) == 2
    former, kept = (
        [f"watchtower/v1/{host}/{left}" for left in ("status", "info", "state/container/web")]
        + [f"homeassistant/device/watchtower_{host}{of}/config" for of in ("", "_web")]
        for host in ("old", "older")
    )
    users = {name: name for name in ("old", "older", "new", "homeassistant")}
    agents = [
        line for name in ("old", "older") for line in (f"user {name}", "topic write homeassistant/device/+/config")
    ]
    lines = [
        *(SHIPPED / "acl").read_text().splitlines(),
        *agents,
        "user homeassistant",
        "topic readwrite homeassistant/#",
    ]
    broker = make_broker(passwords=users | {"judge": "judge"}, acl=[*lines, "user judge", "topic read #"])
    for topics, name in ((former, "old"), (kept, "older")):
        with speaker(broker.port, user=(name, name)) as say:
            for topic in topics:
                say(topic, "{}", retain=True)
    with speaker(broker.port, user=("new", "new")) as say:
        for topic in former:
            say(topic, "", retain=True)
    assert retained(broker) == {*former, *kept}, "who is called otherwise may not clear it"
    for command in commands:
        at_the_broker = re.sub(r"\b(mosquitto_(?:sub|pub))\b", rf"\1 -p {broker.port}", command)
        process = await asyncio.create_subprocess_shell(at_the_broker, stdout=asyncio.subprocess.DEVNULL)
        await process.wait()
    assert retained(broker) == set(kept)


def retained(broker: PrivateBroker) -> set[str]:
    """The topics of what the broker keeps, as who may read all is told."""
    words = ("mosquitto_sub", "-p", str(broker.port), "-u", "judge", "-P", "judge", "--retained-only", "-F", "%t")
    shown = subprocess.run([*words, "-W", "1", "-t", "#"], capture_output=True, text=True, check=False)
    return set(shown.stdout.split())
