"""What each container reads from and writes to block devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from watchtower_agent.collectors.files import Descriptors, KeptFile, MissingError
from watchtower_agent.collectors.gauges import Counter
from watchtower_agent.collectors.paced import PacedCollector
from watchtower_agent.collectors.parsing import blkio_bytes, io_stat
from watchtower_agent.collectors.roster import Life

NAMES = ("io.read", "io.write")

MANY_DEVICES = 1 << 15
"""Bytes that hold the lines of 300 devices."""


def block_io(descriptors: Descriptors) -> PacedCollector:
    """`io.read` and `io.write` = Δbytes / Δtime over all devices.

    On v1 the kernel accounts what a container's own processes send to a device, not what is written back from the
    page cache later; and since Linux 6.10 only devices that are throttled somewhere. Where it accounts nothing they
    are unknown.
    """

    def opened(life: Life) -> BlockIoGauge | None:
        place = life.place
        if place is None:
            return None
        if place.blkio:
            path = f"{place.blkio}/blkio.throttle.io_service_bytes_recursive"
            return BlockIoGauge(path, blkio_bytes, descriptors)
        return BlockIoGauge(f"{place.unified}/io.stat", io_stat, descriptors) if place.unified else None

    return PacedCollector("block_io", NAMES, opened, unknown="what they read from and write to disks is")


class BlockIoGauge:
    """The bytes moved, in the file of either cgroup version."""

    __slots__ = ("_file", "_parse", "_read", "_written")

    def __init__(self, path: str, parse: Callable[[bytes], tuple[int, int] | None], descriptors: Descriptors) -> None:
        self._file = KeptFile(path, MANY_DEVICES, descriptors)
        self._parse = parse
        self._read, self._written = Counter(), Counter()

    def read(self, now: float) -> Sequence[float]:
        """Both rates, in bytes per second; unknown where the controller is not enabled."""
        try:
            moved = self._parse(self._file.read())
        except MissingError:
            moved = None
        if moved is None:
            return math.nan, math.nan
        read, written = moved
        return self._read.rate(read, now), self._written.rate(written, now)

    def close(self) -> None:
        """Let go of the descriptor."""
        self._file.close()
