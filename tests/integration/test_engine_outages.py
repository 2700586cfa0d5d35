"""An engine that is killed, frozen, restarted or cut off, while containers come and go."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.support.engine import PrivateEngine
from tests.support.engine_watch import FAST, EngineWatch, in_thread
from tests.support.proxy import EngineProxy
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.engine_event import Cursor
from watchtower_agent.model.observation import EngineFound, EngineLost, EnginePinged, GapObserved, InventoryObserved


async def test_kill_and_restart_is_one_outage_and_one_gap(own_engine: PrivateEngine) -> None:
    await in_thread(lambda: own_engine.docker("create", "--name=web", "busybox:local"))
    async with EngineWatch(own_engine.url) as watch:
        await watch.until_listed()
        await in_thread(lambda: own_engine.docker("create", "--name=early", "busybox:local"))
        await watch.until(lambda: bool(watch.events))
        last = watch.events[-1]
        own_engine.kill()
        [lost] = await watch.until_told(EngineLost)
        assert lost.reason.startswith("its event stream ended; connecting to unix://")
        assert not watch.session.connected
        await in_thread(own_engine.start)
        await watch.until_listed(2)
        [_, found] = watch.of(EngineFound)
        assert found.restarted
        [gap] = watch.of(GapObserved)
        assert (gap.reason, gap.since) == ("engine_restarted", last.time)
        assert len(watch.of(EngineLost)) == 1
        kinds = [type(told) for told in watch.observations if type(told) is not EnginePinged]
        assert kinds.index(EngineLost) < len(kinds) - 1 - kinds[::-1].index(EngineFound)
        assert kinds[-1] is InventoryObserved
        assert {c.name for c in watch.of(InventoryObserved)[-1].containers} == {"web", "early"}


async def test_an_orderly_restart_is_seen_and_what_changed_is_listed(own_engine: PrivateEngine) -> None:
    async with EngineWatch(own_engine.url) as watch:
        await watch.until_listed()
        await in_thread(lambda: own_engine.run("web"))
        await watch.until(lambda: "start" in watch.actions("web"))
        await in_thread(own_engine.restart)
        await watch.until_listed(2)
        assert watch.of(EngineFound)[-1].restarted
        [listed] = watch.of(InventoryObserved)[1:]
        assert [(c.name, c.status) for c in listed.containers] == [("web", ContainerStatus.EXITED)]
        assert len(watch.of(EngineLost)) == 1


async def test_a_restart_while_the_agent_was_away_is_seen_by_the_emptied_ring(own_engine: PrivateEngine) -> None:
    async with EngineWatch(own_engine.url) as first:
        await first.until_listed()
        await in_thread(lambda: own_engine.docker("create", "--name=web", "busybox:local"))
        await first.until(lambda: bool(first.events))
    last = first.events[-1]
    await in_thread(own_engine.restart)
    cursor = Cursor(time_ns=last.time_ns, event_id=last.id)
    async with EngineWatch(own_engine.url, cursor=cursor, recent=[last.id]) as second:
        await second.until_listed()
        assert second.of(EngineFound)[0].restarted
        assert [gap.reason for gap in second.of(GapObserved)] == ["engine_restarted"]


async def test_a_frozen_engine_is_noticed_and_nothing_is_lost_when_it_thaws(own_engine: PrivateEngine) -> None:
    async with EngineWatch(own_engine.url) as watch:
        await watch.until_listed()
        await in_thread(lambda: own_engine.docker("create", "--name=web", "busybox:local"))
        await watch.until(lambda: bool(watch.events))
        await watch.until_told(EnginePinged)
        own_engine.freeze()
        try:
            [lost] = await watch.until_told(EngineLost, timeout=5)
        finally:
            own_engine.thaw()
        assert "a ping: the engine did not answer in time" in lost.reason
        await watch.until_listed(2)
        [_, found] = watch.of(EngineFound)
        assert not found.restarted
        assert not watch.of(GapObserved)
        await in_thread(lambda: own_engine.docker("rm", "web"))
        await watch.until(lambda: "destroy" in watch.actions("web"))


async def test_an_engine_that_is_frozen_from_the_start_is_lost_and_then_found(own_engine: PrivateEngine) -> None:
    own_engine.freeze()
    try:
        async with EngineWatch(own_engine.url) as watch:
            [lost] = await watch.until_told(EngineLost, timeout=5)
            assert lost.reason.startswith("the agent has just started")
            assert not watch.of(EngineFound)
            own_engine.thaw()
            await watch.until_listed()
            assert not watch.of(EngineFound)[0].restarted
    finally:
        own_engine.thaw()


async def test_an_engine_that_is_not_there_yet_is_waited_for(engine: PrivateEngine) -> None:
    with EngineProxy(engine.socket) as proxy:
        proxy.refuse()
        async with EngineWatch(proxy.url) as watch:
            [lost] = await watch.until_told(EngineLost)
            assert "nobody listens there; is the engine running?" in lost.reason
            proxy.listen()
            await watch.until_listed()
            assert [told.restarted for told in watch.of(EngineFound)] == [False]
            assert not watch.of(GapObserved)


async def test_an_engine_that_answers_all_but_the_subscription_is_lost(engine: PrivateEngine) -> None:
    with EngineProxy(engine.socket) as proxy:
        swallowed = proxy.blackhole("GET", "/events")
        async with EngineWatch(proxy.url, timeout=0.2) as watch:
            [lost] = await watch.until_told(EngineLost)
            assert "subscribing to events: the engine did not answer in time" in lost.reason
            swallowed.release()
            await watch.until_listed()


async def test_a_half_open_connection_is_noticed(engine: PrivateEngine) -> None:
    with EngineProxy(engine.socket) as proxy:
        async with EngineWatch(proxy.url) as watch:
            await watch.until_listed()
            proxy.freeze()
            await watch.until_told(EngineLost, timeout=5)
            await in_thread(lambda: engine.docker("create", "--name=meanwhile", "busybox:local"))
            proxy.thaw()
            await watch.until(lambda: "create" in watch.actions("meanwhile"))
            assert not watch.of(GapObserved)


async def test_a_short_cut_is_no_outage(engine: PrivateEngine) -> None:
    with EngineProxy(engine.socket) as proxy:
        async with EngineWatch(proxy.url, timing=replace(FAST, lost_after=10)) as watch:
            await watch.until_listed()
            proxy.cut()
            await watch.until_listed(2)
            assert not watch.of(EngineLost)
            assert not watch.of(GapObserved)
            assert len(watch.of(EngineFound)) == 1


async def test_a_silent_stream_is_kept(engine: PrivateEngine) -> None:
    with EngineProxy(engine.socket) as proxy:
        async with EngineWatch(proxy.url, timeout=0.5) as watch:
            await watch.until_listed()
            await watch.until_told(EnginePinged, 8)  # 1.6 s, three times the time limit of a call
            assert len([r for r in proxy.seen("GET", "/events") if "until=" not in r.target]) == 1


async def test_stopping_the_session_ends_its_reader_at_once(engine: PrivateEngine) -> None:
    async with asyncio.timeout(5):
        async with EngineWatch(engine.url, timeout=30) as watch:
            await watch.until_listed()


async def test_stopping_while_the_engine_does_not_answer_is_not_held_up(engine: PrivateEngine) -> None:
    with EngineProxy(engine.socket) as proxy:
        swallowed = proxy.blackhole("GET", "/events")
        async with asyncio.timeout(5), EngineWatch(proxy.url, timeout=30):
            await in_thread(swallowed.wait)
