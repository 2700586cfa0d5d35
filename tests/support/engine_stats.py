"""What the engine itself says of a container's CPU and memory: the numbers that `docker stats` shows."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from tests.support.engine import PrivateEngine, UnixConnection
from tests.support.patience import patient

STILL = 64 << 10
"""Bytes by which the memory of a container that does nothing varies."""
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One answer of the engine's stats API.

    Attributes:
        at: When the engine read it, seconds since the epoch.
        used: CPU seconds since the container's start.
        system: CPU seconds of the host, idle ones included, since its boot.
        processors: Online ones.
        usage: Bytes charged.
        working_set: Without inactive page cache, as the CLI subtracts it.
        limit: Bytes.
    """

    at: float
    used: float
    system: float
    processors: int
    usage: int
    working_set: int
    limit: int

    @classmethod
    def parsed(cls, raw: Mapping[str, Any]) -> Self:
        """One answer, out of the engine's JSON."""
        cpu, memory = raw["cpu_stats"], raw["memory_stats"]
        detail = memory["stats"]
        inactive = detail["total_inactive_file"] if "total_inactive_file" in detail else detail["inactive_file"]
        return cls(
            at=datetime.fromisoformat(raw["read"]).timestamp(),
            used=cpu["cpu_usage"]["total_usage"] * 1e-9,
            system=cpu["system_cpu_usage"] * 1e-9,
            processors=cpu["online_cpus"],
            usage=memory["usage"],
            working_set=memory["usage"] - inactive if inactive < memory["usage"] else memory["usage"],
            limit=memory["limit"],
        )


def cpu_percent(first: Frame, last: Frame) -> float:
    """Δcontainer / Δsystem * processors, as the CLI has it."""
    return 100 * (last.used - first.used) / (last.system - first.system) * last.processors


def not_stolen(first: Frame, last: Frame) -> float:
    """The share of the time that this machine had: what a hypervisor took of it is no time to `docker stats`."""
    return (last.system - first.system) / (last.at - first.at) / last.processors


def settled(frames: Sequence[Frame]) -> bool:
    """Whether the memory of the last three seconds is the same: the kernel counts a file's pages with some delay."""
    working_sets = [frame.working_set for frame in frames[-4:]]
    return len(working_sets) > 3 and max(working_sets) - min(working_sets) <= STILL


class StatsStream:
    """The engine's own stream of stats about one container, read as it comes: a frame a second.

    Use as a context manager.
    """

    def __init__(self, engine: PrivateEngine, container_id: str) -> None:
        self._connection = UnixConnection(engine.socket)
        self._connection.request("GET", f"/containers/{container_id}/stats?stream=true")
        self._socket = self._connection.sock
        self._response = self._connection.getresponse()
        self._news = threading.Condition()
        self._frames: list[Frame] = []
        self._thread = threading.Thread(target=self._read, name="engine-stats-stream", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._response.close()
        self._connection.close()

    @property
    def frames(self) -> Sequence[Frame]:
        """All that came, in order."""
        return tuple(self._frames)

    def until(self, wanted: Callable[[Sequence[Frame]], bool], timeout: float = 60.0) -> Sequence[Frame]:
        """Wait until something holds for the frames that came; all of them."""
        with self._news:
            came = self._news.wait_for(lambda: wanted(self._frames), patient(timeout))
        assert came, f"not within {timeout:g} s, after {len(self._frames)} frames: {self._frames[-3:]}"
        return self.frames

    def _read(self) -> None:
        try:
            while line := self._response.readline():
                frame = Frame.parsed(json.loads(line))
                with self._news:
                    self._frames.append(frame)
                    self._news.notify_all()
        except (OSError, ValueError):
            return  # it was closed, in the middle of a frame or not


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One line of `docker stats`: percentages and bytes, as a reader understands them."""

    cpu_percent: float
    memory_percent: float
    memory: float
    memory_limit: float


def docker_stats(engine: PrivateEngine) -> dict[str, Shown]:
    """What `docker stats --no-stream` prints, by name."""
    lines = engine.docker("stats", "--no-stream", "--format={{json .}}").splitlines()
    return {line["Name"]: _shown(line) for line in map(json.loads, lines)}


def _shown(line: Mapping[str, str]) -> Shown:
    memory, _, limit = line["MemUsage"].partition(" / ")
    return Shown(
        cpu_percent=float(line["CPUPerc"].rstrip("%")),
        memory_percent=float(line["MemPerc"].rstrip("%")),
        memory=_bytes(memory),
        memory_limit=_bytes(limit),
    )


def _bytes(text: str) -> float:
    number = text.rstrip("KMGTiB")
    return float(number) * _UNITS[text[len(number) :]]
