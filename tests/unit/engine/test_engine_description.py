"""Who the engine is, is asked anew at each audit, and at once after what may have changed it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.support.engine_watch import FAST, EngineWatch
from tests.support.scripted_engine import INFO, ScriptedEngine, SteppedClock
from watchtower_agent.engine import description
from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.observation import EngineDescribed, EngineFound, EngineInfo

LEADER = replace(INFO, swarm_node_id="n1", swarm_leader=True)


async def test_a_change_of_the_leader_is_noticed_at_an_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "REST", 0.0)
    engine = ScriptedEngine(SteppedClock())
    async with EngineWatch(engine, timing=replace(FAST, audit_every=0.05, settle=0.0)) as watch:
        await watch.until_listed()
        engine.info = LEADER
        await watch.until_told(EngineDescribed)
        asked = engine.described
        await watch.until(lambda: engine.described > asked + 2 or not watch.session.connected)
        assert [told.info for told in watch.of(EngineDescribed)] == [LEADER], "the same is told once"
        assert watch.session.info == LEADER
        assert len(watch.of(EngineFound)) == 1


@pytest.mark.parametrize(
    ("kind", "action", "scope"),
    [("node", "update", "local"), ("daemon", "reload", "local"), ("network", "create", "swarm")],
)
async def test_an_event_that_may_change_it_is_reason_to_ask_at_once(kind: str, action: str, scope: str) -> None:
    engine = ScriptedEngine(SteppedClock())
    async with EngineWatch(engine, timing=FAST) as watch:
        await watch.until_listed()
        engine.happen("of no interest")
        await watch.until(lambda: len(watch.events) == 1)
        engine.info = LEADER
        engine.happen("n1", kind=kind, action=action, scope=scope)
        await watch.until_told(EngineDescribed, timeout=3)
        assert engine.described == 1


async def test_many_such_events_are_one_question() -> None:
    engine = ScriptedEngine(SteppedClock())
    async with EngineWatch(engine, timing=FAST) as watch:
        await watch.until_listed()
        for number in range(50):
            engine.happen(f"n{number}", kind="node")
            await asyncio.sleep(0.002)
        await watch.until(lambda: len(watch.events) == 50)
        assert engine.described <= 2


async def test_a_question_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "REST", 0.0)
    engine = ScriptedEngine(SteppedClock())
    answers, once = engine.describe, [TemporaryError("it did not answer")]

    def describe(before: EngineInfo) -> EngineInfo:
        if once:
            raise once.pop()
        return answers(before)

    monkeypatch.setattr(engine, "describe", describe)
    async with EngineWatch(engine, timing=replace(FAST, audit_every=0.05, settle=0.0)) as watch:
        await watch.until_listed()
        engine.info = LEADER
        await watch.until_told(EngineDescribed)
        assert watch.session.counts.reconnects == 0
