"""A few threads for calls that block."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Generic, ParamSpec, TypeVar

from watchtower_agent.errors import TemporaryError
from watchtower_agent.model.values import dataclass

IDLE = 30.0
"""Seconds without a call after which a thread ends."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job(Generic[T]):
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[T]
    function: Callable[[], T]

    def run(self) -> None:
        if self.answer.cancelled():
            return
        try:
            result = self.function()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the one who waits for the answer gets it
            self._tell(partial(self._fail, error))
        else:
            self._tell(partial(self._succeed, result))

    def _succeed(self, result: T) -> None:
        if not self.answer.done():
            self.answer.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def _tell(self, settle: Callable[[], None]) -> None:
        try:
            self.loop.call_soon_threadsafe(settle)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


class Workers:
    """At most `count` threads that run blocking calls for the event loop; made when all others are busy.

    They are daemon threads, unlike an executor's: a call that hangs on a frozen engine does not hold up the agent's
    exit.

    Args:
        name: What the threads are called.
        count: How many there may be.
        idle: Seconds without a call after which a thread ends.
    """

    def __init__(self, name: str, count: int, *, idle: float = IDLE) -> None:
        self._name = name
        self._count = count
        self._idle = idle
        self._jobs: queue.SimpleQueue[_Job[object] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._open = 0
        """Calls that wait or run."""

    @property
    def threads(self) -> int:
        """How many there are now."""
        return self._threads

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it in one of the threads, when one is free.

        Cancelling stops the waiting, not the call: it must bring its own timeout.

        Raises:
            TemporaryError: There is no thread, and none can be started.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        job = _Job(loop=loop, answer=answer, function=lambda: function(*args, **kwargs))
        with self._lock:
            self._open += 1
            self._jobs.put(job)  # type: ignore[arg-type] # a queue of jobs of any result
            one_more = self._threads < min(self._count, self._open)
            self._threads += one_more
        if one_more:
            self._start(answer)
        return await answer

    def _start(self, answer: asyncio.Future[T]) -> None:
        """One more thread; where none can be had, the call waits for those that there are."""
        thread = threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the host, or the unit (TasksMax), has no room for another
            with self._lock:
                self._threads -= 1
                alone = self._threads == 0
            if alone:
                answer.cancel()  # whoever comes to the job later leaves it
                raise TemporaryError(f"no thread can be started for {self._name}: {error}") from error

    def close(self) -> None:
        """Let idle threads end; busy ones end with their call."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._idle)
            except queue.Empty:
                if self._leaves():
                    return
                continue
            if job is None:
                with self._lock:
                    self._threads -= 1
                return
            try:
                job.run()
            finally:
                with self._lock:
                    self._open -= 1

    def _leaves(self) -> bool:
        """Whether this thread may end: unless a call has just come that counts on it."""
        with self._lock:
            leaves = self._open < self._threads
            self._threads -= leaves
        return leaves
