"""A Compose service grows by clones and shrinks again, by the whole agent; what stands against a clone is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.agent import AgentProcess, AgentWatch
from tests.support.broker import PrivateBroker, free_port
from tests.support.compose import Compose
from tests.support.engine import IMAGE, PrivateEngine
from tests.support.engine_watch import in_thread
from tests.support.load import WORK, Load
from tests.support.proxy import EngineProxy, Rule
from tests.support.several_engines import namespaces
from watchtower_agent.model.service import CLONE_OF

CPU = "cpu.percent_of_limit"
IDLE = """[sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]"""
SERVES = ["sh", "-c", "hostname > /tmp/name; httpd -p 80 -h /tmp; " + WORK[-1].replace("$", "$$")]
PLAIN = f"{{image: {IMAGE}, pull_policy: never, stop_grace_period: 3s"
BLOCKED = {
    "port": ("it has the host's port", f'ports: ["127.0.0.1:{free_port()}:80"]'),
    "address": ("fixed address", "networks: {fixed: {ipv4_address: 192.0.2.7}}"),
    "named": ("container_name", "container_name: shop-of-that-name"),
    "volume": ("data at /data", 'volumes: ["data:/data"]'),
}
"""Service -> the words that name what stands against a clone of it, and the key that does."""


def shop(load: Load) -> str:
    blocked = "\n".join(f"  {name}: {PLAIN}, command: {IDLE}, {key}}}" for name, (_, key) in BLOCKED.items())
    return f"""
name: shop
services:
  web:
    image: {IMAGE}
    pull_policy: never
    command: {json.dumps(SERVES)}
    volumes: ["{load.directory}:/load:ro"]
    cpus: {load.cores}
    stop_grace_period: 3s
    healthcheck: {{test: "true", interval: 2s}}
    networks: {{front: {{aliases: [shopfront]}}}}
  client: {PLAIN}, command: {IDLE}, networks: [front]}}
{blocked}
networks: {{front: {{}}, fixed: {{ipam: {{config: [{{subnet: 192.0.2.0/24}}]}}}}}}
volumes: {{data: {{}}}}
"""


CRASH = f"""
name: crash
services:
  web: {PLAIN}, command: {IDLE}, healthcheck: {{test: "true", interval: 300ms}}, network_mode: none}}
"""


def policies(project: str, **services: str) -> str:
    """One for each service."""
    return "version: 1\npolicies:\n" + "\n".join(
        f"  - {{name: {name}, target: {{compose: {{project: {project}, service: {name}}}}}, scale: {{{scale}}}}}"
        for name, scale in services.items()
    )


BY_CPU = f"metrics: [{{metric: {CPU}, target: 20%}}]"
GROWS = (
    f"min: 1, max: 4, {BY_CPU}, up: {{window: 10s, step: 400% per 30s, cooldown: 5s}}, "
    "down: {window: 20s, fast: 25% after 10s, step: 50% per 5s}"
)


@dataclass(slots=True, kw_only=True)
class Stage:
    """Two projects on one engine, with an agent each.

    Attributes:
        starts: Keeps the start of the second project's first clone from the engine.
    """

    engine: PrivateEngine
    load: Load
    shop: Compose
    crash: Compose
    agent: AgentProcess
    watch: AgentWatch
    crashing: AgentProcess
    crashing_watch: AgentWatch
    proxy: EngineProxy
    starts: Rule


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, module_broker: PrivateBroker) -> Iterator[Stage]:
    load = Load(tmp_path_factory.mktemp("load"), cores=0.2)  # with less, looking after their health is a load
    with (
        namespaces(1) as (namespace,),  # where no other engine's firewall stands between containers
        PrivateEngine(namespace=namespace) as engine,
        EngineProxy(engine.socket) as proxy,
    ):
        files = {"shop": shop(load), "crash": CRASH}
        projects = [Compose(engine, tmp_path_factory.mktemp(name), text) for name, text in files.items()]
        for each in projects:
            each("up", "--detach")
        texts = (
            policies("shop", web=GROWS, **dict.fromkeys(BLOCKED, f"min: 2, max: 3, {BY_CPU}")),
            policies("crash", web=f"min: 3, max: 4, {BY_CPU}, up: {{step: 400% per 30s}}"),
        )
        urls = (engine.url, proxy.url)
        agents = [
            AgentProcess(engine_url=url, mqtt_url=module_broker.url, policies=text)
            for url, text in zip(urls, texts, strict=True)
        ]
        first, second = agents
        with AgentWatch(module_broker.port, first.host) as watch, AgentWatch(module_broker.port, second.host) as other:
            try:
                load.level(100)
                starts = proxy.hold("POST", "/containers/*/start")
                for agent in agents:
                    agent.start()
                yield Stage(
                    engine=engine,
                    load=load,
                    shop=projects[0],
                    crash=projects[1],
                    agent=first,
                    watch=watch,
                    crashing=second,
                    crashing_watch=other,
                    proxy=proxy,
                    starts=starts,
                )
                for agent, seen in zip(agents, (watch, other), strict=True):
                    agent.stop()
                    agent.check_log()
                    seen.check()
            finally:
                for agent in agents:
                    agent.close()


def ids(stage: Stage, project: str, service: str) -> dict[str, str]:
    """Name -> id of the containers that run."""
    wanted = [f"com.docker.compose.project={project}", f"com.docker.compose.service={service}"]
    found = stage.engine.api("GET", "/containers/json", filters=json.dumps({"label": wanted}))
    return {each["Names"][0].removeprefix("/"): each["Id"] for each in found}


def of_crash(container: dict[str, Any]) -> bool:
    return bool(container["Labels"].get("com.docker.compose.project") == "crash")


async def test_a_kill_in_the_middle_of_a_growth_is_settled_and_what_never_started_is_removed(stage: Stage) -> None:
    await in_thread(lambda: stage.starts.wait(45))
    stage.crashing.kill()
    stage.proxy.cut("/containers/*/start")
    stage.starts.release()
    before = {each["Id"]: each for each in stage.engine.api("GET", "/containers/json", all="true")}
    (left,) = [name for name, each in before.items() if each["State"] == "created" and of_crash(each)]
    assert CLONE_OF in before[left]["Labels"]

    await in_thread(stage.crashing.start)

    watch = stage.crashing_watch
    (settled,) = await watch.until_told("action", "interrupted", "crash/web", timeout=45)
    (begun,) = watch.told("action", "started", where=lambda told: told.correlation == settled.correlation)
    assert begun.data["parameters"]["add"] == 2
    assert "the engine did not do it" in settled.reason
    await watch.until_told("policy", "decision", where=lambda told: "made and never started" in told.reason, timeout=30)
    await watch.until_told("container", "destroy", where=lambda told: told.actor == left)
    await watch.until_told(
        "action", "succeeded", where=lambda told: told.data["parameters"].get("add") == 2, timeout=60
    )
    running = ids(stage, "crash", "web")
    assert len(running) == 3
    assert left not in {each["Id"] for each in stage.engine.api("GET", "/containers/json", all="true")}

    # Compose takes them all away, which the agent does not undo.
    await in_thread(lambda: stage.crash("down", "--timeout=3"))
    assert stage.crash.names() == []


@pytest.mark.parametrize("service", BLOCKED)
async def test_what_stands_against_a_clone_is_named(stage: Stage, service: str) -> None:
    held = await stage.watch.until_held(f"shop/{service}", service)

    words, _ = BLOCKED[service]
    assert held.guard == "preflight"
    assert words in held.reason
    page = " ".join((await in_thread(lambda: stage.agent.command("explain", service))).split())
    assert words in page
    assert stage.watch.told("action", "started", f"shop/{service}") == []


async def test_a_service_grows_to_clones_that_answer_under_its_name_and_shrinks_back(stage: Stage) -> None:
    grown = (await stage.watch.until_told("action", "succeeded", "shop/web", timeout=90))[0]
    stage.load.level(15)

    assert (grown.data["parameters"]["to"], grown.data["numbers"]["added"]) == (4, 3)
    running = ids(stage, "shop", "web")
    assert sorted(running) == [f"shop-web-{number}" for number in (1, 2, 3, 4)]
    for name in ("web", "shopfront"):
        told = stage.engine.docker("exec", "shop-client-1", "nslookup", name, "127.0.0.11")
        addresses = [line.split()[1] for line in told.splitlines()[2:] if line.startswith("Address")]
        fetch = ("exec", "shop-client-1", "wget", "-q", "-O-", "-T", "5")
        answers = {stage.engine.docker(*fetch, f"http://{address}/name") for address in addresses}
        assert answers == {each[:12] for each in running.values()}

    # Compose takes them for its own, and leaves them as they are.
    assert set(running) < set(stage.shop.names())
    await in_thread(lambda: stage.shop("up", "--detach", "--scale=web=4"))
    assert ids(stage, "shop", "web") == running

    stage.load.level(0)
    await stage.watch.until(lambda _: len(ids(stage, "shop", "web")) == 1, timeout=60)
    assert ids(stage, "shop", "web") == {"shop-web-1": running["shop-web-1"]}
    destroyed = await stage.watch.until_told("container", "destroy", count=3, where=lambda told: told.name in running)
    assert [each.name for each in destroyed] == ["shop-web-4", "shop-web-3", "shop-web-2"]
