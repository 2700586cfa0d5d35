"""Threads for calls that block: as many as calls wait, and none for what is over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from watchtower_agent.actions.executor import AT_ONCE
from watchtower_agent.engine import client
from watchtower_agent.engine.workers import Workers
from watchtower_agent.errors import TemporaryError


async def until(condition: Callable[[], bool]) -> None:
    """What threads do among themselves tells nobody."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


async def hung(workers: Workers, gate: threading.Event, count: int) -> list[asyncio.Task[bool]]:
    begun = threading.Semaphore(0)

    def call() -> bool:
        begun.release()
        return gate.wait(10)

    tasks = [asyncio.create_task(workers.call(call)) for _ in range(count)]
    for _ in range(count):
        assert await asyncio.to_thread(begun.acquire, timeout=5), "a call waits behind others"
    return tasks


async def test_no_call_waits_behind_those_that_hang() -> None:
    workers, gate = Workers("test", 40), threading.Event()
    try:
        tasks = await hung(workers, gate, 39)
        assert await asyncio.wait_for(workers.call(lambda: "answered"), 5) == "answered"
    finally:
        gate.set()
    await asyncio.gather(*tasks)
    workers.close()


async def test_there_are_no_more_than_allowed() -> None:
    workers, gate = Workers("test", 2), threading.Event()
    tasks = await hung(workers, gate, 2)
    third = asyncio.create_task(workers.call(lambda: True))
    done, _ = await asyncio.wait([third], timeout=0.05)
    assert not done
    assert workers.threads == 2
    gate.set()
    await asyncio.gather(*tasks, third)
    workers.close()
    await until(lambda: workers.threads == 0)


async def test_idle_threads_end_and_a_later_call_is_answered_all_the_same() -> None:
    workers, gate = Workers("test", 8, idle=0.02), threading.Event()
    tasks = await hung(workers, gate, 8)
    gate.set()
    await asyncio.gather(*tasks)
    await until(lambda: workers.threads == 0)
    for _ in range(50):
        assert await asyncio.wait_for(workers.call(lambda: True), 5)
        await asyncio.sleep(0.02)  # just when a thread is about to end
    workers.close()


def test_there_is_a_thread_for_each_action() -> None:
    assert client.THREADS >= AT_ONCE


def refused(_: threading.Thread) -> None:
    """As at TasksMax."""
    raise RuntimeError("can't start new thread")


async def test_a_call_for_which_no_thread_can_be_started_waits_for_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workers, gate = Workers("test", 3), threading.Event()
    (first,) = await hung(workers, gate, 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        second = asyncio.create_task(workers.call(lambda: "answered"))
        await asyncio.sleep(0)
    gate.set()
    assert await asyncio.wait_for(second, 5) == "answered"
    await first
    workers.close()


async def test_without_any_thread_a_call_fails_and_the_next_is_answered_once_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workers, done = Workers("test", 1), list[str]()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(TemporaryError, match="no thread can be started"):
            await workers.call(done.append, "what was given up")
    assert await asyncio.wait_for(workers.call(lambda: "answered"), 5) == "answered"
    assert done == []
    workers.close()
    await until(lambda: workers.threads == 0)
