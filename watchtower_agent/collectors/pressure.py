"""How long each container's tasks wait for CPU, memory and disks: the kernel's pressure stall information (PSI)."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Sequence

from watchtower_agent.collectors.common_ground import CommonGround
from watchtower_agent.collectors.files import Descriptors, KeptFile, UnreadableError
from watchtower_agent.collectors.gauges import RateGauge
from watchtower_agent.collectors.paced import PacedCollector
from watchtower_agent.collectors.parsing import stalled, total_some
from watchtower_agent.collectors.roster import Life
from watchtower_agent.errors import PermanentError
from watchtower_agent.model.sample import Total

SIZE = 256
"""Bytes that hold both lines of a pressure file."""

LAG = 3.0
"""Seconds: the kernel adds up what its processors counted every 2 s, for each cgroup at another moment."""

RESOURCES = {
    "cpu": ("pressure.cpu",),
    "memory": ("pressure.memory", "pressure.memory_full"),
    "io": ("pressure.io", "pressure.io_full"),
}
"""Resource -> catalogue names."""

TOTALS = {
    "cpu": {Total.CPU_WAITING: b"some", Total.CPU_STALLED: b"full"},
    "memory": {Total.MEMORY_WAITING: b"some", Total.MEMORY_STALLED: b"full"},
    "io": {Total.IO_WAITING: b"some", Total.IO_STALLED: b"full"},
}
"""Resource -> counter -> the line of its file. The first ones are those of the catalogue's names, in their order."""


def pressure(resource: str, descriptors: Descriptors) -> PacedCollector:
    """`pressure.…` = 100 * Δtime stalled / Δtime, of one resource.

    Where none waits none does below: while the cgroup above all stands still nothing else is read.
    Only the v2 hierarchy has it: on a v1 host it is known where that one is mounted beside and has the container.
    """
    names, name = RESOURCES[resource], f"{resource}.pressure"
    parse, more = _parse(tuple(TOTALS[resource].values())), len(TOTALS[resource]) - len(names)
    ground = CommonGround(SIZE, total_some, descriptors, lag=LAG)

    def opened(life: Life) -> RateGauge | None:
        if life.place is None or not life.place.unified:
            return None
        file = KeptFile(f"{life.place.unified}/{name}", SIZE, descriptors)
        return RateGauge(file, parse, names=len(names), more=more, unknown=_not_offered, most=100.0, ground=ground)

    return PacedCollector(
        f"pressure_{resource}",
        names,
        opened,
        unknown=f"the pressure on {resource} is",
        totals=tuple(TOTALS[resource]),
        ground=ground,
    )


def _parse(kinds: tuple[bytes, ...]) -> Callable[[bytes], Sequence[float]]:
    def parse(data: bytes) -> Sequence[float]:
        return [math.nan if (time := stalled(data, kind)) is None else 100 * time for kind in kinds]

    return parse


def _not_offered(error: PermanentError) -> bool:
    """Older than 4.20, or `psi=0` on the kernel's command line, or switched off for this cgroup."""
    return isinstance(error, UnreadableError) and error.number in {errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL}
