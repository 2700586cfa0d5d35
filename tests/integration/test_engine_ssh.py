"""An engine behind ssh, through a real server and this host's client."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.engine import PrivateEngine
from tests.support.engine_watch import EngineWatch, in_thread
from tests.support.patience import patient
from tests.support.ssh_server import SshServer, descendants
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.address import EngineAddress
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.observation import EngineFound


@pytest.fixture
def server() -> Iterator[SshServer]:
    with SshServer() as server:
        yield server


def address(server: SshServer, engine: PrivateEngine) -> EngineAddress:
    return EngineAddress(url=server.url(engine.socket), source="settings", ssh_config=server.config)


def clients() -> list[int]:
    """The ssh clients that this process has started and not ended."""
    found = []
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):  # ended meanwhile
            if Path(f"/proc/{pid}/comm").read_text().strip() == "ssh":
                found.append(pid)
    return found


def all_clients_end(within: float = 10.0) -> bool:
    """Whether all of them end: a call that was under way ends its own."""
    deadline = time.monotonic() + patient(within)
    while clients() and time.monotonic() < deadline:
        time.sleep(0.02)
    return not clients()


def failure(at: EngineAddress, timeout: float = 5.0) -> str:
    """How connecting fails."""
    with (
        closing(EngineCalls(at, clock=SystemClock(), timeout=timeout)) as calls,
        pytest.raises(TemporaryError) as failed,
    ):
        calls.connect()
    return str(failed.value)


async def test_events_listings_and_calls_go_through_ssh(engine: PrivateEngine, server: SshServer) -> None:
    at = address(server, engine)
    async with EngineWatch(at, timeout=10) as watch:
        await watch.until_listed()
        assert watch.of(EngineFound)[0].info.url == at.url
        assert abs(watch.calls.clock_offset) < 1

        await in_thread(lambda: engine.docker("create", "--name=web", "busybox:local"))
        await watch.until(lambda: "create" in watch.actions("web"))
        container = engine.api("GET", "/containers/web/json")["Id"]
        assert (await in_thread(lambda: watch.calls.inspect(container))).name == "web"

        # the way breaks, with every process on it, and something happens meanwhile
        server.kill()
        await in_thread(lambda: engine.docker("rename", "web", "shop"))
        server.start()
        await watch.until(lambda: "rename" in watch.actions(container))
        assert not watch.session.counts.gaps

    assert await in_thread(all_clients_end)


def test_a_host_that_is_not_known_is_refused(engine: PrivateEngine, server: SshServer) -> None:
    server.known_hosts.write_text("")
    server.config.write_text(f"{server.config.read_text()}StrictHostKeyChecking no\n")

    said = failure(address(server, engine))

    assert "connecting to ssh://" in said
    assert "Host key verification failed" in said
    assert "the agent never accepts one by itself" in said
    assert server.known_hosts.read_text() == ""


def test_a_host_with_another_key_is_refused(engine: PrivateEngine, server: SshServer) -> None:
    server.know(server.user_key)

    assert "Host key verification failed" in failure(address(server, engine))


def test_who_may_not_log_in_is_told_so_and_nobody_is_asked_for_a_password(
    engine: PrivateEngine, server: SshServer
) -> None:
    server.forbid()

    assert "Permission denied" in failure(address(server, engine))


def test_no_engine_there(server: SshServer, tmp_path: Path) -> None:
    url = server.url(tmp_path / "nothing.sock")

    said = failure(EngineAddress(url=url, source="settings", ssh_config=server.config))

    assert "ssh says:" in said
    assert "nothing.sock" in said


def test_no_server_there(engine: PrivateEngine, server: SshServer) -> None:
    at = address(server, engine)
    server.kill()

    assert "Connection refused" in failure(at)


def test_an_engine_that_does_not_answer_is_waited_for_no_longer_than_its_time(
    own_engine: PrivateEngine, server: SshServer
) -> None:
    own_engine.freeze()

    assert "did not answer in time" in failure(address(server, own_engine), timeout=2)
    assert all_clients_end()
