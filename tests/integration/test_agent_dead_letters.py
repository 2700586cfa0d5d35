"""A broker that takes no large message: the hole that this makes for subscribers is declared by an event."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine

POLICIES = "version: 1\npolicies: []\n"
LIMIT = 5000
"""Bytes: enough for all that the agent says of a small container."""
LARGE = {f"large{number}": "x" * 1000 for number in range(6)}


async def test_events_that_the_broker_never_takes_are_declared_and_named(
    engine: PrivateEngine, make_broker: Callable[..., PrivateBroker], make_host: Callable[..., Host]
) -> None:
    broker = make_broker(options=[f"message_size_limit {LIMIT}"])
    host = make_host(engine, broker, POLICIES, proxied=False, settings={"mqtt": {"labels": ["large*"]}})
    engine.run("large", labels=LARGE)
    engine.run("small")
    await host.watch.until_told("container", "start", "small")

    def declared() -> list[str]:
        return [each for gap in host.watch.told("agent", "event_gap") for each in gap.data["sequences"]]

    def dead() -> list[str]:
        return [f"{row[0]:012d}" for row in host.agent.query("SELECT sequence FROM dead_letters ORDER BY sequence")]

    await host.watch.until(lambda _: len(declared()) >= 2 and declared() == dead())
    assert {gap.data["cause"] for gap in host.watch.told("agent", "event_gap")} == {"dead_letter"}
    assert sum(gap.data["count"] for gap in host.watch.told("agent", "event_gap")) == len(dead())
    ((last,),) = host.agent.query("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")

    def holes() -> list[str]:
        arrived = {event.document["sequence"] for event in host.watch.events}
        return [each for each in (f"{number:012d}" for number in range(1, last + 1)) if each not in arrived]

    await host.watch.until(lambda _: holes() == dead())
    assert host.agent.logged("mqtt_alarm", alarm="mqtt_dead_letter")
