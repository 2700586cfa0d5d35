"""The engine's process behind a proxy that is a process of its own: its numbers are the engine's, or unknown."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import PrivateEngine
from tests.support.patience import patient
from watchtower_agent.clock import SystemClock
from watchtower_agent.collectors.engine_process import EngineProcessCollector
from watchtower_agent.collectors.request import Demand, Request
from watchtower_agent.collectors.tick import Tick
from watchtower_agent.engine.peer import peer_process
from watchtower_agent.model.sample import LocalEngine


@pytest.fixture
def peer(engine: PrivateEngine) -> Iterator[int]:
    """The pid that the kernel names as the peer of a socket behind which a proxy hands on to the engine."""
    socket = engine.directory / "proxy.sock"
    command = [sys.executable, "-m", "tests.support.proxy", str(socket), str(engine.socket)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as proxy:
        try:
            deadline = time.monotonic() + patient(20)
            while (found := peer_process(str(socket))) is None:
                assert time.monotonic() < deadline, "the proxy does not listen"
                time.sleep(0.02)
            assert found[0] == proxy.pid
            yield proxy.pid
        finally:
            proxy.communicate()


def numbers(root: Path, pid: int) -> dict[str, float]:
    """What the collector says of the engine whose socket's peer has the pid; pid files are below the root."""
    clock = SystemClock()
    request = Request(
        demand=Demand(every_tick=frozenset({"engine.memory"})), engine=LocalEngine(data_root="/", pid=pid)
    )
    tick = Tick(at=clock.now(), interval=1.0, request=request, lives=(), monotonic=time.monotonic)
    EngineProcessCollector(proc_root="/proc", root=str(root)).collect(tick)
    assert not tick.failures
    return tick.host


def test_the_engine_is_found_by_its_pid_file(engine: PrivateEngine, peer: int, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "docker.pid").write_text(str(engine.pid))
    own = Path(f"/proc/{engine.pid}/status").read_text().split("VmRSS:")[1].split()[0]
    assert numbers(tmp_path, peer)["engine.memory"] == pytest.approx(1024 * int(own), rel=0.25)
    assert numbers(tmp_path, engine.pid)["engine.threads"] == numbers(tmp_path, peer)["engine.threads"]


def test_of_two_engines_without_a_pid_file_neither_is_taken_nor_is_the_proxy(peer: int, tmp_path: Path) -> None:
    with PrivateEngine():
        assert numbers(tmp_path, peer) == {}
