"""A scheduled restart of a real container by a whole agent.

Waiting for the next full minute would take one. An agent that was away makes up what it missed, so the store is told
that an earlier one had settled everything up to five minutes ago; all else is the real thing.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from watchtower_agent.clock import SystemClock
from watchtower_agent.storage import SqliteStore

POLICIES = """
version: 1
policies:
  - name: nightly
    schedule: {{cron: "{minute} {hour} * * *", timezone: UTC}}
    select: {{labels: {{nightly: "true"}}, status: running}}
    then: {{restart: {{stop_timeout: 1s}}}}
"""


async def settled(host: Host, schedule: str, until: datetime) -> None:
    """As a store that an earlier agent left."""
    directory = host.agent.directory / "state"
    directory.mkdir(mode=0o700, exist_ok=True)
    store = SqliteStore(directory, clock=SystemClock(), max_size=10_000_000)
    await store.open()
    await store.close()
    value = json.dumps({"schedule": schedule, "until": until.timestamp()})
    with closing(sqlite3.connect(directory / "store.db")) as connection, connection:
        connection.execute("INSERT INTO records (kind, key, value) VALUES ('schedule', 'nightly', ?)", (value,))


async def test_a_run_that_was_missed_is_made_up_once_and_not_repeated_by_a_crash(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    due = (datetime.now(UTC) - timedelta(minutes=2)).replace(second=0, microsecond=0)
    policies = POLICIES.format(minute=due.minute, hour=due.hour)
    host = make_host(engine, module_broker, policies, start=False)
    await settled(host, f"{due.minute} {due.hour} * * * UTC", due - timedelta(minutes=3))
    names = ["night-1", "night-2"]
    identities = [engine.run(name, labels={"nightly": "true"}) for name in names]
    engine.run("other")

    await asyncio.to_thread(host.agent.start)

    for name in names:
        await host.watch.until_told("action", "succeeded", name)
    (scheduled,) = host.watch.told("policy", "scheduled")
    assert scheduled.data["containers"] == 2
    assert scheduled.data["due"] == due.timestamp()
    assert scheduled.reason.startswith(f"scheduled at {due:%H:%M} UTC, ")
    ends = [row["verb"] for name in names for row in host.agent.ledger(name)]
    assert ends == ["restart", "restart"]
    assert host.agent.ledger("other") == []

    host.agent.kill()
    await asyncio.to_thread(host.agent.start)

    assert len(host.watch.told("policy", "scheduled")) == 1
    assert [host.starts(identity) for identity in identities]
    assert [row["verb"] for name in names for row in host.agent.ledger(name)] == ends
