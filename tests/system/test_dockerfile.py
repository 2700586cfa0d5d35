"""The container image: built without a network on a base of the tests' own making, then run beside a real broker."""

from __future__ import annotations

import json
import subprocess
import threading

import pytest

from tests.support.agent_image import BASE
from tests.support.broker import PersistentSubscriber, PrivateBroker
from tests.support.engine import PrivateEngine

MIB = 1024 * 1024


@pytest.fixture
def image(agent_image: str) -> str:
    """The image's name."""
    return agent_image


def inside(engine: PrivateEngine, image: str, script: str) -> str:
    """What a shell in the image says."""
    return engine.docker("run", "--rm", "--network=none", "--entrypoint=/bin/sh", image, "-c", script)


def test_the_image_is_small_and_runs_without_root(engine: PrivateEngine, image: str) -> None:
    sizes = [int(engine.docker("image", "inspect", "--format={{.Size}}", name)) for name in (image, BASE)]

    assert sizes[0] - sizes[1] < 60 * MIB
    assert inside(engine, image, "id -u").strip() == "10001"


def test_the_image_holds_compiled_code_and_no_tools(engine: PrivateEngine, image: str) -> None:
    listing = inside(engine, image, "cd /opt/watchtower-agent/lib/python3*/site-packages && ls && find . -name '*.py?'")

    assert "watchtower_agent/__pycache__/clock." in listing
    assert "pip" not in listing.split()
    assert "setuptools" not in listing.split()


def test_the_image_holds_only_what_the_agent_needs(engine: PrivateEngine, image: str) -> None:
    assert inside(engine, image, "ls -A /etc/watchtower-agent").split() == [
        "agent.yaml",
        "policies",
        "policy.schema.json",
    ]
    assert inside(engine, image, "ls -d /build /built /tools /wheels 2>/dev/null || true") == ""


async def test_the_agent_in_the_image_lives(
    engine: PrivateEngine, image: str, broker: PrivateBroker, subscriber: PersistentSubscriber
) -> None:
    engine.docker(
        *("run", "--detach", "--name=agent", "--network=host", "--pid=host", "--cgroupns=host", "--read-only"),
        *("--tmpfs=/run/watchtower-agent:uid=10001", f"--group-add={engine.socket.stat().st_gid}"),
        *("--volume", f"{engine.socket}:/var/run/docker.sock"),
        *("--volume", f"disk:{engine.api('GET', '/info')['DockerRootDir']}:ro"),
        *("--env", f"WATCHTOWER_AGENT_MQTT__URL={broker.url}", "--env=WATCHTOWER_AGENT_HOST=boxed"),
        "--env=WATCHTOWER_AGENT_MQTT__METRICS__INTERVAL=1s",
        *("--health-interval=1s", image),
    )

    await subscriber.until(
        lambda seen: any(m.topic.endswith("/v1/boxed/status") and m.payload == b"online" for m in seen), timeout=30
    )
    # the engine runs the image's health check, the agent in it hears the verdict and publishes it
    await subscriber.until(
        lambda seen: any("/event/container/health_status/agent" in m.topic and b'"healthy"' in m.payload for m in seen),
        timeout=30,
    )
    engine.run("bystander")
    await subscriber.until(lambda seen: any(m.topic.endswith("/event/container/start/bystander") for m in seen))

    # an empty volume in the place of the data-root is enough to know how full its file system is
    await subscriber.until(
        lambda seen: any(m.topic.endswith("/v1/boxed/metrics") and b'"host.disk.percent":' in m.payload for m in seen)
    )
    assert not subscriber.on("/v1/boxed/event/agent/sampling_degraded/self")

    engine.docker("stop", "--time=20", "agent")
    state = json.loads(engine.docker("inspect", "--format={{json .State}}", "agent"))
    assert state["ExitCode"] == 0, engine.docker("logs", "agent")
    assert [m.payload for m in subscriber.on("/v1/boxed/status")][-1] == b"offline"


def said(engine: PrivateEngine, container: str, event: str) -> dict[str, object]:
    """The first line of that name in a container's log, once it is there."""
    following = subprocess.Popen(
        ["docker", "logs", "--follow", container], env=engine.environment(), stderr=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(30, following.kill)
    watchdog.start()
    try:
        assert following.stderr is not None
        for text in following.stderr:
            line: dict[str, object] = json.loads(text)
            if line["event"] == event:
                return line
        raise AssertionError(f"{container} never said {event}")
    finally:
        watchdog.cancel()
        following.kill()
        following.communicate()


def test_a_container_whose_host_name_is_its_id_says_so_and_keeps_the_first_when_it_is_made_anew(
    engine: PrivateEngine, image: str
) -> None:
    def made() -> tuple[str, dict[str, object]]:
        identity = engine.docker(
            *("run", "--detach", "--network=none", "--volume=kept:/var/lib/watchtower-agent"),
            *("--volume", f"{engine.socket}:/var/run/docker.sock", f"--group-add={engine.socket.stat().st_gid}"),
            *("--env=WATCHTOWER_AGENT_MQTT__URL=null", image),
        )
        line = said(engine, identity, "host_is_a_container_id")
        said(engine, identity, "engine_up")
        engine.docker("rm", "--force", identity)
        return identity, line

    first, then = made()
    second, later = made()

    assert "WATCHTOWER_AGENT_HOST" in str(then["remedy"])
    assert (then["host"], then["machine"]) == (first[:12], first[:12])
    assert (later["host"], later["machine"]) == (first[:12], second[:12])
