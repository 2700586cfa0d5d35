"""Lines that can't be read: what they told is lost, which is told once; the containers are listed anew, once."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.support.engine_watch import FAST, EngineWatch
from tests.support.scripted_engine import ScriptedEngine, SteppedClock
from watchtower_agent.engine.event import MAX_LINE
from watchtower_agent.engine.handover import REMEMBERED, Handover
from watchtower_agent.model.observation import EventsObserved, GapObserved, InventoryObserved

AUDITING = replace(FAST, audit_every=0.05, in_flight=0.05, settle=0.0, retry_first=0.01)
LARGE = json.dumps({"Type": "container", "Action": "kill", "Actor": {"ID": "c", "Attributes": {"a": "x" * MAX_LINE}}})
HOSTILE = [(LARGE.encode(), "event_too_large"), (b"{no json", "event_unreadable")]


def story(watch: EngineWatch) -> list[str]:
    """Names of events, causes of gaps and listings, in the order in which they were told."""
    told: list[str] = []
    for each in watch.observations:
        if isinstance(each, EventsObserved):
            told += [event.actor_id for event in each.events]
        elif isinstance(each, GapObserved):
            told.append(each.reason)
        elif isinstance(each, InventoryObserved):
            told.append("listing")
    return told


@pytest.mark.parametrize(("line", "cause"), HOSTILE)
@pytest.mark.parametrize("lost", [False, True])
async def test_it_is_told_in_its_place_and_the_containers_are_listed_anew(line: bytes, cause: str, lost: bool) -> None:
    engine = ScriptedEngine(SteppedClock())
    async with EngineWatch(engine, timing=AUDITING) as watch:
        await watch.until_listed()
        engine.happen("before")
        await watch.until(lambda: len(watch.events) == 1)
        engine.write(line, lost=lost)
        await watch.until_listed(2)
        engine.happen("after")
        await watch.until(lambda: len(watch.events) == 2)
        assert story(watch)[:4] == ["listing", "before", cause, "listing"]
        [gap] = watch.of(GapObserved)
        assert gap.count == 1
        assert gap.since <= gap.until
        # The ring shows it at each audit, and at each subscription.
        listed, audits = engine.listed, engine.looked_back
        await watch.until(lambda: engine.looked_back >= audits + 5)
        assert engine.listed == listed
        watch.session.resync()
        await watch.until_listed(len(watch.of(InventoryObserved)) + 1)
        engine.cut()
        await watch.until_listed(len(watch.of(InventoryObserved)) + 1)
        assert len(watch.of(GapObserved)) == 1
        assert watch.session.counts.gaps == 1


async def test_what_follows_it_in_one_reading_is_told_after_it() -> None:
    engine = ScriptedEngine(SteppedClock())
    async with EngineWatch(engine, timing=FAST) as watch:
        await watch.until_listed()
        first, last = (f'{{"Type":"volume","Action":"create","Actor":{{"ID":"{n}"}},"time":{n}}}' for n in (1, 2))
        engine.write(first.encode(), b"{", b"null", last.encode())
        await watch.until(lambda: len(watch.events) == 2)
        assert story(watch)[:4] == ["listing", "1", "event_unreadable", "2"]
        assert watch.session.counts.unknown == 2, "JSON that is no event is no loss"


async def test_what_was_handed_over_is_not_remembered_for_ever() -> None:
    told: list[object] = []
    handover = Handover(sink=told.append, clock=SteppedClock(), cursor=None, recent_ids=())
    lines = [f'{{"Type":"volume","Action":"create","time":{n}}}'.encode() for n in range(1, REMEMBERED + 502)]
    events = handover.parse(lines)
    for at in range(0, len(lines), 500):
        await handover.lines(lines[at : at + 500])
    assert not any(map(handover.handled, events[:501]))
    assert all(map(handover.handled, events[501:]))
    await handover.lines(lines[-300:])
    assert handover.counts.duplicates == 300
    assert handover.position == len(lines)
