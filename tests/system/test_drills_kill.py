"""kill -9 of the agent, again and again at random, while events flow and containers crash."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from tests.support.agent import CRASHES_ONCE, Host
from tests.support.broker import PrivateBroker
from tests.support.busy import Steady
from tests.support.engine import PrivateEngine
from tests.support.numbers import drill
from tests.support.tape import EngineTape, Recorded
from tests.support.troubles import UNLIMITED, reviving

KILLS = drill(reduced=8, full=100)
PACE = 30.0
DONE = {"succeeded", "ineffective"}
"""Events a second: few enough that the engine mostly still remembers them when the agent is back."""
REVIVE = reviving(cooldown="1s", **UNLIMITED)


def lost(tape: EngineTape, host: Host) -> list[Recorded]:
    """Events that the subscriber never saw and that no declared gap speaks of."""
    missing = set(tape.published()) - set(host.watch.engine_events())
    return [event for event in missing if not in_a_gap(host, event, event)]


def in_a_gap(host: Host, first: Recorded, last: Recorded) -> bool:
    """Killed several times before it could speak, an agent may find that the engine forgot: then it says so."""
    gaps = [(told.data["since"], told.data["until"]) for told in host.watch.told("agent", "event_gap")]
    return any(since <= last.time_ns / 1e9 and first.time_ns / 1e9 <= until for since, until in gaps)


def unanswered(tape: EngineTape, host: Host, names: list[str]) -> list[str]:
    """Those that crashed, no part of their life in a gap, and were not restarted."""
    lives = {name: tape.of(name) for name in names if not tape.of(name, "restart")}
    return [name for name, life in lives.items() if not in_a_gap(host, life[0], life[-1])]


@pytest.mark.full
async def test_every_event_is_seen_and_every_crash_is_answered_exactly_once(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    chance = random.Random(20)
    crashed = []
    with EngineTape(engine) as tape:
        host = make_host(engine, module_broker, REVIVE, proxied=False)
        with Steady(engine, PACE):
            for number in range(KILLS):
                name = f"crash-{number}"
                crashed.append(name)
                at = chance.randrange(60)
                crash = asyncio.create_task(asyncio.to_thread(engine.run, name, *CRASHES_ONCE, labels={"heal": "true"}))
                await asyncio.to_thread(tape.wait_more, at)
                host.agent.kill()
                await crash
                host.agent.start(ready=False)
        host.agent.wait_log("engine_up")
        engine.run("last")
        await host.watch.until_told("container", "start", "last", timeout=30)

        def over() -> bool:
            open_rows = host.agent.query("SELECT count(*) FROM ledger WHERE result IS NULL")
            return open_rows == [(0,)] and not unanswered(tape, host, crashed) and not lost(tape, host)

        # The last restart's own events may still be on their way when its row is closed: they are waited for.
        await host.watch.until(lambda _: over(), timeout=30)
        for name in crashed:
            restarts = len(tape.of(name, "restart"))
            assert restarts <= 1, name
            rows = host.agent.ledger(name)
            done = [row for row in rows if row["result"] in DONE or row["numbers"].get("engine_did_it")]
            assert len(done) == restarts, (name, rows)
    assert host.watch.statuses[0] == "online"
