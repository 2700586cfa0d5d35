"""A real Prometheus on a loopback port, with the shipped configuration, and HTTP questions to an agent."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from tests.support.agent import CHECKOUT
from tests.support.broker import free_port
from tests.support.patience import patient

CONFIG = CHECKOUT / "config" / "prometheus"


def asked(port: int, path: str, **headers: str) -> tuple[int, str, Mapping[str, str]]:
    """GET of a loopback port: status, body, and headers by lower-case name."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patient(15))
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()}


async def until_status(port: int, path: str, status: int, *, within: float = 30.0) -> str:
    """Wait until it is answered so; the body."""
    deadline = time.monotonic() + patient(within)
    while True:
        found, body, _ = await asyncio.to_thread(asked, port, path)
        if found == status:
            return body
        assert time.monotonic() < deadline, f"{path} answers {found} after {within:g} s: {body}"
        await asyncio.sleep(0.1)


def promtool(*arguments: str) -> str:
    """What `promtool` says of a file that is right."""
    done = subprocess.run(["promtool", *arguments], cwd=CONFIG, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class PrivatePrometheus:
    """Scrapes one agent each second.

    Args:
        port: Its own.
        process: Of it.
        log: What it says.
    """

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self._port = port
        self._process = process
        self._log = log

    def values(self, query: str, seconds: int = 0) -> list[float]:
        """All numbers that a query gives now, or each second of the last ones; NaN is none."""
        path, times = "query", {}
        if seconds:
            now = time.time()
            path, times = "query_range", {"start": f"{now - seconds}", "end": f"{now}", "step": "1"}
        status, body, _ = asked(self._port, f"/api/v1/{path}?{urlencode({'query': query, **times})}")
        assert status == 200, f"{query}: {body}"
        result: list[dict[str, Any]] = json.loads(body)["data"]["result"]
        pairs = [pair for series in result for pair in series.get("values", [series.get("value")])]
        return [number for _, text in pairs if not math.isnan(number := float(text))]

    async def until(self, query: str, *, within: float = 30.0, seconds: int = 0) -> list[float]:
        """Wait until a query gives any number; all that it gives."""
        deadline = time.monotonic() + patient(within)
        while True:
            if found := await asyncio.to_thread(self.values, query, seconds):
                return found
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() < deadline, f"no data within {within:g} s: {query}"
            await asyncio.sleep(0.2)


@contextlib.contextmanager
def prometheus_of(directory: Path, agent_port: int) -> Iterator[PrivatePrometheus]:
    """The shipped configuration, with another target and another pace."""
    configuration = yaml.safe_load((CONFIG / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{agent_port}"]}]
    for name in configuration["rule_files"]:
        shutil.copy(CONFIG / name, directory)
    file, log, port = directory / "prometheus.yml", directory / "prometheus.log", free_port()
    file.write_text(yaml.safe_dump(configuration))
    with log.open("wb") as words:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=words,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + patient(30)
        while True:
            with contextlib.suppress(OSError):
                if asked(port, "/-/ready")[0] == 200:
                    break
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.05)
        yield PrivatePrometheus(port, process, log)
    finally:
        process.terminate()
        process.wait(10)
