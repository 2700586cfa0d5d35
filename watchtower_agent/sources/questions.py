"""Asks every address that policies name, each at its own pace, without holding up the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final

from watchtower_agent.model.observation import ReadingObserved
from watchtower_agent.model.source import UrlSource
from watchtower_agent.ports.clock import Clock
from watchtower_agent.sources.question import Question, UnansweredQuestionError
from watchtower_agent.sources.reading import answered, unanswered

LONGEST: Final = 5.0
"""Seconds that an answer may take, at most."""
_AT_ONCE: Final = 8
"""Questions under way at a time: a thread waits for each."""
_CUT_AFTER: Final = 0.5
"""Seconds that a question which has been cut is given to end by itself."""


class Questions:
    """One task for each address.

    Args:
        clock: Stamps the readings.
        sink: Takes them.
    """

    def __init__(self, clock: Clock, sink: Callable[[ReadingObserved], None]) -> None:
        self._clock = clock
        self._sink = sink
        self._wanted: frozenset[UrlSource] = frozenset()
        self._asking: dict[UrlSource, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    def follow(self, wanted: frozenset[UrlSource]) -> None:
        """From now on ask these, and no others. What is asked already goes on at its pace."""
        self._wanted = wanted
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._changed.wait()
                    self._changed.clear()
                    self._settle(group)
        finally:
            self._asking.clear()

    def _settle(self, group: asyncio.TaskGroup) -> None:
        for source in self._asking.keys() - self._wanted:
            self._asking.pop(source).cancel()
        for source in self._wanted - self._asking.keys():
            self._asking[source] = group.create_task(self._ask_again_and_again(source), name=f"asking {source.name}")

    async def _ask_again_and_again(self, source: UrlSource) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._ask(source)
            # What took longer than its pace is asked for again at once, and not as often as was missed.
            due = max(due + source.every, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _ask(self, source: UrlSource) -> None:
        """One question, and the thread's end."""
        timeout = min(source.every, LONGEST)
        async with self._at_once:
            question = Question(source.url, timeout)
            answer = _in_thread(question.ask, name=f"asking {source.name}")
            cut = asyncio.get_running_loop().call_later(timeout, question.cut)
            try:
                await asyncio.wait({answer}, timeout=timeout + _CUT_AFTER)
                if not answer.done():  # it waits for the name of its host, which nothing can cut short
                    self._sink(unanswered(source.name, f"no answer within {timeout:g} s", self._clock.now()))
                    await asyncio.wait({answer})
                    return
                self._sink(self._reading(source, answer))
            finally:
                cut.cancel()
                question.cut()

    def _reading(self, source: UrlSource, answer: asyncio.Future[bytes]) -> ReadingObserved:
        try:
            return answered(source.name, answer.result(), source.value, self._clock.now())
        except UnansweredQuestionError as error:
            return unanswered(source.name, str(error), self._clock.now())


def _in_thread(work: Callable[[], bytes], *, name: str) -> asyncio.Future[bytes]:
    """Its result, from a thread of its own: one that does not come back must not hold up the end of the agent."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bytes] = loop.create_future()
    future.add_done_callback(lambda end: end.cancelled() or end.exception())  # nobody waits for one that was cut

    def end(result: bytes | Exception) -> None:
        if future.done():
            return
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)

    def run() -> None:
        result: bytes | Exception
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            result = error
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(end, result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
