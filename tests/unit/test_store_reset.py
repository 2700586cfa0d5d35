"""The store is lost while the agent runs: what the next start must know is written anew."""

from __future__ import annotations

import json

from tests.support.core import INSTALL_ID, Host
from tests.support.store import FakeStore
from watchtower_agent.model.observation import GapObserved, StoreReset

POLICIES = """  - name: revive
    select: {name: "*"}
    on: {container: die}
    then: {start: {}}
"""


def test_what_is_known_goes_into_the_new_store() -> None:
    host = Host(POLICIES)
    host.docker.create("web")
    host.docker.crash("web")
    host.deliver()
    host.carry_out()
    host.store = FakeStore(install_id=INSTALL_ID)
    now = host.clock.wall

    effects = host.see(GapObserved(reason="store_reset", since=now, until=now))

    web = host.record("web").container.id
    assert {(record.kind, record.key) for record in effects.records} >= {
        ("baseline", "made"),
        ("container", web),
        ("cooldown", "revive\0web"),
        ("clock", "seen"),
    }
    topics = {state.topic for state in effects.states}
    assert "watchtower/v1/h1/state/container/web" in topics
    assert "watchtower/v1/h1/info" in topics


def test_the_loss_is_told_as_critical_without_a_window_that_nobody_knows() -> None:
    host = Host(POLICIES)
    now = host.clock.wall
    why = "The store was damaged (malformed); it was set aside as store.db.corrupt-1 and a new one was started."

    effects = host.see(GapObserved(reason="store_reset", since=now, until=now, why=why))

    (gap,) = [json.loads(event.payload) for event in effects.events if "/agent/event_gap/" in event.topic]
    assert gap["severity"] == "critical"
    assert why in gap["data"].pop("reason")
    assert gap["data"] == {"cause": "store_reset"}


def test_how_many_are_lost_is_told_with_the_window_where_it_is_known() -> None:
    host = Host(POLICIES)
    now = host.clock.wall
    reset = StoreReset(why="It was damaged.", count=3, since=now - 60, until=now - 5)

    for each, expected in (
        (reset, {"cause": "store_reset", "count": 3, "since": now - 60, "until": now - 5}),
        (StoreReset(why="It was damaged.", count=0), {"cause": "store_reset", "count": 0}),
    ):
        effects = host.see(each.gap(now))
        (gap,) = [json.loads(event.payload) for event in effects.events if "/agent/event_gap/" in event.topic]
        reason = gap["data"].pop("reason")
        assert gap["data"] == expected
        assert ("3 events" in reason) is (each.count == 3)


def test_an_action_under_way_is_in_the_new_ledger() -> None:
    host = Host(POLICIES)
    host.docker.create("web")
    host.docker.crash("web")
    host.deliver()
    (intent,) = host.open.values()
    now = host.clock.wall

    effects = host.see(GapObserved(reason="store_reset", since=now, until=now))

    assert intent in effects.commit().intents
    assert ("begun", intent.decision.id) in {(record.kind, record.key) for record in effects.records}, "and its cause"
    assert effects.intents == [], "it is not started twice"
