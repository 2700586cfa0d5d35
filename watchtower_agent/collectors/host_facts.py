"""What the host has: memory and processors."""

from __future__ import annotations

import math

from watchtower_agent.collectors.files import TABLE, read_once
from watchtower_agent.collectors.gauges import NEVER
from watchtower_agent.collectors.parsing import kibibytes_after, online_cpus
from watchtower_agent.collectors.request import SLOW_INTERVAL
from watchtower_agent.errors import PermanentError

MANY_PROCESSORS = 1 << 17
"""Bytes of `/proc/stat` that have the lines of a thousand processors."""


class HostFacts:
    """Read every 10 s: memory and processors can be added to a running host.

    Attributes:
        online_cpus: Processors online, NaN while unknown.
        memory_total: Bytes, NaN while unknown.
    """

    def __init__(self, proc_root: str) -> None:
        self._proc_root = proc_root
        self._read_at = NEVER
        self.online_cpus = math.nan
        self.memory_total = math.nan

    def refresh(self, now: float) -> None:
        """Read them again when it is time."""
        if now - self._read_at < SLOW_INTERVAL:
            return
        self._read_at = now
        self.online_cpus = _number(online_cpus(self._read("stat", MANY_PROCESSORS)))
        self.memory_total = _number(kibibytes_after(self._read("meminfo", TABLE), b"\nMemTotal:"))

    def _read(self, name: str, size: int) -> bytes:
        try:
            return read_once(f"{self._proc_root}/{name}", size)
        except PermanentError:
            return b""  # the host collector reads the same files, and says so


def _number(value: int | None) -> float:
    return math.nan if value is None else float(value)
