"""What the engine's stats API answers about one container, as numbers.

Hostile until parsed: whatever is missing, of another type or out of range is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from watchtower_agent.model.values import dataclass

_NOTHING: Mapping[str, object] = {}
_LARGEST = 2.0**63
UNLIMITED = 2.0**62
"""v1 writes the largest multiple of the page size below 2^63 for no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsAnswer:
    """One answer; NaN where it says nothing.

    Attributes:
        read_at: When the engine read it, seconds since the epoch on its clock.
        cpu_seconds: CPU time since the container's start.
        online_cpus: Processors of the engine's host.
        periods: In which it could have used up its quota.
        throttled: In which it did.
        memory_usage: Bytes, page cache included.
        inactive_file: Bytes of page cache that the kernel would give up first.
        memory_limit: In bytes: the container's own, or the host's memory; on cgroup v1 the least around it too.
        pids: Processes and threads.
        pids_limit: Of these.
        read: Bytes from block devices.
        written: Bytes to block devices.
        received: Bytes, over all networks.
        sent: Bytes.
        errors: Errors and drops.
    """

    read_at: float
    cpu_seconds: float
    online_cpus: float
    periods: float
    throttled: float
    memory_usage: float
    inactive_file: float
    memory_limit: float
    pids: float
    pids_limit: float
    read: float
    written: float
    received: float
    sent: float
    errors: float


def parse_stats(raw: object) -> StatsAnswer | None:
    """The numbers of an answer; None for that of a container which does not run."""
    answer = _mapping(raw)
    read_at = _time(answer.get("read"))
    if read_at is None:
        return None
    cpu = _mapping(answer.get("cpu_stats"))
    throttling = _mapping(cpu.get("throttling_data"))
    memory = _mapping(answer.get("memory_stats"))
    detail = _mapping(memory.get("stats"))
    pids = _mapping(answer.get("pids_stats"))
    read, written = _moved(_mapping(answer.get("blkio_stats")).get("io_service_bytes_recursive"))
    received, sent, errors = _traffic(answer.get("networks"))
    # v1 has both, of the container alone and with its descendants
    inactive = detail.get("total_inactive_file", detail.get("inactive_file"))
    return StatsAnswer(
        read_at=read_at,
        cpu_seconds=_number(_mapping(cpu.get("cpu_usage")).get("total_usage")) * 1e-9,
        online_cpus=_number(cpu.get("online_cpus")) or math.nan,
        periods=_number(throttling.get("periods")),
        throttled=_number(throttling.get("throttled_periods")),
        memory_usage=_number(memory.get("usage")),
        inactive_file=_number(inactive),
        memory_limit=_least(memory.get("limit"), detail.get("hierarchical_memory_limit")),
        pids=_number(pids.get("current")),
        pids_limit=_number(pids.get("limit")) or math.nan,
        read=read,
        written=written,
        received=received,
        sent=sent,
        errors=errors,
    )


def _least(*limits: object) -> float:
    known = [number for number in map(_number, limits) if 0 < number < UNLIMITED]
    return min(known, default=math.nan)


def _moved(entries: object) -> tuple[float, float]:
    """Bytes read and written; unknown where the engine names no device (null on v1 kernels without an account)."""
    totals = {"read": 0.0, "write": 0.0}
    found = False
    for entry in entries if isinstance(entries, list) else ():
        operation, number = str(_mapping(entry).get("op")).lower(), _number(_mapping(entry).get("value"))
        if operation in totals and not math.isnan(number):
            totals[operation] += number
            found = True
    return (totals["read"], totals["write"]) if found else (math.nan, math.nan)


def _traffic(networks: object) -> tuple[float, float, float]:
    received = sent = errors = 0.0
    interfaces = [_mapping(interface) for interface in _mapping(networks).values()]
    for interface in interfaces:
        received += _number(interface.get("rx_bytes"))
        sent += _number(interface.get("tx_bytes"))
        errors += sum(_number(interface.get(name)) for name in _ERRORS)
    return (received, sent, errors) if interfaces else (math.nan, math.nan, math.nan)


_ERRORS = ("rx_errors", "rx_dropped", "tx_errors", "tx_dropped")


def _time(value: object) -> float | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() if moment else 0.0
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None  # the engine's never is in the year 1


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else _NOTHING


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if 0 <= value < _LARGEST else math.nan
