"""Several Docker Engines on one machine, each a host of its own, joined to one Swarm.

Each engine lives in a network namespace, and so does the wire between them: nothing of it is in the machine's own
network, whose addresses and firewall are left alone and stand against nothing. The file system is one for all.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.support.engine import EngineFailedError, PrivateEngine
from tests.support.patience import patient

_PREFIX: Final = "wtn"
_NAME: Final = re.compile(rf"{_PREFIX}(\d+)-\d+-\w+")
_NETWORK: Final = "203.0.113"
"""For examples: nobody's network should be there. Only the namespaces know it."""
_SECOND: Final = 1_000_000_000
_runs = itertools.count(1)


@contextlib.contextmanager
def several_engines(count: int) -> Iterator[list[PrivateEngine]]:
    """So many engines, each with the image, all of them managers of one Swarm, which the first begins.

    A node that is gone counts as down within a few seconds; until the others have a leader takes ten to twenty.
    """
    with contextlib.ExitStack() as stack:
        names = stack.enter_context(namespaces(count))
        engines = [PrivateEngine(namespace=name) for name in names]
        stack.callback(_each, _end, engines)
        _each(PrivateEngine.start, engines)
        _each(PrivateEngine.load_image, engines)
        _join(engines)
        yield engines


def leader(engines: list[PrivateEngine], *, timeout: float = 60.0) -> PrivateEngine:
    """The one that leads the Swarm, as soon as there is one; those that are dead are not asked."""
    deadline = time.monotonic() + patient(timeout)
    while time.monotonic() < deadline:
        for engine in engines:
            with contextlib.suppress(EngineFailedError, OSError):
                if engine.running and _leads(engine):
                    return engine
        time.sleep(0.1)
    raise EngineFailedError(f"no engine leads the Swarm after {timeout:.0f} s")


def node_of(engine: PrivateEngine) -> str:
    """Its id in the Swarm."""
    return str(engine.api("GET", "/info")["Swarm"]["NodeID"])


def _leads(engine: PrivateEngine) -> bool:
    node: dict[str, Any] = engine.api("GET", f"/nodes/{node_of(engine)}", timeout=5)
    return bool(node.get("ManagerStatus", {}).get("Leader"))


def _join(engines: list[PrivateEngine]) -> None:
    first, *others = engines
    address = {engine: f"{_NETWORK}.{number}" for number, engine in enumerate(engines, 1)}
    first.api(
        "POST",
        "/swarm/init",
        {
            "ListenAddr": f"{address[first]}:2377",
            "AdvertiseAddr": address[first],
            "Spec": {"Dispatcher": {"HeartbeatPeriod": 2 * _SECOND}},
        },
    )
    token = first.api("GET", "/swarm")["JoinTokens"]["Manager"]
    for engine in others:
        engine.api(
            "POST",
            "/swarm/join",
            {
                "ListenAddr": f"{address[engine]}:2377",
                "AdvertiseAddr": address[engine],
                "RemoteAddrs": [f"{address[first]}:2377"],
                "JoinToken": token,
            },
        )


def _each(call: Any, engines: list[PrivateEngine]) -> None:  # noqa: ANN401 - a method of theirs, whatever it gives back
    with ThreadPoolExecutor(len(engines)) as pool:
        done = [pool.submit(call, engine) for engine in engines]
    for each in done:
        each.result()


def _end(engine: PrivateEngine) -> None:
    """Not in good order: without a quorum a manager takes its time, and its tasks are started again as they end."""
    engine.kill()
    engine.close()


@contextlib.contextmanager
def namespaces(count: int) -> Iterator[list[str]]:
    """Names of so many network namespaces, with a wire between them. What runs that were killed left is removed."""
    _remove_leftovers()
    run = f"{_PREFIX}{os.getpid()}-{next(_runs)}"
    wire, names = f"{run}-wire", [f"{run}-{number}" for number in range(1, count + 1)]
    try:
        for name in (wire, *names):
            _ip("netns", "add", name)
            _ip("-netns", name, "link", "set", "lo", "up")
        _ip("-netns", wire, "link", "add", "wire", "type", "bridge")
        _ip("-netns", wire, "link", "set", "wire", "up")
        for number, name in enumerate(names, 1):
            _ip("-netns", name, "link", "add", "eth0", "type", "veth", "peer", "name", f"to{number}", "netns", wire)
            _ip("-netns", wire, "link", "set", f"to{number}", "master", "wire", "up")
            _ip("-netns", name, "address", "add", f"{_NETWORK}.{number}/24", "dev", "eth0")
            _ip("-netns", name, "link", "set", "eth0", "up")
        yield names
    finally:
        for name in (*names, wire):
            _remove(name)


def _remove_leftovers() -> None:
    """Remove the namespaces of runs that are gone, but for those where an engine outlived its run."""
    there = Path("/run/netns")
    for name in [each.name for each in there.iterdir()] if there.is_dir() else ():
        match = _NAME.fullmatch(name)
        if match and not Path("/proc", match[1]).exists() and not _ip("netns", "pids", name).strip():
            _remove(name)


def _remove(name: str) -> None:
    with contextlib.suppress(subprocess.CalledProcessError):
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout
