"""An engine behind TLS, on a port."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.support.broker import free_port, throwaway_ca
from tests.support.engine import PrivateEngine, over_tls
from tests.support.engine_watch import EngineWatch, in_thread
from watchtower_agent.clock import SystemClock
from watchtower_agent.engine.address import EngineAddress, TlsFiles
from watchtower_agent.engine.calls import EngineCalls
from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.observation import EngineFound


async def test_the_session_speaks_tls_and_refuses_a_stranger(tmp_path: Path) -> None:
    files, stranger = throwaway_ca(tmp_path / "own"), throwaway_ca(tmp_path / "stranger")
    url = f"tcp://127.0.0.1:{free_port()}"
    own = TlsFiles(ca=files.ca, cert=files.client_cert, key=files.client_key)
    address = EngineAddress(url=url, source="settings", tls=own)
    with PrivateEngine(options=over_tls(files, url=url)) as engine:
        async with EngineWatch(address, timeout=5) as watch:
            await watch.until_listed()
            assert watch.of(EngineFound)[0].info.url == address.url
            assert abs(watch.calls.clock_offset) < 1
            await in_thread(lambda: engine.docker("create", "--name=web", "busybox:local"))
            await watch.until(lambda: "create" in watch.actions("web"))
            watch.session.resync()
            await watch.until_listed(2)
        wrong = EngineAddress(url=address.url, source="settings", tls=TlsFiles(ca=stranger.ca))
        with (
            closing(EngineCalls(wrong, clock=SystemClock())) as calls,
            pytest.raises(TemporaryError, match=r"connecting to tcp://.*certificate verify failed"),
        ):
            calls.connect()
