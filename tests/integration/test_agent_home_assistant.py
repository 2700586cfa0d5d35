"""Home Assistant shows hosts and containers, through restarts of everything, and nothing that is not there any more."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.agent import CRASHES_ON_USR1, Host
from tests.support.broker import PersistentSubscriber, PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.home_assistant import (  # noqa: F401 - fixtures
    PrivateHomeAssistant,
    home_assistant_python,
    make_home_assistant,
)
from tests.support.patience import patient

NOTHING = "version: 1\npolicies: []\n"
SLEEPS = ("sleep", "3600")


def enabled() -> dict[str, Any]:
    """Settings."""
    return {"mqtt": {"home_assistant": {"enabled": True}}}


def device(host: Host, name: str = "") -> str:
    """The topic by which Home Assistant learns of the host, or of its container."""
    return f"homeassistant/device/watchtower_{host.agent.host}{f'_{name}' if name else ''}/config"


def kept(broker: PrivateBroker) -> dict[str, bytes]:
    """What the broker tells of devices to somebody new."""
    with PersistentSubscriber(broker.port, topics=("homeassistant/device/#", "watchtower/v1/+/status")) as late:
        # subscriptions are answered in their order, so what is kept of devices came before
        asyncio.run(late.until(lambda messages: any("/status" in message.topic for message in messages)))
        return {each.topic: each.payload for each in late.messages if each.topic.startswith("homeassistant/")}


async def until_kept(broker: PrivateBroker, condition: Callable[[set[str]], bool]) -> dict[str, Any]:
    """Wait until it holds of the topics of devices that the broker keeps; their contents."""
    async with asyncio.timeout(patient(30)):
        while not condition(set(found := await asyncio.to_thread(kept, broker))):  # noqa: ASYNC110 - a broker's memory tells nobody
            await asyncio.sleep(0.2)
    return {topic: json.loads(payload) for topic, payload in found.items()}


async def test_what_home_assistant_is_told_comes_and_goes_with_what_there_is(
    engine: PrivateEngine, make_broker: Callable[..., PrivateBroker], make_host: Callable[..., Host]
) -> None:
    broker = make_broker()
    host = make_host(engine, broker, NOTHING, settings=enabled(), proxied=False)
    engine.run("web", *SLEEPS)
    doomed = engine.run("Web", *SLEEPS)
    all_three = {device(host), device(host, "web"), device(host, "Web")}
    found = await until_kept(broker, lambda topics: topics == all_three)
    called = [entity["default_entity_id"] for said in found.values() for entity in said["cmps"].values()]
    assert len(called) == len(set(called)), "Home Assistant knows no case"
    [sample, *_] = await host.watch.until_topic("/metrics/container/web")
    assert sample.topic in {entity["state_topic"] for entity in found[device(host, "web")]["cmps"].values()}

    broker.kill()
    broker.forget()
    broker.start()
    assert await until_kept(broker, lambda topics: topics == all_three) == found

    host.agent.kill()
    engine.docker("rm", "--force", doomed)
    with PersistentSubscriber(broker.port, topics=("homeassistant/device/#",)) as home:
        host.agent.start()
        await until_kept(broker, lambda topics: topics == {device(host), device(host, "web")})
        await host.watch.until_topic("/event/engine/up/", count=2)
        await home.until(lambda messages: any(not each.payload for each in messages))
        assert {each.topic for each in home.messages if not each.payload} == {device(host, "Web")}

    engine.docker("rename", "web", "shop.web")
    renamed = await until_kept(broker, lambda topics: len(topics) == 2 and device(host, "web") not in topics)
    [name] = [each["dev"]["name"] for each in renamed.values() if "via_device" in each["dev"]]
    assert name == f"{host.agent.host} shop.web"

    host.agent.stop()
    host.agent.settings["mqtt"]["home_assistant"]["enabled"] = False
    host.agent.start()
    await until_kept(broker, lambda topics: not topics)


async def test_home_assistant_is_told_again_when_it_has_started(
    engine: PrivateEngine, make_broker: Callable[..., PrivateBroker], make_host: Callable[..., Host]
) -> None:
    broker = make_broker()
    host = make_host(engine, broker, NOTHING, settings=enabled(), proxied=False)
    engine.run("web", *SLEEPS)
    before = await until_kept(broker, lambda topics: topics == {device(host), device(host, "web")})
    with PersistentSubscriber(broker.port, topics=("homeassistant/device/#",)) as home:
        await home.until(lambda messages: len(messages) == 2)

        await asyncio.to_thread(_say, broker, "offline")
        await asyncio.to_thread(_say, broker, "online")
        await home.until(lambda messages: len(messages) >= 4, timeout=20)

        assert {each.topic: json.loads(each.payload) for each in home.messages[2:]} == before


def _say(broker: PrivateBroker, word: str) -> None:
    told = ["-p", str(broker.port), "-q", "1", "-t", "homeassistant/status", "-m", word]
    subprocess.run(["mosquitto_pub", *told], check=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A container as Home Assistant shows it."""

    home: PrivateHomeAssistant
    device: str

    def state(self, entity: str) -> str:
        """Of `sensor.cpu`, `binary_sensor.running`, …"""
        return self.home.state(self._id(entity))

    def number(self, entity: str) -> float:
        """NaN when it has none."""
        try:
            return float(self.state(entity))
        except ValueError:
            return math.nan

    def attribute(self, entity: str, name: str) -> Any:  # noqa: ANN401 - JSON is any of its types
        """None when it has none."""
        return self.home.attribute(self._id(entity), name)

    def gone(self) -> bool:
        """Nothing of it is left, in no registry."""
        seen = self.home.seen
        left = [entity for entity in (*seen["states"], *seen["unique_ids"]) if f".{self.device}_" in entity]
        return self.device not in seen["devices"] and not left

    def _id(self, entity: str) -> str:
        platform, _, name = entity.partition(".")
        return f"{platform}.{self.device}_{name}"


@pytest.mark.only_full
async def test_a_real_home_assistant_shows_what_there_is_through_every_restart(
    engine: PrivateEngine,
    make_broker: Callable[..., PrivateBroker],
    make_host: Callable[..., Host],
    make_home_assistant: Callable[[int], PrivateHomeAssistant],  # noqa: F811 - the fixture
) -> None:
    broker = make_broker()
    host = make_host(engine, broker, NOTHING, settings=enabled(), proxied=False)
    web_id = engine.run("web", *CRASHES_ON_USR1)
    engine.run("Shop.11__A", *SLEEPS)
    engine.run("doomed", *SLEEPS)
    home = make_home_assistant(broker.port)
    here = Shown(home=home, device=f"watchtower_{host.agent.host}")
    web, doomed = (Shown(home=home, device=f"{here.device}_{name}") for name in ("web", "doomed"))

    await _appear(here, web, host)
    await _happens(engine, web_id, web)
    await _survive(engine, host, here, web, doomed)

    # Home Assistant itself is away, and the container is another one of the same name when it comes back
    known = home.seen["unique_ids"]
    home.stop()
    engine.docker("rm", "--force", "web")
    await until_kept(broker, lambda topics: device(host, "web") not in topics)
    engine.run("web", *SLEEPS)
    home.start()
    await home.until(lambda: web.state("binary_sensor.running") == "on" and web.number("sensor.cpu") >= 0)
    assert home.seen["unique_ids"] == known

    engine.docker("rm", "--force", "web")
    await home.until(web.gone)
    host.agent.stop()
    host.agent.settings["mqtt"]["home_assistant"]["enabled"] = False
    host.agent.start()
    await home.until(lambda: not home.seen["devices"] and not home.seen["states"])
    assert home.seen["complaints"] == []


async def _appear(here: Shown, web: Shown, host: Host) -> None:
    home = here.home
    await home.until(lambda: here.state("binary_sensor.agent") == "on" and web.state("binary_sensor.running") == "on")
    await home.until(lambda: web.number("sensor.memory") > 0 and web.number("sensor.cpu") >= 0)
    await home.until(lambda: here.number("sensor.containers") == 3 and here.number("sensor.memory") > 0)
    assert web.number("sensor.restarts") == 0
    assert web.state("binary_sensor.problem") == "off"
    assert home.seen["devices"][web.device] == {
        "name": f"{host.agent.host} web",
        "model": "busybox:local",
        "via": here.device,
    }
    assert len(home.seen["devices"]) == 4


async def _happens(engine: PrivateEngine, web_id: str, web: Shown) -> None:
    engine.docker("kill", "--signal=USR1", web_id)
    await web.home.until(lambda: web.state("binary_sensor.running") == "off")
    await web.home.until(lambda: web.state("binary_sensor.problem") == "on")
    await web.home.until(lambda: web.attribute("event.event", "event_type") == "die")
    assert web.attribute("event.event", "exit_code") == 3
    assert web.attribute("binary_sensor.running", "status") == "exited"
    engine.docker("start", web_id)
    await web.home.until(lambda: web.state("binary_sensor.running") == "on" and web.number("sensor.restarts") == 1)


async def _survive(engine: PrivateEngine, host: Host, here: Shown, web: Shown, doomed: Shown) -> None:
    """A broker that lost everything; an agent that was killed, and a container that went meanwhile."""
    host.broker.kill()
    await here.home.until(lambda: web.state("binary_sensor.running") == "unavailable")
    host.broker.forget()
    host.broker.start()
    await here.home.until(lambda: web.state("binary_sensor.running") == "on")
    await here.home.until(lambda: here.state("binary_sensor.agent") == "on")

    host.agent.kill()
    await here.home.until(lambda: here.state("binary_sensor.agent") == "off")
    await here.home.until(lambda: web.state("binary_sensor.running") == "unavailable")
    engine.docker("rm", "--force", "doomed")
    host.agent.start()
    await here.home.until(lambda: web.state("binary_sensor.running") == "on" and doomed.gone())
