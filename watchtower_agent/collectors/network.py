"""What each container sends and receives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from watchtower_agent.collectors.files import Descriptors, KeptFile, UnreadableError
from watchtower_agent.collectors.gauges import RateGauge
from watchtower_agent.collectors.paced import PacedCollector
from watchtower_agent.collectors.parsing import traffic
from watchtower_agent.collectors.roster import Life
from watchtower_agent.errors import AbsentError, PermanentError
from watchtower_agent.model.sample import SampleTarget, Total

NAMES = ("network.receive", "network.transmit", "network.errors")
TOTALS = (Total.RECEIVED, Total.SENT, Total.NETWORK_ERRORS)

UNSEEN = (
    "The main process of the container {container} (pid {pid}, says the engine) is not to be seen below {root}. "
    "An agent in a container needs the host's processes (pid: host); an engine in a container counts its own anew"
)
MANY_INTERFACES = 1 << 14
"""Bytes that hold the lines of 100 interfaces."""


def network(*, proc_root: str, process_is: Callable[[SampleTarget], bool], descriptors: Descriptors) -> PacedCollector:
    """Rates over all interfaces but `lo`, of containers with a network of their own.

    Unknown for the host's network, and for one that belongs to another container: what passes there is the owner's.
    `/proc/PID/net/dev` stays readable after the container's end and keeps its network alive: it is closed with the life
    it belongs to.

    Args:
        proc_root: Where the host's proc file system is mounted.
        process_is: Whether the process with the target's pid belongs to it.
        descriptors: Counts what is kept open.
    """

    def opened(life: Life) -> RateGauge | None:
        target = life.target
        if not target.own_network:
            return None
        if not process_is(target):
            if life.doubted:
                raise UnreadableError(UNSEEN.format(container=target.container_id[:12], pid=target.pid, root=proc_root))
            life.doubted = target.pid > 0  # it may have ended this moment, or been started again
            return None
        file = KeptFile(f"{proc_root}/{target.pid}/net/dev", MANY_INTERFACES, descriptors)
        return RateGauge(file, _parse, names=len(NAMES), unknown=_process_ended)

    return PacedCollector("network", NAMES, opened, unknown="what they send and receive is", totals=TOTALS)


def _parse(data: bytes) -> Sequence[float]:
    return traffic(data) or (math.nan, math.nan, math.nan)


def _process_ended(error: PermanentError) -> bool:
    """The main process did: whether the container ended too, its cgroup tells."""
    return isinstance(error, AbsentError)
