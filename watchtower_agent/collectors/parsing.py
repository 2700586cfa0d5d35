"""What stands in the kernel's files: byte searches that find one number, and answer None for what is not one.

Building a dict of `memory.stat` costs ten times as much as finding one key in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

_NET_DEV_COLUMNS = 16

_STALLED = {kind: re.compile(rb"^%s .*total=(\d{1,20})\n" % kind, re.MULTILINE) for kind in (b"some", b"full")}

_TOO_LARGE = 1 << 64
"""No counter of the kernel reaches this."""

CPUSET_MAX = 1 << 16
"""More processors than any kernel supports: a larger set is not a set of processors."""


def integer(data: bytes) -> int | None:
    """The number that a file consists of, or None."""
    try:
        value = int(data)
    except ValueError:
        return None
    return value if 0 <= value < _TOO_LARGE else None


def value_after(data: bytes, key: bytes) -> int | None:
    """The number on the line that begins with a key, or None.

    Args:
        data: Lines of `key number`. A last line without its newline was cut off and is not believed.
        key: A newline, the key, and the space between it and the number.
    """
    start = data.find(key)
    if start < 0:
        if not data.startswith(key[1:]):
            return None
        start = -1
    start += len(key)
    end = data.find(b"\n", start)
    return integer(data[start:end]) if end >= 0 else None


def after(key: bytes) -> Callable[[bytes], int]:
    """What finds the number on the line that begins with a key, raising ValueError where there is none.

    Args:
        key: As for `value_after`.
    """
    first, length, skipped = key[1:], len(key), len(key) - 1

    def found(data: bytes) -> int:
        # index and startswith raise, or answer, in C: this is asked for every container at every tick
        start = skipped if data.startswith(first) else data.index(key) + length
        return int(data[start : data.index(b"\n", start)])

    return found


def kibibytes_after(data: bytes, key: bytes) -> int | None:
    """The bytes that a line of `/proc/meminfo` tells (`MemTotal:  4 kB` is 4096), or None."""
    start = data.find(key)
    if start < 0:
        if not data.startswith(key[1:]):
            return None
        start = -1
    start += len(key)
    end = data.find(b" kB\n", start)
    value = integer(data[start:end]) if end >= 0 else None
    return None if value is None else value * 1024


def limit(data: bytes) -> float | None:
    """The bytes of `memory.max`: infinite for `max`, None for what is neither."""
    if data == b"max\n":
        return math.inf
    return integer(data)


def cpu_max(data: bytes) -> float | None:
    """The cores that `cpu.max` grants (`50000 100000` is half a core): infinite for `max`, None when unreadable."""
    quota, _, period = data.partition(b" ")
    return math.inf if quota == b"max" else _share(integer(quota), integer(period))


def cfs_quota(quota: bytes, period: bytes) -> float | None:
    """The cores that `cpu.cfs_quota_us` and `cpu.cfs_period_us` grant: infinite for -1, None when unreadable."""
    return math.inf if quota == b"-1\n" else _share(integer(quota), integer(period))


def _share(quota: int | None, period: int | None) -> float | None:
    return quota / period if quota and period else None


def cpuset_size(data: bytes) -> int | None:
    """How many processors a list like `0-3,8` names; None when it is empty or none."""
    count = 0
    for part in data.strip().split(b","):
        first, dash, last = part.partition(b"-")
        low = integer(first)
        high = integer(last) if dash else low
        if low is None or high is None or high < low or high >= CPUSET_MAX:
            return None
        count += high - low + 1
    return count


def cpu_times(data: bytes) -> tuple[int, int] | None:
    """Busy and total time of all processors since boot, in ticks, from the first line of `/proc/stat`.

    Waiting for I/O is idle time. Time of guests is contained in user and nice (Linux, Documentation/filesystems/proc).
    """
    line, newline, _ = data.partition(b"\n")
    words = line.split()
    if not newline or len(words) < 9 or words[0] != b"cpu":  # noqa: PLR2004 - `cpu` and eight kinds of time
        return None
    times = [integer(word) for word in words[1:9]]
    known = [time for time in times if time is not None]
    if len(known) < len(times):
        return None
    total = sum(known)
    return total - known[3] - known[4], total


def online_cpus(data: bytes) -> int | None:
    """How many processors are online: those with a line of their own in `/proc/stat`."""
    return data.count(b"\ncpu") or None


def load_averages(data: bytes) -> tuple[float, float] | None:
    """The load over one and five minutes from `/proc/loadavg`, or None."""
    words = data.split(None, 2)
    try:
        one, five = float(words[0]), float(words[1])
    except (ValueError, IndexError):
        return None
    return (one, five) if 0 <= one < math.inf and 0 <= five < math.inf else None


def io_stat(data: bytes) -> tuple[int, int]:
    """Bytes read and written, over all devices, from v2's `io.stat`.

    A line is `8:0 rbytes=1 wbytes=2 rios=3 …`; one that was cut off is not counted, and none at all is nothing moved.
    """
    read = written = 0
    for line in _whole_lines(data):
        for word in line.split():
            key, _, number = word.partition(b"=")
            if key == b"rbytes":
                read += integer(number) or 0
            elif key == b"wbytes":
                written += integer(number) or 0
    return read, written


def blkio_bytes(data: bytes) -> tuple[int, int] | None:
    """Bytes read and written, over all devices, from v1's `blkio.throttle.io_service_bytes` (`8:0 Read 4096`).

    None when no device is named: since Linux 6.10 none is until one is throttled, and nothing is accounted.
    """
    read = written = 0
    found = False
    for line in _whole_lines(data):
        words = line.split()
        if len(words) != 3:  # noqa: PLR2004 - the last line is `Total n`
            continue
        found = True
        if words[1] == b"Read":
            read += integer(words[2]) or 0
        elif words[1] == b"Write":
            written += integer(words[2]) or 0
    return (read, written) if found else None


def stalled(data: bytes, kind: bytes) -> float | None:
    """Seconds stalled since the cgroup was made, from a pressure file; None where it has no such line.

    Args:
        data: Two lines like `some avg10=0.00 avg60=0.00 avg300=0.00 total=12` (microseconds).
        kind: `some`: at least one task waited. `full`: all of them did.
    """
    found = _STALLED[kind].search(data)
    return None if found is None else int(found[1]) * 1e-6


def total_some(data: bytes) -> bytes | None:
    """The time in which at least one task waited, as a pressure file has it; None where it does not tell."""
    found = _STALLED[b"some"].search(data)
    return None if found is None else found[1]


def traffic(data: bytes) -> tuple[int, int, int] | None:
    """Bytes received, bytes sent, errors and drops, over all interfaces of `/proc/PID/net/dev` but `lo`.

    None when there is no other than `lo`: a network of its own that it does not have, or has no more.
    """
    received = sent = errors = 0
    found = False
    for line in _whole_lines(data):
        interface, colon, numbers = line.partition(b":")
        words = numbers.split()
        if not colon or len(words) < _NET_DEV_COLUMNS or interface.strip() == b"lo":
            continue
        counts = [integer(word) or 0 for word in words]
        found = True
        received += counts[0]
        sent += counts[8]
        # receive errors and drops, transmit errors and drops
        errors += counts[2] + counts[3] + counts[10] + counts[11]
    return (received, sent, errors) if found else None


def _whole_lines(data: bytes) -> list[bytes]:
    """The lines, without a last one that was cut off."""
    return data.split(b"\n")[:-1]
