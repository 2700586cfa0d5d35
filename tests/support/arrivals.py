"""Whether everything that happened has arrived, and in order: what each drill ends with."""

from __future__ import annotations

from tests.support.agent import Host
from tests.support.tape import EngineTape


def in_order(host: Host) -> bool:
    """Within each topic, what came first happened first."""
    by_topic: dict[str, dict[str, int]] = {}
    for event in host.watch.events:
        by_topic.setdefault(event.topic, {}).setdefault(event.document["id"], int(event.document["sequence"]))
    return all(list(first.values()) == sorted(first.values()) for first in by_topic.values())


async def all_told(host: Host) -> None:
    """Something new happens, on a host that has no such event yet, and has arrived."""
    host.engine.docker("tag", "tagged:t0", "tagged:last")
    host.engine.docker("rmi", "tagged:last")
    await host.watch.until(lambda _: any(event.action == "untag" for event in host.watch.events), timeout=60)


async def all_arrived(host: Host, tape: EngineTape) -> None:
    """The subscriber has every event of the engine, each topic's in order."""
    await all_told(host)
    wanted = set(tape.published())
    await host.watch.until(lambda _: wanted <= set(host.watch.engine_events()), timeout=60)
    assert in_order(host)
    assert host.watch.told("agent", "event_gap") == []
