"""The engine session on a real engine: what it tells, and what it tells when the engine is away."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial

from tests.support.engine import PrivateEngine, UnixConnection
from tests.support.engine_watch import FAST, EngineWatch, engine_calls, in_thread
from tests.support.proxy import EngineProxy
from tests.support.scripted_engine import SteppedClock
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.engine_event import Cursor, EngineEvent, EventKind, Origin
from watchtower_agent.model.observation import (
    ContainerObserved,
    EngineFound,
    EngineLost,
    EnginePinged,
    EventsObserved,
    GapObserved,
    ImagesCounted,
    InventoryObserved,
)


def churn(engine: PrivateEngine, count: int, prefix: str = "v") -> None:
    """So many quick events: volumes come and go, two events each."""
    connection = UnixConnection(engine.socket)
    for number in range(count // 2):
        name = f"{prefix}-{number}"
        engine.api("POST", "/volumes/create", {"Name": name}, connection=connection)
        engine.api("DELETE", f"/volumes/{name}", connection=connection)
    connection.close()


def churned(count: int, prefix: str = "v") -> list[tuple[str, str]]:
    """Actor and action of the events that `churn` makes."""
    return [(f"{prefix}-{n}", action) for n in range(count // 2) for action in ("create", "destroy")]


def names_and_actions(watch: EngineWatch) -> list[tuple[str, str]]:
    return [(event.actor_id, event.action) for event in watch.events]


def cursor_at(event: EngineEvent) -> Cursor:
    return Cursor(time_ns=event.time_ns, event_id=event.id)


def handed_over(watch: EngineWatch, count: int) -> bool:
    return len(watch.events) >= count


async def test_a_first_start_is_a_baseline(engine: PrivateEngine) -> None:
    await in_thread(lambda: engine.run("old"))
    async with EngineWatch(engine.url) as watch:
        [listed] = await watch.until_listed()
        assert [type(told) for told in watch.told_but_signs_of_life()] == [EngineFound, InventoryObserved]
        assert [(c.name, c.status) for c in listed.containers] == [("old", ContainerStatus.RUNNING)]
        assert listed.after_position == 0
        [found] = watch.of(EngineFound)
        assert not found.restarted
        assert (found.info.url, found.info.url_source) == (engine.url, "settings")
        assert found.info.id
        assert found.info.cgroup_version in {"1", "2"}
        assert found.info.data_root == str(engine.directory / "data")
        assert watch.session.connected


async def test_events_come_as_they_happen_and_health_checks_keep_their_secrets(engine: PrivateEngine) -> None:
    async with EngineWatch(engine.url) as watch:
        await watch.until_listed()
        health = ["--health-cmd=echo hunter2", "--health-interval=1s"]
        web = await in_thread(lambda: engine.run("web", labels={"team": "a"}, options=health))
        await watch.until(lambda: "health_status" in watch.actions("web"))
        await in_thread(lambda: engine.docker("rm", "-f", "web"))
        await watch.until(lambda: "destroy" in watch.actions("web"))
        assert {"create", "start", "exec_create", "exec_start", "exec_die", "kill", "die"} <= set(watch.actions("web"))
        assert "hunter2" not in repr(watch.observations)
        assert all(e.attributes["team"] == "a" for e in watch.events if e.actor_id == web and e.action != "destroy")
        assert next(e for e in watch.events if e.action == "health_status").detail == "healthy"
        assert [e.position for e in watch.events] == list(range(1, len(watch.events) + 1))
        assert {e.origin for e in watch.events} == {Origin.STREAM}
        assert all(0 <= told.lag < 1 for told in watch.of(EventsObserved))


async def test_every_kind_that_a_plain_engine_has_comes_through(engine: PrivateEngine) -> None:
    def act() -> None:
        engine.docker("volume", "create", "vol")
        engine.docker("network", "create", "net")
        engine.docker("tag", "busybox:local", "other:local")
        engine.docker("rmi", "other:local")
        engine.api("POST", "/build/prune")

    async with EngineWatch(engine.url) as watch:
        await watch.until_listed()
        await in_thread(act)
        wanted = {EventKind.VOLUME, EventKind.NETWORK, EventKind.IMAGE, EventKind.BUILDER}
        await watch.until(lambda: wanted <= {event.kind for event in watch.events})
        assert watch.session.counts.unknown == 0


async def test_hostile_labels_arrive(engine: PrivateEngine) -> None:
    labels = {"big": "x" * 65536, "ctl": "a\x1b[31m\n\tb", "odd/+#": "\u202e\U0001f600"}
    async with EngineWatch(engine.url) as watch:
        await watch.until_listed()
        await in_thread(
            lambda: engine.api(
                "POST", "/containers/create", {"Image": "busybox:local", "Labels": labels}, name="hostile"
            )
        )
        await watch.until(lambda: "create" in watch.actions("hostile"))
        attributes = watch.events[-1].attributes
        assert {key: attributes[key] for key in labels} == labels
        watch.session.resync()
        listed = (await watch.until_listed(2))[-1]
        assert next(c for c in listed.containers if c.name == "hostile").labels == labels


async def test_events_that_are_too_large_are_a_gap_each_and_the_container_is_known_by_a_listing(
    engine: PrivateEngine,
) -> None:
    labels = {f"a{number:02d}": "x" * 65000 for number in range(80)}
    body = {"Image": "busybox:local", "Cmd": ["true"], "Labels": labels, "HostConfig": {"NetworkMode": "none"}}
    timing = replace(FAST, audit_every=0.2)
    with EngineProxy(engine.socket) as proxy:
        async with EngineWatch(proxy.url, timing=timing) as watch:
            await watch.until_listed()
            created = await in_thread(lambda: engine.api("POST", "/containers/create", body, name="huge"))
            await watch.until(
                lambda: any("huge" in {c.name for c in told.containers} for told in watch.of(InventoryObserved))
            )
            await in_thread(lambda: engine.api("DELETE", f"/containers/{created['Id']}"))
            await watch.until(lambda: len(watch.of(GapObserved)) == 2)
            await watch.until(lambda: not watch.of(InventoryObserved)[-1].containers)
            asked = len(watch.of(InventoryObserved))
            await in_thread(lambda: churn(engine, 2))
            audited = len(proxy.seen("GET", "/events")) + 4  # audits, to which the ring shows both lines again
            await watch.until(lambda: len(proxy.seen("GET", "/events")) >= audited)
            assert [(gap.reason, gap.count) for gap in watch.of(GapObserved)] == [("event_too_large", 1)] * 2
            assert names_and_actions(watch) == churned(2)
            assert len(watch.of(InventoryObserved)) <= asked + 1
            assert watch.session.counts.reconnects == 0


async def test_what_happened_while_away_is_replayed_once(engine: PrivateEngine) -> None:
    async with EngineWatch(engine.url) as first:
        await first.until_listed()
        web = await in_thread(lambda: engine.run("web"))
        await first.until(lambda: "start" in first.actions("web"))
    handled = first.events
    await in_thread(lambda: engine.docker("stop", "web"))
    async with EngineWatch(
        engine.url, cursor=cursor_at(handled[-1]), recent=[event.id for event in handled]
    ) as second:  # fmt: skip
        [listed] = await second.until_listed()
        assert sorted(second.actions(web)) == ["die", "kill", "stop"]
        assert {event.origin for event in second.events} == {Origin.REPLAY}
        assert second.session.counts.duplicates >= 1
        assert not second.of(GapObserved)
        assert not second.of(EngineFound)[0].restarted
        # Replayed events go before the listing that already shows what they did.
        assert listed.after_position == second.session.position == len(second.events)
        assert second.told_but_signs_of_life()[-1] is listed
        await in_thread(lambda: engine.docker("start", "web"))
        await second.until(lambda: "start" in second.actions(web))
        assert second.events[-1].origin is Origin.STREAM


async def test_more_than_the_ring_holds_is_a_gap(engine: PrivateEngine) -> None:
    async with EngineWatch(engine.url) as first:
        await first.until_listed()
        await in_thread(lambda: churn(engine, 2, "a"))
        await first.until(lambda: len(first.events) == 2)
    last = first.events[-1]
    await in_thread(lambda: churn(engine, 300, "b"))
    async with EngineWatch(engine.url, cursor=cursor_at(last), recent=[last.id]) as second:
        await second.until_listed()
        [gap] = second.of(GapObserved)
        assert (gap.reason, gap.count) == ("replay_incomplete", None)
        assert gap.since == last.time < gap.until <= second.events[0].time
        assert len(second.events) == 256
        assert not second.of(EngineFound)[0].restarted
        assert second.session.counts.gaps == 1


async def test_what_happened_before_the_first_event_was_handled_is_replayed(engine: PrivateEngine) -> None:
    await in_thread(lambda: churn(engine, 2, "baseline"))
    async with EngineWatch(engine.url) as first:
        [listed] = await first.until_listed()
        assert not first.events
    await in_thread(lambda: churn(engine, 4, "away"))
    async with EngineWatch(engine.url, cursor=listed.listening_since) as second:
        await second.until_listed()
        assert names_and_actions(second) == churned(4, "away")
        assert not second.of(GapObserved)
    await in_thread(lambda: churn(engine, 256, "more"))
    async with EngineWatch(engine.url, cursor=listed.listening_since) as third:
        await third.until_listed()
        assert [gap.reason for gap in third.of(GapObserved)] == ["replay_incomplete"]
        assert not third.of(EngineFound)[0].restarted


async def test_an_engine_that_refused_connections_while_its_ring_ran_over_was_not_restarted(
    engine: PrivateEngine,
) -> None:
    with EngineProxy(engine.socket) as proxy:
        async with EngineWatch(proxy.url) as watch:
            await watch.until_listed()
            await in_thread(lambda: churn(engine, 2, "handled"))
            await watch.until(lambda: len(watch.events) == 2)
            proxy.refuse()
            await watch.until_told(EngineLost)
            await in_thread(lambda: churn(engine, 300))
            proxy.listen()
            await watch.until_listed(2)
            assert [gap.reason for gap in watch.of(GapObserved)] == ["replay_incomplete"]
            assert not watch.of(EngineFound)[-1].restarted


async def test_the_whole_ring_is_read_at_once_whatever_its_stamps_say(engine: PrivateEngine) -> None:
    def read() -> tuple[list[bytes], list[bytes]]:
        churn(engine, 300)
        calls = engine_calls(engine.url)
        calls.connect()
        by_stamps, whole = calls.past_events(0, time.time_ns()), calls.whole_ring()
        calls.close()
        return list(by_stamps), list(whole)

    by_stamps, whole = await in_thread(read)
    assert len(whole) == 256
    assert whole == by_stamps


async def test_a_cursor_in_the_future_of_the_engine_that_its_ring_holds_loses_nothing(engine: PrivateEngine) -> None:
    """As if the clock had been set back by an hour while the agent was away."""
    async with EngineWatch(engine.url) as first:
        await first.until_listed()
        await in_thread(lambda: churn(engine, 2, "handled"))
        await first.until(lambda: len(first.events) == 2)
    last = first.events[-1]
    await in_thread(lambda: churn(engine, 4, "away"))
    future = Cursor(time_ns=last.time_ns + 3600 * 10**9, event_id=last.id)
    async with EngineWatch(engine.url, cursor=future, recent=[event.id for event in first.events]) as second:
        await second.until_listed()
        await in_thread(lambda: churn(engine, 2, "live"))
        await second.until(lambda: len(second.events) >= 6)
        assert names_and_actions(second) == churned(4, "away") + churned(2, "live")
        assert [event.origin for event in second.events] == [Origin.REPLAY] * 4 + [Origin.STREAM] * 2
        assert not second.of(GapObserved)
        assert not second.of(EngineLost)


async def test_a_cursor_in_the_future_of_the_engine_is_a_gap_and_holds_nothing_up(engine: PrivateEngine) -> None:
    begun = time.time()
    future = Cursor(time_ns=int((begun + 3600) * 1e9), event_id="of a ring that is gone")
    async with EngineWatch(engine.url, cursor=future) as watch:
        [listed] = await watch.until_listed()
        [gap] = watch.of(GapObserved)
        assert gap.reason == "clock_stepped_back"
        assert begun <= gap.since <= gap.until <= time.time()
        await in_thread(lambda: churn(engine, 2, "live"))
        await watch.until(lambda: names_and_actions(watch)[-2:] == churned(2, "live"))
        assert not watch.of(EngineLost)
        assert listed.listening_since is None or listed.listening_since.time_ns <= time.time_ns()


async def test_a_clock_that_is_stepped_back_while_the_session_runs_holds_nothing_up(engine: PrivateEngine) -> None:
    clock = SteppedClock()
    async with EngineWatch(engine.url, timing=replace(FAST, audit_every=0.2), clock=clock) as watch:
        await watch.until_listed()
        await in_thread(lambda: churn(engine, 4, "before"))
        await watch.until(lambda: len(watch.events) == 4)
        clock.offset = -3600.0
        await in_thread(lambda: churn(engine, 4, "after"))
        await watch.until_listed(2)
        await in_thread(lambda: churn(engine, 4, "later"))
        await watch.until(lambda: len(watch.events) >= 12)
        assert names_and_actions(watch) == churned(4, "before") + churned(4, "after") + churned(4, "later")
        assert not watch.of(GapObserved)
        assert not watch.of(EngineLost)


async def test_images_are_counted_again_and_again(engine: PrivateEngine) -> None:
    await in_thread(lambda: engine.run("web"))
    async with EngineWatch(engine.url, timing=replace(FAST, audit_every=0.2)) as watch:
        [first, *_] = await watch.until_told(ImagesCounted)
        assert first.count is not None
        more = first.count + 1
        await in_thread(lambda: engine.docker("commit", "web", "extra:1"))
        await watch.until(lambda: watch.of(ImagesCounted)[-1].count == more)
        await in_thread(lambda: engine.docker("rmi", "extra:1"))
        await watch.until(lambda: watch.of(ImagesCounted)[-1].count == first.count)


async def test_a_storm_is_neither_lost_nor_doubled(engine: PrivateEngine) -> None:
    async with EngineWatch(engine.url, timing=replace(FAST, audit_every=0.2)) as watch:
        await watch.until_listed()
        await asyncio.gather(*(in_thread(partial(churn, engine, 500, f"s{n}")) for n in range(4)))
        await watch.until(lambda: len(watch.events) >= 2000)
        await watch.until_told(EnginePinged, len(watch.of(EnginePinged)) + 2)
        assert sorted(names_and_actions(watch)) == sorted(pair for n in range(4) for pair in churned(500, f"s{n}"))
        assert not watch.of(GapObserved)
        assert watch.session.counts.reconnects == 0


async def test_a_storm_through_a_resync_is_neither_lost_nor_doubled(engine: PrivateEngine) -> None:
    # No waiting between tries: in 0.4 s a storm overruns the 256 events that the engine can replay, and that is a gap.
    timing = replace(FAST, lost_after=10, stable_after=0)
    with EngineProxy(engine.socket) as proxy:
        async with EngineWatch(proxy.url, timing=timing) as watch:
            await watch.until_listed()
            storm = asyncio.create_task(in_thread(lambda: churn(engine, 600, "r")))
            for cut in range(3):
                await watch.until(partial(handed_over, watch, 100 * (cut + 1)))
                proxy.cut("/events")
                await watch.until_listed(cut + 2)
            await storm
            await watch.until(lambda: len(watch.events) >= 600)
            assert names_and_actions(watch) == churned(600, "r")
            assert not watch.of(GapObserved)
            assert not watch.of(EngineLost)
            assert watch.session.counts.reconnects == 3
            assert len(watch.of(EngineFound)) == 1


async def test_a_reader_that_runs_over_resyncs_and_counts_the_gap(engine: PrivateEngine) -> None:
    async with EngineWatch(engine.url, capacity=300) as watch:
        await watch.until_listed()
        churn(engine, 800)  # holds up the event loop on purpose
        await watch.until_listed(2)
        assert [gap.reason for gap in watch.of(GapObserved)] == ["reader_overflow"]
        seen, all_of_them = names_and_actions(watch), churned(800)
        assert seen == all_of_them[:300] + all_of_them[-256:]


async def test_a_reader_that_runs_over_recovers_from_the_ring_when_it_can(engine: PrivateEngine) -> None:
    async with EngineWatch(engine.url, capacity=300) as watch:
        await watch.until_listed()
        churn(engine, 500)  # holds up the event loop on purpose
        await watch.until(lambda: len(watch.events) >= 500)
        await watch.until_listed(2)
        assert names_and_actions(watch) == churned(500)
        assert not watch.of(GapObserved)


async def test_an_audit_finds_what_the_stream_lost(engine: PrivateEngine) -> None:
    with EngineProxy(engine.socket) as proxy:
        async with EngineWatch(proxy.url, timing=replace(FAST, audit_every=0.3, in_flight=0.3)) as watch:
            await watch.until_listed()
            proxy.lose_events(b"victim")
            await in_thread(lambda: engine.docker("create", "--name=victim", "busybox:local"))
            await in_thread(lambda: engine.docker("create", "--name=bystander", "busybox:local"))
            [gap] = await watch.until_told(GapObserved)
            await watch.until_listed(2)
            assert (gap.reason, gap.count) == ("audit", 1)
            [lost] = [event for event in watch.events if event.name == "victim"]
            assert (lost.action, lost.origin) == ("create", Origin.REPLAY)
            assert gap.since == gap.until == lost.time
            assert watch.actions("bystander") == ["create"]


async def test_events_in_flight_are_not_taken_for_lost(engine: PrivateEngine) -> None:
    with EngineProxy(engine.socket) as proxy:
        async with EngineWatch(proxy.url, timing=replace(FAST, audit_every=0.1, in_flight=2)) as watch:
            await watch.until_listed()
            proxy.delay_events(0.5)
            await in_thread(lambda: engine.docker("create", "--name=late", "busybox:local"))
            await watch.until(lambda: "create" in watch.actions("late"))
            assert watch.events[-1].origin is Origin.STREAM
            assert not watch.of(GapObserved)


async def test_the_listing_waits_for_the_events_that_precede_it(engine: PrivateEngine) -> None:
    with EngineProxy(engine.socket) as proxy:
        async with EngineWatch(proxy.url, timeout=5) as watch:
            await watch.until_listed()
            await in_thread(lambda: engine.docker("create", "--name=seed", "busybox:local"))
            await watch.until(lambda: "create" in watch.actions("seed"))
            held = proxy.hold("GET", "/containers/json")
            watch.session.resync()
            await in_thread(held.wait)
            position = watch.session.position
            proxy.delay_events(0.5)
            await in_thread(lambda: engine.docker("create", "--name=between", "busybox:local"))
            held.release()
            listed = (await watch.until_listed(2))[-1]
            assert "between" in {container.name for container in listed.containers}
            assert listed.after_position == position
            assert watch.told_but_signs_of_life()[-1] is listed
            [between] = [event for event in watch.events if event.name == "between"]
            assert between.position > position


async def test_the_listing_is_asked_for_after_the_replay(engine: PrivateEngine) -> None:
    async with EngineWatch(engine.url) as first:
        await first.until_listed()
        await in_thread(lambda: engine.docker("create", "--name=seed", "busybox:local"))
        await first.until(lambda: "create" in first.actions("seed"))
    last = first.events[-1]
    await in_thread(lambda: engine.docker("create", "--name=away", "busybox:local"))
    await asyncio.sleep(1.1)  # longer ago than the stamps of the ring may be out of order
    with EngineProxy(engine.socket) as proxy:
        proxy.delay_events(0.3)
        async with EngineWatch(proxy.url, cursor=cursor_at(last), recent=[last.id]) as second:
            [listed] = await second.until_listed()
            [away] = [event for event in second.events if event.name == "away"]
            assert listed.after_position >= away.position


async def test_inspections_are_asked_once_and_answer_for_who_is_gone(engine: PrivateEngine) -> None:
    web = await in_thread(lambda: engine.run("web"))
    with EngineProxy(engine.socket) as proxy:
        async with EngineWatch(proxy.url, timeout=5) as watch:
            await watch.until_listed()
            held = proxy.hold("GET", "/containers/*/json")
            others = [f"{n:064x}" for n in range(2)]
            watch.inventory.request(others)  # both threads are busy now
            await in_thread(held.wait)
            watch.inventory.request([web, web])
            watch.inventory.request([web])
            assert watch.inventory.waiting == 1
            held.release()
            answers = await watch.until_told(ContainerObserved, 3)
            assert len(proxy.seen("GET", f"/containers/{web}/json")) == 1
            assert {a.container_id for a in answers if a.container is None} == set(others)
            [found] = [a for a in answers if a.container is not None]
            assert found.container is not None
            assert found.container.detail is not None
            assert (found.container.name, found.after_position) == ("web", watch.session.position)


async def test_an_inspection_waits_for_the_engine_to_come_back(engine: PrivateEngine) -> None:
    web = await in_thread(lambda: engine.run("web"))
    with EngineProxy(engine.socket) as proxy:
        async with EngineWatch(proxy.url) as watch:
            await watch.until_listed()
            proxy.refuse()
            watch.inventory.request([web])
            await watch.until_told(EngineLost)
            assert not watch.of(ContainerObserved)
            proxy.listen()
            [answer] = await watch.until_told(ContainerObserved)
            assert answer.container is not None
