"""What processes take: CPU time as the scheduler counted it, resident memory, threads."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What some processes took, added up.

    Attributes:
        percent: Of one core.
        rss_mib: Resident memory at the end; what processes share is counted for each.
        threads: At the end.
    """

    percent: float
    rss_mib: float
    threads: int


def cpu_ns(pid: int) -> int:
    """CPU time of every thread that lives, as the scheduler counted it."""
    total = 0
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total


def rss_mib(pid: int) -> float:
    """Resident memory; 0 of a process that has ended."""
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0


def threads(pid: int) -> int:
    """Threads; 0 of a process that has ended."""
    with contextlib.suppress(OSError):
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    return 0


def measured(groups: Mapping[str, Sequence[int]], seconds: float) -> dict[str, Cost]:
    """What the processes of each group take together from now on for so long. Those that begin later are not seen."""
    begun, before = {}, {}
    for name, pids in groups.items():
        begun[name], before[name] = time.monotonic(), sum(map(cpu_ns, pids))
    time.sleep(seconds)
    costs = {}
    for name, pids in groups.items():  # each over its own time: to look through hundreds of processes takes some
        taken, passed = sum(map(cpu_ns, pids)) - before[name], time.monotonic() - begun[name]
        costs[name] = Cost(
            percent=taken / passed / 1e7,
            rss_mib=sum(map(rss_mib, pids)),
            threads=sum(map(threads, pids)),
        )
    return costs


def family(pid: int) -> list[int]:
    """A process and all that it started and that live."""
    found = [pid]
    for parent in found:  # grows while it is gone through
        found += _children(parent)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                children += map(int, (task / "children").read_text().split())
    return children


def engine_groups(daemon: int, directory: Path) -> dict[str, list[int]]:
    """The processes of an engine: the daemon, its containerd, and containerd's shims, one for each container.

    Args:
        daemon: The daemon's pid.
        directory: Below which all of this engine's files are.
    """
    shims = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                shim = (entry / "comm").read_text().startswith("containerd-shim")
                if shim and os.fsencode(directory) in (entry / "cmdline").read_bytes():
                    shims.append(int(entry.name))
    containerd = [pid for pid in _children(daemon) if Path(f"/proc/{pid}/comm").read_text().strip() == "containerd"]
    return {"daemon": [daemon], "containerd": containerd, "shims": shims}
