"""A network bridge of a private engine's own.

`dockerd --bridge=none` is no way to leave the machine's network alone: it removes `docker0`, whosever that is, and with
it the network of another engine's containers. With a bridge of another name dockerd touches that one only.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import itertools
import json
import os
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

_PREFIX = "wtb"
_NAME = re.compile(rf"{_PREFIX}(\d+)-\d+")
_RANGES = tuple(
    ipaddress.IPv4Network(text) for text in ("198.18.0.0/15", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
)
"""For benchmarks and examples: nobody's network should be there."""
_numbers = itertools.count(1)


class Bridge:
    """One bridge, named after this process, with an address that no other interface of its machine overlaps.

    Args:
        namespace: Name of the network namespace where it is made; empty: the present one.
    """

    def __init__(self, namespace: str = "") -> None:
        """Make it, and remove what runs that were killed left behind."""
        self.name = f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
        self._there = ("-netns", namespace) if namespace else ()
        with _one_at_a_time():
            if not namespace:
                _remove_leftovers()
            _ip(*self._there, "link", "add", self.name, "type", "bridge")
            try:
                _ip(*self._there, "address", "add", _free_address(self._there), "dev", self.name)
                _ip(*self._there, "link", "set", self.name, "up")
            except BaseException:
                self.remove()
                raise

    def remove(self) -> None:
        """Remove it, if it is there. Its engine must have ended."""
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip(*self._there, "link", "delete", self.name)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold the lock of this network namespace: two test runs would choose the same address."""
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(namespace, fcntl.LOCK_EX)
        yield
    finally:
        os.close(namespace)


def _remove_leftovers() -> None:
    """Remove the bridges of runs that are gone, unless an engine that outlived its run is still on one."""
    for link in json.loads(_ip("-json", "link", "show", "type", "bridge") or "[]"):
        name = link.get("ifname", "")
        match = _NAME.fullmatch(name)
        if match and not Path("/proc", match[1]).exists() and not _in_use(name):
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("link", "delete", name)


def _in_use(name: str) -> bool:
    option = f"--bridge={name}".encode()
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if option in cmdline.read_bytes().split(b"\0"):
                return True
    return False


def _free_address(there: Sequence[str]) -> str:
    taken = [
        ipaddress.IPv4Network((address["local"], address["prefixlen"]), strict=False)
        for link in json.loads(_ip(*there, "-json", "-4", "address", "show") or "[]")
        for address in link.get("addr_info", ())
    ]
    for among in _RANGES:
        networks = list(among.subnets(new_prefix=24))
        random.shuffle(networks)
        for network in networks:
            if not any(network.overlaps(other) for other in taken):
                return f"{network[1]}/{network.prefixlen}"
    raise AssertionError(f"no network for a bridge is free in any of {', '.join(map(str, _RANGES))}")


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout
