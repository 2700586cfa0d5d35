"""The `Engine` port on a real engine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.engine import PrivateEngine
from tests.support.engine_watch import engine_calls
from tests.support.proxy import EngineProxy
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine import client
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.engine.translation import EngineRefusedError, EngineTimeoutError
from watchtower_agent.errors import AbsentError, PermanentError, TemporaryError
from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.ports.engine import Engine

NOBODY = "f" * 64


@pytest.fixture
def calls(engine: PrivateEngine) -> Iterator[EngineCalls]:
    with closing(engine_calls(engine.url, timeout=5)) as calls:
        yield calls


@pytest.fixture
def docker(calls: EngineCalls) -> Iterator[Engine]:
    with closing(DockerEngine(calls, clock=SystemClock())) as docker:
        yield docker


async def test_an_inspection_describes_a_container(engine: PrivateEngine, docker: Engine) -> None:
    web = engine.run(
        "web",
        labels={"a": "b"},
        options=["--health-cmd=true", "--health-interval=1h", "--restart=always", "--stop-timeout=7"],
    )
    found = await docker.inspect(web)
    assert (found.id, found.name, found.image, found.labels) == (web, "web", "busybox:local", {"a": "b"})
    assert (found.status, found.health, found.network_mode) == (ContainerStatus.RUNNING, Health.STARTING, "none")
    detail = found.detail
    assert detail is not None
    os.kill(detail.pid, 0)  # it is a process of this host
    assert (detail.restart_policy, detail.stop_timeout, detail.health_interval) == ("always", 7.0, 3600.0)
    assert detail.started_at is not None
    assert abs(detail.started_at - SystemClock().now().wall) < 10
    assert (detail.finished_at, detail.exit_code) == (None, None)


async def test_a_listing_agrees_with_the_inspection(engine: PrivateEngine, docker: Engine, calls: EngineCalls) -> None:
    web = engine.run("web", options=["--health-cmd=true", "--health-interval=1h"])
    engine.docker("create", "--name=never", "busybox:local")
    for listed in calls.containers():
        inspected = await docker.inspect(listed.id)
        for name in ("id", "name", "image", "image_id", "labels", "status", "health", "network_mode", "networks"):
            assert getattr(listed, name) == getattr(inspected, name), name
        assert abs(listed.created_at - inspected.created_at) < 1.01
    assert {listed.id for listed in calls.containers()} >= {web}


async def test_restart_gives_it_another_life(engine: PrivateEngine, docker: Engine) -> None:
    web = engine.run("web")
    before = (await docker.inspect(web)).detail
    await docker.restart(web, stop_timeout=None)
    after = (await docker.inspect(web)).detail
    assert before
    assert after
    assert (before.started_at or 0) < (after.started_at or 0)
    assert before.pid != after.pid


async def test_restart_hands_the_stop_timeout_on(engine: PrivateEngine, docker: Engine) -> None:
    stubborn = engine.run("stubborn", "sleep", "3600")  # pid 1 ignores TERM
    async with asyncio.timeout(5):
        await docker.restart(stubborn, stop_timeout=0)
    assert (await docker.inspect(stubborn)).running


async def test_start_and_stop_are_no_errors_when_there_is_nothing_to_do(engine: PrivateEngine, docker: Engine) -> None:
    web = engine.run("web")
    await docker.start(web)
    await docker.stop(web, stop_timeout=5)
    await docker.stop(web, stop_timeout=None)
    assert (await docker.inspect(web)).status is ContainerStatus.EXITED
    await docker.start(web)
    assert (await docker.inspect(web)).running


async def test_kill_pause_and_unpause(engine: PrivateEngine, docker: Engine) -> None:
    web = engine.run("web")
    await docker.pause(web)
    assert (await docker.inspect(web)).status is ContainerStatus.PAUSED
    with pytest.raises(PermanentError, match=f"pause of container {web[:12]}: the engine refused \\(409\\).*paused"):
        await docker.pause(web)
    await docker.unpause(web)
    await docker.kill(web, signal="TERM")
    engine.docker("wait", "web")
    found = await docker.inspect(web)
    assert (found.status, found.detail and found.detail.exit_code) == (ContainerStatus.EXITED, 0)
    await docker.start(web)
    await docker.kill(web, signal=None)
    engine.docker("wait", "web")
    killed = (await docker.inspect(web)).detail
    assert killed
    assert killed.exit_code == 137
    with pytest.raises(PermanentError, match="not running"):
        await docker.kill(web, signal=None)


async def test_an_unknown_signal_is_permanent(engine: PrivateEngine, docker: Engine) -> None:
    web = engine.run("web")
    with pytest.raises(PermanentError, match=r"(?i)invalid signal"):
        await docker.kill(web, signal="SIGNOSUCH")


async def test_who_is_gone_is_absent(engine: PrivateEngine, docker: Engine) -> None:  # noqa: ARG001 - it is running
    for call in (
        docker.inspect(NOBODY),
        docker.restart(NOBODY, stop_timeout=1),
        docker.start(NOBODY),
        docker.stop("no/such?name#", stop_timeout=1),
        docker.kill(NOBODY, signal=None),
        docker.pause(NOBODY),
        docker.unpause(NOBODY),
    ):
        with pytest.raises(AbsentError, match=r"(?i)no such container|not found"):
            await call


async def test_an_engine_that_is_down_is_temporary_and_said(tmp_path: Path) -> None:
    with closing(engine_calls(f"unix://{tmp_path}/none.sock")) as calls:
        down = DockerEngine(calls, clock=SystemClock())
        with pytest.raises(EngineRefusedError, match="nobody listens there; is the engine running"):
            await down.restart(NOBODY, stop_timeout=1)
        down.close()


async def test_a_cut_connection_is_temporary(engine: PrivateEngine) -> None:
    web = engine.run("web")
    with EngineProxy(engine.socket) as proxy, closing(engine_calls(proxy.url)) as calls:
        docker = DockerEngine(calls, clock=SystemClock())
        proxy.reject("POST", "/containers/*/pause")
        with pytest.raises(TemporaryError, match=f"pause of container {web[:12]}"):
            await docker.pause(web)
        docker.close()


async def test_calls_that_hang_do_not_block_others(engine: PrivateEngine) -> None:
    web = engine.run("web")
    with EngineProxy(engine.socket) as proxy, closing(engine_calls(proxy.url, timeout=10)) as calls:
        docker = DockerEngine(calls, clock=SystemClock())
        held = proxy.hold("POST", "/containers/*/restart")
        hanging = [asyncio.create_task(docker.restart(web, stop_timeout=1)) for _ in range(client.THREADS - 1)]
        await asyncio.to_thread(held.wait)
        async with asyncio.timeout(2):
            assert (await docker.inspect(web)).running
        held.release()
        await asyncio.gather(*hanging, return_exceptions=True)
        docker.close()


async def test_a_restart_that_runs_into_its_limit_is_looked_at_before_it_is_called_failed(
    engine: PrivateEngine,
) -> None:
    web = engine.run("web")
    with EngineProxy(engine.socket) as proxy, closing(engine_calls(proxy.url, timeout=5)) as calls:
        docker = DockerEngine(calls, clock=SystemClock(), margin=1)
        swallowed = proxy.blackhole("POST", "/containers/*/restart")
        with pytest.raises(EngineTimeoutError):
            await docker.restart(web, stop_timeout=0)
        swallowed.release()
        # The engine does it, but its answer never comes.
        proxy.lose_answers("/containers/*/restart")
        await docker.restart(web, stop_timeout=0)
        docker.close()
