"""From where the next start of the agent looks on, and how far a gap reaches that the clock has left behind."""

from __future__ import annotations

from tests.support.core import INFO, NOW, Host, event, now
from watchtower_agent.model.engine_event import Cursor
from watchtower_agent.model.observation import EngineFound, EventsObserved, GapObserved, InventoryObserved

POSITION = Cursor(time_ns=int(NOW * 1e9), event_id="")


def listing(host: Host, listening_since: Cursor | None) -> InventoryObserved:
    return InventoryObserved(
        containers=host.docker.listing(),
        after_position=host.position,
        at=host.clock.wall,
        listening_since=listening_since,
    )


def stored(host: Host) -> Cursor | None:
    return now(host.store.load()).cursor


def test_the_position_is_durable_with_the_baseline() -> None:
    host = Host(first_start=True)
    host.docker.create("web", silent=True)
    host.see(EngineFound(info=INFO, restarted=False, at=NOW))
    host.see(listing(host, POSITION))

    [commit] = [commit for commit in host.store.commits if any(record.kind == "baseline" for record in commit.records)]
    assert commit.cursor == POSITION
    assert stored(host) == POSITION


def test_an_event_takes_the_place_of_the_position() -> None:
    host = Host(first_start=True)
    crash = event("die", at=NOW + 1)
    host.see(listing(host, POSITION), EventsObserved(events=(crash,)))
    host.see(listing(host, None))

    assert stored(host) == Cursor(time_ns=crash.time_ns, event_id=crash.id)


def test_a_listing_after_the_clock_was_stepped_back_moves_the_cursor_there() -> None:
    host = Host(first_start=True)
    host.see(listing(host, None), EventsObserved(events=(event("die", at=NOW + 3600),)))
    host.see(GapObserved(reason="clock_stepped_back", since=NOW, until=NOW), listing(host, POSITION))

    assert stored(host) == POSITION


def test_a_store_that_was_set_aside_gets_the_cursor_again() -> None:
    host = Host(first_start=True)
    host.see(listing(host, POSITION))
    host.store = type(host.store)()
    host.see(GapObserved(reason="store_reset", since=NOW, until=NOW))

    assert stored(host) == POSITION


def test_a_store_that_was_set_aside_gets_a_cursor_of_an_earlier_run_again() -> None:
    host = Host(first_start=True)
    host.see(listing(host, POSITION))
    host.comes_back()
    host.store = type(host.store)()
    host.see(GapObserved(reason="store_reset", since=NOW, until=NOW))

    assert stored(host) == POSITION


def test_a_store_without_a_position_is_taken_as_it_is() -> None:
    host = Host(first_start=True)
    host.see(listing(host, None))

    assert stored(host) is None
    host.comes_back()
    assert host.pipeline.state.baseline


def crashes_later(host: Host) -> str:
    """What is known of the end of a container that crashes a minute from now, with a sample before."""
    host.tick()
    host.clock.advance(60)
    host.docker.crash("web")
    host.deliver()
    [record] = host.pipeline.state.containers.values()
    return record.end_cause.value


def with_a_gap() -> Host:
    host = Host(first_start=True)
    host.docker.create("web", silent=True, started_at=NOW - 36000)  # before the gap, also on a clock that was set back
    host.connect()
    host.see(GapObserved(reason="audit", since=NOW, until=host.clock.wall))
    return host


def test_an_end_long_after_a_gap_is_not_uncertain() -> None:
    assert crashes_later(with_a_gap()) == "itself"


def test_a_gap_does_not_reach_into_the_future_of_a_clock_that_was_stepped_back() -> None:
    host = with_a_gap()
    host.clock.step_wall(-3600)

    assert crashes_later(host) == "itself"


def test_a_gap_counts_on_the_clock_of_an_engine_elsewhere() -> None:
    host = with_a_gap()
    ahead = 3600.0
    host.see(EngineFound(info=INFO, restarted=False, at=host.clock.wall, clock_offset=ahead))
    host.see(GapObserved(reason="audit", since=NOW, until=host.clock.wall + ahead))
    host.tick()
    host.see(EventsObserved(events=(event("die", at=host.clock.wall + ahead, position=host.position + 1),)))

    [record] = host.pipeline.state.containers.values()
    assert record.end_cause.value == "unknown"
