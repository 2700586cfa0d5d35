"""Names, labels and surroundings as bad as they can be: topics, payloads and log lines stay what they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agent import CRASHES_ONCE, Host, Json
from tests.support.broker import PrivateBroker, Received
from tests.support.engine import IMAGE, PrivateEngine
from tests.support.schema import strict_json

REVIVE = """
version: 1
policies:
  - name: revive
    select: {name: "*"}
    on: {container: die}
    then:
      restart: {stop_timeout: 1s}
      notify: {severity: warning}
  - name: busy
    select: {name: "*"}
    when: cpu.percent > 0.001% or memory.working_set > 1B
    then: {notify: {severity: warning}}
"""
FORGED = 'x\n{"level":"critical","event":"agent_can_not_go_on","error":"forged"}\r\n\x1b[2J\u202eevil\u2028'
LABELS = {
    "a/b+c#d": "+/#",
    "exitCode": "0",
    "name": "somebody-else",
    "signal": "KILL",
    "com.docker.compose.project": "shop+/#",
    "com.docker.compose.service": FORGED,
    "large": "x" * 65536,
    "fork\nbomb": "y\tz",
    "autoheal.stop.timeout": "9" * 5000,
}
KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")


def create(engine: PrivateEngine, name: str, *command: str, labels: dict[str, str], image: str = IMAGE) -> str:
    """Over the API: the command line takes no such labels."""
    body = {"Image": image, "Cmd": list(command), "Labels": labels, "HostConfig": {"NetworkMode": "none"}}
    container = str(engine.api("POST", "/containers/create", body, name=name)["Id"])
    engine.api("POST", f"/containers/{container}/start")
    return container


@pytest.fixture
def odd_image(engine: PrivateEngine) -> Iterator[str]:
    """A reference with everything that a reference may have."""
    reference = "registry.example:5000/a-b/c_d.e/f:1.0-x_y"
    engine.docker("tag", IMAGE, reference)
    yield reference
    engine.sweep()
    engine.docker("rmi", "--force", reference)


async def test_hostile_labels_and_names_forge_neither_topics_nor_payloads_nor_log_lines(
    engine: PrivateEngine, odd_image: str, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    settings = {"mqtt": {"labels": ["*"], "metrics": {"per_container": True}}, "log": {"level": "debug"}}
    host = make_host(engine, module_broker, REVIVE, settings=settings)

    create(engine, "hostile", *CRASHES_ONCE, labels=LABELS, image=odd_image)
    create(engine, "do.ts-and_0", *CRASHES_ONCE, labels={})
    engine.docker("tag", IMAGE, f"{odd_image}2")
    engine.docker("rmi", f"{odd_image}2")

    for name in ("hostile", "do.ts-and_0"):
        await host.watch.until_told("action", "succeeded", name)
        await host.watch.until_told("action", "notify", name)
    (died, *_) = host.watch.told("container", "die", "hostile")
    assert "exit_code" not in died.data, "a label of that name hides the engine's own"
    assert died.data["container"]["image"] == odd_image
    await host.watch.until_told("image", "untag")
    for message in host.watch.messages:
        assert all(KEY.fullmatch(level) for level in message.topic.split("/")), message.topic
        assert len(message.payload) <= 128 * 1024
    state = host.watch.state("hostile")
    assert state is not None
    assert state["labels"]["a/b+c#d"] == "+/#"
    assert host.agent.logged("agent_can_not_go_on") == []
    (call, *_) = host.calls(died.data["container"]["id"])
    assert "t=1" in call.target, "the policy's own timeout, not the label's"


@pytest.fixture
def odd_network(engine: PrivateEngine) -> Iterator[str]:
    """A name that the engine takes, and in which mosquitto sees no text: it hangs up on whoever sends that."""
    name = "net\ufffework"
    yield name
    engine.docker("network", "rm", name)


async def test_a_network_whose_name_no_broker_takes_does_not_stop_the_events(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], odd_network: str
) -> None:
    host = make_host(engine, module_broker, REVIVE, proxied=False)
    engine.docker("network", "create", odd_network)
    engine.docker("tag", IMAGE, "after:it")
    engine.docker("rmi", "after:it")
    await host.watch.until_told("image", "untag")
    (created,) = host.watch.told("network", "create")
    assert created.document["subject"] == "network/net\ufffdwork"
    assert created.data["actor"]["name"] == odd_network
    assert len(host.agent.logged("mqtt_up")) == 1


async def test_containers_that_vanish_while_they_are_sampled_are_no_failure(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, "version: 1\npolicies: []\n", settings={"sampling": {"interval": "100ms"}})
    for number in range(12):
        container = create(engine, f"short-{number}", "sleep", "60", labels={})
        engine.api("DELETE", f"/containers/{container}", force="true")

    await host.watch.until_told("container", "destroy", "short-11")
    begun = host.agent.status()["sampling"]["ticks"]
    await host.watch.until(lambda _: host.agent.status()["sampling"]["ticks"] > begun + 3)
    assert host.watch.told("agent", "sampling_degraded") == []
    assert host.agent.status()["sampling"]["failures"] == {}
    assert host.agent.status()["containers"] == {"running": 0, "paused": 0, "stopped": 0}
    assert [line for line in host.agent.lines if line["level"] not in {"info", "debug"}] == []


async def test_an_unreadable_cgroup_tree_is_said_once_and_events_and_restarts_go_on(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    host = make_host(
        engine, module_broker, REVIVE, settings={"sampling": {"cgroup_root": str(nothing), "source": "cgroup"}}
    )

    await host.watch.until_told("agent", "sampling_degraded")
    create(engine, "crash", *CRASHES_ONCE, labels={})
    await host.watch.until_told("action", "succeeded", "crash")

    def batches() -> list[Json]:
        found = [strict_json(m.payload) for m in host.watch.messages if m.topic.endswith("/metrics")]
        return [batch for batch in found if batch["containers"]]

    await host.watch.until(lambda _: bool(batches()))
    for told in host.watch.told("agent", "sampling_degraded"):
        assert told.document["severity"] == "warning"
        assert str(nothing) in told.reason
    names = [told.data["collector"] for told in host.watch.told("agent", "sampling_degraded")]
    assert len(names) == len(set(names)), "said once"
    assert set(host.agent.status()["sampling"]["failures"]) == set(names)
    batch = batches()[-1]
    (line,) = batch["containers"]
    assert not [name for name in line if name.startswith(("cpu.", "memory."))]
    assert batch["host_metrics"]
    assert host.watch.told("policy", "firing") == [], "what is not known fires nothing"


async def test_without_a_cgroup_tree_the_engine_is_asked_and_that_is_said_once(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    engine.run("box")
    settings = {
        "sampling": {"cgroup_root": str(tmp_path / "nothing")},
        "mqtt": {"metrics": {"interval": "1s"}},
    }
    host = make_host(engine, module_broker, REVIVE, settings=settings)

    def known(_: list[Received]) -> bool:
        found = [strict_json(m.payload) for m in host.watch.messages if m.topic.endswith("/metrics")]
        return any(line.get("memory.usage", 0) > 0 and "cpu.percent" in line for b in found for line in b["containers"])

    await host.watch.until(known, timeout=30)
    (told,) = host.watch.told("agent", "sampling_degraded")
    assert "the engine's stats API is asked instead" in told.reason
    assert host.agent.status()["sampling"]["source"] == "stats-api"
