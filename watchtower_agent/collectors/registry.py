"""Every collector, in explicit, sorted lists; and what isolates them from each other.

In place of those that read cgroups, `stats_api.py` asks the engine where there are none to read.
"""

from __future__ import annotations

from collections.abc import Callable

from watchtower_agent.collectors.block_io import block_io
from watchtower_agent.collectors.cpu import CpuCollector
from watchtower_agent.collectors.disk import DiskCollector
from watchtower_agent.collectors.engine_process import EngineProcessCollector
from watchtower_agent.collectors.files import Descriptors
from watchtower_agent.collectors.host import HostCollector
from watchtower_agent.collectors.host_facts import HostFacts
from watchtower_agent.collectors.memory import MemoryCollector
from watchtower_agent.collectors.network import network
from watchtower_agent.collectors.pressure import pressure
from watchtower_agent.collectors.processes import processes
from watchtower_agent.collectors.roster import Roster
from watchtower_agent.collectors.throttling import throttling
from watchtower_agent.collectors.tick import Collector, Tick

LEVELS = 2
"""How many of those that read cgroups come first: CPU and memory."""


def of_cgroups(*, proc_root: str, facts: HostFacts, roster: Roster, descriptors: Descriptors) -> tuple[Collector, ...]:
    """Every collector that reads containers' cgroups and processes.

    CPU first: it is read at each tick, notices that a container has ended, and tells the others whose processes have
    done nothing. Then memory, then the others, sorted by name.
    """
    return (
        CpuCollector(roster=roster, facts=facts, descriptors=descriptors),
        MemoryCollector(proc_root=proc_root, roster=roster, facts=facts, descriptors=descriptors),
        block_io(descriptors),
        network(proc_root=proc_root, process_is=roster.process_is, descriptors=descriptors),
        *(pressure(resource, descriptors) for resource in ("cpu", "io", "memory")),
        processes(descriptors),
        throttling(descriptors),
    )


def of_host(
    *, proc_root: str, disk: DiskCollector, facts: HostFacts, descriptors: Descriptors
) -> tuple[Collector, ...]:
    """Every collector of what a host has but once, sorted by name."""
    return (
        disk,
        EngineProcessCollector(proc_root=proc_root),
        HostCollector(proc_root=proc_root, facts=facts, descriptors=descriptors),
    )


def run(chosen: tuple[Collector, ...], tick: Tick, begins: Callable[[str], None]) -> dict[str, float]:
    """Let each collector write its part.

    Args:
        chosen: The collectors, in their order.
        tick: What they write to.
        begins: Told the name of each before it is let: one that hangs is told by it. What it raises ends the run.

    Returns:
        Collector -> seconds it took.
    """
    seconds = {}
    began = tick.monotonic()
    for collector in chosen:
        begins(collector.name)
        try:
            collector.collect(tick)
        except Exception as error:  # noqa: BLE001 - whatever one collector meets, the others go on
            tick.failures[collector.name] = f"The collector {collector.name} failed: {type(error).__name__}: {error}"
        ended = tick.monotonic()
        seconds[collector.name] = ended - began
        began = ended
    return seconds
