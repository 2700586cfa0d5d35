"""CPU, memory, swap, load and pressure of the whole host."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from watchtower_agent.collectors.files import TABLE, Descriptors, KeptFile
from watchtower_agent.collectors.gauges import NEVER, Counter
from watchtower_agent.collectors.host_facts import HostFacts
from watchtower_agent.collectors.parsing import cpu_times, kibibytes_after, load_averages, stalled
from watchtower_agent.collectors.request import Pace
from watchtower_agent.collectors.tick import Faults, Tick
from watchtower_agent.errors import PermanentError

LOADS = ("host.load1", "host.load5")
FIRST_LINE = 512
"""Bytes that hold the first line of `/proc/stat`."""


class HostCollector:
    """Reads `/proc/stat` and `meminfo` at each tick, `loadavg` and `pressure/…` where a policy needs them.

    What no policy needs is read at the metrics interval.

    `host.cpu.percent` is the busy share of all processors' time since the last tick, waiting for I/O being idle.
    `host.memory.percent` = 100 * (total - available) / total. `host.swap.percent` of a host without swap is 0:
    none is used.
    """

    name = "host"

    def __init__(self, *, proc_root: str, facts: HostFacts, descriptors: Descriptors) -> None:
        self._facts = facts
        self._stat = KeptFile(f"{proc_root}/stat", FIRST_LINE, descriptors)
        self._meminfo = KeptFile(f"{proc_root}/meminfo", TABLE, descriptors)
        self._loadavg = KeptFile(f"{proc_root}/loadavg", 128, descriptors)
        self._pressures = {
            f"host.pressure.{resource}": (KeptFile(f"{proc_root}/pressure/{resource}", 256, descriptors), Counter())
            for resource in ("cpu", "io", "memory")
        }
        self._times: tuple[int, int] | None = None
        self._load_at = self._pressures_at = NEVER
        self._loads: dict[str, float] = {}
        self._pressed: dict[str, float] = {}

    def collect(self, tick: Tick) -> None:
        """Read what is due; each file that can't be read leaves its own numbers unknown."""
        faults = Faults()
        for read in (self._cpu, self._memory):
            try:
                tick.host.update(read())
            except PermanentError as error:
                faults.add(str(error))
        if not self._loads or _due(tick, LOADS, self._load_at):
            self._load_at, self._loads = tick.at.monotonic, {}
            try:
                self._loads = self._load()
            except PermanentError as error:
                faults.add(str(error))
        if _due(tick, self._pressures.keys(), self._pressures_at):
            self._pressures_at, self._pressed = tick.at.monotonic, self._pressure(tick)
        tick.host.update(self._loads)
        tick.host.update(self._pressed)
        faults.tell(tick, self.name, "what the host's metrics take from it is")

    def close(self) -> None:
        """Let go of all descriptors."""
        for file in (self._stat, self._meminfo, self._loadavg, *(file for file, _ in self._pressures.values())):
            file.close()

    def _cpu(self) -> dict[str, float]:
        before, self._times = self._times, cpu_times(self._stat.read())
        if before is None or self._times is None:
            return {}
        busy, total = self._times[0] - before[0], self._times[1] - before[1]
        # waiting for I/O may be counted back by the kernel, so that busy exceeds what passed by a little
        return {"host.cpu.percent": min(100.0, 100 * busy / total)} if busy >= 0 and total > 0 else {}

    def _memory(self) -> dict[str, float]:
        data = self._meminfo.read()
        total, available = kibibytes_after(data, b"\nMemTotal:"), kibibytes_after(data, b"\nMemAvailable:")
        swap, free = kibibytes_after(data, b"\nSwapTotal:"), kibibytes_after(data, b"\nSwapFree:")
        found: dict[str, float] = {}
        if total and available is not None:
            found["host.memory.available"] = available
            found["host.memory.percent"] = max(0.0, 100 * (total - available) / total)
        if swap is not None and free is not None:
            found["host.swap.percent"] = max(0.0, 100 * (swap - free) / swap) if swap else 0.0
        return found

    def _pressure(self, tick: Tick) -> dict[str, float]:
        found = {}
        for name, (file, counter) in self._pressures.items():
            with suppress(PermanentError):  # many kernels keep no account of pressure: unknown, and no fault
                share = 100 * counter.rate(stalled(file.read(), b"some"), tick.monotonic())
                if share == share:  # noqa: PLR0124 - NaN is the one number that differs from itself
                    found[name] = min(100.0, share)
        return found

    def _load(self) -> dict[str, float]:
        loads = load_averages(self._loadavg.read())
        online = self._facts.online_cpus
        if loads is None or not online > 0:
            return {}
        return dict(zip(LOADS, (load / online for load in loads), strict=True))


def _due(tick: Tick, names: Iterable[str], read_at: float) -> bool:
    interval = tick.request.demand.interval(frozenset(names), tick.interval)
    return Pace(interval, tick.interval).due(read_at, tick.at.monotonic)
