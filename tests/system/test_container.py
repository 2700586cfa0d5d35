"""The shipped compose file and stack: an agent in a container measures the host's others, behind a filtering proxy."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent_image import CHECKOUT
from tests.support.broker import PersistentSubscriber, PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.patience import patient
from tests.support.proxy import EngineProxy
from tests.support.swarm import swarm
from watchtower_agent.engine.endpoints import Need

FILES = CHECKOUT / "config" / "container"
POLICIES = """
version: 1
policies:
  - name: measured
    select: {name: bystander}
    when: memory.working_set > 1KiB and cpu.percent >= 0%
    then: {notify: {severity: info}}
  - name: revive
    select: {name: crash}
    on: {container: die}
    then: {restart: {}}
"""


@pytest.fixture
def watched(engine: PrivateEngine) -> Iterator[EngineProxy]:
    """What stands before the engine: it lets through what watching and healing need, on a node of a Swarm, too."""
    with EngineProxy(engine.socket, needs=frozenset({Need.WATCH, Need.SWARM, Need.HEAL})) as proxy:
        proxy.socket.chmod(0o660)
        yield proxy


@pytest.fixture
def environment(
    engine: PrivateEngine, watched: EngineProxy, agent_image: str, broker: PrivateBroker, tmp_path: Path
) -> dict[str, str]:
    """What the files take from their environment."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "policies.yaml").write_text(POLICIES)
    (tmp_path / "agent.yaml").write_text("policies: policies\nhttp: {listen: null}\n")
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)
    return engine.environment() | {
        "WATCHTOWER_AGENT_IMAGE": agent_image,
        "WATCHTOWER_AGENT_HOST": "boxed",
        "WATCHTOWER_AGENT_MQTT__URL": broker.url,
        "WATCHTOWER_AGENT_CONFIG": str(tmp_path),
        "DOCKER_GROUP": str(watched.socket.stat().st_gid),
        "DOCKER_SOCKET": str(watched.socket),
        "DOCKER_DATA_ROOT": str(engine.api("GET", "/info")["DockerRootDir"]),
    }


def docker(environment: dict[str, str], *arguments: str | Path) -> None:
    """Run the docker CLI, which must succeed."""
    done = subprocess.run(
        ["docker", *(str(argument) for argument in arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=patient(120),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def measures_and_heals(engine: PrivateEngine, proxy: EngineProxy, subscriber: PersistentSubscriber) -> None:
    """See the agent measure one container by its cgroup, and restart another one."""
    await subscriber.until(
        lambda seen: any(m.topic.endswith("/status") and m.payload == b"online" for m in seen), timeout=60
    )
    engine.run("bystander")
    await subscriber.until(
        lambda seen: any(m.topic.endswith("/event/action/notify/bystander") for m in seen), timeout=30
    )
    engine.run("crash", "sh", "-c", "test -e /tmp/once && exec sleep 3600; touch /tmp/once; exit 1")
    await subscriber.until(
        lambda seen: any(m.topic.endswith("/event/action/succeeded/crash") for m in seen), timeout=30
    )
    assert proxy.out_of_bounds == []
    assert not proxy.seen("GET", "/containers/*/stats")
    assert not [m for m in subscriber.messages if "/event/agent/sampling_degraded/" in m.topic]


@pytest.mark.only_full  # the stack in every run
async def test_the_compose_file(
    engine: PrivateEngine, watched: EngineProxy, environment: dict[str, str], subscriber: PersistentSubscriber
) -> None:
    docker(environment, "compose", "--file", FILES / "compose.yaml", "up", "--detach")
    try:
        await measures_and_heals(engine, watched, subscriber)
    finally:
        docker(environment, "compose", "--file", FILES / "compose.yaml", "down", "--volumes", "--timeout=20")


async def test_the_stack(
    engine: PrivateEngine, watched: EngineProxy, environment: dict[str, str], subscriber: PersistentSubscriber
) -> None:
    with swarm(engine):
        docker(environment, "stack", "deploy", "--resolve-image=never", "--compose-file", FILES / "stack.yaml", "wt")
        try:
            await measures_and_heals(engine, watched, subscriber)
        finally:
            docker(environment, "stack", "rm", "--detach=false", "wt")
