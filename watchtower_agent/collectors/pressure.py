"""How long each container's tasks wait for CPU, memory and disks: the kernel's pressure stall information (PSI)."""

from __future__ import annotations

import errno
import math
from collections.abc import Sequence

from watchtower_agent.collectors.files import Descriptors, KeptFile, UnreadableError
from watchtower_agent.collectors.gauges import Counter
from watchtower_agent.collectors.paced import PacedCollector
from watchtower_agent.collectors.parsing import stalled
from watchtower_agent.collectors.roster import Life

SIZE = 256
"""Bytes that hold both lines of a pressure file."""

RESOURCES = {
    "cpu": {"pressure.cpu": b"some"},
    "memory": {"pressure.memory": b"some", "pressure.memory_full": b"full"},
    "io": {"pressure.io": b"some", "pressure.io_full": b"full"},
}
"""Resource -> catalogue name -> the line of its file."""


def pressure(resource: str, descriptors: Descriptors) -> PacedCollector:
    """`pressure.…` = 100 * Δtime stalled / Δtime, of one resource.

    Only the v2 hierarchy has it: on a v1 host it is known where that one is mounted beside and has the container.
    """
    lines = RESOURCES[resource]

    def opened(life: Life) -> PressureGauge | None:
        if life.place is None or not life.place.unified:
            return None
        return PressureGauge(f"{life.place.unified}/{resource}.pressure", tuple(lines.values()), descriptors)

    return PacedCollector(f"pressure_{resource}", tuple(lines), opened, unknown=f"the pressure on {resource} is")


class PressureGauge:
    """One pressure file, as shares of the time since the last reading."""

    __slots__ = ("_counters", "_file", "_kinds")

    def __init__(self, path: str, kinds: tuple[bytes, ...], descriptors: Descriptors) -> None:
        self._file = KeptFile(path, SIZE, descriptors)
        self._kinds = kinds
        self._counters = tuple(Counter() for _ in kinds)

    def read(self, now: float) -> Sequence[float]:
        """A percentage for each kind of line; unknown where the kernel keeps no account of pressure."""
        try:
            data = self._file.read()
        except UnreadableError as error:
            if error.number in _NOT_OFFERED:
                return (math.nan,) * len(self._kinds)
            raise
        return tuple(
            min(100 * counter.rate(stalled(data, kind), now), 100.0)  # in this order NaN stays NaN
            for kind, counter in zip(self._kinds, self._counters, strict=True)
        )

    def close(self) -> None:
        """Let go of the descriptor."""
        self._file.close()


_NOT_OFFERED = frozenset({errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL})
"""Older than 4.20, or `psi=0` on the kernel's command line, or switched off for this cgroup."""
