"""What each container reads from and writes to block devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from watchtower_agent.collectors.common_ground import CommonGround
from watchtower_agent.collectors.files import Descriptors, KeptFile, MissingError
from watchtower_agent.collectors.gauges import RateGauge
from watchtower_agent.collectors.paced import PacedCollector
from watchtower_agent.collectors.parsing import blkio_bytes, io_stat
from watchtower_agent.collectors.roster import Life
from watchtower_agent.errors import PermanentError
from watchtower_agent.model.sample import Total

NAMES = ("io.read", "io.write")
TOTALS = (Total.READ, Total.WRITTEN)

MANY_DEVICES = 1 << 15
"""Bytes that hold the lines of 300 devices."""


def block_io(descriptors: Descriptors) -> PacedCollector:
    """`io.read` and `io.write` = Δbytes / Δtime over all devices.

    On v1 the kernel accounts what a container's own processes send to a device, not what is written back from the
    page cache later; and since Linux 6.10 only devices that are throttled somewhere. Where it accounts nothing they
    are unknown. The cgroup above counts for all below: while that stands still nothing else is read.
    """
    v1, v2 = _parse(blkio_bytes), _parse(io_stat)
    ground = CommonGround(MANY_DEVICES, bytes, descriptors)

    def opened(life: Life) -> RateGauge | None:
        place = life.place
        if place is None or not (place.blkio or place.unified):
            return None
        path = f"{place.blkio}/blkio.throttle.io_service_bytes_recursive" if place.blkio else f"{place.unified}/io.stat"
        file = KeptFile(path, MANY_DEVICES, descriptors)
        return RateGauge(file, v1 if place.blkio else v2, names=len(NAMES), unknown=_not_enabled, ground=ground)

    unknown = "what they read from and write to disks is"
    return PacedCollector("block_io", NAMES, opened, unknown=unknown, totals=TOTALS, ground=ground)


def _parse(moved: Callable[[bytes], tuple[int, int] | None]) -> Callable[[bytes], Sequence[float]]:
    return lambda data: moved(data) or (math.nan, math.nan)


def _not_enabled(error: PermanentError) -> bool:
    return isinstance(error, MissingError)
