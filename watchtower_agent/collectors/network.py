"""What each container sends and receives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from watchtower_agent.collectors.files import Descriptors, KeptFile, UnreadableError
from watchtower_agent.collectors.gauges import Counter
from watchtower_agent.collectors.paced import PacedCollector
from watchtower_agent.collectors.parsing import traffic
from watchtower_agent.collectors.roster import Life
from watchtower_agent.errors import AbsentError
from watchtower_agent.model.sample import SampleTarget

NAMES = ("network.receive", "network.transmit", "network.errors")

UNSEEN = (
    "The main process of the container {container} (pid {pid}, says the engine) is not to be seen below {root}. "
    "An agent in a container needs the host's processes (pid: host); an engine in a container counts its own anew"
)
MANY_INTERFACES = 1 << 14
"""Bytes that hold the lines of 100 interfaces."""


def network(*, proc_root: str, process_is: Callable[[SampleTarget], bool], descriptors: Descriptors) -> PacedCollector:
    """Rates over all interfaces but `lo`, of containers with a network of their own.

    Unknown for the host's network, and for one that belongs to another container: what passes there is the owner's.

    Args:
        proc_root: Where the host's proc file system is mounted.
        process_is: Whether the process with the target's pid belongs to it.
        descriptors: Counts what is kept open.
    """

    def opened(life: Life) -> NetworkGauge | None:
        target = life.target
        if not target.own_network:
            return None
        if not process_is(target):
            if life.doubted:
                raise UnreadableError(UNSEEN.format(container=target.container_id[:12], pid=target.pid, root=proc_root))
            life.doubted = target.pid > 0  # it may have ended this moment, or been started again
            return None
        return NetworkGauge(f"{proc_root}/{target.pid}/net/dev", descriptors)

    return PacedCollector("network", NAMES, opened, unknown="what they send and receive is")


class NetworkGauge:
    """`/proc/PID/net/dev`, kept open.

    It stays readable after the container's end and keeps its network alive: it is closed with the life it belongs to.
    """

    __slots__ = ("_errors", "_file", "_received", "_sent")

    def __init__(self, path: str, descriptors: Descriptors) -> None:
        self._file = KeptFile(path, MANY_INTERFACES, descriptors)
        self._received, self._sent, self._errors = Counter(), Counter(), Counter()

    def read(self, now: float) -> Sequence[float]:
        """Three rates: bytes received, bytes sent, errors and drops."""
        try:
            found = traffic(self._file.read())
        except AbsentError:  # the main process: whether the container ended too, its cgroup tells
            found = None
        if found is None:
            return math.nan, math.nan, math.nan
        received, sent, errors = found
        return self._received.rate(received, now), self._sent.rate(sent, now), self._errors.rate(errors, now)

    def close(self) -> None:
        """Let go of the descriptor."""
        self._file.close()
