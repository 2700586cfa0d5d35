"""Engines that are not this host's own at its socket: what docs/engines.md says of them, by the agent on real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.agent import Host
from tests.support.broker import PrivateBroker, free_port, throwaway_ca
from tests.support.elsewhere import BEGIN, HEAL, MEASURED, REVIVE
from tests.support.engine import PrivateEngine, over_tls
from tests.support.engine_watch import engine_calls, in_thread
from tests.support.rootless import RootlessEngine
from tests.support.ssh_server import SshServer
from tests.support.swarm import create_service, inspect_service, swarm
from tests.support.troubles import SICKENS
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.address import EngineAddress, TlsFiles
from watchtower_agent.engine.client import DockerEngine
from watchtower_agent.engine.services import replicas_of, version_of
from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.container import ContainerStatus

pytestmark = pytest.mark.only_full

POLICIES = BEGIN + HEAL + REVIVE + MEASURED
MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """An engine, and how it is reached.

    Attributes:
        settings: What agent.yaml says of it.
        restart: Ends the daemon and starts it again.
    """

    engine: PrivateEngine
    address: EngineAddress
    settings: Mapping[str, object]
    restart: Callable[[], None]

    @property
    def without_cgroups(self) -> bool:
        """Whether the engine has none for its containers: it can't hold them, limit them or tell what they use."""
        return bool(self.engine.api("GET", "/info")["CgroupDriver"] == "none")


def behind_tls(stack: ExitStack, folder: Path) -> Elsewhere:
    files, url = throwaway_ca(folder / "ca"), f"tcp://127.0.0.1:{free_port()}"
    engine = stack.enter_context(PrivateEngine(options=over_tls(files, url=url)))
    tls = TlsFiles(ca=files.ca, cert=files.client_cert, key=files.client_key)
    said = {"ca": str(tls.ca), "cert": str(tls.cert), "key": str(tls.key)}
    address = EngineAddress(url=url, source="settings", tls=tls)
    return Elsewhere(engine=engine, address=address, settings={"url": url, "tls": said}, restart=restarts(engine))


def behind_ssh(stack: ExitStack, _: Path) -> Elsewhere:
    engine, server = stack.enter_context(PrivateEngine()), stack.enter_context(SshServer())
    url = server.url(engine.socket)
    address = EngineAddress(url=url, source="settings", ssh_config=server.config)
    settings = {"url": url, "ssh_config": str(server.config)}
    return Elsewhere(engine=engine, address=address, settings=settings, restart=restarts(engine))


def rootless(stack: ExitStack, _: Path) -> Elsewhere:
    engine = stack.enter_context(RootlessEngine())
    address = EngineAddress(url=engine.url, source="settings")
    return Elsewhere(engine=engine, address=address, settings={}, restart=restarts(engine))


def restarts(engine: PrivateEngine) -> Callable[[], None]:
    def restart() -> None:
        engine.stop()
        engine.start()

    return restart


@pytest.fixture(scope="module", params=[behind_tls, behind_ssh, rootless])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    with ExitStack() as stack:
        yield request.param(stack, tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def elsewhere(shared: Elsewhere) -> Iterator[Elsewhere]:
    yield shared
    shared.engine.sweep()


@pytest.fixture
def docker(elsewhere: Elsewhere) -> Iterator[DockerEngine]:
    with (
        closing(engine_calls(elsewhere.address, timeout=10)) as calls,
        closing(DockerEngine(calls, clock=SystemClock())) as docker,
    ):
        yield docker


async def test_an_agent_heals_leaves_alone_what_was_stopped_and_misses_nothing(
    elsewhere: Elsewhere, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    engine = elsewhere.engine
    settings = {"timeout": "10s", **elsewhere.settings}
    host = make_host(engine, module_broker, POLICIES, proxied=False, settings={"engine": settings})
    watch = host.watch
    await watch.until_told("engine", "up")
    await in_thread(lambda: engine.run("web", options=SICKENS))
    await in_thread(lambda: engine.run("stopped"))

    if not elsewhere.without_cgroups:  # what cannot be told then: test_engine_rootless.py
        await watch.until_told("action", "notify", "web")
        assert host.agent.status()["sampling"]["source"] == "stats-api"

    await in_thread(lambda: engine.docker("exec", "web", "touch", "/tmp/bad"))
    (healed,) = await watch.until_told("action", "succeeded", "web", where=lambda told: told.data["policy"] == "heal")
    assert watch.told("container", "die", "web")[-1].correlation == healed.correlation
    await in_thread(lambda: engine.docker("stop", "stopped"))
    assert (await watch.until_held("stopped", "revive")).guard == "operator_intent"

    # what happened while it was away
    host.agent.stop()
    await in_thread(lambda: engine.docker("rename", "stopped", "ended"))
    host.agent.start()
    (renamed,) = await watch.until_told("container", "rename", "ended")
    assert renamed.origin == "replay"
    assert not watch.told("agent", "event_gap")

    # the daemon is another by now
    ups = len(await watch.until_told("engine", "up", count=2))
    await in_thread(elsewhere.restart)
    *_, up = await watch.until_told("engine", "up", count=ups + 1, timeout=60)
    assert up.data["restarted"] is True


async def test_every_verb(elsewhere: Elsewhere, docker: DockerEngine) -> None:
    web = await in_thread(lambda: elsewhere.engine.run("web"))
    before = (await docker.inspect(web)).detail
    await docker.restart(web, stop_timeout=1)
    after = (await docker.inspect(web)).detail
    assert before is not None
    assert after is not None
    assert after.started_at != before.started_at
    if elsewhere.without_cgroups:
        with pytest.raises(TemporaryError, match="cgroups not configured"):
            await docker.pause(web)
    else:
        await docker.pause(web)
        assert (await docker.inspect(web)).status is ContainerStatus.PAUSED
        await docker.unpause(web)
    await docker.kill(web, signal="KILL")
    await in_thread(lambda: elsewhere.engine.docker("wait", "web"))
    await docker.start(web)
    assert (await docker.inspect(web)).running
    await docker.stop(web, stop_timeout=1)
    assert (await docker.inspect(web)).status is ContainerStatus.EXITED


async def test_clones_and_deletions(elsewhere: Elsewhere, docker: DockerEngine) -> None:
    web = await in_thread(lambda: elsewhere.engine.run("web"))
    clone = await docker.clone(web, policy="p", decision="d", shared=False)
    assert (await docker.inspect(clone)).running
    await docker.remove_clone(clone, stop_timeout=1)
    await in_thread(lambda: elsewhere.engine.docker("volume", "create", "data"))
    (volume,) = [each for each in (await docker.disk_usage()).volumes if each.name == "data"]
    await docker.remove_volume("data", created_at=volume.created_at)
    assert [each for each in (await docker.disk_usage()).volumes if each.name == "data"] == []


async def test_limits(elsewhere: Elsewhere, docker: DockerEngine) -> None:
    web = await in_thread(lambda: elsewhere.engine.run("web", options=["--memory=64m"]))
    if elsewhere.without_cgroups:
        with pytest.raises(TemporaryError, match="cgroup"):
            await docker.resize(web, memory=96 * MIB, cpu=0.5)
    else:
        await docker.resize(web, memory=96 * MIB, cpu=0.5)
        assert elsewhere.engine.api("GET", f"/containers/{web}/json")["HostConfig"]["Memory"] == 96 * MIB


async def test_a_swarm_s_service_is_scaled(elsewhere: Elsewhere, docker: DockerEngine) -> None:
    with swarm(elsewhere.engine) as engine:
        shop = await in_thread(lambda: create_service(engine, "shop", replicas=1))
        version = version_of(inspect_service(engine, shop))
        assert version is not None
        await docker.scale_service(shop, replicas=2, version=version)
        assert replicas_of(inspect_service(engine, shop)) == 2
